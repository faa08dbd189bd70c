package drill

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// life is one run of the server, as its clients see it.
type life struct {
	number int // from 1
	base   string
	began  time.Time
	ended  chan struct{} // closed when it is known to be over

	answered sync.Once
	first    chan struct{} // closed at the first answer
	recovery time.Duration // until then; set before first is closed
}

// answer notes that the server has answered a request.
func (l *life) answer() {
	l.answered.Do(func() {
		l.recovery = time.Since(l.began)
		close(l.first)
	})
}

// door is where clients find the server of the moment.
type door struct {
	mu      sync.Mutex
	current *life         // nil while there is none
	opened  chan struct{} // closed when there is one again
	lives   int

	inFlight atomic.Int64
}

func newDoor() *door { return &door{opened: make(chan struct{})} }

// open says where a new server is.
func (d *door) open(address string, began time.Time) *life {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lives++
	d.current = &life{
		number: d.lives, base: "http://" + address, began: began,
		ended: make(chan struct{}), first: make(chan struct{}),
	}
	close(d.opened)
	return d.current
}

// shut says that the server is gone.
func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current != nil {
		close(d.current.ended)
		d.current, d.opened = nil, make(chan struct{})
	}
}

// enter waits for a server.
func (d *door) enter(ctx context.Context) (*life, error) {
	for {
		d.mu.Lock()
		current, opened := d.current, d.opened
		d.mu.Unlock()
		if current != nil {
			return current, nil
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
