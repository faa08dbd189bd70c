package heap

import (
	"runtime"
	"testing"
)

func TestTheGoalIsTheFloorOrTwiceWhatLives(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, growthMax}, {1 << 20, growthMax}, {8 << 20, 700}, {16 << 20, 300}, {32 << 20, 100}, {64 << 20, 100}, {4 << 30, 100},
	} {
		if got := growth(c.live); got != c.want {
			t.Errorf("%d bytes live: growth %d %%, want %d %%", c.live, got, c.want)
		}
	}
}

func TestAdjustsAfterACollection(t *testing.T) {
	done := make(chan uint64, 1)
	runtime.SetFinalizer(&sentinel{keeper: &keeper{}}, func(*sentinel) { done <- live() })
	for {
		runtime.GC()
		select {
		case got := <-done:
			if got == 0 {
				t.Fatal("nothing lives after a collection")
			}
			return
		default:
			runtime.Gosched()
		}
	}
}
