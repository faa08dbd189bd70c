// Package heap keeps the garbage collector of a server's process from running
// for every few megabytes.
//
// Go collects when the heap has grown by the size of what lives. A server with
// little state lives in a few megabytes and throws away hundreds per second:
// it would collect all the time, and each collection walks the stack of every
// request that waits. Keep lets the heap grow to a floor first.
//
// Invariants:
//
//  1. The heap's goal is at least the floor, and at least twice what lives.
//  2. A process that set GOGC or GOMEMLIMIT itself is left alone.
//
// The package is for programs, which own their process; a library does not
// call it.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// Floor is the smallest goal of the heap, in bytes.
const Floor = 64 << 20

// growthMax bounds the growth in percent: with next to nothing alive, what is
// measured as alive is mostly noise.
const growthMax = 800

var once sync.Once

// Keep keeps the heap's goal at or above Floor until the process ends.
func Keep() {
	once.Do(func() {
		if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
			return
		}
		watch(&keeper{percent: 100})
	})
}

type keeper struct{ percent int }

// sentinel is collected by every collection, and so says when one has ended.
// It is not tiny: tiny objects share memory, and live as long as each other.
type sentinel struct {
	keeper *keeper
	_      [64]byte
}

func watch(k *keeper) {
	runtime.SetFinalizer(&sentinel{keeper: k}, func(s *sentinel) {
		s.keeper.adjust(live())
		watch(s.keeper)
	})
}

func live() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// adjust sets the growth for what lives now. Setting it stops the world for a
// moment: small changes are not worth that.
func (k *keeper) adjust(live uint64) {
	percent := growth(live)
	if percent*10 >= k.percent*9 && percent*10 <= k.percent*11 {
		return
	}
	k.percent = percent
	debug.SetGCPercent(percent)
}

// growth is by how many percent the heap may grow over what lives.
func growth(live uint64) int {
	if live == 0 {
		return growthMax
	}
	return int(min(max(int64(Floor)*100/int64(live)-100, 100), growthMax))
}
