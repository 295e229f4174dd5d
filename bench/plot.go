package main

import (
	"bytes"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// palette tells the rivals apart, also in grey. Sluice is the first of a table.
var palette = []color.Color{
	color.RGBA{R: 0x1b, G: 0x6c, B: 0xa8, A: 0xff}, color.RGBA{R: 0x9a, G: 0x9a, B: 0x9a, A: 0xff}, color.RGBA{R: 0xe0, G: 0x8e, B: 0x45, A: 0xff},
	color.RGBA{R: 0x5a, G: 0xa4, B: 0x69, A: 0xff}, color.RGBA{R: 0xb0, G: 0x5f, B: 0x9d, A: 0xff}, color.RGBA{R: 0x7a, G: 0x5c, B: 0x3e, A: 0xff},
	color.RGBA{R: 0x3d, G: 0x3d, B: 0x3d, A: 0xff},
}

// mostRatio is where a bar is cut, so that one rival that is far off does not make all others look alike. The table has its figure.
const mostRatio = 2

// plotRatios draws a bar for every rival at every variant, its CPU per request as a ratio to nginx, with a line from the lowest to the highest round. It
// returns SVG, nil where nginx was not measured.
func plotRatios(rows []summary) ([]byte, error) {
	names, variants := axes(rows, func(s summary) bool { return s.hasRatio })
	if len(names) == 0 {
		return nil, nil
	}
	p := newPlot()
	p.Y.Label.Text = "CPU per request, nginx = 1"
	p.Y.Min = 0
	p.Legend.Top = true
	width := vg.Points(60 / float64(len(names)))
	for i, name := range names {
		values, ends := series(rows, name, variants)
		for k := range values {
			values[k] = min(values[k], mostRatio)
		}
		bars, err := plotter.NewBarChart(values, width)
		if err != nil {
			return nil, err
		}
		bars.Color = palette[i%len(palette)]
		bars.LineStyle.Width = 0
		bars.Offset = width * vg.Length(float64(i)-float64(len(names)-1)/2)
		p.Add(bars, &whiskers{ends: ends, offset: bars.Offset})
		p.Legend.Add(name, bars)
	}
	p.NominalX(variants...)
	p.X.Min, p.X.Max = -0.6, float64(len(variants))-0.4
	p.Y.Max = min(p.Y.Max, mostRatio) * 1.3 // room for the legend
	canvas := vgsvg.New(vg.Points(max(300, 120+90*float64(len(variants)))), vg.Points(280))
	p.Draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// newPlot has a face without serifs, in which figures are read best.
func newPlot() *plot.Plot {
	p := plot.New()
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		style.Font.Variant = "Sans"
	}
	p.Legend.Padding, p.Legend.ThumbnailWidth = vg.Points(4), vg.Points(14)
	p.Y.Tick.Marker = commaTicks{}
	return p
}

// commaTicks are the usual ones, of which those with thousands are written as in the tables.
type commaTicks struct{}

// Ticks implements plot.Ticker.
func (commaTicks) Ticks(least, most float64) []plot.Tick {
	list := plot.DefaultTicks{}.Ticks(least, most)
	for i := range list {
		if list[i].Value >= 1000 && list[i].Label != "" {
			list[i].Label = thousands(list[i].Value)
		}
	}
	return list
}

// axes lists rivals and variants of the rows that have what is drawn, in their order.
func axes(rows []summary, has func(summary) bool) (names, variants []string) {
	seenName, seenVariant := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		if !has(r) || r.invalid {
			continue
		}
		if !seenName[r.name] {
			seenName[r.name] = true
			names = append(names, r.name)
		}
		if !seenVariant[r.variant] {
			seenVariant[r.variant] = true
			variants = append(variants, r.variant)
		}
	}
	return names, variants
}

// series is one rival's ratios, 0 where it has none.
func series(rows []summary, name string, variants []string) (plotter.Values, []spread) {
	values, ends := make(plotter.Values, len(variants)), make([]spread, len(variants))
	for i, v := range variants {
		for _, r := range rows {
			if r.name == name && r.variant == v && r.hasRatio && !r.invalid {
				values[i], ends[i] = r.cpuRatio.Median, r.cpuRatio
			}
		}
	}
	return values, ends
}

// whiskers draw the spread of every bar.
type whiskers struct {
	ends   []spread
	offset vg.Length
}

// Plot implements plot.Plotter.
func (w *whiskers) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	style := draw.LineStyle{Color: color.Black, Width: vg.Points(0.8)}
	for i, s := range w.ends {
		x := toX(float64(i)) + w.offset
		if low, high := min(s.Min, mostRatio), min(s.Max, mostRatio); high > low {
			c.StrokeLine2(style, x, toY(low), x, toY(high))
		}
	}
}

// DataRange implements plot.DataRanger, so that the longest line fits.
func (w *whiskers) DataRange() (xmin, xmax, ymin, ymax float64) {
	for _, s := range w.ends {
		ymax = max(ymax, s.Max)
	}
	return 0, float64(len(w.ends) - 1), 0, min(ymax, mostRatio)
}
