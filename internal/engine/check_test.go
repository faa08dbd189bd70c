package engine

import (
	"encoding/json"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// check holds a partition to what must be true after every step.
func (w *world) check(p *Partition) {
	w.trace.Write([]byte{byte(p.config.Partition), byte(len(w.network)), byte(len(w.runs))})
	if !w.options.mutation.planted {
		p.verify()
	}
	w.stats.blocked += len(p.blocked)
	for n := range p.inlets {
		w.stats.early += len(p.inlets[n].early)
	}
	for other := range w.partitions {
		w.checkChannel(p, w.partitions[other])
		w.checkChannel(w.partitions[other], p)
	}
}

func (w *world) checkAll() {
	for _, p := range w.partitions {
		w.check(p)
	}
}

// checkChannel checks I1 and I2: each message that was sent is in its sender's
// outbox until the receiver has consumed or accepted it, and the receiver has
// nothing that was not sent.
func (w *world) checkChannel(from, to *Partition) {
	box := &from.outboxes[to.config.Partition]
	c := &to.consumed[from.config.Partition]
	if c.high > box.next {
		w.violate("message %d from %d to %d is consumed, %d were sent", c.high, from.config.Partition, to.config.Partition, box.next)
	}
	for n := box.base + 1; n <= box.next; n++ {
		place := int(n - box.base - 1)
		if stored := place < box.messages.Len() && *box.messages.At(place) != nil; !stored && !c.has(n) {
			w.violate("message %d from %d to %d is neither in the outbox nor consumed", n, from.config.Partition, to.config.Partition)
		}
	}
	if !c.has(box.base) {
		w.violate("the outbox from %d to %d begins after %d, which is not consumed", from.config.Partition, to.config.Partition, box.base)
	}
}

// finish checks what must be true when everything has come to an end: what was
// acknowledged is done, all of it, once; what was refused is not; what nobody
// knows about is done wholly or not at all; nothing was made or lost.
func (w *world) finish() {
	done, balance := w.done()
	if balance != 0 && len(w.cut) == 0 {
		w.violate("the balances add up to %d, want 0", balance)
	}
	for _, a := range w.asks {
		tokens := a.plan.tokens(a.planned())
		if a.request.Operation == msg.OperationDelete || a.plan.isCut(w) {
			continue
		}
		found := 0
		for _, token := range tokens {
			if done[token] {
				found++
			}
		}
		switch {
		case a.reply != nil && !a.givenUp && found != len(tokens):
			w.violate("%s %s was answered, %d of its %d plans are done: %v", a.request.Target, a.plan.Token, found, len(tokens), tokens)
		case a.notDone && found != 0:
			w.violate("%s %s was refused, %d of its plans are done", a.request.Target, a.plan.Token, found)
		case found != 0 && found != len(tokens):
			w.violate("%s %s is half done: %d of %d plans", a.request.Target, a.plan.Token, found, len(tokens))
		}
	}
	w.finishDeadLetters(done)
	w.finishFacts(done)
	w.finishPartitions()
	w.replay()
}

// done lists the tokens that entities remember.
func (w *world) done() (done map[string]bool, balance int) {
	done = map[string]bool{}
	for _, p := range w.partitions {
		p.order.Scan(func(i *instance) bool {
			if !strict(i.ref.Kind) || !i.exists {
				return true
			}
			balance += balanceOf(w, i)
			if _, f := i.field("tokens"); f != nil {
				f.Entries.Scan(func(token string, _ []byte) bool {
					done[token] = true
					return true
				})
			}
			return true
		})
	}
	return done, balance
}

// finishDeadLetters checks that what was turned down is there, once.
func (w *world) finishDeadLetters(done map[string]bool) {
	if w.options.operator {
		return
	}
	letters := map[string]int{}
	for _, p := range w.partitions {
		p.deadLetters.Scan(func(_ string, d *msg.DeadLetter) bool {
			var bounced plan
			if err := json.Unmarshal(d.Message.Payload.Body, &bounced); err != nil || !bounced.Bounces {
				w.violate("%s %s is a dead letter: %s", d.Message.Target, d.Message.Payload.Body, d.Reason)
			}
			letters[bounced.Token]++
			return true
		})
	}
	for token, count := range letters {
		if count > 1 {
			w.violate("%s became %d dead letters", token, count)
		}
	}
	for _, a := range w.asks {
		tokens := a.plan.tokens(a.request.Target.Kind)
		if len(tokens) == 0 || !done[tokens[0]] {
			continue
		}
		for _, token := range a.plan.bounced(a.request.Operation == msg.OperationCall) {
			if letters[token] == 0 {
				w.violate("%s was turned down and is no dead letter", token)
			}
		}
	}
}

// finishPartitions checks that nothing is left over.
func (w *world) finishPartitions() {
	for n, p := range w.partitions {
		s := p.Stats()
		p.order.Scan(func(i *instance) bool {
			if i.workflow() != nil {
				w.stats.workflows++
			}
			return true
		})
		if s.Queued != 0 || s.Running != 0 || s.OutboxBytes != 0 || s.OutboxMessages != 0 || s.Parked != 0 || s.Aside != 0 || s.Workflows != 0 || s.Tasks != 0 ||
			s.Locked+s.LockRequests+s.Prepared != 0 {
			w.violate("partition %d is at rest with %+v", n, s)
		}
		if len(p.inflight) != 0 || len(p.waiters) != 0 || p.answers.pending.len != 0 || p.attempts.Len() > w.stats.crashes*100 {
			w.violate("partition %d is at rest with %d requests, %d obligations, %d pending answers, %d counts of attempts",
				n, len(p.inflight), len(p.waiters), p.answers.pending.len, p.attempts.Len())
		}
	}
}
