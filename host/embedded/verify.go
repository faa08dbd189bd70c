package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Report says what Verify found in a data directory.
type Report struct {
	Dir      string
	Identity host.Identity
	// Running says that a process has the directory open: what follows is what
	// was there for a moment, and the end of the log was being written.
	Running bool
	Holder  string // who has it, in words

	Segments    []SegmentReport
	FirstFrame  msg.FrameNumber // 0 if there is none
	LastFrame   msg.FrameNumber
	Frames      int
	Records     int64 // that end in these frames
	FrameBytes  int64 // of payloads
	Epoch       msg.Epoch
	Checkpoints []CheckpointReport

	// Sealed says that the last frame is known to be complete. If it is not,
	// damage to it cannot be told from a torn write.
	Sealed bool
	// TornFile and TornOffset say where a torn write will be cut off when the
	// directory is opened; empty if there is none. TornReason says what is
	// wrong with it.
	TornFile   string
	TornOffset int64
	TornReason error

	// Problems is all damage that was found.
	Problems []error
}

// SegmentReport describes a file of the log.
type SegmentReport struct {
	Name       string
	Number     uint64
	Epoch      msg.Epoch // newest when it was begun
	FirstFrame msg.FrameNumber
	LastFrame  msg.FrameNumber // FirstFrame-1 if it has none
	Bytes      int64           // up to the end of its last frame or seal
}

// CheckpointReport describes a current checkpoint.
type CheckpointReport struct {
	host.Checkpoint
	Name   string
	Slices int
}

// verifyAttempts is how often a directory in use is read again before damage is
// reported: a file may be trimmed, and a frame written, while it is read.
const verifyAttempts = 3

// Verify reads everything in a data directory and checks it: every segment,
// frame and seal, the chain of hashes, every checkpoint, and that the log
// reaches back to each of them. It changes nothing and needs no more than the
// permission to read. A process may have the directory open: see
// Report.Running.
//
// The error joins all problems. Damage matches host.ErrCorrupt.
func Verify(dir string) (Report, error) { return verify(osFS{}, dir) }

// verify is Verify on any disk.
func verify(files FS, dir string) (Report, error) {
	var report Report
	var seen []string
	for attempt := 1; ; attempt++ {
		v := verifier{config: Config{Dir: dir, FS: files}}
		if err := v.run(); err != nil {
			return v.report, fmt.Errorf("verify data directory %s: %w", dir, explain(err))
		}
		report = v.report
		// Of a directory in use, only damage that stays is damage.
		report.Problems = slices.DeleteFunc(report.Problems, func(problem error) bool {
			return attempt > 1 && !slices.Contains(seen, problem.Error())
		})
		if len(report.Problems) == 0 {
			return report, nil
		}
		if !report.Running || attempt == verifyAttempts {
			return report, fmt.Errorf("verify data directory %s: %w", dir, errors.Join(report.Problems...))
		}
		seen = nil
		for _, problem := range report.Problems {
			seen = append(seen, problem.Error())
		}
	}
}

// verifier collects a report.
type verifier struct {
	config Config
	report Report
}

