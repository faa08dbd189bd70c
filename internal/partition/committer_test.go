package partition

// Goal: whatever is appended comes out of the frames again, once, in order and
// at its position, whatever the sizes of records and frames and wherever the
// writer ends; and frames are handed out when they should be. Method: random
// histories of a committer against the plain list of what was appended, then
// the rules of waiting one by one.

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

const noon = msg.Time(1_700_000_000_000_000_000)

// writer drives a committer as a host would, and remembers what it did.
type writer struct {
	t       *rapid.T
	c       *Committer
	epoch   msg.Epoch
	limit   int
	now     msg.Time
	records [][]byte // by position, minus one
	frames  []host.Frame
	flying  *host.Frame
}

func newWriter(t *rapid.T, limit int) *writer {
	w := &writer{t: t, limit: limit, now: noon, epoch: 1}
	w.c = NewCommitter(w.epoch, host.Frame{}, limit)
	return w
}

func (w *writer) append() {
	size := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 5*w.limit)).Draw(w.t, "size")
	record := bytes.Repeat([]byte{byte(len(w.records) + 1)}, size)
	position := w.c.Append(w.now, record)
	w.records = append(w.records, bytes.Clone(record))
	clear(record) // it was copied
	if position != msg.Position(len(w.records)) {
		w.t.Fatalf("record %d was given position %d", len(w.records), position)
	}
}

// next takes a frame, if there is one, and keeps a copy of it.
func (w *writer) next() {
	work := w.c.Next(w.now)
	if work.Frame == nil {
		if w.flying != nil && work != (Work{}) {
			w.t.Fatalf("got %+v while a frame is being written", work)
		}
		w.now += msg.Time(work.Wait)
		return
	}
	if w.flying != nil {
		w.t.Fatalf("frame %d was handed out before %d was durable", work.Frame.Number, w.flying.Number)
	}
	if len(work.Frame.Payload) > w.limit {
		w.t.Fatalf("frame of %d bytes, the limit is %d", len(work.Frame.Payload), w.limit)
	}
	w.flying = work.Frame
}

// written makes the frame durable that is being written.
func (w *writer) written() {
	if w.flying == nil {
		return
	}
	f := *w.flying
	f.Payload = bytes.Clone(f.Payload)
	w.frames = append(w.frames, f)
	w.flying = nil
	w.c.Written(w.now, time.Millisecond, f.Hash())
	if got, want := w.c.Stats().Durable, f.First+msg.Position(f.Count)-1; got != want {
		w.t.Fatalf("durable at %d, want %d", got, want)
	}
}

// crash lets the writer end, and another go on behind the last durable frame.
// The frame that was being written may have become durable.
func (w *writer) crash() {
	if rapid.Bool().Draw(w.t, "stored") {
		w.written()
	}
	w.flying = nil
	var last host.Frame
	if n := len(w.frames); n > 0 {
		last = w.frames[n-1]
	}
	w.epoch++
	w.c = NewCommitter(w.epoch, last, w.limit)
	w.records = w.records[:w.c.Stats().Appended]
}

func (w *writer) drain() {
	for !w.c.Empty() {
		w.next()
		w.written()
	}
}

// check reads the frames from each one on.
func (w *writer) check() {
	position, previous := msg.Position(0), host.FrameHash{}
	for i := range w.frames {
		f := &w.frames[i]
		if f.Number != msg.FrameNumber(i+1) || f.First != position+1 || f.Previous != previous {
			w.t.Fatalf("frame %d: number %d, first %d, previous %x; want first %d, previous %x",
				i+1, f.Number, f.First, f.Previous, position+1, previous)
		}
		position, previous = f.First+msg.Position(f.Count)-1, f.Hash()
	}
	begin := w.begins()
	for from := range w.frames {
		w.read(from, begin)
	}
}

// begins finds in which frame each record begins.
func (w *writer) begins() []int {
	begin := make([]int, len(w.records)+1)
	for i, f := range w.frames {
		position := f.First
		for rest := f.Payload; len(rest) > 0; {
			var flags uint64
			_, flags, rest, _ = chunkAt(rest)
			if flags&chunkGoneOn == 0 && int(position) < len(begin) {
				begin[position] = i // again if its first writer ended in the middle of it
			}
			if flags&chunkGoesOn == 0 {
				position++
			}
		}
	}
	return begin
}

