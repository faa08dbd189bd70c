package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

// Goal: a replay shows what was there, by flags and by lines, and says what it did
// not understand. Method: the log of a server that has run here.

func TestReplay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	writeLog(t, dir) // a is 4, b is 4 and then 8
	run := func(stdin string, arguments ...string) outcome {
		t.Helper()
		return runAt(t, "", stdin, append([]string{"log", "replay", "--data", dir}, arguments...)...)
	}
	if got := run("", "--json", "--do", "show tally b"); got.code != 0 || !strings.Contains(got.stdout, `"state":{"N":8}`) {
		t.Errorf("at the end: got %+v", got)
	}
	got := run("", "--json", "--do", "goto 0", "--do", "find tally b", "--do", "show tally b", "--do", "find tally b", "--do", "show tally b")
	if first, second := strings.Index(got.stdout, `"state":{"N":4}`), strings.Index(got.stdout, `"state":{"N":8}`); got.code != 0 || first < 0 || second < first {
		t.Errorf("step by step: got %+v", got)
	}
	if got := run("", "--do", "list tally"); got.code != 0 || got.stdout != "tally a\ntally b\n" {
		t.Errorf("list: got %+v", got)
	}
	got = run("show tally a\nback 100\nshow tally a\ndance\nprevious tally a\nmessages\nhelp\nquit\nshow tally b\n")
	for _, want := range []string{"position ", "\"N\": 4\n", "  find KIND KEY"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("by lines: %q is not in %s", want, got.stdout)
		}
	}
	for _, want := range []string{"at position 0 there was no tally/a", `"dance" is no command of a replay`, "no record before this one is about tally/a"} {
		if got.code != 0 || !strings.Contains(got.stderr, want) {
			t.Errorf("by lines: code %d, and %q is not in %s", got.code, want, got.stderr)
		}
	}
	if strings.Contains(got.stdout, `"N": 8`) {
		t.Error("it went on after quit")
	}
	for command, code := range map[string]int{
		"dance": 2, "show tally": 2, "goto far": 2, "step -1": 2, "time noon": 2, "goto 1000000": 1, "frame 1000000": 1, "show tally c": 1, "time 1970-01-02T00:00:00Z": 0,
	} {
		if got := run("", "--do", command); got.code != code || (code == 0) != (got.stderr == "") {
			t.Errorf("%s: got %+v, want code %d", command, got, code)
		}
	}
	if got := runAt(t, "", "", "log", "replay", "--data", filepath.Join(dir, "nowhere")); got.code != 1 || !strings.Contains(got.stderr, "no data directory") {
		t.Errorf("replay of nothing: got %+v", got)
	}
	damage(t, dir)
	if got := run("", "--do", "where"); got.code != 1 || !strings.Contains(got.stderr, "corrupt") {
		t.Errorf("replay of a damaged log: got %+v", got)
	}
}
