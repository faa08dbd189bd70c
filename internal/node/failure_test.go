package node_test

// Goal: when the host fails, everybody hears what is known, nothing goes on that
// must not, and another start finds everything. Method: a host in memory that
// fails on demand, under a node that works.

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

var errCable = errors.New("the cable is out")

// blockKey makes turns of a key wait until a function is called. Began gets a
// value for each that waits.
func (r *rig) blockKey(key string) (began chan uint64, release func()) {
	began, let := make(chan uint64, 100), make(chan struct{})
	r.script.hook("do", func(_ context.Context, t *msg.Turn) {
		if t.Message.Target.Key == key {
			began <- t.Run
			<-let
		}
	})
	return began, sync.OnceFunc(func() { close(let) })
}

func TestAfterAFailedWriteEverybodyHearsThatItIsUnknown(t *testing.T) {
	for _, stored := range []bool{false, true} {
		r := newRig(t).start()
		began, release := r.blockKey("slow")
		r.must(r.do("a", order{Write: "before"}))
		replies := make(chan msg.Reply, 2)
		go func() { replies <- r.do("slow", order{Write: "running"}) }()
		<-began
		go func() { replies <- r.do("slow", order{Write: "queued"}) }()
		r.until("it is queued", func() bool { return r.Stats(context.Background()).Partitions.Queued == 1 })
		r.store.FailAppend(errCable, stored)
		r.wantCode(r.do("a", order{Write: "unknown"}), msg.CodeUnavailable)
		for range 2 { // also who waits for a handler that still runs
			reply := <-replies
			if r.wantCode(reply, msg.CodeUnavailable); !strings.Contains(reply.Err.Message, errCable.Error()) || !strings.Contains(reply.Err.Message, "not known") {
				t.Errorf("got %v, want why and that it is not known", reply.Err)
			}
		}
		if err := <-r.Failed(); !errors.Is(err, host.ErrPoisoned) || !errors.Is(err, errCable) {
			t.Errorf("got %v, want ErrPoisoned because %v", err, errCable)
		}
		if reply := r.do("b", order{Write: "late"}); reply.Err != ingress.ErrStopped {
			t.Errorf("got %v, want %v", reply.Err, ingress.ErrStopped)
		}
		release()
		if err := r.Close(context.Background()); !errors.Is(err, host.ErrPoisoned) {
			t.Errorf("close: got %v, want ErrPoisoned", err)
		}
		if len(r.Failed()) > 0 {
			t.Error("it failed twice")
		}
		r.store.Crash()
		r.start()
		if got := r.look("a"); len(got) != map[bool]int{false: 1, true: 2}[stored] || got[0] != "before" {
			t.Errorf("stored %v: got %v", stored, got)
		}
		if got := append(r.look("slow"), r.look("b")...); len(got) > 0 {
			t.Errorf("got %v of what was never written", got)
		}
		r.stop()
	}
}

func TestAFullDiskRefusesNewWorkAndNothingElse(t *testing.T) {
	r := newRig(t).start()
	began, release := r.blockKey("slow")
	r.must(r.do("a", order{Write: "x"}))
	running := make(chan msg.Reply, 1)
	go func() { running <- r.do("slow", order{Write: "y", Send: map[string]string{"b": "sent"}}) }()
	<-began
	r.store.SetRoom(errors.New("the disk is full"))
	r.wantCode(r.do("a", order{Write: "refused"}), msg.CodeResourceExhausted)
	submit := msg.Request{Operation: msg.OperationSubmit, Target: msg.Ref{Kind: "cell", Key: "a"}, Handler: "do", Payload: payload(order{})}
	r.wantCode(r.ask(&submit), msg.CodeResourceExhausted)
	if got := r.look("a"); len(got) != 1 {
		t.Errorf("got %v, want the one write", got)
	}
	release()
	r.must(<-running) // what was admitted is finished
	r.written("b", 1)
	r.store.SetRoom(nil)
	r.must(r.do("a", order{Write: "there is room again"}))
	r.stop()
}

// brokenSnapshots is a host that cannot store checkpoints.
type brokenSnapshots struct {
	host.Host
	create, publish error
}

func (b brokenSnapshots) Snapshots() host.Snapshots { return failingSnapshots{b.Host.Snapshots(), b} }

type failingSnapshots struct {
	host.Snapshots
	broken brokenSnapshots
}

func (s failingSnapshots) Create(p msg.Partition) (host.SnapshotWriter, error) {
	if s.broken.create != nil {
		return nil, s.broken.create
	}
	return s.Snapshots.Create(p)
}

func (s failingSnapshots) Publish(list []host.Published) error {
	if s.broken.publish != nil {
		return s.broken.publish
	}
	return s.Snapshots.Publish(list)
}

func TestCheckpointsThatFailStopNothing(t *testing.T) {
	for name, broken := range map[string]brokenSnapshots{"create": {create: errCable}, "publish": {publish: errCable}} {
		r := newRig(t)
		r.config.CheckpointBytes = 1
		r.wrap = func(h host.Host) host.Host { broken.Host = h; return broken }
		r.start()
		for n := range 30 {
			r.must(r.do(fmt.Sprint(n), order{Write: strings.Repeat("x", 100_000)}))
		}
		r.until("a checkpoint is tried", func() bool { return r.Stats(context.Background()).Loops.CheckpointFailures > 0 })
		r.stop()
		if !strings.Contains(r.log.String(), errCable.Error()) {
			t.Errorf("%s: the log does not say why: %s", name, r.log)
		}
		r.wrap = nil
		r.start()
		if got := r.Recovery(); got.Entities != 30 || got.Checkpoints > 0 {
			t.Errorf("%s: got %+v, want 30 entities and no checkpoints", name, got)
		}
		r.stop()
	}
}

