package client

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"strconv"
	"sync"
)

// freeSessionsMax bounds the sessions that a pool keeps for later. A pool makes
// as many as there are concurrent requests; a burst above this bound costs
// 16 random bytes for each request of it.
const freeSessionsMax = 16_384

// Sessions is the pool of sessions of one connection. Every connection has its
// own: over HTTP and in process alike. It is safe for concurrent use.
//
// A session is a strictly sequential series of requests. Request n of it says
// that the answers up to n-1 have been received, so the server remembers one
// answer for each session, and a request may be repeated with its number until
// there is an answer, without being done twice.
type Sessions struct {
	random io.Reader

	mu   sync.Mutex
	free []*Session // last in, first out: few sessions are in use at low load
}

// NewSessions makes an empty pool.
func NewSessions() *Sessions { return NewSessionsFrom(rand.Reader) }

// NewSessionsFrom makes an empty pool whose sessions take their identities from
// a source of random bytes that never fails. No two pools of a server's clients
// may give the same.
func NewSessionsFrom(random io.Reader) *Sessions { return &Sessions{random: random} }

// Session is the identity of one request: ID and Number. It belongs to whoever
// took it, until Done or Drop.
type Session struct {
	ID     [16]byte
	Number uint64 // of the request at hand, from 1

	pool *Sessions
}

// Take gives a session that no other request uses, with the number of the next
// request. The caller ends it with exactly one of Done and Drop.
func (p *Sessions) Take() *Session {
	s := p.reuse()
	s.Number++
	return s
}

func (p *Sessions) reuse() *Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.free) - 1
	if last < 0 {
		s := &Session{pool: p}
		_, _ = io.ReadFull(p.random, s.ID[:]) // never fails: crypto/rand stops the process instead
		return s
	}
	s := p.free[last]
	p.free[last] = nil
	p.free = p.free[:last]
	return s
}

// Done says that the answer to Number has arrived: nobody will repeat the
// request. The session serves another request from now on.
func (s *Session) Done() {
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < freeSessionsMax {
		p.free = append(p.free, s)
	}
}

// Drop says that the fate of Number is not known: the request may still be
// under way, so nothing may follow it in this session, which is given up.
func (s *Session) Drop() { s.pool = nil }

// String gives the value of the header Holdfast-Session: 32 hexadecimal
// digits, a hyphen and the number.
func (s *Session) String() string {
	text := make([]byte, 0, 2*len(s.ID)+1+20)
	text = hex.AppendEncode(text, s.ID[:])
	text = append(text, '-')
	return string(strconv.AppendUint(text, s.Number, 10))
}