// read checks that a reader that begins at a frame yields just what begins
// there or later.
func (w *writer) read(from int, begin []int) {
	var got, want []msg.Position
	for p := 1; p < len(begin); p++ {
		if begin[p] >= from {
			want = append(want, msg.Position(p))
		}
	}
	var r Reader
	for i := from; i < len(w.frames); i++ {
		err := r.Read(&w.frames[i], func(position msg.Position, record []byte) error {
			if !bytes.Equal(record, w.records[position-1]) {
				w.t.Fatalf("reading from frame %d: record %d has %d bytes, want %d", from+1, position, len(record), len(w.records[position-1]))
			}
			got = append(got, position)
			return nil
		})
		if err != nil {
			w.t.Fatalf("reading from frame %d: %v", from+1, err)
		}
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("reading from frame %d: got records %v, want %v", from+1, got, want)
	}
}

func TestWhatIsAppendedIsReadBackFromAnyFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWriter(t, rapid.IntRange(chunkHeadMax+1, 200).Draw(t, "limit"))
		for range rapid.IntRange(0, 20).Draw(t, "records at first") {
			w.append()
		}
		t.Repeat(map[string]func(*rapid.T){
			"append":  func(*rapid.T) { w.append() },
			"want":    func(*rapid.T) { w.c.Want(w.c.Stats().Appended, 1) },
			"next":    func(*rapid.T) { w.next() },
			"written": func(*rapid.T) { w.written() },
			"crash":   func(*rapid.T) { w.crash() },
		})
		w.drain()
		w.check()
	})
}

// committer makes one with records of a size in it.
func committer(t *testing.T, payloadMax int, records ...int) *Committer {
	t.Helper()
	c := NewCommitter(1, host.Frame{}, payloadMax)
	for _, size := range records {
		c.Append(noon, make([]byte, size))
	}
	return c
}

// write lets a committer's frame be written in a time.
func write(t *testing.T, c *Committer, now msg.Time, took time.Duration) *host.Frame {
	t.Helper()
	work := c.Next(now)
	if work.Frame == nil {
		t.Fatalf("got %+v, want a frame", work)
	}
	c.Written(now, took, work.Frame.Hash())
	return work.Frame
}

func TestARecordThatNobodyWaitsForWaitsForOthers(t *testing.T) {
	c := committer(t, 1<<20, 10)
	for _, at := range []time.Duration{0, time.Millisecond, lazyDelay - 1} {
		if work := c.Next(noon + msg.Time(at)); work.Frame != nil || work.Wait != lazyDelay-at {
			t.Fatalf("after %v: got %+v, want to wait %v", at, work, lazyDelay-at)
		}
	}
	write(t, c, noon+msg.Time(lazyDelay), time.Millisecond)
}

func TestMuchIsWrittenAtOnceThoughNobodyWaits(t *testing.T) {
	c := committer(t, 2*lazyBytes, lazyBytes/2, lazyBytes/2)
	write(t, c, noon, time.Millisecond)
}

func TestAFrameWaitsAFifthOfASyncForTheCallersOfTheLastOne(t *testing.T) {
	const sync = 10 * time.Millisecond
	c := committer(t, 1<<20, 10)
	c.Want(1, 3)
	write(t, c, noon, sync)
	for n := range 2 {
		c.Want(c.Append(noon, []byte("x")), 1)
		if work := c.Next(noon); work.Wait != sync/gatherPart {
			t.Fatalf("%d of 3 callers are back: got %+v, want to wait %v", n+1, work, sync/gatherPart)
		}
	}
	c.Want(c.Append(noon, []byte("x")), 1)
	if f := write(t, c, noon, sync); f.Count != 3 {
		t.Fatalf("got %d records, want 3", f.Count)
	}
	c.Want(c.Append(noon, []byte("x")), 1)
	if f := write(t, c, noon+msg.Time(sync/gatherPart), sync); f.Count != 1 {
		t.Fatalf("got %d records, want the one whose callers came in time", f.Count)
	}
}

