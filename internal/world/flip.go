package world

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/embedded"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// flipped is a copy of the disk, as it is before a start, in which one bit is not
// what was written.
type flipped struct {
	world   *World
	storage *diskStorage
	file    string
	newest  string // segment of the log
	offset  int64
}

// flip makes such a copy, if the fault happens.
func (w *World) flip() *flipped {
	s, disk := w.storage.(*diskStorage)
	if !disk || !w.faults.happen(FaultFlip) {
		return nil
	}
	details := w.faults.details()
	copied := &diskStorage{world: w, identity: s.identity, disk: s.disk.Clone(), salt: rand.New(rand.NewPCG(details.Uint64(), 2))}
	copied.heal()
	var files []sim.FileSize
	newest := ""
	for _, f := range copied.disk.Files() {
		if f.Bytes > 0 {
			files = append(files, f)
		}
		if strings.HasSuffix(f.Name, ".segment") {
			newest = f.Name // they are sorted
		}
	}
	if len(files) == 0 {
		return nil // it is the first start
	}
	file := files[details.IntN(len(files))]
	f := &flipped{w, copied, file.Name, newest, details.Int64N(file.Bytes)}
	if err := copied.disk.Damage(f.file, f.offset, 1<<details.IntN(8)); err != nil {
		w.fail(ByInvariant, "damage what is there: %v", err)
	}
	return f
}

// start starts on the copy as a process has just started on the disk itself, which
// has found a last frame. Damage is reported, or changes nothing. One place is
// excused: the last frame, which then looks as if the process had died while it
// wrote it, and is cut off.
func (f *flipped) start(last host.Frame) {
	w := f.world
	found, err := w.recover(f.storage)
	outcome := ""
	switch {
	case errors.Is(err, host.ErrCorrupt), errors.Is(err, host.ErrIncompatible):
		outcome = "is reported: " + err.Error()
	case err != nil:
		w.fail(ByStart, "a bit of byte %d of %s has flipped, and the start says: %v", f.offset, f.file, err)
	case found.last.Number == last.Number:
		outcome = "is harmless"
		w.compareTwins(fmt.Sprintf("was rebuilt although a bit of byte %d of %s has flipped", f.offset, f.file), found.engines)
	default:
		cut := found.host.(*embedded.Host).Recovered()
		if found.last.Number+1 < last.Number || f.file != f.newest || cut.CutFile != "" && cut.CutOffset > f.offset {
			w.fail(ByDurability, "a bit of byte %d of %s has flipped, and the log ends with frame %d instead of %d: %+v",
				f.offset, f.file, found.last.Number, last.Number, cut)
		}
		outcome = "cuts off the last frame"
	}
	w.trace.line(w.clock, "fault: a bit of byte %d of %s has flipped, which %s", f.offset, f.file, outcome)
}
