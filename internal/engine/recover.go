package engine

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// attempt counts how often an input has begun to run.
type attempt struct {
	count uint32
	time  msg.Time // of the record that counted last
}

// attemptsMax bounds the counts of attempts. They are few: an entry goes when
// its input is consumed. One that is lost costs its input some attempts more.
const attemptsMax = 10_000

// backlogMax bounds how many inputs of inboxes and timers run at once: what has
// gathered while nothing ran is not handed to the executors in one go. It is
// far above what executors have in hand.
const backlogMax = 1024

// Recover starts a partition whose durable state is complete: it takes up what
// was in progress. Interrupted names inputs whose handlers ran when the process
// ended without stopping; each has one attempt more.
func (p *Partition) Recover(now msg.Time, epoch msg.Epoch, interrupted []msg.Fingerprint, out *Output) {
	p.begin(now, out)
	invariant.Check(p.runs.len == 0, "recovered twice")
	for i := range p.outboxes {
		p.outboxes[i].recovered()
		p.inlets[i].settle(&p.consumed[i])
	}
	if invariant.Mutated(invariant.ForgetAnswers) {
		p.answers = newAnswers()
	}
	var busy []*instance
	p.order.Scan(func(i *instance) bool {
		if i.owned != nil || i.kind != nil && i.kind.IdleTTL > 0 {
			busy = append(busy, i)
		}
		return true
	})
	p.countInterrupted(epoch, interrupted, busy)
	for _, i := range busy {
		p.recoverInstance(i)
	}
	for i := range p.outboxes {
		p.pump(msg.Partition(i))
	}
	p.out = nil
}

// recoverInstance arms what an instance waits for. Its inbox is taken up in
// portions, by ticks, or when something comes that has to wait behind it.
func (p *Partition) recoverInstance(i *instance) {
	p.armTTL(i)
	if i.owned == nil {
		return
	}
	for _, r := range i.owned.reminders {
		p.armReminder(i, r)
	}
	for _, t := range i.owned.tasks {
		p.launchAt(i, t, max(t.Due, atOnce))
	}
	if w := i.owned.workflow; w != nil && !w.Status.Ended() && len(w.Begin) > 0 && !w.Paused {
		i.owned.asleep = true // to be told of its beginning
		p.asleep.Push(i)
	}
	for _, a := range i.owned.inbox {
		if a.message.NotBefore > 0 {
			p.armDelayed(a) // also what is due: in the order in which it fell due
		} else if !i.owned.asleep {
			i.owned.asleep = true
			p.asleep.Push(i)
		}
	}
}

// wake takes up the inbox of an instance.
func (p *Partition) wake(i *instance) {
	if i.owned == nil || !i.owned.asleep {
		return
	}
	i.owned.asleep = false
	for _, a := range i.owned.inbox {
		if a.message.NotBefore == 0 {
			p.push(p.acceptedInput(a))
		}
	}
}

// wakeNext takes up the next inbox. It reports whether there was one.
func (p *Partition) wakeNext() bool {
	if p.asleep.Len() == 0 {
		return false
	}
	i := p.asleep.Pop()
	if i.owned.asleep {
		p.wake(i)
		p.start(i)
	}
	return true
}

// countInterrupted writes down that inputs were interrupted, and forgets the
// counts of those that are done.
func (p *Partition) countInterrupted(epoch msg.Epoch, interrupted []msg.Fingerprint, busy []*instance) {
	if len(interrupted) == 0 && p.attempts.Len() == 0 {
		return
	}
	inboxes := p.inboxFingerprints(busy)
	r := p.record(msg.RecordEpoch)
	r.Epoch = epoch
	p.attempts.Scan(func(key string, known attempt) bool {
		if f := msg.Fingerprint([]byte(key)); p.isDone(f, inboxes) || p.isOver(known) {
			r.Attempts = append(r.Attempts, msg.AttemptCount{Input: f})
		}
		return true
	})
	forgotten := len(r.Attempts)
	for _, f := range interrupted {
		if !p.isDone(f, inboxes) {
			known, _ := p.attempts.Get(string(f[:]))
			r.Attempts = append(r.Attempts, msg.AttemptCount{Input: f, Count: known.count + 1})
		}
	}
	p.boundAttempts(r, len(r.Attempts)-2*forgotten)
	if len(r.Attempts) > 0 {
		p.commit(r)
	}
}

