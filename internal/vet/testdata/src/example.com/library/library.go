// Package library is ordinary code that workflows of another package call.
package library

import (
	crypto "crypto/rand"
	"math/rand"
	"net"
	"sync"
	"time"
)

var (
	lock  sync.Mutex
	cache = map[string]int{}
)

var (
	now     = time.Now
	entropy = crypto.Reader
	started = time.Now()
)

func Name() string { // want Name:`rand.Reader \(random\)`
	text := make([]byte, 8)
	_, _ = entropy.Read(text)
	return string(text)
}

func Hour() int { return now().Hour() } // want Hour:`time.Now \(clock\)`

func Started() time.Time { return started }

func Stamp() int64 { return deep().Unix() } // want Stamp:`time.Now \(clock\)`

func deep() time.Time { return time.Now() }

func Pause() { time.Sleep(1) } // want Pause:`time.Sleep \(sleep\)`

type Dice struct{}

func (*Dice) Roll() int { return rand.Intn(6) } // want Roll:`rand.Intn \(random\)`

func Generic[T any](v T) T { Pause(); return v } // want Generic:`time.Sleep \(sleep\)`

// Cached takes and releases its own lock.
func Cached(key string) int {
	lock.Lock()
	defer lock.Unlock()
	cache[key]++
	return cache[key]
}

func Rescue() { recover() } // want Rescue:`recovers`

func Allowed() time.Time {
	return time.Now() //holdfast:allow the caller records it
}

// Talk does several things that handlers and workflows must not.
func Talk(c net.Conn) int64 { // want Talk:`net.Conn.Read \(network\) time.Now \(clock\)`
	_, _ = c.Read(nil)
	return Stamp()
}

// Known is called through interfaces only.
type Known interface{ Roll() int }
