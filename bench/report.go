package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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
	w.manifest.addOrigin(h)
	for _, rec := range records {
		w.manifest.Scenarios = append(w.manifest.Scenarios, rec.Scenario)
		w.manifest.addRivals(rec.took)
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

// remakeReport makes the page and the plots of a run's folder again, from the JSON in it, and prints the tables.
func remakeReport(dir string, stdout io.Writer) error {
	w := &reportWriter{dir: dir, manifest: &manifest{}}
	if err := w.readJSON("manifest.json", w.manifest); err != nil {
		return err
	}
	if len(w.manifest.Scenarios) == 0 {
		return fmt.Errorf("report: the manifest in %s names no scenario", dir)
	}
	var records []*record
	for _, name := range w.manifest.Scenarios {
		found, err := findScenarios(name)
		if err != nil {
			return err
		}
		rec := &record{}
		if err := w.readJSON(name+".json", rec); err != nil {
			return err
		}
		if err := found[0].present(rec); err != nil {
			return fmt.Errorf("report: %w", err)
		}
		fmt.Fprintf(stdout, "\n%s\n", name)
		if err := rec.print(stdout); err != nil {
			return err
		}
		records = append(records, rec)
	}
	return w.writePage(records)
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

func (w *reportWriter) readJSON(name string, v any) error {
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("report: %s: %w", name, err)
	}
	return nil
}

// writePage writes README.md.
func (w *reportWriter) writePage(records []*record) error {
	var b strings.Builder
	w.manifest.describe(&b)
	for _, rec := range records {
		fmt.Fprintf(&b, "\n## %s\n\n", rec.Scenario)
		for _, failure := range rec.Failures {
			fmt.Fprintf(&b, "**Does not count:** %s\n\n", failure)
		}
		if err := w.writePlots(rec, &b); err != nil {
			return err
		}
		for _, t := range rec.tables {
			b.WriteString(t.markdown() + "\n")
		}
		fmt.Fprintf(&b, "Raw: [%s.json](%s.json).\n", rec.Scenario, rec.Scenario)
	}
	return w.write("README.md", []byte(b.String()))
}

// writePlots draws a load, the ratios and then the columns, and puts the pictures into the page.
func (w *reportWriter) writePlots(rec *record, page *strings.Builder) error {
	if len(rec.rows) == 0 {
		return nil // no load
	}
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