// unreadable is a host that cannot be read.
type unreadable struct {
	host.Host
	current, slices, frames, acquire error
}

func (u unreadable) Log() host.Log             { return unreadableLog{u.Host.Log(), u} }
func (u unreadable) Snapshots() host.Snapshots { return unreadableSnapshots{u.Host.Snapshots(), u} }

type unreadableLog struct {
	host.Log
	u unreadable
}

func (l unreadableLog) Acquire(ctx context.Context) (msg.Epoch, host.Frame, error) {
	if l.u.acquire != nil {
		return 0, host.Frame{}, l.u.acquire
	}
	return l.Log.Acquire(ctx)
}

func (l unreadableLog) Frames(from msg.FrameNumber) iter.Seq2[host.Frame, error] {
	if l.u.frames == nil {
		return l.Log.Frames(from)
	}
	return func(yield func(host.Frame, error) bool) { yield(host.Frame{}, l.u.frames) }
}

type unreadableSnapshots struct {
	host.Snapshots
	u unreadable
}

func (s unreadableSnapshots) Current() ([]host.Checkpoint, error) {
	if s.u.current != nil {
		return nil, s.u.current
	}
	return s.Snapshots.Current()
}

func (s unreadableSnapshots) Slices(c host.Checkpoint) iter.Seq2[[]byte, error] {
	if s.u.slices == nil {
		return s.Snapshots.Slices(c)
	}
	return func(yield func([]byte, error) bool) { yield(nil, s.u.slices) }
}

func TestAHostThatCannotBeReadIsNotStarted(t *testing.T) {
	r := newRig(t).start()
	r.must(r.do("a", order{Write: "x"}))
	r.stop()
	for what, u := range map[string]unreadable{
		"acquire": {acquire: errCable}, "list": {current: errCable}, "checkpoint": {slices: errCable}, "log": {frames: errCable},
	} {
		r.wrap = func(h host.Host) host.Host { u.Host = h; return u }
		if err := r.tryStart(); !errors.Is(err, errCable) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	r.wrap = nil
	r.start()
	r.stop()
}

// garbled is a host whose log or checkpoints hold something else than records.
type garbled struct {
	host.Host
	frame, slice func([]byte) []byte
}

func (g garbled) Log() host.Log             { return garbledLog{g.Host.Log(), g} }
func (g garbled) Snapshots() host.Snapshots { return garbledSnapshots{g.Host.Snapshots(), g} }

type garbledLog struct {
	host.Log
	g garbled
}

func (l garbledLog) Frames(from msg.FrameNumber) iter.Seq2[host.Frame, error] {
	return func(yield func(host.Frame, error) bool) {
		for f, err := range l.Log.Frames(from) {
			if l.g.frame != nil && err == nil {
				f.Payload = l.g.frame(f.Payload)
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

type garbledSnapshots struct {
	host.Snapshots
	g garbled
}

func (s garbledSnapshots) Slices(c host.Checkpoint) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for slice, err := range s.Snapshots.Slices(c) {
			if s.g.slice != nil && err == nil {
				slice = s.g.slice(slice)
			}
			if !yield(slice, err) {
				return
			}
		}
	}
}

// TestWhatCannotBeIsCorrupt flips every byte of small frames and slices, as a
// host would that does not check what it reads. A start fails with ErrCorrupt
// or finds records that could have been written; it never panics.
func TestWhatCannotBeIsCorrupt(t *testing.T) {
	r := newRig(t)
	r.wrap = func(h host.Host) host.Host { return noTrim{h} }
	r.start()
	r.must(r.do("a", order{Write: "x", Send: map[string]string{"b": "y"}}))
	r.settled()
	r.crash()
	flip := func(at int, bit byte) func([]byte) []byte {
		return func(b []byte) []byte {
			if at < len(b) {
				b[at] ^= bit
			}
			return b
		}
	}
	for _, checkpoints := range []bool{false, true} {
		if checkpoints {
			r.wrap = func(h host.Host) host.Host { return noTrim{h} }
			r.start()
			r.stop()
		}
		corrupt := 0
		for at := range 160 {
			r.wrap = func(h host.Host) host.Host {
				if checkpoints {
					return noTrim{garbled{Host: h, slice: flip(at, 1<<(at%8))}}
				}
				return noTrim{garbled{Host: h, frame: flip(at, 1<<(at%8))}}
			}
			switch err := r.tryStart(); {
			case err == nil:
				r.crash()
			case errors.Is(err, host.ErrCorrupt), errors.Is(err, host.ErrIncompatible):
				corrupt++
			default:
				t.Errorf("byte %d: got %v, want ErrCorrupt", at, err)
			}
		}
		if corrupt < 10 {
			t.Errorf("checkpoints %v: only %d flipped bytes were noticed: nothing is shown", checkpoints, corrupt)
		}
	}
}
