package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// report is what one scenario has found out.
type report struct {
	scenario string
	rows     []row
}

// row is one line of the table.
type row struct {
	what     string
	measured string
	bound    string // "" where nothing is demanded
	verdict  string // "ok", "FAIL", "" where nothing is demanded
}

// must notes a verdict.
func (r *report) must(ok bool, what, measured, bound string) {
	verdict := "FAIL"
	if ok {
		verdict = "ok"
	}
	r.rows = append(r.rows, row{what, measured, bound, verdict})
}

// zero notes that there must be none of something.
func (r *report) zero(what string, n int64) { r.must(n == 0, what, fmt.Sprint(n), "0") }

// fail notes what went wrong.
func (r *report) fail(what string, err error) { r.must(false, what, err.Error(), "no error") }

// note tells a figure of which nothing is demanded.
func (r *report) note(what, measured string) {
	r.rows = append(r.rows, row{what: what, measured: measured})
}

// ok reports whether no verdict is bad.
func (r *report) ok() bool {
	for _, row := range r.rows {
		if row.verdict == "FAIL" {
			return false
		}
	}
	return true
}

// printTable prints all reports, and reports whether all are good.
func printTable(out io.Writer, reports []*report) bool {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nscenario\twhat\tmeasured\tbound\tverdict")
	good := true
	for _, r := range reports {
		for _, row := range r.rows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.scenario, row.what, row.measured, row.bound, row.verdict)
		}
		good = good && r.ok()
	}
	_ = w.Flush() // the terminal's own trouble
	return good
}

// mib writes bytes as people read them.
func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// signedMiB is mib of a difference.
func signedMiB(n int64) string { return fmt.Sprintf("%+.1f MiB", float64(n)/(1<<20)) }
