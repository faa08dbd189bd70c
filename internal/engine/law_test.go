package engine

import (
	"bytes"
	"encoding/json"
	"flag"
	"testing"
	"time"
)

var seedFlag = flag.Uint64("seed", 0, "run only the world of this seed")

func balanceOf(w *world, i *instance) int {
	var root ledger
	if err := json.Unmarshal(i.root.Body, &root); err != nil {
		w.violate("root of %s is %q: %v", i.ref, i.root.Body, err)
	}
	return root.Balance
}

// worldOf gives the world of a seed: a small one of one of several sorts.
func worldOf(seed uint64) worldOptions {
	o := worldOptions{
		seed: seed, partitions: 1 + int(seed%4), steps: 3000, keys: 2 + int(seed%7), fan: 1 + int(seed%4), clients: 6, crashes: 10, defers: 10,
		faults: 2, pace: 20 * time.Millisecond,
		limits: Limits{AttemptsMax: 1000, DeadLettersMax: 100_000, AcceptAfter: 30 * time.Millisecond, RetryDelay: time.Millisecond,
			RetryDelayMax: 20 * time.Millisecond, AckAfter: 5 * time.Millisecond},
	}
	switch seed % 5 {
	case 1: // inputs are given up, instances parked
		o.operator, o.faults = true, 35
		o.limits.AttemptsMax = 3
	case 2: // messages wait until the gaps are many
		o.slow, o.wide, o.crashes, o.partitions = "a0", 150, 3, 2
		o.limits.AcceptAfter = 5 * time.Second
	case 3: // answers are forgotten
		o.forgetful, o.pace, o.crashes = true, 300*time.Millisecond, 2
		o.limits.Retention, o.limits.RetentionMin, o.limits.AnswerBytesMax = 20*time.Second, 15*time.Second, 8000
	case 4: // much is deferred
		o.defers, o.keys = 50, 2
	}
	return o
}

// TestWorld runs simulated worlds. A failure prints the seed that repeats it.
func TestWorld(t *testing.T) {
	first, count := uint64(1), uint64(60)
	if testing.Short() {
		count = 20
	}
	if *seedFlag != 0 {
		first, count = *seedFlag, 1
	}
	var sum worldStats
	for seed := first; seed < first+count; seed++ {
		w := newWorld(worldOf(seed))
		if violation := w.run(); violation != "" {
			t.Fatalf("%s\nrepeat with: go test ./internal/engine -run 'TestWorld$' -seed=%d", violation, seed)
		}
		sum.add(&w.stats)
	}
	t.Logf("%d worlds: %+v", count, sum)
	if *seedFlag == 0 && (sum.direct == 0 || sum.indirect == 0) {
		t.Errorf("%d reads were answered directly and %d by their partition, want both", sum.direct, sum.indirect)
	}
}

func (s *worldStats) add(o *worldStats) {
	s.crashes += o.crashes
	s.replays += o.replays
	s.checkpoints += o.checkpoints
	s.answered += o.answered
	s.repeated += o.repeated
	s.refused += o.refused
	s.late += o.late
	s.direct += o.direct
	s.indirect += o.indirect
	s.duplicates += o.duplicates
	s.accepts += o.accepts
	s.attempts += o.attempts
	s.acks += o.acks
	s.resumed += o.resumed
	s.skipped += o.skipped
	s.redelivered += o.redelivered
	s.pruned += o.pruned
	s.blocked += o.blocked
	s.early += o.early
	s.performed += o.performed
	s.interrupted += o.interrupted
	s.workflows += o.workflows
	s.deferred += o.deferred
	s.bounced += o.bounced
	s.granted += o.granted
	s.prepared += o.prepared
	s.aborted += o.aborted
	s.cut += o.cut
}

// TestSameSeedGivesTheSameHistory runs worlds twice: every record and the order
// of everything must be the same.
func TestSameSeedGivesTheSameHistory(t *testing.T) {
	first, count := uint64(1001), uint64(10)
	if testing.Short() {
		count = 5 // one of each sort
	}
	for seed := first; seed < first+count; seed++ {
		first, second := newWorld(worldOf(seed)), newWorld(worldOf(seed))
		if a, b := first.run(), second.run(); a != b {
			t.Fatalf("seed %d: %q and then %q", seed, a, b)
		}
		if !bytes.Equal(first.trace.Sum(nil), second.trace.Sum(nil)) || first.stats != second.stats {
			t.Fatalf("seed %d: two histories: %+v and %+v", seed, first.stats, second.stats)
		}
	}
}
