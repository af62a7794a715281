//go:build unix

package history

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-rlock/rlock/internal/redistest"
)

// Faults disturb processes and their way to the server, and have it written down.
type faults struct {
	scribe *scribe
	server *redistest.Server
	ctx    context.Context // done when there shall be no more
	stop   context.CancelFunc
	work   sync.WaitGroup
}

func newFaults(s *scribe, server *redistest.Server) *faults {
	f := &faults{scribe: s, server: server}
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f
}

// end ends the faults and returns when they are over.
func (f *faults) end() {
	f.stop()
	f.work.Wait()
}

// upTo returns some duration.
func upTo(rng *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(most)))
}

// pause waits for as long as d, or until there shall be no more faults.
func (f *faults) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-f.ctx.Done():
	}
}

// repeat runs one of the faults after another, with pauses between them, and each as
// often as the others.
func (f *faults) repeat(owner string, rng *rand.Rand, pause time.Duration, kinds map[string]func()) {
	f.work.Go(func() {
		var names []string
		for name := range kinds {
			names = append(names, name)
		}
		slices.Sort(names)
		for i := 0; ; i++ {
			if i %= len(names); i == 0 {
				rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			}
			f.pause(upTo(rng, pause))
			if f.ctx.Err() != nil {
				return
			}
			name := names[i]
			r := Record{Owner: owner, Op: Disturb, Note: name, Call: now()}
			kinds[name]()
			r.Return = now()
			f.scribe.write(r)
		}
	})
}

// storm disturbs everything in every way.
func storm(tb testing.TB, f *faults, crew []member, seed uint64) {
	tb.Helper()
	for i, m := range crew {
		f.onProcess(tb, i+1, m, seed)
	}
	f.onServer(tb, seed)
}

// quietly runs something again and again that is not written down.
func (f *faults) quietly(pace time.Duration, what func()) {
	f.work.Go(func() {
		for f.ctx.Err() == nil {
			what()
			f.pause(pace)
		}
	})
}

// onProcess disturbs one process and its way to the server.
func (f *faults) onProcess(tb testing.TB, number int, m member, seed uint64) {
	tb.Helper()
	rng := rand.New(rand.NewPCG(seed, uint64(number)))
	script := func(request []byte) bool { return bytes.Contains(request, []byte("\r\nEVALSHA\r\n")) }
	f.repeat(fmt.Sprint(number), rng, time.Second, map[string]func(){
		"delay": func() {
			m.proxy.SetDelay(upTo(rng, 10*time.Millisecond))
			f.pause(upTo(rng, 300*time.Millisecond))
			m.proxy.SetDelay(0)
		},
		"cut":            m.proxy.CutAll,
		"lose a reply":   func() { f.wait(m.proxy.CutReplyAfter(script)) },
		"lose a request": func() { f.wait(m.proxy.CutRequest(script)) },
		"refuse": func() {
			m.proxy.Refuse(true)
			m.proxy.CutAll()
			f.pause(upTo(rng, 200*time.Millisecond))
			m.proxy.Refuse(false)
		},
		"lose messages": func() {
			m.proxy.DropMessages(func([]byte) bool { return now()%2 == 0 }) // every other one
			f.pause(upTo(rng, 500*time.Millisecond))
			m.proxy.DropMessages(nil)
		},
		"freeze": func() { f.freeze(tb, m, upTo(rng, 2*time.Second)) },
	})
}

// freeze stops a process for the given time.
func (f *faults) freeze(tb testing.TB, m member, d time.Duration) {
	tb.Helper()
	send := func(signal syscall.Signal) {
		if err := m.Send(signal); err != nil {
			tb.Errorf("send %v to process %d: %v", signal, m.Pid(), err)
		}
	}
	send(syscall.SIGSTOP)
	defer send(syscall.SIGCONT)
	f.pause(d)
}

// wait waits for a fault to come about, if it does soon.
func (f *faults) wait(done <-chan struct{}) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-f.ctx.Done():
	}
}

// onServer disturbs all clients at once.
func (f *faults) onServer(tb testing.TB, seed uint64) {
	tb.Helper()
	f.repeat("", rand.New(rand.NewPCG(seed, 0)), time.Second, map[string]func(){
		"kill the connections":   func() { f.do(tb, "CLIENT", "KILL", "TYPE", "normal") },
		"kill the subscriptions": func() { f.do(tb, "CLIENT", "KILL", "TYPE", "pubsub") },
		"forget the scripts":     func() { f.do(tb, "SCRIPT", "FLUSH") },
		"forget the scripts and kill the connections": func() {
			f.do(tb, "SCRIPT", "FLUSH")
			f.do(tb, "CLIENT", "KILL", "TYPE", "normal")
		},
	})
}

// do sends the server a command.
func (f *faults) do(tb testing.TB, args ...string) {
	tb.Helper()
	if _, err := f.server.Call(context.Background(), args...); err != nil {
		tb.Errorf("%v: %v", args, err)
	}
}
