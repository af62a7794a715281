package redistest

import "bytes"

// DropMessages loses pub/sub messages on their way to the client: those for which match
// returns true, until it is called again; with nil none. Everything else on their
// connection arrives. A message is a push of protocol 3; match gets it as the server
// sent it and must not keep it. It may be called from several goroutines at once.
func (p *Proxy) DropMessages(match func(message []byte) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop = match
}

// drops reports whether a reply is a message that shall be lost.
func (p *Proxy) drops(reply []byte) bool {
	p.mu.Lock()
	match := p.drop
	p.mu.Unlock()
	return match != nil && isMessage(reply) && match(reply)
}

// isMessage reports whether a reply is a message to a subscriber rather than the
// confirmation of a subscription.
func isMessage(reply []byte) bool {
	if reply[0] != '>' {
		return false
	}
	_, kind, _ := bytes.Cut(reply, []byte("\r\n")) // behind the number of elements
	_, kind, _ = bytes.Cut(kind, []byte("\r\n"))   // and the length of the first
	kind, _, _ = bytes.Cut(kind, []byte("\r\n"))
	return bytes.HasSuffix(kind, []byte("message"))
}