func TestAnswersThatWaitForAFrameInTheAirDoNotHoldTheNextOne(t *testing.T) {
	c := committer(t, 1<<20, 10)
	c.Want(1, 1)
	work := c.Next(noon)
	c.Want(1, 1) // a read of what is being written
	c.Append(noon, []byte("x"))
	c.Written(noon, time.Millisecond, work.Frame.Hash())
	if work := c.Next(noon); work.Wait != lazyDelay {
		t.Fatalf("got %+v, want to wait %v: nobody waits for the second record", work, lazyDelay)
	}
}

func TestWhatTheLastFrameHadNoRoomForIsWrittenAtOnce(t *testing.T) {
	c := committer(t, 100, 60, 60, 250, 10)
	c.Want(1, 1)
	var counts []uint32
	for !c.Empty() {
		counts = append(counts, write(t, c, noon, time.Second).Count)
	}
	if got, want := fmt.Sprint(counts), "[1 1 0 0 2]"; got != want {
		t.Fatalf("frames end %s records, want %s", got, want)
	}
}

func TestAClockThatIsSetBackHoldsNothingUp(t *testing.T) {
	c := committer(t, 1<<20, 10)
	past := noon - msg.Time(time.Hour)
	if work := c.Next(past); work.Wait > lazyDelay {
		t.Fatalf("got %+v, want to wait at most %v", work, lazyDelay)
	}
	write(t, c, past+msg.Time(lazyDelay), time.Second)
	c = committer(t, 1<<20, 10)
	c.Want(1, 9)
	write(t, c, noon, time.Second)
	c.Want(c.Append(noon, nil), 1)
	if work := c.Next(past); work.Wait > time.Second/gatherPart {
		t.Fatalf("got %+v, want to wait at most %v", work, time.Second/gatherPart)
	}
}

func TestTheLastFrameIsSealedAfterARest(t *testing.T) {
	c := NewCommitter(1, host.Frame{}, 100)
	if work := c.Next(noon); work != (Work{}) {
		t.Fatalf("got %+v before anything was appended, want nothing", work)
	}
	c.Append(noon, []byte("x"))
	c.Want(1, 1)
	write(t, c, noon, time.Millisecond)
	if work := c.Next(noon + 1); work != (Work{Wait: sealAfter - 1}) {
		t.Fatalf("got %+v, want to wait %v", work, sealAfter-1)
	}
	if work := c.Next(noon + msg.Time(sealAfter)); work != (Work{Seal: true}) {
		t.Fatalf("got %+v, want the seal", work)
	}
	c.Sealed()
	if work := c.Next(noon + msg.Time(sealAfter)); work != (Work{}) {
		t.Fatalf("got %+v when all is sealed, want nothing", work)
	}
}

func TestTheOpenBufferIsBounded(t *testing.T) {
	c := NewCommitter(1, host.Frame{}, 1<<20)
	for c.Reserve(1 << 20) {
		c.Append(noon, make([]byte, 1<<20-16))
		if len(c.open) > openBytesMax {
			t.Fatalf("%d bytes are in the open buffer, the bound is %d", len(c.open), openBytesMax)
		}
	}
	write(t, c, noon, time.Millisecond)
	if !c.Reserve(1<<20 - 16) {
		t.Fatal("no room for a record after a frame was taken out")
	}
}

func TestStatsAddUp(t *testing.T) {
	c := committer(t, 100, 60, 60)
	now := noon + msg.Time(lazyDelay)
	first := write(t, c, now, 15*time.Microsecond)
	second := write(t, c, now, time.Hour)
	s := c.Stats()
	if want := uint64(len(first.Payload) + len(second.Payload)); s.Frames != 2 || s.Records != 2 || s.Bytes != want || s.Appended != 2 || s.Durable != 2 {
		t.Errorf("got %+v, want 2 frames with 2 records and %d bytes, all durable", s, want)
	}
	if last := len(s.SyncTimes) - 1; s.SyncTimes[1] != 1 || s.SyncTimes[last] != 1 || s.SyncSeconds < 3600 {
		t.Errorf("got sync times %v, %v s; want one of 15 µs and one of an hour", s.SyncTimes, s.SyncSeconds)
	}
}

