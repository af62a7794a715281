package redistest

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// A Proxy passes connections on to a server, and delays, cuts and refuses them as a
// test asks. It knows the protocol well enough to tell one request, and the reply to
// it, from the next: a general proxy can cut a connection, but not between the moment
// the server ran a script and the moment its reply arrives. That, and that a tool of
// its own would be a program more to install, is why it is written here.
//
// What one side sent before it closed its connection still reaches the other side,
// late if there is a delay, as on a network: a client that gives up does not call its
// request back. All methods are safe for concurrent use.
type Proxy struct {
	target string
	listen net.Listener
	ctx    context.Context // done when the proxy closes
	cancel context.CancelFunc
	work   sync.WaitGroup // the goroutines of the proxy

	// Protects following.
	mu     sync.Mutex
	delay  time.Duration
	refuse bool
	closed bool
	links  map[*link]struct{}
	rules  []*rule
	drop   func(message []byte) bool // nil: nothing
}

// NewProxy starts a proxy before the server at the address target, on a loopback
// port of its own, and closes it when the test is over. The test fails if there is no
// port to listen on.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	var config net.ListenConfig
	listen, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		tb.Fatalf("redistest: proxy: %v", err)
	}
	p := &Proxy{target: target, listen: listen, ctx: ctx, cancel: cancel, links: map[*link]struct{}{}}
	p.work.Go(p.accept)
	tb.Cleanup(p.Close)
	return p
}

// Proxy starts a proxy before the server, see NewProxy.
func (s *Server) Proxy(tb testing.TB) *Proxy {
	tb.Helper()
	return NewProxy(tb, s.addr)
}

// Addr returns the host:port that clients connect to.
func (p *Proxy) Addr() string { return p.listen.Addr().String() }

// Use makes a client connect through the proxy. It is a mutate function of
// Server.Client: server.Client(t, proxy.Use).
func (p *Proxy) Use(option *rueidis.ClientOption) { option.InitAddress = []string{p.Addr()} }

// SetDelay makes everything that the proxy reads from now on arrive d later, in each
// direction, the end of a connection included; a round trip takes 2d more. The order
// is kept and nothing queues behind something else's delay. What is on its way already
// keeps its delay.
func (p *Proxy) SetDelay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Refuse makes the proxy close new connections at once, or take them again. Those
// that exist are left alone.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// CutAll closes all connections now, both sides of them, and drops what is on its way.
// New ones are taken.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	p.mu.Unlock()
	for _, l := range links {
		l.cut()
	}
}

// Connections returns the number of connections that the proxy is passing on.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// CutReplyAfter loses one reply: the next request for which match returns true is
// passed on, and when the reply to it comes, the connection is cut, on both sides and
// before any byte of that reply reaches the client. Replies to earlier requests of the
// connection are delivered; later requests of it may have reached the server or not.
// The returned channel is closed when the connection has been cut.
//
// The argument of match is one whole request as the client sent it, an array of bulk
// strings; match must not keep it. Replies are told apart by counting them, so it must
// not match a SUBSCRIBE or its like, whose confirmation is not a reply in protocol 3, nor a
// request behind one of those that the server refused; in protocol 2 nothing on a
// connection that has subscribed.
func (p *Proxy) CutReplyAfter(match func(request []byte) bool) <-chan struct{} {
	return p.addRule(&rule{match: match, reply: true, done: make(chan struct{})})
}

// CutRequest loses one request: the connection is cut before any byte of the next
// request for which match returns true reaches the server. Earlier requests of the
// connection have reached it, but replies to them may be lost. The returned channel is
// closed when the connection has been cut. See CutReplyAfter for match.
func (p *Proxy) CutRequest(match func(request []byte) bool) <-chan struct{} {
	return p.addRule(&rule{match: match, done: make(chan struct{})})
}

// Close closes the proxy and all connections, and returns when its goroutines have
// ended. It may be called more than once. Channels of rules that did not apply stay
// open.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	_ = p.listen.Close()
	p.CutAll()
	p.work.Wait()
}

// A rule cuts one connection.
type rule struct {
	match func(request []byte) bool
	reply bool          // cut at the reply rather than at the request
	done  chan struct{} // closed when the connection has been cut
}

func (p *Proxy) addRule(r *rule) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, r)
	return r.done
}

// takeRule returns the first rule that matches and forgets it, or nil.
func (p *Proxy) takeRule(request []byte) *rule {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range p.rules {
		if r.match(request) {
			p.rules = append(p.rules[:i:i], p.rules[i+1:]...)
			return r
		}
	}
	return nil
}

// due returns when something that was read now shall arrive.
func (p *Proxy) due() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Add(p.delay)
}

func (p *Proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return // closed
		}
		p.mu.Lock()
		refuse := p.refuse
		p.mu.Unlock()
		if refuse {
			_ = client.Close()
			continue
		}
		p.work.Go(func() { p.serve(client) })
	}
}