// run reads everything once. It returns an error only if nothing can be said.
func (v *verifier) run() error {
	files, dir := v.config.FS, v.config.Dir
	v.report.Dir = dir
	var err error
	if v.report.Holder, err = files.Holder(filepath.Join(dir, lockName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	v.report.Running = v.report.Holder != ""
	if v.report.Identity, err = readFormat(files, dir); err != nil {
		return notADirectory(dir, err)
	}
	if err := v.log(); err != nil {
		return err
	}
	v.checkpoints()
	return nil
}

// notADirectory says what a missing FORMAT file means.
func notADirectory(dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is not a data directory of holdfast, or its making was interrupted", err, dir)
	}
	return err
}

// problem notes damage.
func (v *verifier) problem(err error) { v.report.Problems = append(v.report.Problems, err) }

// log checks the segments.
func (v *verifier) log() error {
	numbers, err := listNumbered(v.config.FS, v.config.Dir, segmentSuffix)
	if err != nil {
		return err
	}
	if len(numbers) == 0 {
		v.problem(fmt.Errorf("%s: %w: the log is missing", filepath.Join(v.config.Dir, logDirectory), host.ErrCorrupt))
	}
	var before *segment
	for i, number := range numbers {
		s, err := readSegmentHeader(v.config.FS, segmentName(v.config.Dir, number), number)
		if err != nil {
			v.problem(err)
			before = nil // where it ends is not known
			continue
		}
		if before != nil {
			v.closed(before, &s)
		}
		before = &s
		if i == len(numbers)-1 {
			v.last(&s)
		}
	}
	return nil
}

// closed checks a segment that the next one ends.
func (v *verifier) closed(s, next *segment) {
	if err := s.endAt(next, v.config.Dir); err != nil {
		v.problem(err)
		return
	}
	var previous host.FrameHash
	readSegment(&v.config, s, s.first, func(f host.Frame, err error) bool {
		if err != nil {
			v.problem(err)
			return false
		}
		previous = f.Hash()
		v.frame(&f)
		return true
	})
	if s.last >= s.first && previous != next.previous && len(v.report.Problems) == 0 {
		v.problem(corrupt(next.name, 0, "the header does not name the hash of frame %d before it", s.last))
	}
	v.segment(s)
}

// last checks the segment at the end of the log.
func (v *verifier) last(s *segment) {
	t, err := findTail(&v.config, []segment{*s})
	if err != nil {
		v.problem(err)
		return
	}
	s.end, s.last = t.end, t.number
	readSegment(&v.config, s, s.first, func(f host.Frame, err error) bool {
		if err != nil {
			v.problem(err)
			return false
		}
		v.frame(&f)
		return true
	})
	v.segment(s)
	v.report.Sealed = !t.unproven
	v.report.Epoch = t.epoch
	if t.torn && !v.report.Running {
		v.report.TornFile, v.report.TornOffset, v.report.TornReason = s.name, t.end, t.reason
	}
}

// frame counts a frame.
func (v *verifier) frame(f *host.Frame) {
	if v.report.Frames == 0 {
		v.report.FirstFrame = f.Number
	}
	v.report.LastFrame = f.Number
	v.report.Frames++
	v.report.Records += int64(f.Count)
	v.report.FrameBytes += int64(len(f.Payload))
}

// segment lists a segment.
func (v *verifier) segment(s *segment) {
	v.report.Segments = append(v.report.Segments, SegmentReport{
		Name: s.name, Number: s.number, Epoch: s.epoch, FirstFrame: s.first, LastFrame: s.last, Bytes: s.end,
	})
}

// checkpoints checks the files that the manifest names.
func (v *verifier) checkpoints() {
	name := filepath.Join(v.config.Dir, checkpointDirectory, manifestName)
	text, err := readSmall(v.config.FS, name)
	var current manifest
	if err == nil {
		current, err = decodeManifest(name, text)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s: %w: the file is missing", name, host.ErrCorrupt)
	}
	if err != nil {
		v.problem(err)
		return
	}
	for _, c := range current.sorted() {
		v.checkpoint(c)
	}
}

// checkpoint reads one checkpoint, and compares it with the log.
func (v *verifier) checkpoint(c published) {
	found := CheckpointReport{Checkpoint: c.Checkpoint, Name: checkpointName(v.config.Dir, c.Partition, c.sequence)}
	readSlices(v.config.FS, v.config.Dir, c, func(_ []byte, err error) bool {
		if err != nil {
			v.problem(err)
			return false
		}
		found.Slices++
		return true
	})
	v.report.Checkpoints = append(v.report.Checkpoints, found)
	if len(v.report.Segments) == 0 {
		return
	}
	if oldest := v.report.Segments[0].FirstFrame; c.Frame != 0 && c.Frame < oldest {
		v.problem(fmt.Errorf("%s: %w: the checkpoint of partition %d needs the log from frame %d on, the oldest is %d",
			v.report.Segments[0].Name, host.ErrCorrupt, c.Partition, c.Frame, oldest))
	}
}

// Frames yields the frames of a data directory, oldest first, without opening
// it: for looking into a log. It changes nothing. Payloads are valid until the
// next one. A torn end is left out; damage is an error, and the last one.
func Frames(dir string) iter.Seq2[host.Frame, error] { return offlineFrames(osFS{}, dir) }

// offlineFrames is Frames on any disk.
func offlineFrames(files FS, dir string) iter.Seq2[host.Frame, error] {
	return func(yield func(host.Frame, error) bool) {
		config := Config{Dir: dir, FS: files}
		segments, err := offlineSegments(&config)
		if err != nil {
			yield(host.Frame{}, fmt.Errorf("read the log in %s: %w", dir, explain(err)))
			return
		}
		readFrames(&config, segments, 0)(yield)
	}
}

// offlineSegments finds the segments and their ends.
func offlineSegments(config *Config) ([]segment, error) {
	if _, err := readFormat(config.FS, config.Dir); err != nil {
		return nil, notADirectory(config.Dir, err)
	}
	segments, err := readSegmentHeaders(config.FS, config.Dir)
	if err != nil {
		return nil, err
	}
	if len(segments) == 0 {
		return nil, fmt.Errorf("%s: %w: the log is missing", filepath.Join(config.Dir, logDirectory), host.ErrCorrupt)
	}
	t, err := findTail(config, segments)
	if err != nil {
		return nil, err
	}
	last := &segments[len(segments)-1]
	last.end, last.last = t.end, t.number
	return segments, nil
}
