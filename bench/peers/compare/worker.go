package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/go-rlock/rlock/bench"
	"github.com/go-rlock/rlock/bench/peers"
)

// work does the jobs that come on in and answers on out, until in ends. A job may leave
// clients behind, which end with the process.
func work(in io.Reader, out io.Writer) error {
	w := worker{in: bufio.NewReader(in), out: json.NewEncoder(out)}
	for {
		line, err := w.in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var j job
		if err := json.Unmarshal(line, &j); err != nil {
			return fmt.Errorf("the job %q: %w", line, err)
		}
		var end answer
		if err := w.do(j); err != nil {
			end.Error = err.Error()
		}
		if err := w.out.Encode(end); err != nil {
			return err
		}
	}
}

type worker struct {
	in  *bufio.Reader
	out *json.Encoder
}

func (w worker) do(j job) error {
	contender, err := find(j.Contender)
	if err != nil {
		return err
	}
	switch j.Task {
	case compete:
		return w.compete(j, contender)
	case idle:
		return w.idle(j, contender)
	case keep:
		return w.keep(j, contender)
	default:
		return fmt.Errorf("unknown task %q", j.Task)
	}
}

func (w worker) compete(j job, contender bench.Contender) error {
	ctx, cancel := j.Context.New()
	defer cancel()
	crew, err := bench.Assemble(j.Addr, j.workload(), contender)
	if err != nil {
		return err
	}
	if err := within(j.patience(), func() error { return crew.Warm(ctx) }); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	if j.WarmMS > 0 {
		if _, err := crew.WorkFor(ctx, j.warm(), j.patience(), j.hold()); err != nil {
			return err
		}
	}
	stuck := 0
	err = w.measure(func() (answer, error) {
		score, err := crew.WorkFor(ctx, j.window(), j.patience(), j.hold())
		stuck = score.Stuck
		return answerOf(score), err
	})
	if stuck == 0 {
		err = errors.Join(err, crew.Close())
	}
	return err
}

// within returns what do returns, or an error if that takes too long.
func within(limit time.Duration, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return fmt.Errorf("somebody still waits for a lock that was free %v ago", limit)
	}
}

// idle lets somebody keep a lock while all others wait for it. They wait in vain, and
// end with the process.
func (w worker) idle(j job, contender bench.Contender) error {
	const name = "bench:idle"
	ctx := context.Background()
	holder, err := contender.Open(j.Addr)
	if err != nil {
		return err
	}
	if _, err := holder.Mutex(name).Lock(ctx); err != nil {
		return err
	}
	served := make(chan error, 1)
	for range j.Clients {
		client, err := contender.Open(j.Addr)
		if err != nil {
			return err
		}
		for range j.Goroutines {
			mutex := client.Mutex(name)
			go func() {
				_, err := mutex.Lock(ctx)
				served <- errors.Join(errors.New("somebody got the lock that another one keeps"), err)
			}()
		}
	}
	time.Sleep(j.warm()) // other libraries do not tell when they wait
	return w.measure(func() (answer, error) {
		select {
		case err := <-served:
			return answer{}, err
		case <-time.After(j.window()):
			return answer{}, nil
		}
	})
}

// keep takes each of many locks and keeps them.
func (w worker) keep(j job, contender bench.Contender) error {
	ctx := context.Background()
	client, err := contender.Open(j.Addr)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, j.Goroutines)
	for g := range j.Goroutines {
		wg.Go(func() {
			for i := g; i < j.Names && errs[g] == nil; i += j.Goroutines {
				_, errs[g] = client.Mutex(fmt.Sprintf("bench:keep:%d", i)).Lock(ctx)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return w.measure(func() (answer, error) {
		time.Sleep(j.window())
		return answer{}, nil
	})
}

// measure says that the worker is ready, waits for the word, does what is measured,
// says how that went, and waits for the word again, because what the worker does after
// that is not measured.
func (w worker) measure(what func() (answer, error)) error {
	if err := w.out.Encode(answer{}); err != nil {
		return err
	}
	if err := w.await(); err != nil {
		return err
	}
	before := processorTime()
	done, err := what()
	if err != nil {
		return err
	}
	done.CPU = (processorTime() - before).Microseconds()
	if err := w.out.Encode(done); err != nil {
		return err
	}
	return w.await()
}

// await reads a line.
func (w worker) await() error {
	_, err := w.in.ReadBytes('\n')
	return err
}

// contenders returns those that are written in Go.
func contenders() []bench.Contender { return append(bench.Contenders(), peers.Contenders()...) }

func find(name string) (bench.Contender, error) {
	for _, c := range contenders() {
		if c.Name == name {
			return c, nil
		}
	}
	return bench.Contender{}, fmt.Errorf("unknown contender %q", name)
}
