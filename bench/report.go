package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// writeReport keeps a run in a folder of its own below opt.out: manifest.json, the raw result of every scenario, the configurations, a page in Markdown
// and its plots.
func writeReport(opt *options, h *harness, records []*record) error {
	if opt.out == "" || len(records) == 0 {
		return nil
	}
	w := &reportWriter{dir: filepath.Join(opt.out, records[0].Started.Format("20060102T150405.000Z")), manifest: newManifest(opt, records[0].Started)}
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, rec := range records {
		w.manifest.addRivals(rec.rivals)
		if err := w.writeJSON(rec.Scenario+".json", rec); err != nil {
			return err
		}
	}
	for name, text := range h.configs {
		if err := w.write(name, []byte(text)); err != nil {
			return err
		}
	}
	if err := w.writeJSON("manifest.json", w.manifest); err != nil {
		return err
	}
	if err := w.writePage(records); err != nil {
		return err
	}
	fmt.Fprintf(h.log, "report: %s\n", filepath.Join(w.dir, "README.md"))
	return nil
}

// reportWriter writes the files of one run.
type reportWriter struct {
	dir      string
	manifest *manifest
}

func (w *reportWriter) write(name string, text []byte) error {
	if err := os.WriteFile(filepath.Join(w.dir, name), text, 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func (w *reportWriter) writeJSON(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %s: %w", name, err)
	}
	return w.write(name, append(text, '\n'))
}

// writePage writes README.md.
func (w *reportWriter) writePage(records []*record) error {
	var b strings.Builder
	m := w.manifest
	fmt.Fprintf(&b, "# Sluice beside others, %s\n\n", m.Started.Format(time.DateTime+" MST"))
	fmt.Fprintf(&b, "`%s` at commit %s, %s; %s, %d CPUs, Linux %s.\n", strings.Join(m.Command, " "), m.Machine.Commit, m.Machine.Go, m.Machine.CPU, m.Machine.CPUs, m.Machine.Kernel)
	fmt.Fprintf(&b, "Medians of %d interleaved rounds of %g s; only the ratios carry over to another machine.\n\n", m.Rounds, m.Seconds)
	fmt.Fprint(&b, "| who | version | setup | TLS | configuration |\n|---|---|---|---|---|\n")
	for _, r := range m.Rivals {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.Name, r.Version, r.Setup, r.TLS, when(r.Config != "", fmt.Sprintf("[%s](%s)", r.Config, r.Config)))
	}
	for _, rec := range records {
		fmt.Fprintf(&b, "\n## %s\n\n", rec.Scenario)
		for _, failure := range rec.Failures {
			fmt.Fprintf(&b, "**Does not count:** %s\n\n", failure)
		}
		if rec.rows != nil {
			if err := w.writePlots(rec, &b); err != nil {
				return err
			}
			b.WriteString(loadTable(rec.rows).markdown() + "\n")
		}
		if rec.table != nil {
			b.WriteString(rec.table.markdown())
		}
	}
	return w.write("README.md", []byte(b.String()))
}

// writePlots draws a load, the ratios and then the columns, and puts the pictures into the page.
func (w *reportWriter) writePlots(rec *record, page *strings.Builder) error {
	for _, plot := range []struct {
		file, about string
		draw        func([]summary) ([]byte, error)
	}{
		{rec.Scenario + ".svg", "CPU per request as a ratio to nginx", plotRatios},
		{rec.Scenario + "-columns.svg", "every column of the table", plotColumns},
	} {
		svg, err := plot.draw(rec.rows)
		if err != nil {
			return fmt.Errorf("report: %s: plot: %w", rec.Scenario, err)
		}
		if svg == nil {
			continue // nothing to compare with, or no row that counts
		}
		fmt.Fprintf(page, "![%s](%s)\n\n", plot.about, plot.file)
		if err := w.write(plot.file, svg); err != nil {
			return err
		}
	}
	return nil
}

// addRivals notes who took part in which setup, each once.
func (m *manifest) addRivals(rivals []*rival) {
next:
	for _, r := range rivals {
		one := manifestRival{Name: r.name, Version: r.version, Setup: r.setup.String(), Config: r.configName()}
		if r.setup.tls && r.check {
			one.TLS = benchAgreement.String()
		}
		for _, known := range m.Rivals {
			if known == one {
				continue next
			}
		}
		m.Rivals = append(m.Rivals, one)
	}
}

// configName is the file's name in the folder of a run.
func (r *rival) configName() string {
	if r.config == "" {
		return ""
	}
	name := strings.NewReplacer("(", "", ")", "", ",", "", " ", "-").Replace(r.setup.String())
	return r.name + "-" + name + filepath.Ext(r.config)
}
