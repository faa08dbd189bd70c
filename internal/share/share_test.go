package share

// Goal: nothing is lost, doubled or left lying between goroutines. Method: many
// goroutines against one, under the race detector; then the edges one by one.

import (
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-io/holdfast/internal/msg"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type item struct{ from, number int }

func TestWhatIsPutIntoAMailboxIsTakenOnceAndInOrder(t *testing.T) {
	const senders, each = 8, 5_000
	box, done := NewMailbox[item](), make(chan struct{})
	for from := range senders {
		go func() {
			for number := range each {
				box.Put(item{from, number})
			}
		}()
	}
	var next [senders]int
	timer := time.NewTimer(time.Hour)
	for taken := 0; taken < senders*each; {
		if !box.Wait(done, timer, time.Minute) {
			t.Fatal("the wait says that it is over")
		}
		box.Take(func(i item) {
			if i.number != next[i.from] {
				t.Fatalf("got item %d of %d, want %d", i.number, i.from, next[i.from])
			}
			next[i.from]++
			taken++
		})
	}
}

func TestWhatIsPutWhileTakingIsTakenNext(t *testing.T) {
	box := NewMailbox[int]()
	box.Put(1)
	var got []int
	take := func() {
		box.Take(func(n int) {
			got = append(got, n)
			if n < 3 {
				box.Put(n + 1)
			}
		})
	}
	take()
	if len(got) != 1 || len(box.Signal) != 1 {
		t.Fatalf("got %v and %d signals, want [1] and one", got, len(box.Signal))
	}
	take()
	take()
	take()
	if len(got) != 3 {
		t.Fatalf("got %v, want [1 2 3]", got)
	}
}

func TestASignalThatWasSetEndsTheNextWait(t *testing.T) {
	signal, timer := NewSignal(), time.NewTimer(time.Hour)
	signal.Set()
	signal.Set()
	if !signal.Wait(nil, timer, 0) {
		t.Fatal("the wait says that it is over")
	}
	if len(signal) != 0 {
		t.Fatal("two calls before the wait ended two waits")
	}
}

func TestAWaitEndsWithItsTime(t *testing.T) {
	timer := time.NewTimer(time.Hour)
	began := time.Now()
	for range 3 {
		if !NewSignal().Wait(nil, timer, time.Millisecond) {
			t.Fatal("the wait says that it is over")
		}
	}
	if took := time.Since(began); took < 3*time.Millisecond || took > time.Minute {
		t.Fatalf("three waits of 1 ms took %v", took)
	}
}

func TestAWaitSaysWhenItIsOver(t *testing.T) {
	done := make(chan struct{})
	close(done)
	for _, wait := range []func(<-chan struct{}, *time.Timer, time.Duration) bool{NewSignal().Wait, NewMailbox[int]().Wait} {
		if wait(done, time.NewTimer(time.Hour), 0) {
			t.Error("the wait does not say that it is over")
		}
	}
}

// open counts like an open buffer, and breaks if two use it at once.
type open struct {
	records  int
	position msg.Position
	wanted   map[msg.Position]int
}

func (o *open) Reserve(n int) bool { return o.records+n >= 0 }

func (o *open) Append(_ msg.Time, record []byte) msg.Position {
	o.records += len(record)
	o.position++
	return o.position
}

func (o *open) Want(position msg.Position, n int) { o.wanted[position] += n }

func (o *open) Frame() msg.FrameNumber { return msg.FrameNumber(o.position) }

func TestABufferIsUsedByOneAtATime(t *testing.T) {
	const users, each = 8, 2_000
	o := &open{wanted: map[msg.Position]int{}}
	b := NewBuffer(o)
	var wait sync.WaitGroup
	for range users {
		wait.Go(func() {
			for range each {
				if b.Reserve(1) {
					b.Want(b.Append(0, []byte{1}), 1)
				}
				b.With(func(o *open) { o.records++ })
				if b.Frame() == 0 {
					t.Error("no frame after an append")
				}
			}
		})
	}
	wait.Wait()
	if o.records != 2*users*each || o.position != users*each || len(o.wanted) != users*each {
		t.Fatalf("got %d, %d, %d wanted; want %d, %d, %d", o.records, o.position, len(o.wanted), 2*users*each, users*each, users*each)
	}
}
