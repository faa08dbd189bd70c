package workflow

import (
	"container/list"
	"sync"

	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// cache keeps runs that wait, the most recently used first. Its lock is held for
// bookkeeping only, never while user code runs.
type cache struct {
	mu            sync.Mutex
	max, bytesMax int
	bytes         int
	recent        list.List // of *run
	of            map[msg.Ref]*list.Element
}

func (c *cache) init(max, bytesMax int) {
	c.max, c.bytesMax, c.of = max, bytesMax, map[msg.Ref]*list.Element{}
	c.recent.Init()
}

func (c *cache) size() (runs, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recent.Len(), c.bytes
}

// take gives a run and forgets it; nil if it is not there.
func (c *cache) take(target msg.Ref) *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.of[target]
	if e == nil {
		return nil
	}
	return c.remove(e)
}

func (c *cache) remove(e *list.Element) *run {
	r := c.recent.Remove(e).(*run)
	delete(c.of, r.target)
	c.bytes -= r.kept
	return r
}

// put takes a run over, unless there is one of the same instance that is ahead:
// the late end of a turn that was given up does not displace it. What has to go is
// the caller's to unwind.
func (c *cache) put(r *run) (kept bool, evicted []*run) {
	size := r.bytes()
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.of[r.target]; e != nil {
		if e.Value.(*run).ahead(r) {
			return false, nil
		}
		evicted = append(evicted, c.remove(e))
	}
	if size > c.bytesMax || invariant.Sometimes(invariant.ForgetRun) {
		return false, evicted
	}
	r.kept = size
	c.bytes += size
	c.of[r.target] = c.recent.PushFront(r)
	for c.recent.Len() > c.max || c.bytes > c.bytesMax {
		evicted = append(evicted, c.remove(c.recent.Back()))
	}
	return true, evicted
}

// drain gives all runs and forgets them.
func (c *cache) drain() (all []*run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.recent.Back(); e != nil; e = c.recent.Back() {
		all = append(all, c.remove(e))
	}
	return all
}