// boundAttempts forgets the counts that have not changed for longest, where a
// record adds up to so many to those that there are.
func (p *Partition) boundAttempts(r *msg.Record, added int) {
	excess := p.attempts.Len() + added - attemptsMax
	if excess <= 0 {
		return
	}
	counted := make(map[msg.Fingerprint]bool, len(r.Attempts))
	for _, a := range r.Attempts {
		counted[a.Input] = true
	}
	type candidate struct {
		input msg.Fingerprint
		time  msg.Time
	}
	var list []candidate
	p.attempts.Scan(func(key string, known attempt) bool {
		if f := msg.Fingerprint([]byte(key)); !counted[f] {
			list = append(list, candidate{f, known.time})
		}
		return true
	})
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(a.time, b.time) })
	for _, c := range list[:min(excess, len(list))] {
		r.Attempts = append(r.Attempts, msg.AttemptCount{Input: c.input})
	}
}

// isOver says that a count is so old that its input may have another attempt:
// what ended a process may not end it any more, and a request without identity
// has nobody who could take it up.
func (p *Partition) isOver(a attempt) bool {
	return p.now-a.time > msg.Time(p.config.Limits.Retention)
}

func (p *Partition) inboxFingerprints(busy []*instance) map[msg.Fingerprint]bool {
	known := map[msg.Fingerprint]bool{}
	for _, i := range busy {
		if i.owned == nil {
			continue
		}
		for _, a := range i.owned.inbox {
			known[p.fingerprint(&input{message: a.message, inbox: a.id})] = true
		}
	}
	return known
}

// isDone says that the input of a fingerprint is known to have been consumed.
// An executor may have noted it, or its attempts may have been counted, before
// the record that consumed it. Of a request from outside nobody knows.
func (p *Partition) isDone(f msg.Fingerprint, inboxes map[msg.Fingerprint]bool) bool {
	switch {
	case f[5] != fingerprintMark || f[6] != fingerprintMark || f[7] != fingerprintMark:
		return false
	case f[0] == inboxFingerprint:
		return !inboxes[f]
	case f[0] != channelFingerprint:
		return false
	}
	source, number := int(binary.BigEndian.Uint16(f[1:])), msg.Number(binary.BigEndian.Uint64(f[8:]))
	return source < len(p.consumed) && p.consumed[source].has(number) && !inboxes[f]
}

// The fingerprints of messages are not hashes: they tell what they are of. A
// hash has these marks once in 2^32.
const (
	channelFingerprint = 1
	inboxFingerprint   = 2
	fingerprintMark    = 0x5a
)

func fingerprintOfMessage(id msg.MessageID) (f msg.Fingerprint) {
	f[0], f[5], f[6], f[7] = channelFingerprint, fingerprintMark, fingerprintMark, fingerprintMark
	binary.BigEndian.PutUint16(f[1:], uint16(id.Source))
	binary.BigEndian.PutUint16(f[3:], uint16(id.Destination))
	binary.BigEndian.PutUint64(f[8:], uint64(id.Number))
	return f
}

func fingerprintOfInbox(p msg.Partition, id msg.Index) (f msg.Fingerprint) {
	f[0], f[5], f[6], f[7] = inboxFingerprint, fingerprintMark, fingerprintMark, fingerprintMark
	binary.BigEndian.PutUint16(f[1:], uint16(p))
	binary.BigEndian.PutUint64(f[8:], uint64(id))
	return f
}
