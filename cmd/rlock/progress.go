package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A progress shows how far the turns are, and sentences on the way.
type progress interface {
	// interval is how often update should be called.
	interval() time.Duration
	update(turns int64)
	say(format string, args ...any)
	end()
}

// newProgress returns a bar on a terminal, and plain lines elsewhere.
func newProgress(out io.Writer, total int64) progress {
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return newBar(out, total)
	}
	return &lines{out: out, total: total}
}

// bar is a progress bar.
type bar struct {
	out io.Writer
	bar *progressbar.ProgressBar
}

func newBar(out io.Writer, total int64) *bar {
	return &bar{out: out, bar: progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetDescription("turns"),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
	)}
}

func (*bar) interval() time.Duration { return 100 * time.Millisecond }

func (b *bar) update(turns int64) { _ = b.bar.Set64(turns) }

func (b *bar) say(format string, args ...any) {
	_ = b.bar.Clear()
	_, _ = fmt.Fprintf(b.out, format+"\n", args...)
}

func (b *bar) end() { _ = b.bar.Clear() }

// lines are written where there is no terminal.
type lines struct {
	out   io.Writer
	total int64
	shown int64
}

func (*lines) interval() time.Duration { return time.Second }

func (l *lines) update(turns int64) {
	if turns != l.shown {
		l.shown = turns
		l.say("%d of %d turns", turns, l.total)
	}
}

func (l *lines) say(format string, args ...any) {
	_, _ = fmt.Fprintf(l.out, format+"\n", args...)
}

func (*lines) end() {}
