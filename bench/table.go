package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is text in columns: the first to the left, the others to the right, as numbers are read.
type table struct {
	rows [][]string
	text bool // the last column is words: to the left
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write prints the rows, with a rule below the first. Rows may be shorter than others.
func (t *table) write(w io.Writer) error {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for i, row := range t.rows {
		b.WriteString(t.layOut(row, widths))
		if i == 0 {
			total := -2
			for _, n := range widths {
				total += 2 + n
			}
			if t.text {
				total -= widths[len(widths)-1] - utf8.RuneCountInString(row[len(row)-1]) // words may run on
			}
			b.WriteString(strings.Repeat("-", total) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// print writes all tables that a record has.
func (rec *record) print(w io.Writer) error {
	for i, t := range rec.tables {
		if len(t.rows) < 2 {
			continue // nothing came of it
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := t.write(w); err != nil {
			return err
		}
	}
	return nil
}

// markdown returns the rows as a table of a page.
func (t *table) markdown() string {
	var b strings.Builder
	for i, row := range t.rows {
		cells := make([]string, len(t.rows[0]))
		copy(cells, row)
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(cells)) + "|\n")
		}
	}
	return b.String()
}

func (t *table) layOut(row []string, widths []int) string {
	var b strings.Builder
	for i, cell := range row {
		if i > 0 {
			b.WriteString("  ")
		}
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if i == 0 || t.text && i == len(widths)-1 {
			b.WriteString(cell + pad)
		} else {
			b.WriteString(pad + cell)
		}
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// thousands writes 45120.4 as "45,120".
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