// frame makes a frame of chunks as they are.
func frame(number msg.FrameNumber, epoch msg.Epoch, first msg.Position, count uint32, payload []byte) *host.Frame {
	return &host.Frame{Number: number, Epoch: epoch, First: first, Count: count, Payload: payload}
}

func TestFramesThatDoNotFitTogetherAreCorrupt(t *testing.T) {
	whole, begins := appendPart(nil, []byte("w"), 0), appendPart(nil, []byte("b"), chunkGoesOn)
	goesOn, ends := appendPart(nil, []byte("g"), chunkGoneOn|chunkGoesOn), appendPart(nil, []byte("e"), chunkGoneOn)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, frames := range map[string][]*host.Frame{
		"a frame is missing":                     {frame(1, 1, 1, 1, whole), frame(3, 1, 2, 1, whole)},
		"a frame comes twice":                    {frame(1, 1, 1, 1, whole), frame(1, 1, 1, 1, whole)},
		"an epoch ends before it began":          {frame(1, 2, 1, 1, whole), frame(2, 1, 2, 1, whole)},
		"a chunk is longer than its frame":       {frame(1, 1, 1, 1, whole[:1])},
		"a number has no end":                    {frame(1, 1, 1, 1, []byte{0x80})},
		"the head counts too few":                {frame(1, 1, 1, 1, join(whole, whole))},
		"the head counts too many":               {frame(1, 1, 1, 2, whole)},
		"a record goes on inside a frame":        {frame(1, 1, 1, 1, join(begins, whole))},
		"a record goes on that did not begin":    {frame(1, 1, 1, 1, whole), frame(2, 1, 2, 1, ends)},
		"a record goes on behind another":        {frame(1, 1, 1, 2, join(whole, ends))},
		"a record goes on in another epoch":      {frame(1, 1, 1, 0, begins), frame(2, 2, 1, 1, ends)},
		"a record does not go on":                {frame(1, 1, 1, 0, begins), frame(2, 1, 1, 1, whole)},
		"a passed record does not go on":         {frame(1, 1, 1, 0, goesOn), frame(2, 1, 1, 1, whole)},
		"a passed record goes on behind another": {frame(1, 1, 1, 0, goesOn), frame(2, 1, 1, 2, join(whole, ends))},
	} {
		var r Reader
		var err error
		for _, f := range frames {
			if err == nil {
				err = r.Read(f, func(msg.Position, []byte) error { return nil })
			}
		}
		if !errors.Is(err, host.ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
	}
}

func TestAReaderStopsWhereItIsToldTo(t *testing.T) {
	full := errors.New("enough")
	var r Reader
	c := committer(t, 100, 1, 1)
	if err := r.Read(write(t, c, noon+msg.Time(lazyDelay), 0), func(msg.Position, []byte) error { return full }); err != full {
		t.Errorf("got %v, want %v", err, full)
	}
}

// FuzzReader feeds a reader with two frames of anything: it returns what fits
// together, or ErrCorrupt.
func FuzzReader(f *testing.F) {
	f.Add([]byte("\x04a"), []byte("\x04b"), uint32(1), uint32(1), false)
	f.Add([]byte("\x05a"), []byte("\x06b"), uint32(0), uint32(1), false)
	f.Add([]byte("\x07a"), []byte("\x06b\x08bb"), uint32(0), uint32(2), true)
	f.Fuzz(func(t *testing.T, one, two []byte, countOne, countTwo uint32, crashed bool) {
		epoch := msg.Epoch(1)
		if crashed {
			epoch++
		}
		frames := []*host.Frame{frame(7, 1, 1, countOne, one), frame(8, epoch, 1+msg.Position(countOne), countTwo, two)}
		var r Reader
		next, bytes := msg.Position(1), 0
		for _, f := range frames {
			err := r.Read(f, func(position msg.Position, record []byte) error {
				if position < next {
					t.Fatalf("record %d came before %d", position, next)
				}
				next = position + 1
				bytes += len(record)
				return nil
			})
			if err != nil {
				if !errors.Is(err, host.ErrCorrupt) {
					t.Fatalf("got %v, want ErrCorrupt", err)
				}
				return
			}
		}
		if bytes > len(one)+len(two) {
			t.Fatalf("%d bytes came out of %d", bytes, len(one)+len(two))
		}
	})
}
