package share

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// worker is a desk with a goroutine of its own. Its turns take a few items, as
// a loop does, and note who gave them.
type worker struct {
	desk    *Desk[item]
	done    chan struct{}
	ended   sync.WaitGroup
	working bool // a turn is being given; without a lock, for the race detector
	budget  int  // items a turn takes
	waiting []item
	taken   []item
	wait    time.Duration // what turns say; 0: never
	turns   int
	took    func() // in a turn; nil: nothing
}

func newWorker(budget int) *worker {
	w := &worker{done: make(chan struct{}), budget: budget}
	w.desk = NewDesk[item](func() msg.Time { return msg.TimeOf(time.Now()) }, w.turn)
	return w
}

func (w *worker) turn(msg.Time) (ready bool, wait time.Duration) {
	if w.working {
		panic("two turns at once")
	}
	w.working = true
	defer func() { w.working = false }()
	w.turns++
	w.desk.Take(func(i item) { w.waiting = append(w.waiting, i) })
	n := min(w.budget, len(w.waiting))
	w.taken, w.waiting = append(w.taken, w.waiting[:n]...), w.waiting[n:]
	if w.took != nil {
		w.took()
	}
	return len(w.waiting) > 0, w.wait
}

// start starts the desk's own goroutine.
func (w *worker) start() {
	w.ended.Go(func() {
		timer := time.NewTimer(time.Hour)
		for {
			if ready, wait := w.desk.Turn(); !ready && !w.desk.Wait(w.done, timer, wait) {
				return
			}
		}
	})
}

func (w *worker) stop() {
	close(w.done)
	w.ended.Wait()
}

// TestWhatIsBroughtToADeskIsDoneOnceAndInOrder: by many goroutines, half of
// which give turns themselves. No turn is given while another is, and nothing
// is left lying when all have gone.
func TestWhatIsBroughtToADeskIsDoneOnceAndInOrder(t *testing.T) {
	const senders, each = 8, 3_000
	w := newWorker(3)
	w.start()
	var sending sync.WaitGroup
	for from := range senders {
		sending.Go(func() {
			for number := range each {
				if from%2 == 0 {
					w.desk.Drive(item{from, number})
				} else {
					w.desk.Put(item{from, number})
				}
			}
		})
	}
	sending.Wait()
	for deadline := time.Now().Add(time.Minute); ; {
		w.desk.Begin(func() {
			if len(w.taken) == senders*each || time.Now().After(deadline) {
				deadline = time.Time{}
			}
		})
		if deadline.IsZero() {
			break
		}
	}
	w.stop()
	var next [senders]int
	for _, i := range w.taken {
		if i.number != next[i.from] {
			t.Fatalf("got item %d of %d, want %d", i.number, i.from, next[i.from])
		}
		next[i.from]++
	}
	if len(w.taken) != senders*each {
		t.Fatalf("%d items were taken, want %d", len(w.taken), senders*each)
	}
}

func TestWhoBringsSomethingToADeskAtRestGivesTheTurn(t *testing.T) {
	w := newWorker(10)
	w.desk.Drive(item{1, 1})
	if len(w.taken) != 1 || len(w.desk.Signal) > 0 {
		t.Fatalf("%d items were taken and %d signals set, want the item taken and the desk's goroutine asleep", len(w.taken), len(w.desk.Signal))
	}
}

// TestWhatATurnOfAnotherLeavesWakesTheDesk: more than one turn takes, what comes
// while it is given, and what is due before the desk's goroutine looks again.
func TestWhatATurnOfAnotherLeavesWakesTheDesk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorker(1)
		for n := range drivenMax {
			w.desk.Put(item{0, n})
		}
		<-w.desk.Signal
		w.desk.Drive(item{0, drivenMax})
		if len(w.taken) != drivenMax || len(w.desk.Signal) == 0 {
			t.Fatalf("%d of %d items were taken and nobody is told of the others", len(w.taken), drivenMax+1)
		}
		<-w.desk.Signal

		w.took = func() { w.took = nil; w.desk.Drive(item{0, 3}) } // as another would, meanwhile
		w.desk.Drive(item{0, 2})
		if len(w.desk.Signal) == 0 {
			t.Fatal("what came while a turn was given is left lying")
		}
		w.start()
		synctest.Wait()
		if want := drivenMax + 3; len(w.taken) != want {
			t.Fatalf("%d items were taken, want %d", len(w.taken), want)
		}

		w.desk.Begin(func() { w.wait = time.Hour })
		w.desk.Drive(item{0, 4})
		synctest.Wait()
		turns := w.turns
		w.desk.Begin(func() { w.wait = 0 })
		time.Sleep(time.Hour + time.Second)
		synctest.Wait()
		if w.turns != turns+1 {
			t.Errorf("%d turns after what is due within an hour, want 1: nobody woke the desk", w.turns-turns)
		}
		w.stop()
	})
}

func TestATurnWaitsUntilTheBeginningIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorker(1)
		w.start()
		begun := false
		w.desk.Begin(func() {
			w.desk.Drive(item{0, 1})
			begun = len(w.taken) == 0
		})
		synctest.Wait()
		if !begun || len(w.taken) != 1 {
			t.Errorf("taken during the beginning: %v, and after it: %d items, want none and one", !begun, len(w.taken))
		}
		w.stop()
	})
}
