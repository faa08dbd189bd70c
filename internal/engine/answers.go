package engine

import (
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// identity is how a repeat of a request is recognised: a session and its
// number, or the fingerprint of target, handler and idempotency key.
type identity struct {
	id     [16]byte
	number uint64 // 0 for an idempotency key
}

// answer is an entry of the table of answers.
type answer struct {
	msg.Answer
	index msg.Index // of the record that put it
	time  msg.Time
	bytes int

	previous, next *answer
}

func (a *answer) pending() bool { return a.Status == msg.StatusPending }

// answers remembers what was said to whom. Entries that have ended are in the
// order of their records, oldest first; pending ones are apart, since they are
// never pruned.
type answers struct {
	bySession     map[msg.SessionID]*answer
	byIdempotency map[msg.Fingerprint]*answer
	byInvocation  map[msg.InvocationID]*answer
	ended         answerList
	pending       answerList
}

func newAnswers() *answers {
	a := &answers{
		bySession:     map[msg.SessionID]*answer{},
		byIdempotency: map[msg.Fingerprint]*answer{},
		byInvocation:  map[msg.InvocationID]*answer{},
	}
	a.ended.init()
	a.pending.init()
	return a
}

// find returns the entry of an identity; nil if there is none.
func (t *answers) find(id identity) *answer {
	if id.number == 0 {
		return t.byIdempotency[id.id]
	}
	return t.bySession[id.id]
}

// superseded says that a session has gone on: nobody asks for the answer to a
// number of before any more.
func (t *answers) superseded(id identity) bool {
	if id.number == 0 {
		return false
	}
	known := t.bySession[id.id]
	return known != nil && known.SessionNumber > id.number
}

// put stores an entry in place of what it supersedes. It depends on nothing
// but the entries that the new one displaces, so that it may be repeated on a
// checkpoint that has seen later records.
func (t *answers) put(a msg.Answer, index msg.Index, at msg.Time) {
	entry := t.displace(&a)
	*entry = answer{Answer: a, index: index, time: at, bytes: answerBytes(&a)}
	if !a.Session.IsZero() && t.bySession[a.Session] != entry {
		t.bySession[a.Session] = entry
	}
	if !isZero(a.Idempotency) {
		t.byIdempotency[a.Idempotency] = entry
	}
	if a.Submitted || entry.pending() {
		t.byInvocation[a.Invocation] = entry
	}
	t.listOf(entry).push(entry)
}

// displace takes out what a new entry supersedes, and gives memory for it. The
// usual case, the next answer of a session, takes the place of the last.
func (t *answers) displace(a *msg.Answer) *answer {
	if len(t.byInvocation) > 0 {
		if old := t.byInvocation[a.Invocation]; old != nil {
			t.remove(old)
		}
	}
	if !isZero(a.Idempotency) {
		if old := t.byIdempotency[a.Idempotency]; old != nil {
			t.remove(old)
		}
	}
	if a.Session.IsZero() {
		return new(answer)
	}
	old := t.bySession[a.Session]
	switch {
	case old == nil:
	case old.Submitted || old.pending():
		t.endSession(old)
	default:
		t.ended.remove(old)
		return old
	}
	return new(answer)
}

// endSession forgets an entry of a session that has gone on, unless somebody
// may still ask for it by its invocation.
func (t *answers) endSession(a *answer) {
	if !a.Submitted {
		t.remove(a)
		return
	}
	delete(t.bySession, a.Session)
	a.Session, a.SessionNumber = msg.SessionID{}, 0
}

func (t *answers) listOf(a *answer) *answerList {
	if a.pending() {
		return &t.pending
	}
	return &t.ended
}

func (t *answers) remove(a *answer) {
	t.listOf(a).remove(a)
	if t.bySession[a.Session] == a {
		delete(t.bySession, a.Session)
	}
	if t.byIdempotency[a.Idempotency] == a {
		delete(t.byIdempotency, a.Idempotency)
	}
	if t.byInvocation[a.Invocation] == a {
		delete(t.byInvocation, a.Invocation)
	}
}

// prune forgets what has ended and was put at or before the index.
func (t *answers) prune(upTo msg.Index) {
	for a := t.ended.front(); a != nil && a.index <= upTo; a = t.ended.front() {
		t.remove(a)
	}
}

// pruneBatch bounds what one record forgets: more than one record adds, so the
// table shrinks, and little enough to cost a step nothing.
const pruneBatch = 8

// prunable returns the index up to which answers may be forgotten now; 0 for
// none.
func (t *answers) prunable(now msg.Time, l *Limits) (upTo msg.Index) {
	bytes := t.ended.bytes
	a := t.ended.front()
	for range pruneBatch {
		if a == nil || !expired(a, now, bytes, l) {
			return upTo
		}
		upTo = a.index
		bytes -= a.bytes
		a = t.ended.after(a)
	}
	return upTo
}

func expired(a *answer, now msg.Time, bytes int, l *Limits) bool {
	age := time.Duration(now - a.time)
	return age > l.Retention || age > l.RetentionMin && bytes > l.AnswerBytesMax
}

// full says that nothing more can be remembered: the budget is used up by
// answers that have to be kept. The answer of a session takes the place of the
// one before.
func (t *answers) full(id identity, now msg.Time, l *Limits) bool {
	oldest := t.ended.front()
	if id.number > 0 && t.bySession[id.id] != nil {
		return false
	}
	return t.ended.bytes > l.AnswerBytesMax && oldest != nil && time.Duration(now-oldest.time) <= l.RetentionMin
}

func answerBytes(a *msg.Answer) int {
	const fixed = 400 // the entry and its places in the maps
	return fixed + len(a.Payload.Body) + errorBytes(a.Err)
}

func isZero(f msg.Fingerprint) bool { return f == msg.Fingerprint{} }

// answerList is a doubly linked list with a sentinel. A walk may be kept while
// the list changes: see advance.
type answerList struct {
	root   answer
	len    int
	bytes  int
	cursor *answer // the next entry of a walk, moved on when it is removed
}

func (l *answerList) init() { l.root.next, l.root.previous = &l.root, &l.root }

func (l *answerList) front() *answer { return l.after(&l.root) }

func (l *answerList) after(a *answer) *answer {
	if a.next == &l.root {
		return nil
	}
	return a.next
}

func (l *answerList) push(a *answer) {
	last := l.root.previous
	last.next, a.previous = a, last
	a.next, l.root.previous = &l.root, a
	l.len++
	l.bytes += a.bytes
}

func (l *answerList) remove(a *answer) {
	if l.cursor == a {
		l.cursor = l.after(a)
	}
	a.previous.next, a.next.previous = a.next, a.previous
	a.previous, a.next = nil, nil
	l.len--
	l.bytes -= a.bytes
}

// begin starts a walk at the front.
func (l *answerList) begin() { l.cursor = l.front() }

// advance returns the next entry of the walk; nil at its end.
func (l *answerList) advance() *answer {
	a := l.cursor
	if a != nil {
		l.cursor = l.after(a)
	}
	return a
}
