package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

const (
	// startLimit bounds how long a server may take to answer its first request,
	// and a signalled process to reach the state that the signal asks for.
	startLimit = 15 * time.Second

	// callLimit bounds one request of Do.
	callLimit = 10 * time.Second

	// pollEvery is the pause between two looks at a condition that nothing signals.
	pollEvery = time.Millisecond

	// turnEvery is the same for what takes servers seconds.
	turnEvery = 20 * time.Millisecond

	// portAttempts is how often a server that found its port taken is started
	// again on another one.
	portAttempts = 10
)

// errPortTaken means that somebody took the port between the moment it was found
// free and the moment the server bound it.
var errPortTaken = errors.New("port is taken")

// A Server is a Redis or Valkey server, running as a child process. Its methods
// are safe for concurrent use, except that Kill, Restart and Stop must not be
// called at the same time as Pause and Resume. Those that take a test fail it with
// FailNow, so they belong in the test's own goroutine.
type Server struct {
	bin  string
	dir  string // its working directory and log; removed by Stop
	args []string
	conf string // what a Sentinel is configured to do; empty: it is none
	addr string

	attached sync.Map // testing.TB → struct{}: tests that get the log when they fail

	mu   sync.Mutex // protects proc
	proc *process   // the running child, or the last one
}

// Start starts a server, with args appended to its command line, and stops it
// when the test and its subtests are over. It returns when the server answers.
// If there is no server to run, or it does not answer, the test fails at once.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s, err := Launch(args...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Stop)
	s.Attach(tb)
	return s
}

// Launch starts a server like Start, for a caller that has no test at hand. The
// caller must Stop it. Tests that share it call Attach, or Client which does so,
// to see its log when they fail. The error is one sentence.
func Launch(args ...string) (*Server, error) { return launch(&Server{args: args}) }

// launch starts s, of which the caller has said what it shall be.
func launch(s *Server) (*Server, error) {
	bin, err := binary()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	s.bin, s.dir = bin, dir
	for range portAttempts {
		if s.addr, err = freeAddr(); err != nil {
			break
		}
		if err = s.start(); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("redistest: %s did not start: %w", bin, err)
	}
	return s, nil
}

// Main wraps m so that one server runs while the tests of the package do, and
// stores it in *s before the first test. It is what TestMain gives to goleak:
//
//	var server *redistest.Server
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m, &server)) }
//
// The server is stopped before Run of the result returns, so it leaves no
// goroutine behind. If it does not start, Run says so and returns 1.
func Main(m interface{ Run() int }, s **Server, args ...string) interface{ Run() int } {
	return runner(func() int {
		server, err := Launch(args...)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer server.Stop()
		*s = server
		return m.Run()
	})
}

type runner func() int

func (r runner) Run() int { return r() }

// Addr returns the host:port that the server listens on. It does not change
// when the server is restarted.
func (s *Server) Addr() string { return s.addr }

// URL returns the server's address as a redis:// URL.
func (s *Server) URL() string { return "redis://" + s.addr }

// Pid returns the process id of the server, or of the last one if it was killed.
func (s *Server) Pid() int { return s.current().pid() }

// Pause stops the server's process with SIGSTOP and returns when it stands still:
// the system goes on to accept connections and data for it, and nothing answers.
// The test fails if that does not come about.
func (s *Server) Pause(tb testing.TB) {
	tb.Helper()
	if err := pause(s.current()); err != nil {
		tb.Fatalf("redistest: pause the server: %v", err)
	}
}

// Resume lets a paused server go on, with everything that reached it meanwhile.
// A server that is not paused is left alone.
func (s *Server) Resume(tb testing.TB) {
	tb.Helper()
	if err := resume(s.current()); err != nil {
		tb.Fatalf("redistest: resume the server: %v", err)
	}
}

// Kill ends the server's process with SIGKILL, paused or not, and returns when it
// is gone and its connections are closed. A server that is not running is left alone.
func (s *Server) Kill() { s.current().kill() }

// Restart kills the server and starts it again on the same port with the same
// arguments and without any data. It returns when the server answers, and fails
// the test if it does not.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Kill()
	err := s.start()
	for give := time.Now().Add(startLimit); errors.Is(err, errPortTaken) && time.Now().Before(give); {
		err = s.start()
	}
	if err != nil {
		tb.Fatalf("redistest: restart the server: %v", err)
	}
}

// Stop kills the server, waits for it and removes its directory. It may be called
// more than once.
func (s *Server) Stop() {
	s.Kill()
	_ = os.RemoveAll(s.dir) // a leftover directory in the temporary one is no reason to fail a test
}

// Attach makes a failing tb log what the server has logged so far, at its end.
// Only the first call for a test has an effect.
func (s *Server) Attach(tb testing.TB) {
	tb.Helper()
	if _, again := s.attached.LoadOrStore(tb, struct{}{}); again {
		return
	}
	tb.Cleanup(func() {
		s.attached.Delete(tb)
		if tb.Failed() {
			tb.Logf("log of the server at %s:\n%s", s.addr, s.Log())
		}
	})
}

// Log returns what the server has written to its standard output and error since
// it was first started. After Stop it is empty.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return ""
	}
	return string(text)
}

