package embedded

// Goal: a real process that is killed at any moment loses nothing that it
// acknowledged. The simulated disk proves more, and faster; this proves that
// the simulation and the machine agree.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// childVariable names the data directory to a process that is to be killed.
const childVariable = "HOLDFAST_TEST_CHILD"

func childConfig(directory string) Config {
	return Config{Dir: directory, Identity: host.Identity{Partitions: 4}, FrameBytesMax: 64 << 10, SegmentBytes: 512 << 10, FirstSegmentBytes: 64 << 10}
}

// TestMain runs a child if the variable is set.
func TestMain(m *testing.M) {
	if directory := os.Getenv(childVariable); directory != "" {
		fmt.Println(child(directory))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child writes frames until it is killed, and says which were acknowledged.
func child(directory string) error {
	h, err := Open(childConfig(directory))
	if err != nil {
		return err
	}
	copy(h.Marks(), "in progress")
	epoch, last, err := h.Log().Acquire(context.Background())
	if err != nil {
		return err
	}
	for {
		f := host.Frame{Epoch: epoch, Number: last.Number + 1, Count: 1, Payload: make([]byte, last.Number*977%20_000)}
		if last.Number > 0 {
			f.Previous = last.Hash()
		}
		if err := h.Log().Append(&f); err != nil {
			return err
		}
		fmt.Println("acknowledged", f.Number)
		if last = f; last.Number%50 != 0 {
			continue
		}
		if err := publishOne(h, last.Number); err != nil {
			return err
		}
	}
}

// publishOne makes a checkpoint and trims the log up to it.
func publishOne(h *Host, number msg.FrameNumber) error {
	w, err := h.Snapshots().Create(0)
	if err != nil {
		return err
	}
	err = errors.Join(w.Write(make([]byte, 1000)), w.Sync())
	if err == nil {
		c := host.Checkpoint{Start: msg.Index(number), End: msg.Index(number), Frame: number}
		err = h.Snapshots().Publish([]host.Published{{Checkpoint: c, Writer: w}})
	}
	return errors.Join(err, h.Log().Trim(number))
}

func TestKilledProcessesLoseNothing(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "data")
	acknowledged := msg.FrameNumber(0)
	for round := range 6 {
		last := killAfter(t, directory, 20+round*37)
		if last <= acknowledged {
			t.Fatalf("round %d: the process went on from frame %d, want behind %d", round, last, acknowledged)
		}
		acknowledged = last
		report, err := Verify(directory)
		if err != nil {
			t.Fatal(err)
		}
		if report.LastFrame < acknowledged || report.LastFrame > acknowledged+64 {
			t.Fatalf("round %d: the last frame is %d, %d was acknowledged", round, report.LastFrame, acknowledged)
		}
	}
	h := mustOpenHost(t, childConfig(directory))
	if got := string(h.Marks()[:11]); got != "in progress" {
		t.Errorf("marks after a kill: got %q", got)
	}
	last := msg.FrameNumber(0)
	for f, err := range h.Log().Frames(1) {
		if err != nil {
			t.Fatal(err)
		}
		last = f.Number
	}
	if last < acknowledged {
		t.Errorf("the last frame is %d, %d was acknowledged", last, acknowledged)
	}
	mustClose(t, h)
}

// killAfter runs a child, kills it with SIGKILL after that many lines, and
// gives the last frame that it acknowledged.
func killAfter(t *testing.T, directory string, lines int) (last msg.FrameNumber) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+directory)
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(output)
	for n := 0; scanner.Scan(); {
		var number msg.FrameNumber
		if _, err := fmt.Sscanf(scanner.Text(), "acknowledged %d", &number); err != nil {
			t.Errorf("the child says %q", scanner.Text())
			continue
		}
		last = number
		if n++; n == lines {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // it was killed: the error says so
	return last
}
