package main

import (
	"bytes"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// plottedColumns are the columns of a load's table, each in a field of its own. One that is nought for everybody has none.
var plottedColumns = []struct {
	label string
	of    func(summary) float64
}{
	{"requests/s", func(s summary) float64 { return s.rate }},
	{"µs/request, user", func(s summary) float64 { return s.user }},
	{"µs/request, system", func(s summary) float64 { return s.sys }},
	{"p50 ms", func(s summary) float64 { return s.p50 }},
	{"p99 ms", func(s summary) float64 { return s.p99 }},
	{"p99.9 ms", func(s summary) float64 { return s.p999 }},
	{"calls/request", func(s summary) float64 { return s.calls }},
	{"switches/request", func(s summary) float64 { return s.switches }},
	{"RSS MiB", func(s summary) float64 { return s.rss }},
	{"allocations/request", func(s summary) float64 { return s.allocs }},
	{"GC pauses/s", func(s summary) float64 { return s.pauses }},
	{"GC µs/s", func(s summary) float64 { return s.paused }},
}

// columnsAcross is how many fields stand side by side.
const columnsAcross = 3

// plotColumns draws every column of a load in SVG: medians, a bar for every rival at every variant. It returns nil where no row has figures.
func plotColumns(rows []summary) ([]byte, error) {
	names, variants := axes(rows, func(s summary) bool { return true })
	var fields []*plot.Plot
	for _, column := range plottedColumns {
		p, err := plotColumn(rows, names, variants, column.label, column.of)
		if err != nil {
			return nil, err
		}
		if p != nil {
			fields = append(fields, p)
		}
	}
	if len(fields) == 0 {
		return nil, nil
	}
	down := (len(fields) + columnsAcross - 1) / columnsAcross
	grid := make([][]*plot.Plot, down)
	for i := range grid {
		grid[i] = make([]*plot.Plot, columnsAcross)
		copy(grid[i], fields[i*columnsAcross:min(len(fields), (i+1)*columnsAcross)])
	}
	canvas := vgsvg.New(columnsAcross*vg.Points(max(210, 70+85*float64(len(variants)))), vg.Points(200)*vg.Length(down))
	tiles := draw.Tiles{Rows: down, Cols: columnsAcross, PadX: vg.Points(12), PadY: vg.Points(14), PadTop: vg.Points(6), PadBottom: vg.Points(6), PadLeft: vg.Points(6), PadRight: vg.Points(6)}
	for i, line := range plot.Align(grid, tiles, draw.New(canvas)) {
		for k, c := range line {
			if grid[i][k] != nil {
				grid[i][k].Draw(c)
			}
		}
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// plotColumn draws one column; nil where it is nought for everybody. The first has the names of the rivals.
func plotColumn(rows []summary, names, variants []string, label string, of func(summary) float64) (*plot.Plot, error) {
	p := newPlot()
	p.Title.Text = label
	p.Title.TextStyle.Font.Size, p.X.Tick.Label.Font.Size = vg.Points(10), vg.Points(8)
	p.Y.Min = 0
	p.Legend.Top = true
	width := vg.Points(48 / float64(max(1, len(names))))
	most := 0.0
	for i, name := range names {
		values := make(plotter.Values, len(variants))
		for k, v := range variants {
			for _, r := range rows {
				if r.name == name && r.variant == v && !r.invalid {
					values[k] = of(r)
					most = max(most, values[k])
				}
			}
		}
		bars, err := plotter.NewBarChart(values, width)
		if err != nil {
			return nil, err
		}
		bars.Color = palette[i%len(palette)]
		bars.LineStyle.Width = 0
		bars.Offset = width * vg.Length(float64(i)-float64(len(names)-1)/2)
		p.Add(bars)
		if label == plottedColumns[0].label {
			p.Legend.Add(name, bars)
		}
	}
	p.NominalX(variants...)
	p.X.Min, p.X.Max = -0.6, float64(len(variants))-0.4
	p.Y.Max = most * 1.05
	if label == plottedColumns[0].label {
		p.Y.Max = most * 1.5 // room for the names
	}
	if most == 0 {
		return nil, nil
	}
	return p, nil
}
