//go:build interop

package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// redissonVersion returns the version of Redisson that the tests run against.
func redissonVersion() string {
	if version := os.Getenv("RLOCK_REDISSON"); version != "" {
		return version
	}
	return "4.7.0"
}

// buildDriver compiles the driver, once, and returns its class path. The error is one
// sentence where something is missing.
var buildDriver = sync.OnceValues(func() (string, error) {
	for _, program := range []string{"javac", "java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("interop: these tests need a JDK (17 or later) and Maven, and there is no %s in the PATH", program)
		}
	}
	dir, err := filepath.Abs("redisson")
	if err != nil {
		return "", err
	}
	version := redissonVersion()
	mvn := exec.CommandContext(context.Background(), "mvn", "-q", "-B", "-Dstyle.color=never", "-P"+version, "process-classes")
	mvn.Dir = dir
	if out, err := mvn.CombinedOutput(); err != nil {
		return "", fmt.Errorf("interop: Maven cannot build the driver: %w\n%s", err, out)
	}
	target := filepath.Join(dir, "target", version)
	if jar := filepath.Join(target, "lib", "redisson-"+version+".jar"); !exists(jar) {
		return "", fmt.Errorf("interop: RLOCK_REDISSON is %s, and redisson/pom.xml has no profile of that name", version)
	}
	return filepath.Join(target, "classes") + ":" + filepath.Join(target, "lib", "*"), nil
})

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// A jvm is a process that runs the driver.
type jvm struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	done   chan struct{} // closed when it has ended and was waited for
	stderr bytes.Buffer  // may be read when done is closed

	mu      sync.Mutex // protects what follows, and in
	last    int        // id of the last request
	pending map[string]chan answer
}

// An answer is what the driver said to a request.
type answer struct {
	value string
	err   error
	at    time.Time // when it arrived
}

// A javaError is an exception.
type javaError struct{ class, message string }

func (e *javaError) Error() string { return e.class + ": " + e.message }

var errJVMEnded = errors.New("the JVM has ended")

// launch starts a JVM. It ends with this process, whose end closes its input.
func launch() (*jvm, error) {
	classpath, err := buildDriver()
	if err != nil {
		return nil, err
	}
	j := &jvm{
		cmd:     exec.CommandContext(context.Background(), "java", "-Xmx512m", "-cp", classpath, "driver.Driver"),
		done:    make(chan struct{}),
		pending: map[string]chan answer{},
	}
	j.cmd.Stderr = &j.stderr
	if j.in, err = j.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := j.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := j.cmd.Start(); err != nil {
		return nil, err
	}
	go j.follow(out)
	return j, nil
}

// start starts a JVM that is killed when the test is over.
func start(t *testing.T) *jvm {
	t.Helper()
	j, err := launch()
	require.NoError(t, err)
	t.Cleanup(j.kill)
	return j
}

// follow passes on answers until the process has ended.
func (j *jvm) follow(out io.Reader) {
	defer close(j.done)
	for said := bufio.NewScanner(out); said.Scan(); {
		id, text, _ := strings.Cut(said.Text(), " ")
		j.mu.Lock()
		waiting := j.pending[id]
		delete(j.pending, id)
		j.mu.Unlock()
		if waiting != nil {
			waiting <- parseAnswer(text)
		}
	}
	_ = j.cmd.Wait() // being killed is how it ends
	j.mu.Lock()
	defer j.mu.Unlock()
	for id, waiting := range j.pending {
		delete(j.pending, id)
		waiting <- answer{err: errJVMEnded, at: time.Now()}
	}
	j.pending = nil
}

// parseAnswer reads what follows the id in a line: "ok VALUE" or "error CLASS MESSAGE".
func parseAnswer(text string) answer {
	a := answer{at: time.Now()}
	verdict, rest, _ := strings.Cut(text, " ")
	class, message := "", rest
	if verdict != "ok" {
		class, message, _ = strings.Cut(rest, " ")
	}
	decoded, err := url.QueryUnescape(message)
	switch {
	case err != nil:
		a.err = err
	case verdict == "ok":
		a.value = decoded
	default:
		a.err = &javaError{class: class, message: decoded}
	}
	return a
}

// tell sends a request. The channel gets one answer.
func (j *jvm) tell(words ...string) <-chan answer {
	j.mu.Lock()
	defer j.mu.Unlock()
	waiting := make(chan answer, 1)
	if j.pending == nil {
		waiting <- answer{err: errJVMEnded, at: time.Now()}
		return waiting
	}
	j.last++
	id := strconv.Itoa(j.last)
	line := id
	for _, word := range words {
		line += " " + url.QueryEscape(word)
	}
	j.pending[id] = waiting
	if _, err := io.WriteString(j.in, line+"\n"); err != nil {
		delete(j.pending, id)
		waiting <- answer{err: err, at: time.Now()}
	}
	return waiting
}

// kill ends the process with SIGKILL and returns when it is gone.
func (j *jvm) kill() {
	_ = j.cmd.Process.Kill() // fails only when it has ended by itself
	<-j.done
}

// quit ends the process, and reports whether it was there until now.
func (j *jvm) quit() bool {
	select {
	case <-j.done:
		return false
	default:
	}
	_ = j.in.Close()
	select {
	case <-j.done:
	case <-time.After(limit):
		j.kill()
	}
	return true
}

// A javaClient is a Redisson client.
type javaClient struct {
	jvm  *jvm
	name string // in the driver
	id   string // on the wire
}

// connect makes a Redisson client, which is shut down when the test is over.
func (j *jvm) connect(t *testing.T, address string, watchdog time.Duration) *javaClient {
	t.Helper()
	c := &javaClient{jvm: j, name: fresh(t)}
	a := <-j.tell(c.name, "", "connect", "redis://"+address, millis(watchdog))
	require.NoError(t, a.err)
	c.id = a.value
	t.Cleanup(func() { <-j.tell(c.name, "", "disconnect") })
	return c
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
