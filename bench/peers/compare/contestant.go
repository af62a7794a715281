package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-rlock/rlock/bench"
)

// Names of contestants that goals are about.
const (
	ours       = "rlock"
	oursPublic = "rlock-public"
	floor      = "floor"
	ring       = "ring"
	redisson   = "redisson"
)

const (
	// warmGo is for how long those work before they are measured who subscribe to
	// something once they have to wait.
	warmGo = 100 * time.Millisecond
	// A virtual machine has to compile what is new in a row before it is fast.
	warmJava      = 200 * time.Millisecond
	firstWarmJava = time.Second
	// settle is for how long idle waiters come to rest.
	settle = 2 * time.Second
	// patience is how long those who still wait at the end may go on.
	patience = 10 * time.Second
)

// A contestant is a contender and who runs it.
type contestant struct {
	name      string
	in        func(bench.Workload) bool // which workloads; nil: all
	waits     bool                      // it is made for waiting long
	warm      time.Duration             // for how long it works before it is measured
	firstWarm time.Duration             // the same in the first round of a row
	host      *host
}

// gophers returns the contestants that are written in Go, each job of which runs in a
// new process of this program.
func gophers() ([]contestant, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	host := &host{command: []string{program, workerCommand}}
	busy := []string{floor, ring, "spin", "spin-1ms"}
	var all []contestant
	for _, c := range contenders() {
		if c.Name == "spin-100ms" {
			continue // redislock does the same
		}
		one := contestant{name: c.Name, in: c.In, waits: !slices.Contains(busy, c.Name), host: host}
		if c.Name == ours || c.Name == oursPublic {
			one.warm, one.firstWarm = warmGo, warmGo
		}
		all = append(all, one)
	}
	return all, nil
}

// redissons builds the worker in dir and returns the contestants that are Redisson's.
// They share one process, which keeps running. The error is one sentence on why there
// are none.
func redissons(ctx context.Context, dir string) ([]contestant, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, errors.New("there is no java")
	}
	maven, err := exec.LookPath("mvn")
	if err != nil {
		return nil, errors.New("there is no mvn that could build its worker")
	}
	build := exec.CommandContext(ctx, maven, "--quiet", "--batch-mode", "package")
	build.Dir = dir
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("its worker in bench/redisson does not build (mvn package: %w)", err)
	}
	target := filepath.Join(dir, "target")
	path := strings.Join([]string{
		filepath.Join(target, "redisson-worker-1.jar"),
		filepath.Join(target, "lib", "*"),
	}, string(os.PathListSeparator))
	host := &host{command: []string{java, "-cp", path, "bench.Worker"}, keep: true}
	var all []contestant
	for _, name := range []string{redisson, "redisson-fair", "redisson-spin"} {
		all = append(all, contestant{
			name: name, waits: true,
			warm: warmJava, firstWarm: firstWarmJava,
			host: host,
		})
	}
	return all, nil
}
