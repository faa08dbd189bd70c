// Package miner searches a range for numbers whose hash has a property: a job
// splits the range between workers, a worker scans its share in portions, and
// every hit goes to one result, which the job reads at the end.
//
// Invariants:
//
//  1. A job gives every hit of its range, once and in order, however often the
//     process dies meanwhile.
//  2. When a worker has ended, all its hits are in the result.
//  3. The journal of a worker has at most portionsMax portions.
//
// A job that is cancelled or terminated may leave a result behind: hits that were
// sent already arrive, and nobody is left to delete them.
package miner

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/holdfast-io/holdfast"
)

// Search is what a job looks for: numbers in [From, To) whose SHA-256 begins with
// so many zero bits.
type Search struct {
	From    uint64 `json:"from"`
	To      uint64 `json:"to"`
	Zeros   int    `json:"zeros"`
	Workers int    `json:"workers"`
}

// Share is the part of a search that one worker does, and where hits go.
type Share struct {
	From, To uint64
	Zeros    int
	Result   string
}

// Portion is what is scanned in one go.
type Portion struct {
	From, To uint64
	Zeros    int
}

// Result is the state of what collects hits.
type Result struct{ Hits holdfast.List[uint64] }

// The contract.
var (
	Mine   = holdfast.NewWorkflow[Search, []uint64]("mine", holdfast.Doc("Searches a range, and gives the hits in order."))
	Worker = holdfast.NewWorkflow[Share, holdfast.Void]("worker", holdfast.Doc("Searches a share of a range."))
	Scan   = holdfast.NewActivity[Portion, []uint64]("scan", holdfast.Doc("Searches a portion of a share."))

	Results = holdfast.NewEntity[Result]("result", holdfast.Doc("The hits of one job."))
	Found   = holdfast.NewUpdate[uint64, holdfast.Void](Results, "found", holdfast.Doc("Adds a hit."))
	Hits    = holdfast.NewRead[holdfast.Void, []uint64](Results, "hits", holdfast.Doc("Gives the hits in order."))

	// ErrSearch: a search that makes no sense, or would take years.
	ErrSearch = holdfast.NewError("bad_search", holdfast.InvalidArgument)
)

const (
	// portionNumbers is about 2 ms of work: far more than it costs to ask for.
	portionNumbers = 1 << 14
	// portionsMax keeps the journal of a worker below 10 KB.
	portionsMax = 32
	workersMax  = 64
	// numbersMax is an hour of work for two cores.
	numbersMax = 1 << 35
)

func (s Search) check() error {
	switch {
	case s.Workers < 1 || s.Workers > workersMax:
		return ErrSearch.Withf("%d workers; there are 1 to %d", s.Workers, workersMax)
	case s.To < s.From || s.To-s.From > numbersMax:
		return ErrSearch.Withf("from %d to %d; a range has at most %d numbers", s.From, s.To, uint64(numbersMax))
	case s.Zeros < 1:
		return ErrSearch.Withf("%d zero bits; there is at least 1", s.Zeros)
	}
	return nil
}

// mine begins the workers, waits for all, and reads what they have found. The
// result has an id of its own, so that a job that is restarted finds it empty.
func mine(ctx *holdfast.WorkflowContext, s Search) ([]uint64, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	result := ctx.NewID()
	ctx.Cleanup(func(ctx *holdfast.WorkflowContext) error { return Results.Delete(ctx, result) })
	var workers []*holdfast.Future[holdfast.Void]
	for _, share := range s.shares(result) {
		workers = append(workers, Worker.Start(ctx, "", share))
	}
	if _, err := holdfast.All(ctx, workers...); err != nil {
		return nil, err
	}
	return Hits.Call(ctx, result, holdfast.None)
}

// shares splits the range so that no two shares differ by more than one number.
func (s Search) shares(result string) []Share {
	shares := make([]Share, s.Workers)
	from, left := s.From, s.To-s.From
	for i := range shares {
		numbers := left / uint64(s.Workers-i)
		shares[i] = Share{from, from + numbers, s.Zeros, result}
		from, left = from+numbers, left-numbers
	}
	return shares
}

// worker sends hits without waiting for each of them, waits for all of them at
// the end, and begins anew with what is left before its journal gets long.
func worker(ctx *holdfast.WorkflowContext, s Share) (holdfast.Void, error) {
	for range portionsMax {
		if s.From == s.To {
			break
		}
		portion := Portion{s.From, min(s.From+portionNumbers, s.To), s.Zeros}
		hits, err := Scan.Call(ctx, portion)
		if err != nil {
			return holdfast.None, err
		}
		for _, hit := range hits {
			Found.Send(ctx, s.Result, hit)
		}
		s.From = portion.To
	}
	if err := ctx.Finish(); err != nil || s.From == s.To {
		return holdfast.None, err
	}
	return Worker.Tail(ctx, ctx.ID(), s)
}

func scan(_ context.Context, p Portion) (hits []uint64, err error) {
	for n := p.From; n < p.To; n++ {
		if zeros(n) >= p.Zeros {
			hits = append(hits, n)
		}
	}
	return hits, nil
}

// zeros counts the zero bits that the hash of a number begins with, up to 64.
func zeros(n uint64) int {
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], n)
	hash := sha256.Sum256(number[:])
	return bits.LeadingZeros64(binary.BigEndian.Uint64(hash[:]))
}

func found(ctx *holdfast.UpdateContext[Result], hit uint64) (holdfast.Void, error) {
	ctx.State.Hits.Append(hit)
	return holdfast.None, nil
}

func hits(ctx *holdfast.ReadContext[Result], _ holdfast.Void) ([]uint64, error) {
	return slices.Sorted(ctx.State.Hits.All()), nil
}

// App is the application on its own.
func App() *holdfast.App {
	return holdfast.NewApp("miner",
		Mine.Handle(mine), Worker.Handle(worker), Scan.Handle(scan),
		Found.Handle(found), Hits.Handle(hits))
}
