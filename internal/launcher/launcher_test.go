package launcher

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Goal: what an application that is run sees and shows, and that it never stays
// behind. Method: shell commands, and for the parent's death this test itself as
// a parent that is killed.

func TestMain(m *testing.M) {
	if file := os.Getenv("LAUNCHER_TEST_PARENT"); file != "" {
		p, err := Start(Config{Command: []string{"sleep", "60"}, Stdout: os.Stdout, Stderr: os.Stderr})
		if err != nil {
			os.Exit(1)
		}
		_ = os.WriteFile(file+".new", []byte(strconv.Itoa(p.Pid())), 0o600)
		_ = os.Rename(file+".new", file)
		<-p.Exited()
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// buffer may be written to and read at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// run runs a shell command to its end.
func run(t *testing.T, script string, environment ...string) (code int, out, errors string) {
	t.Helper()
	var stdout, stderr buffer
	p, err := Start(Config{Command: []string{"sh", "-c", script}, Environment: environment, Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Exited()
	return p.Code(), stdout.String(), stderr.String()
}

func TestOutputHasTimeAndPrefix(t *testing.T) {
	code, out, errors := run(t, `echo one; echo "$MINE"; echo bad >&2; printf last`, "MINE=two")
	line := regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} \[(STDOUT|STDERR)\] (.*)$`)
	var got []string
	for _, m := range line.FindAllStringSubmatch(out+errors, -1) {
		got = append(got, m[1]+" "+m[2])
	}
	if want := "STDOUT one, STDOUT two, STDOUT last, STDERR bad"; code != 0 || strings.Join(got, ", ") != want {
		t.Errorf("got %d %q, want %s; output %q %q", code, got, want, out, errors)
	}
}

func TestALineWithoutEndIsBroken(t *testing.T) {
	_, out, _ := run(t, `head -c 200000 /dev/zero | tr '\0' x`)
	if n := strings.Count(out, "\n"); n < 3 || n > 5 {
		t.Errorf("%d lines of 200,000 bytes, want one for each 64 KiB", n)
	}
	if n := strings.Count(out, "x"); n != 200000 {
		t.Errorf("%d bytes came through, want 200000", n)
	}
}

func TestExitCodesArePassedOn(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -9 $$": 137, "kill -TERM $$": 143} {
		if code, _, _ := run(t, script); code != want {
			t.Errorf("%s: code %d, want %d", script, code, want)
		}
	}
	if _, err := Start(Config{Command: []string{"/does/not/exist"}}); err == nil {
		t.Error("a command that does not exist was started")
	}
}

func TestStopAsksAndThenKills(t *testing.T) {
	var out buffer
	p, err := Start(Config{Command: []string{"sh", "-c", "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.01; done"}, Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return strings.Contains(out.String(), "ready") })
	p.Stop(10 * time.Second)
	if p.Code() != 3 || !strings.Contains(out.String(), "asked") {
		t.Errorf("code %d, output %q", p.Code(), out.String())
	}
	p, err = Start(Config{Command: []string{"sh", "-c", "trap '' TERM; echo ready again; while :; do sleep 0.01; done"}, Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return strings.Contains(out.String(), "ready again") })
	p.Stop(50 * time.Millisecond)
	if p.Code() != 137 {
		t.Errorf("code %d, want 137: it was killed", p.Code())
	}
}

// TestTheProcessDiesWithItsParent kills a parent in a way that it cannot notice.
func TestTheProcessDiesWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets a process die with its parent")
	}
	file := filepath.Join(t.TempDir(), "pid")
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "LAUNCHER_TEST_PARENT="+file)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	wait(t, func() bool {
		b, _ := os.ReadFile(file)
		pid, _ = strconv.Atoi(string(b))
		return pid > 0
	})
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	wait(t, func() bool { return gone(pid) })
}

// gone reports whether a process has ended. Nobody may have waited for it.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func wait(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}
