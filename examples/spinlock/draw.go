package main

import (
	"errors"
	"image/color"
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
		scale plot.Normalizer
		ticks plot.Ticker
		value func(load) float64
	}{
		{"Redis commands per second", plot.LogScale{}, plot.LogTicks{Prec: -1}, func(l load) float64 { return max(l.commands, 1) }},
		{"CPU of Redis, percent of a core", plot.LinearScale{}, plot.DefaultTicks{}, func(l load) float64 { return l.cpu }},
		{"times the lock was had per second", plot.LinearScale{}, plot.DefaultTicks{}, func(l load) float64 { return l.served }},
	}
)

// draw draws a line for each kind, in one panel for each figure, against the number of
// waiters.
func draw(loads [][]load, file string) error {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	svg := vgsvg.New(vg.Length(len(panels))*width, height)
	whole := canvas.New(svg)
	for i := range panels {
		p, err := panel(i, loads)
		if err != nil {
			return err
		}
		p.Draw(canvas.Crop(whole, vg.Length(i)*width, -vg.Length(len(panels)-1-i)*width, 0, 0))
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = svg.WriteTo(f)
	return errors.Join(err, f.Close())
}

func panel(i int, loads [][]load) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = panels[i].title
	p.X.Label.Text = "waiters"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, panels[i].scale
	p.Y.Tick.Marker = panels[i].ticks
	var ticks plot.ConstantTicks
	for _, l := range loads[0] {
		ticks = append(ticks, plot.Tick{Value: float64(l.waiters), Label: strconv.Itoa(l.waiters)})
	}
	p.X.Tick.Marker = ticks
	p.Add(plotter.NewGrid())
	for k, of := range loads {
		var points plotter.XYs
		for _, l := range of {
			points = append(points, plotter.XY{X: float64(l.waiters), Y: panels[i].value(l)})
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = colours[k], vg.Points(2)
		dots.Color, dots.Shape = colours[k], canvas.CircleGlyph{}
		p.Add(line, dots)
		if i == 0 {
			p.Legend.Add(kinds[k].title, line)
		}
	}
	p.Y.Min = 0
	if i == 0 { // a logarithm, from 100 on, with room for the legend
		p.Y.Min, p.Y.Max = 100, 1e6
		p.Legend.Top, p.Legend.Left = true, true
	}
	return p, nil
}
