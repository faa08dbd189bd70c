package kar

import (
	"sync"

	"github.com/holdfast-io/holdfast/internal/remote"
	"github.com/holdfast-io/holdfast/internal/session"
)

// frame is something to be sent.
type frame struct {
	conn *session.Conn // nil: the one that the session has then
	t    session.FrameType
	noun remote.Noun
}

// queue does things in order, on a goroutine that exists while there are some:
// who puts something in never waits.
type queue struct {
	mu      sync.Mutex
	waiting []func()
	running bool
	current func() *session.Conn
}

func (q *queue) do(what func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, what)
	if !q.running {
		q.running = true
		go q.run()
	}
}

func (q *queue) run() {
	var batch []func()
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		batch, q.waiting = q.waiting, batch[:0]
		q.mu.Unlock()
		for n, what := range batch {
			what()
			batch[n] = nil
		}
	}
}

// put sends a frame. An error is that of the connection, whose reader sees it.
func (q *queue) put(f frame) {
	q.do(func() {
		conn := f.conn
		if conn == nil {
			conn = q.current()
		}
		if conn != nil {
			_ = conn.Send(f.t, f.noun)
		}
	})
}
