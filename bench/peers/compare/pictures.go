package main

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"sync"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/go-rlock/rlock/bench"
)

// A picture shows one figure against the number of clients with one goroutine each,
// without a hold on the left, with one on the right.
type picture struct {
	file, title, unit string
	value             func(*figures) float64
}

var pictures = []picture{
	{"throughput.svg", "Throughput", "acquisitions per second", func(f *figures) float64 { return f.Rate }},
	{"p99.svg", "Waiting time, 99th percentile", "milliseconds", func(f *figures) float64 { return f.P99 }},
}

const (
	panelWidth  = 13 * vg.Centimeter
	panelHeight = 11 * vg.Centimeter
	legendWidth = 4 * vg.Centimeter
)

// setFont has plots use a font without serifs.
var setFont = sync.OnceFunc(func() {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
})

// draw writes the pictures to a directory.
func (r results) draw(dir string) error {
	setFont()
	for _, p := range pictures {
		if err := p.draw(r.Figures, filepath.Join(dir, p.file)); err != nil {
			return fmt.Errorf("draw %s: %w", p.file, err)
		}
	}
	return nil
}

func (p picture) draw(t table, file string) error {
	hold := bench.Clients8.Holds[1]
	noHold, legend, err := p.panel(t, "no hold", []string{
		serial,
		nameOf(bench.Clients8, bench.Background, 0),
		nameOf(bench.Clients32, bench.Background, 0),
		nameOf(bench.Clients128, bench.Background, 0),
	})
	if err != nil {
		return err
	}
	held, _, err := p.panel(t, fmt.Sprintf("hold %d ms", hold.Milliseconds()), []string{
		nameOf(bench.Clients8, bench.Background, hold),
		nameOf(bench.Clients32, bench.Background, hold),
		nameOf(bench.Clients128, bench.Background, hold),
	})
	if err != nil {
		return err
	}
	canvas := vgsvg.New(2*panelWidth+legendWidth, panelHeight)
	whole := draw.New(canvas)
	noHold.Draw(draw.Crop(whole, 0, -panelWidth-legendWidth, 0, 0))
	held.Draw(draw.Crop(whole, panelWidth, -legendWidth, 0, 0))
	legend.Draw(draw.Crop(whole, 2*panelWidth, 0, 0, -vg.Centimeter))

	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(f)
	return errors.Join(err, f.Close())
}

// panel returns the plot of some rows, with a line for each contestant that has
// figures in one of them, and the legend of these lines.
func (p picture) panel(t table, title string, rows []string) (*plot.Plot, plot.Legend, error) {
	panel, legend := plot.New(), plot.NewLegend()
	panel.Title.Text = p.title + ", " + title
	panel.Title.Padding = 3 * vg.Millimeter
	panel.X.Label.Text = "clients that want the same lock"
	panel.Y.Label.Text = p.unit
	panel.X.Scale, panel.Y.Scale = plot.LogScale{}, plot.LogScale{}
	panel.X.Tick.Marker = plot.ConstantTicks{
		{Value: 1, Label: "1"}, {Value: 8, Label: "8"}, {Value: 32, Label: "32"}, {Value: 128, Label: "128"},
	}
	panel.Y.Tick.Marker = plot.LogTicks{Prec: -1}
	panel.Add(plotter.NewGrid())
	legend.Top, legend.Left, legend.Padding = true, true, vg.Millimeter
	for _, l := range lines {
		points := l.points(t, rows, p.value)
		if len(points) == 0 {
			continue
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, legend, err
		}
		line.Color, line.Width, line.Dashes = l.color, l.width, l.dashes
		dots.Color, dots.Shape, dots.Radius = l.color, draw.CircleGlyph{}, vg.Points(2)
		panel.Add(line, dots)
		legend.Add(l.name, line, dots)
	}
	// Of a part of the rows too, and of none. A scale of one point would begin below 0.
	panel.X.Min, panel.X.Max = 1, 128
	panel.Y.Min, panel.Y.Max = decades(panel.Y.Min, panel.Y.Max)
	return panel, legend, nil
}

// decades returns the range of whole decades, because these are what is labelled, that has
// all values from low to high; any one if there are no values, and low is beyond high.
func decades(low, high float64) (from, to float64) {
	if low > high {
		return 1, 10
	}
	from = math.Pow(10, math.Floor(math.Log10(low)))
	return from, max(10*from, math.Pow(10, math.Ceil(math.Log10(high))))
}

// A line is how one contestant is drawn, or several that do not take part in the same
// rows.
type line struct {
	name        string
	contestants []string
	color       color.Color
	width       vg.Length
	dashes      []vg.Length
}

// The colours are ones that most people can tell apart who do not see all of them.
var (
	blue   = color.RGBA{0x00, 0x72, 0xb2, 0xff}
	red    = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	green  = color.RGBA{0x00, 0x9e, 0x73, 0xff}
	purple = color.RGBA{0xcc, 0x79, 0xa7, 0xff}
	orange = color.RGBA{0xe6, 0x9f, 0x00, 0xff}
	grey   = color.RGBA{0x90, 0x90, 0x90, 0xff}

	thin, thick    = vg.Points(1), vg.Points(2.5)
	dashed, dotted = []vg.Length{vg.Points(5), vg.Points(2)}, []vg.Length{vg.Points(1), vg.Points(2)}
)

var lines = []line{
	{"floor", []string{floor, ring}, color.Black, thin, dotted},
	{ours, []string{ours}, blue, thick, nil},
	{oursPublic, []string{oursPublic}, blue, thin, dashed},
	{redisson, []string{redisson}, red, thin, nil},
	{"redisson-fair", []string{"redisson-fair"}, red, thin, dashed},
	{"redisson-spin", []string{"redisson-spin"}, red, thin, dotted},
	{"rueidislock", []string{"rueidislock"}, green, thin, nil},
	{"redsync", []string{"redsync"}, purple, thin, nil},
	{"redislock", []string{"redislock"}, orange, thin, nil},
	{"spin", []string{"spin"}, grey, thin, nil},
	{"spin-1ms", []string{"spin-1ms"}, grey, thin, dashed},
	{"spin-backoff", []string{"spin-backoff"}, grey, thin, dotted},
}

// points returns the figures of the line's contestants in some rows, by the number of
// clients.
func (l line) points(t table, rows []string, value func(*figures) float64) plotter.XYs {
	var points plotter.XYs
	for _, row := range rows {
		for _, name := range l.contestants {
			if f := t.at(row, name); f != nil && value(f) > 0 {
				points = append(points, plotter.XY{X: float64(f.Clients), Y: value(f)})
			}
		}
	}
	return points
}
