package client

import (
	"sync"
	"testing"
)

func TestSessionIsReusedWithTheNextNumberAfterDone(t *testing.T) {
	pool := NewSessions()
	first := pool.Take()
	if first.Number != 1 {
		t.Fatalf("number of the first request is %d, want 1", first.Number)
	}
	id := first.ID
	first.Done()
	second := pool.Take()
	if second.ID != id || second.Number != 2 {
		t.Fatalf("got session %s, want the first one with number 2", second)
	}
}

func TestConcurrentRequestsNeverShareASession(t *testing.T) {
	pool := NewSessions()
	a, b := pool.Take(), pool.Take()
	if a.ID == b.ID {
		t.Fatalf("two requests share session %s", a)
	}
	b.Done()
	a.Done()
	if got := pool.Take(); got.ID != a.ID {
		t.Errorf("the pool gave %x, want %x, which came back last", got.ID, a.ID)
	}
}

func TestDroppedSessionIsNeverUsedAgain(t *testing.T) {
	pool := NewSessions()
	dropped := pool.Take()
	dropped.Drop()
	if got := pool.Take(); got.ID == dropped.ID {
		t.Fatalf("session %s came back after Drop", got)
	}
}

func TestEveryRequestOfASessionHasItsOwnNumber(t *testing.T) {
	pool := NewSessions()
	var (
		mu    sync.Mutex
		seen  = map[string]bool{}
		group sync.WaitGroup
	)
	for range 8 {
		group.Go(func() {
			for range 200 {
				s := pool.Take()
				name := s.String()
				mu.Lock()
				if seen[name] {
					t.Errorf("%s was used twice", name)
				}
				seen[name] = true
				mu.Unlock()
				s.Done()
			}
		})
	}
	group.Wait()
	if len(pool.free) > 8 {
		t.Errorf("%d sessions for 8 concurrent requests", len(pool.free))
	}
}

func TestSessionHeader(t *testing.T) {
	s := &Session{ID: [16]byte{0: 0xab, 15: 0x01}, Number: 42}
	if got, want := s.String(), "ab000000000000000000000000000001-42"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
