package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: every workload measures something on the smallest scale, says it in the
// fields that programs read, and leaves nothing behind. Method: run the command
// with a very short duration. Figures are not judged: a test machine is busy.

// TestMain is also the program that the workload entities starts.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != "bench" {
		os.Exit(m.Run())
	}
	if err := command(context.Background(), os.Args[2:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// command is the command bench without the ones around it.
func command(ctx context.Context, arguments []string, stdout, stderr io.Writer) error {
	var o Options
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	o.Register(set)
	set.BoolVar(&o.JSON, "json", false, "")
	if err := set.Parse(arguments); err != nil {
		return err
	}
	return Run(ctx, o, stdout, stderr)
}

// runBench runs the command in a directory that must be empty afterwards.
func runBench(t *testing.T, ctx context.Context, arguments ...string) (stdout, stderr string, err error) {
	t.Helper()
	directory := t.TempDir()
	if inMemory(directory) {
		t.Skip("the directory for temporary files is in memory, which bench refuses; set TMPDIR to a directory on a disk")
	}
	var out, messages bytes.Buffer
	err = command(ctx, append(arguments, "--data", directory), &out, &messages)
	left, listErr := os.ReadDir(directory)
	if listErr != nil || len(left) > 0 {
		t.Errorf("bench leaves %v (error %v), want nothing", left, listErr)
	}
	goleak.VerifyNone(t)
	return out.String(), messages.String(), err
}

// promised are the fields that the guide names.
var promised = []string{
	"workload", "concurrency", "keys", "ops_per_second", "p50_us", "p99_us", "cpu_us_per_op",
	"syncs_per_second", "frame_mean", "fdatasync_p50_us", "gomaxprocs",
}

// ordinary are the workloads of "all".
var ordinary = []string{"update", "hot", "read", "send", "chain", "http", "http-send", "workflow5", "local5", "fanout", "pingpong", "lock2", "event2"}

func TestEveryLineHasTheFieldsThatProgramsRead(t *testing.T) {
	stdout, stderr, err := runBench(t, t.Context(),
		"--workload", "all", "--concurrency", "1,3", "--keys", "50", "--duration", "40ms", "--json")
	if err != nil || stderr != "" {
		t.Fatalf("got error %v and %q, want none", err, stderr)
	}
	var seen []string
	for line := range strings.Lines(stdout) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		name := fmt.Sprint(fields["workload"], " ", fields["concurrency"])
		seen = append(seen, name)
		number := func(field string) float64 { n, _ := fields[field].(float64); return n }
		for _, field := range promised {
			if _, ok := fields[field]; !ok {
				t.Errorf("%s has no field %s", name, field)
			}
		}
		writes := !strings.HasPrefix(name, "read")
		for field, positive := range map[string]bool{
			"ops_per_second": true, "p50_us": true, "p99_us": true, "fdatasync_p50_us": true, "gomaxprocs": true,
			"syncs_per_second": writes, "frame_mean": writes, "errors": false,
			"bare_http_ops_per_second": strings.HasPrefix(name, "http"),
			"update_p50_us":            strings.HasPrefix(name, "chain") || strings.Contains(name, "5 ") || strings.Contains(name, "2 "),
		} {
			if got := number(field); (got > 0) != positive {
				t.Errorf("%s: %s is %v, want above zero: %v", name, field, got, positive)
			}
		}
		if number("p50_us") > number("p99_us") || number("p99_us") > number("max_us") {
			t.Errorf("%s: percentiles are not in order: %s", name, line)
		}
	}
	var want []string
	for _, name := range ordinary {
		want = append(want, name+" 1", name+" 3")
	}
	if !slices.Equal(seen, want) {
		t.Errorf("lines are %v, want %v", seen, want)
	}
}

func TestTheTableHasALineForEach(t *testing.T) {
	stdout, _, err := runBench(t, t.Context(), "--workload", "hot,http", "--concurrency", "2", "--keys", "10", "--duration", "20ms")
	lines := strings.Split(stdout, "\n")
	if err != nil || len(lines) != 5 || !strings.HasPrefix(lines[0], "workload ") || !strings.HasPrefix(lines[1], "hot ") ||
		!strings.HasPrefix(lines[2], "http ") || !strings.Contains(lines[3], "a bare echo") {
		t.Errorf("got error %v and\n%s", err, stdout)
	}
}

func TestProfilesAreWritten(t *testing.T) {
	directory := t.TempDir()
	cpu, allocations := filepath.Join(directory, "cpu"), filepath.Join(directory, "allocations")
	_, _, err := runBench(t, t.Context(), "--workload", "update,http", "--concurrency", "2", "--keys", "10", "--duration", "100ms",
		"--cpu-profile", cpu, "--allocation-profile", allocations)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{cpu, allocations} {
		info, err := os.Stat(name)
		if err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, error %v, want a profile", name, info, err)
		}
	}
}

func TestEntitiesRecoverAfterAKill(t *testing.T) {
	stdout, stderr, err := runBench(t, t.Context(),
		"--workload", "entities", "--concurrency", "4", "--keys", "500", "--duration", "20ms", "--json")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	var r entitiesResult
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%s: %v", stdout, err)
	}
	if r.Workload != "entities" || r.Keys != 500 || r.RecoveredEntities != 500+partitions || r.RecoveredRecords < 500 {
		t.Errorf("%d of %d entities recovered from %d records", r.RecoveredEntities, r.Keys, r.RecoveredRecords)
	}
	if r.RecoveryMS <= 0 || r.RestartMS < r.RecoveryMS || r.OpsPerSecond <= 0 || r.OtherPause <= 0 || r.DataBytes <= 0 {
		t.Errorf("a figure is missing: %s", stdout)
	}
	for _, field := range []string{"recovery_ms", "restart_ms", "checkpoint_pause_ms_max", "other_pause_ms_max", "checkpoints"} {
		if !strings.Contains(stdout, `"`+field+`":`) {
			t.Errorf("there is no field %s: %s", field, stdout)
		}
	}
}

