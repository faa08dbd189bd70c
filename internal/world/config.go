package world

import (
	"io"
	"time"

	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Config is what a world is made from. A program is all that it needs.
type Config struct {
	Seed       uint64
	Program    program.Program
	Upgrades   []program.Program // deployed after it, one after the other
	Partitions int               // default 4
	Loops      int               // default 2
	Executors  int               // default 3
	Limits     engine.Limits
	Memory     bool // keep the data in memory instead of on a simulated disk: faster, no faults of disks

	// Rates says how likely each fault is, each time it could happen.
	Rates Rates
	// Only lists the faults that happen, instead of those that chance gives.
	Only []Fault
	// Scheduled says that Only counts, also if it is empty.
	Scheduled bool

	// Steps ends the world after so many events, with faults up to the end and
	// without waiting for anything: safety alone. 0 is liveness as well.
	Steps int
	// Calm is when faults end and everything has to come to its end; default
	// when all clients have ended, or after FaultsMax.
	Calm time.Duration
	// Bound is how long that may take; default 15 min.
	Bound time.Duration
	// Patience is how long the world waits for what is to become true eventually,
	// while nothing else is outstanding; default a day.
	Patience time.Duration
	// Operations bounds what clients do that ask with More; default no bound.
	Operations int

	// Blind leaves out every check that looks into the node: clients are alone.
	Blind bool

	script *script // decides what happens next; nil: time does

	Trace io.Writer // nil: none
}

const (
	// FaultsMax ends faults in a world whose clients do not end by themselves: a
	// day of virtual time.
	FaultsMax = 24 * time.Hour
	// boundDefault outlasts a handler that was delayed and given up, a back-off
	// at its longest, and a client that has given up and begins again.
	boundDefault = 15 * time.Minute
	// attemptsMax is above what faults can come to: an input is never given up
	// because a world is unkind.
	attemptsMax = 1_000_000
)

// withDefaults is the only place where defaults are.
func (c Config) withDefaults() Config {
	set(&c.Partitions, 4)
	set(&c.Loops, 2)
	c.Loops = min(c.Loops, c.Partitions)
	set(&c.Executors, 3)
	set(&c.Bound, boundDefault)
	set(&c.Patience, 24*time.Hour)
	set(&c.Calm, FaultsMax)
	set(&c.Limits.AttemptsMax, attemptsMax)
	return c
}

// last is the program that is deployed in the end.
func (c *Config) last() program.Program {
	if n := len(c.Upgrades); n > 0 {
		return c.Upgrades[n-1]
	}
	return c.Program
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
