package main

import (
	"errors"
	"image/color"
	"math"
	"os"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	canvas "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	width  = 10 * vg.Centimeter // of a panel
	height = 9 * vg.Centimeter
	strip  = 1 * vg.Centimeter // for the legend, below the panels
	margin = 4 * vg.Millimeter // around a panel, into which its last label reaches
)

var (
	// Colours that most people can tell apart who do not see all of them.
	colours = []color.Color{
		color.RGBA{0xd5, 0x5e, 0x00, 0xff},
		color.RGBA{0xe6, 0x9f, 0x00, 0xff},
		color.RGBA{0x90, 0x90, 0x90, 0xff},
		color.RGBA{0x00, 0x72, 0xb2, 0xff},
	}
	panels = []struct {
		title string
		value func(load) float64
	}{
		{"Redis commands per second", func(l load) float64 { return l.commands }},
		{"CPU of Redis, percent of a core", func(l load) float64 { return l.cpu }},
		{"longest wait for the lock, seconds", func(l load) float64 { return l.longest }},
	}
)

// draw draws a line for each kind, in one panel for each figure, against the number of
// waiters.
func draw(loads [][]load, file string) error {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	svg := vgsvg.New(vg.Length(len(panels))*width, height+strip)
	whole := canvas.New(svg)
	whole.FillPolygon(color.White, []vg.Point{
		{X: 0, Y: 0},
		{X: whole.Max.X, Y: 0},
		whole.Max,
		{X: 0, Y: whole.Max.Y},
	})
	for i := range panels {
		p, err := panel(i, loads)
		if err != nil {
			return err
		}
		p.Draw(column(whole, i, len(panels), strip+margin, whole.Max.Y-margin))
	}
	for k := range kinds {
		l := legend(k)
		l.Draw(column(whole, k, len(kinds), margin, strip))
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = svg.WriteTo(f)
	return errors.Join(err, f.Close())
}

// column returns the i-th of n columns of a canvas, between two heights.
func column(whole canvas.Canvas, i, n int, low, high vg.Length) canvas.Canvas {
	wide := whole.Max.X / vg.Length(n)
	whole.Rectangle = vg.Rectangle{
		Min: vg.Point{X: vg.Length(i)*wide + margin, Y: low},
		Max: vg.Point{X: vg.Length(i+1)*wide - margin, Y: high},
	}
	return whole
}

// legend returns what says which line is that of a kind.
func legend(k int) plot.Legend {
	l := plot.NewLegend()
	l.Left = true
	l.Add(kinds[k].title, &plotter.Line{LineStyle: style(k)})
	return l
}

func style(k int) canvas.LineStyle {
	return canvas.LineStyle{Color: colours[k], Width: vg.Points(2)}
}

func panel(i int, loads [][]load) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = panels[i].title
	p.Title.Padding = margin
	p.X.Label.Text = "waiters"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.Y.Tick.Marker = plot.TickerFunc(decades)
	var ticks plot.ConstantTicks
	for _, l := range loads[0] {
		ticks = append(ticks, plot.Tick{Value: float64(l.waiters), Label: strconv.Itoa(l.waiters)})
	}
	p.X.Tick.Marker = ticks
	p.Add(plotter.NewGrid())
	for k, of := range loads {
		var points plotter.XYs
		for _, l := range of {
			y := max(panels[i].value(l), 0.01) // nothing has no logarithm
			points = append(points, plotter.XY{X: float64(l.waiters), Y: y})
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		line.LineStyle = style(k)
		dots.Color, dots.Shape = colours[k], canvas.CircleGlyph{}
		p.Add(line, dots)
	}
	p.X.Max = max(p.X.Max, 2) // an axis has a length, also if there is but one point
	p.Y.Min = math.Pow10(int(math.Floor(math.Log10(p.Y.Min))))
	p.Y.Max = max(math.Pow10(int(math.Ceil(math.Log10(p.Y.Max)))), 10*p.Y.Min)
	return p, nil
}

// decades marks the powers of ten, with labels, and their multiples.
func decades(low, high float64) (ticks []plot.Tick) {
	for e := int(math.Round(math.Log10(low))); math.Pow10(e) <= high; e++ {
		power := math.Pow10(e)
		label := strconv.FormatFloat(power, 'f', -1, 64) + " " // viewers may have a wider font
		ticks = append(ticks, plot.Tick{Value: power, Label: label})
		for n := 2.0; n < 10 && n*power < high; n++ {
			ticks = append(ticks, plot.Tick{Value: n * power})
		}
	}
	return ticks
}