// A call of fanout counts as a thousand activities, one of pingpong as a
// hundred messages: each of them wrote something.
func TestACallCountsAsWhatItDoes(t *testing.T) {
	stdout, stderr, err := runBench(t, t.Context(),
		"--workload", "fanout,pingpong", "--concurrency", "2", "--keys", "10", "--duration", "40ms", "--json")
	if err != nil || stderr != "" {
		t.Fatalf("got error %v and %q, want none", err, stderr)
	}
	for line := range strings.Lines(stdout) {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		each := map[string]uint64{"fanout": fanOut, "pingpong": rallyHits}[r.Workload]
		if each == 0 || r.Operations == 0 || r.Operations%each != 0 || r.LogBytesPerOp < 10 || r.LogBytesPerOp > 2000 {
			t.Errorf("%s: %d operations of %v bytes, want a multiple of %d", r.Workload, r.Operations, r.LogBytesPerOp, each)
		}
	}
}

func TestWorkflowsSleepWithoutWritingAnything(t *testing.T) {
	stdout, stderr, err := runBench(t, t.Context(), "--workload", "sleep", "--keys", "300", "--duration", "200ms", "--json")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	var r sleepResult
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%s: %v", stdout, err)
	}
	if r.Workload != "sleep" || r.Keys != 300 || r.SyncsAsleep != 0 || r.BytesEach <= 0 || r.OpsPerSecond <= 0 || r.WatchedSecond < 0.2 {
		t.Errorf("a figure is missing or wrong: %s", stdout)
	}
}

// TestAnEndLeavesNothing: Ctrl-C is the end of the context.
func TestAnEndLeavesNothing(t *testing.T) {
	for _, workload := range []string{"update", "send", "http", "workflow5", "pingpong", "sleep", "entities"} {
		why := errors.New("somebody was tired of it")
		ctx, cancel := context.WithCancelCause(t.Context())
		timer := time.AfterFunc(400*time.Millisecond, func() { cancel(why) })
		_, stderr, err := runBench(t, ctx, "--workload", workload, "--keys", "100", "--duration", "1m", "--concurrency", "2")
		if timer.Stop() || !errors.Is(err, why) {
			t.Errorf("%s: got error %v, want %v\n%s", workload, err, why, stderr)
		}
	}
}

func TestAFileSystemInMemoryIsRefused(t *testing.T) {
	const memory = "/dev/shm"
	if !inMemory(memory) {
		t.Skip("there is no file system in memory at " + memory)
	}
	before, err := os.ReadDir(memory)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	err = command(t.Context(), []string{"--data", memory + "/new/directory"}, &stdout, &stderr)
	if err == nil || !strings.Contains(err.Error(), "in memory, where a sync costs nothing") || !strings.Contains(err.Error(), "--data") {
		t.Errorf("got error %v, want a refusal that says what to do", err)
	}
	after, err := os.ReadDir(memory)
	if err != nil || len(after) > len(before) || stdout.Len() > 0 {
		t.Errorf("%d files before, %d after (error %v), printed %q", len(before), len(after), err, &stdout)
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ flags, says string }{
		{"--workload dance", `names "dance", want a list of update, hot,`},
		{"--workload update,", `names ""`},
		{"--workload entities-load,dance", "kar-session, or all"},
		{"--concurrency 1,0", `--concurrency has "0"`},
		{"--concurrency x", `--concurrency has "x"`},
		{"--keys -1", "--keys is -1"},
		{"--duration 0s", "--duration is 0s"},
		{"--data " + file + "/x", "make the directory for the log"},
		{"--cpu-profile " + file + "/x", "make the file of the profile"},
	} {
		err := command(t.Context(), strings.Fields(c.flags), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), workloadRecover) {
			t.Errorf("%s: got error %v, want %q", c.flags, err, c.says)
		}
	}
}

func TestAllIsEveryOrdinaryWorkloadOnce(t *testing.T) {
	chosen, err := parseWorkloads("hot,all,update")
	var names []string
	for _, w := range chosen {
		names = append(names, w.name)
	}
	if err != nil || names[0] != "hot" || names[1] != "update" || len(names) != len(ordinary) || !slices.Equal(names[2:], ordinary[2:]) {
		t.Errorf("got %v and error %v, want hot, update, and the others of %v", names, err, ordinary)
	}
}

func TestTheLinksOfAChainAreOnDifferentPartitions(t *testing.T) {
	a := newApplication(20, partitions)
	for _, chain := range a.chains {
		seen := map[msg.Partition]bool{}
		for _, key := range chain {
			seen[msg.PartitionOf(msg.Ref{Kind: "link", Key: key}, "", partitions)] = true
		}
		if len(seen) != chainLinks {
			t.Errorf("chain %v is on %d partitions, want %d", chain, len(seen), chainLinks)
		}
	}
}

// TestFillingEndsWithTheReason: what fails because somebody ended the run says
// why that was.
func TestFillingEndsWithTheReason(t *testing.T) {
	why, wrong := errors.New("somebody was tired of it"), errors.New("a key is missing")
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := fill(ctx, 10, func(int) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("got %v, want %v", err, wrong)
	}
	err := fill(ctx, 10, func(int) error { cancel(why); return ctx.Err() })
	if !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
	if err := fill(ctx, 10, func(int) error { return nil }); !errors.Is(err, why) {
		t.Errorf("got %v when it had ended before, want %v", err, why)
	}
}
