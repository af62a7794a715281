package history

import (
	"bufio"
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
)

// A scribe writes down what the goroutines of one process do, one record a line.
type scribe struct {
	holds atomic.Int64 // how many were numbered
	count atomic.Int64 // of records

	mu   sync.Mutex // protects what follows
	file *os.File
	out  *bufio.Writer
	err  error // the first one
}

func newScribe(name string) (*scribe, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	return &scribe{file: f, out: bufio.NewWriter(f)}, nil
}

// write adds a record.
func (s *scribe) write(r Record) {
	line, err := json.Marshal(r)
	s.count.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		_, err = s.out.Write(append(line, '\n'))
	}
	if s.err == nil {
		s.err = err
	}
}

// close returns the first error that the scribe met.
func (s *scribe) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.out.Flush(); s.err == nil {
		s.err = err
	}
	if err := s.file.Close(); s.err == nil {
		s.err = err
	}
	return s.err
}