// serve passes one connection on until both sides of it are closed.
func (p *Proxy) serve(client net.Conn) {
	var dialer net.Dialer
	server, err := dialer.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{proxy: p, client: client, server: server, gone: make(chan struct{})}
	l.toServer.wake = make(chan struct{}, 1)
	l.toClient.wake = make(chan struct{}, 1)
	defer l.cut()

	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.links[l] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()

	var both sync.WaitGroup
	both.Go(l.readRequests)
	both.Go(l.readReplies)
	both.Go(func() { l.deliver(&l.toServer, server) })
	both.Go(func() { l.deliver(&l.toClient, client) })
	both.Wait()
}

// A link is one connection through the proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	toServer       line
	toClient       line

	once sync.Once
	gone chan struct{} // closed when the link is cut

	mu       sync.Mutex
	awaiting []*rule // of each request whose reply has not come yet: the rule for the reply, or nil
}

// cut closes both sides. What has not been delivered is dropped.
func (l *link) cut() {
	l.once.Do(func() {
		close(l.gone)
		_ = l.client.Close()
		_ = l.server.Close()
	})
}

func (l *link) readRequests() {
	r := bufio.NewReader(l.client)
	for {
		request, err := frame(r)
		if err != nil {
			l.toServer.push(parcel{bytes: request, due: l.proxy.due(), last: true})
			return
		}
		rule := l.proxy.takeRule(request)
		if rule != nil && !rule.reply {
			l.toServer.push(parcel{due: l.proxy.due(), last: true, rule: rule})
			return
		}
		if !subscribes(request) {
			l.mu.Lock()
			l.awaiting = append(l.awaiting, rule)
			l.mu.Unlock()
		}
		l.toServer.push(parcel{bytes: request, due: l.proxy.due()})
	}
}

func (l *link) readReplies() {
	r := bufio.NewReader(l.server)
	for {
		reply, err := frame(r)
		if err != nil {
			l.toClient.push(parcel{bytes: reply, due: l.proxy.due(), last: true})
			return
		}
		if rule := l.answered(reply); rule != nil {
			l.toClient.push(parcel{due: l.proxy.due(), last: true, rule: rule})
			return
		}
		if l.proxy.drops(reply) {
			continue
		}
		l.toClient.push(parcel{bytes: reply, due: l.proxy.due()})
	}
}

// answered counts a reply and returns the rule of the request that it answers.
func (l *link) answered(reply []byte) *rule {
	if reply[0] == '>' {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.awaiting) == 0 {
		return nil // a message of protocol 2, or the refusal of a SUBSCRIBE
	}
	rule := l.awaiting[0]
	l.awaiting = l.awaiting[1:]
	return rule
}

// subscribes reports whether the request is a SUBSCRIBE, UNSUBSCRIBE or one of their
// variants, whose confirmations are pushes.
func subscribes(request []byte) bool {
	_, name, _ := bytes.Cut(request, []byte("\r\n"))
	_, name, _ = bytes.Cut(name, []byte("\r\n"))
	name, _, _ = bytes.Cut(name, []byte("\r\n"))
	return bytes.HasSuffix(bytes.ToUpper(name), []byte("SUBSCRIBE"))
}

// deliver writes what comes down the line to the connection, each parcel when it is
// due, until the last one; then it closes the connection.
func (l *link) deliver(line *line, to net.Conn) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var due time.Time
	for {
		p, ok := line.pop()
		if !ok {
			select {
			case <-line.wake:
				continue
			case <-l.gone:
				return
			}
		}
		if p.due.After(due) { // else it was sent with a shorter delay than the one before it
			due = p.due
		}
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-l.gone:
				return
			}
		}
		if len(p.bytes) > 0 {
			// When this fails the other side has left; what it sent is still being
			// delivered, and the parcels here are dropped one after the other.
			_, _ = to.Write(p.bytes)
		}
		switch {
		case p.rule != nil:
			l.cut()
			close(p.rule.done)
			return
		case p.last:
			_ = to.Close()
			return
		}
	}
}

// A parcel is a request or a reply on its way.
type parcel struct {
	bytes []byte
	due   time.Time
	last  bool  // the connection ends after it
	rule  *rule // not nil: the link is cut instead
}

// A line is an unbounded queue of parcels with one reader.
type line struct {
	wake    chan struct{} // of capacity 1: a parcel has come
	mu      sync.Mutex
	parcels []parcel
}

func (q *line) push(p parcel) {
	q.mu.Lock()
	q.parcels = append(q.parcels, p)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *line) pop() (parcel, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.parcels) == 0 {
		return parcel{}, false
	}
	p := q.parcels[0]
	q.parcels = q.parcels[1:]
	return p, true
}