// Client returns a client of the server, closed when the test is over. It is a
// single client without a cache; each mutate may change its options before it is
// made. The test fails if it cannot be made, and logs what the server logged if it
// fails later.
func (s *Server) Client(tb testing.TB, mutate ...func(*rueidis.ClientOption)) rueidis.Client {
	tb.Helper()
	s.Attach(tb)
	option := rueidis.ClientOption{
		InitAddress:       []string{s.addr},
		ForceSingleClient: true,
		DisableCache:      true,
	}
	for _, m := range mutate {
		m(&option)
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		tb.Fatalf("redistest: connect to %v: %v", option.InitAddress, err)
	}
	tb.Cleanup(client.Close)
	return client
}

// Do sends one command to the server on a connection of its own, independent of
// the client under test, and returns the reply: a string, an int64, nil or a []any
// of these. An error reply, a broken connection or no reply within 10 seconds fails
// the test.
func (s *Server) Do(tb testing.TB, args ...string) any {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), callLimit)
	defer cancel()
	reply, err := s.Call(ctx, args...)
	if err != nil {
		tb.Fatalf("redistest: %s: %v", strings.Join(args, " "), err)
	}
	return reply
}

// Call is Do for callers that expect an error. An error reply is returned as a
// ReplyError. When ctx is done before the reply is there, Call returns its error; the
// command may have run.
func (s *Server) Call(ctx context.Context, args ...string) (any, error) {
	return call(ctx, s.addr, args...)
}

// Running reports whether the server's process exists, paused or not.
func (s *Server) Running() bool { return s.current().running() }

func (s *Server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// start starts the process and returns nil once it is known that it, and no other
// process, answers on s.addr.
func (s *Server) start() error {
	args, err := s.commandLine()
	if err != nil {
		return err
	}
	before := len(s.Log())
	proc, err := spawn(s.bin, s.dir, s.logFile(), args)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.proc = proc
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	err = poll(ctx, pollEvery, func() (bool, error) {
		if !proc.running() {
			log := s.Log()[before:]
			if strings.Contains(log, "Address already in use") {
				return false, errPortTaken
			}
			return false, fmt.Errorf("it ended at once, having logged: %s", strings.Join(strings.Fields(log), " "))
		}
		return answers(ctx, s.addr, proc.pid()), nil
	})
	if err != nil {
		proc.kill()
	}
	return err
}

func (s *Server) commandLine() ([]string, error) {
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return nil, err
	}
	if s.conf != "" { // a Sentinel insists on a file, which it rewrites
		file := filepath.Join(s.dir, "sentinel.conf")
		text := fmt.Sprintf("bind %s\nport %s\ndir %q\n%s", host, port, s.dir, s.conf)
		return []string{file, "--sentinel"}, os.WriteFile(file, []byte(text), 0o600)
	}
	args := []string{
		"--bind", host, "--port", port, "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}
	if hasDebugSwitch(s.bin) {
		args = append(args, "--enable-debug-command", "local")
	}
	return append(args, s.args...), nil
}

// answers reports whether the process pid answers at addr. The process id is asked
// for, because another test's server may have taken the port.
func answers(ctx context.Context, addr string, pid int) bool {
	reply, err := call(ctx, addr, "INFO", "server")
	if err != nil {
		var refusal ReplyError
		return errors.As(err, &refusal) && !strings.HasPrefix(refusal.Error(), "LOADING")
	}
	info, ok := reply.(string)
	return ok && strings.Contains(info, "process_id:"+strconv.Itoa(pid)+"\r\n")
}

// poll calls done, with a pause in between, until it returns true or an error, or ctx
// is done.
func poll(ctx context.Context, pause time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// binary returns the path of the server's program.
func binary() (string, error) {
	if name := os.Getenv("RLOCK_TEST_SERVER"); name != "" {
		bin, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("redistest: RLOCK_TEST_SERVER must name a Redis or Valkey server: %w", err)
		}
		return bin, nil
	}
	for _, name := range []string{"redis-server", "valkey-server"} {
		if bin, err := exec.LookPath(name); err == nil {
			return bin, nil
		}
	}
	return "", errors.New("redistest: these tests need a real server: " +
		"install redis-server or valkey-server, or set RLOCK_TEST_SERVER to the path of one")
}

var versionOutput = regexp.MustCompile(`\bv=(\d+)\.`)

// hasDebugSwitch reports whether the server, version 7 or later, refuses DEBUG
// unless it is told otherwise.
func hasDebugSwitch(bin string) bool {
	out, err := exec.CommandContext(context.Background(), bin, "--version").Output()
	if err != nil {
		return false
	}
	match := versionOutput.FindSubmatch(out)
	if match == nil {
		return false
	}
	major, err := strconv.Atoi(string(match[1]))
	return err == nil && major >= 7
}

// freeAddr returns a loopback address whose port was free a moment ago.
func freeAddr() (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr := l.Addr().String()
	return addr, l.Close()
}

// A process is a child that is waited for by a goroutine of its own.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the child has ended and was waited for
}

// spawn starts bin with its output appended to the file log.
func spawn(bin, dir, log string, args []string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.Background(), bin, args...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = out, out
	bindToParent(cmd)

	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// A child that dies with its parent dies with the thread that started
		// it, so that thread is kept until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer func() { _ = out.Close() }()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // being killed is how these processes end
		}
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, err
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended by itself
	<-p.done
}
