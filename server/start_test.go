package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/host"
)

// Goal: whoever starts a server that cannot start reads why, and what to do;
// who starts it again on its data need not remember how it was made. Method:
// real directories and ports, and a second process where two are meant.

// childVariable names the data directory to a process that is to serve it.
const childVariable = "HOLDFAST_TEST_CHILD"

// TestMain is a server instead of the tests if the variable is set.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		os.Exit(serveAsChild(dir))
	}
	os.Exit(m.Run())
}

// serveAsChild is what Main does, for somebody who does not wait for a lock.
func serveAsChild(dir string) (code int) {
	line := CommandLine{LogFormat: "json", Config: Config{DataDir: dir, Listen: "127.0.0.1:0", LockWait: 50 * time.Millisecond}}
	err := line.Serve(context.Background(), mortalApp(), os.Stderr)
	return exitCode(os.Stderr, "tally", err)
}

func childProcess(t *testing.T, dir string) *exec.Cmd {
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+dir)
	return child
}

// TestSecondProcessOnTheSameDataIsRefused: it says who is in the way, ends with
// exit code 1, and the first one does not notice.
func TestSecondProcessOnTheSameDataIsRefused(t *testing.T) {
	dir := t.TempDir()
	first := startServer(t, Config{DataDir: dir}).waitReady()
	began := time.Now()
	output, err := childProcess(t, dir).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("the second process ended with %v, want exit code 1", err)
	}
	for _, part := range []string{"tally: the data directory is in use", "waited 50ms", "stop that process, or name another directory"} {
		if !strings.Contains(string(output), part) {
			t.Errorf("the second process does not say %q: %s", part, output)
		}
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the second process waited %v, want 50ms and a start", took)
	}
	first.expect("POST", "/v1/entities/tally/a/add", "1", 200, "1")
	if err := first.end(); err != nil {
		t.Error(err)
	}
}

// TestLockIsWaitedFor: the old process is still shutting down when a supervisor
// starts the new one.
func TestLockIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	first := startServer(t, Config{DataDir: dir}).waitReady()
	if err := startServer(t, Config{DataDir: dir, LockWait: -1}).wait(); !errors.Is(err, ErrDataInUse) || !errors.Is(err, host.ErrInUse) {
		t.Errorf("got %v from a server that does not wait, want ErrDataInUse", err)
	}
	second := startServer(t, Config{DataDir: dir, LockWait: 20 * time.Second}).waitAddress()
	second.expect("GET", "/readyz", "", 503, "")
	if err := first.end(); err != nil {
		t.Error(err)
	}
	if err := second.waitReady().end(); err != nil {
		t.Error(err)
	}
}

// TestPartitionsAreAdopted: zero is what the directory was made for, and the
// default for a new one.
func TestPartitionsAreAdopted(t *testing.T) {
	for made, want := range map[int]int{3: 3, 0: PartitionsDefault} {
		dir := filepath.Join(t.TempDir(), "data")
		for _, partitions := range []int{made, 0, want} {
			s := startServer(t, Config{DataDir: dir, Partitions: partitions}).waitReady()
			s.expect("POST", "/v1/entities/tally/a/add", "1", 200, "")
			if err := s.end(); err != nil {
				t.Fatal(err)
			}
		}
		format, err := os.ReadFile(filepath.Join(dir, "FORMAT"))
		if err != nil || !strings.Contains(string(format), "\npartitions "+map[int]string{3: "3", PartitionsDefault: "64"}[want]+"\n") {
			t.Errorf("made for %d: FORMAT is %q, %v; want %d partitions", made, format, err, want)
		}
		err = startServer(t, Config{DataDir: dir, Partitions: want + 1}).wait()
		if !errors.Is(err, ErrIncompatible) || !strings.Contains(err.Error(), "the number is fixed when a directory is made") {
			t.Errorf("another number: got %v, want ErrIncompatible", err)
		}
	}
}

// TestDamagedFormatIsNotTakenForANewDirectory: nothing is guessed.
func TestDamagedFormatIsNotTakenForANewDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := startServer(t, Config{DataDir: dir, Partitions: 2}).waitReady().end(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "FORMAT"), []byte("holdfast"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := startServer(t, Config{DataDir: dir}).wait(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

// runLine runs a command line of an application that is expected to end.
func runLine(t *testing.T, arguments ...string) (code int, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var buffer bytes.Buffer
	code = run(ctx, tallyApp(), append([]string{"/somewhere/tally", "serve"}, arguments...), io.Discard, &buffer)
	if ctx.Err() != nil {
		t.Errorf("%q: it served until it was stopped", arguments)
	}
	return code, buffer.String()
}

func TestFileInPlaceOfTheDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{{"--data", file}, {"--data", filepath.Join(file, "below")}, {"--data", file, "--partitions", "2"}} {
		code, stderr := runLine(t, append(arguments, "--listen", "127.0.0.1:0")...)
		if code != 2 || !strings.Contains(stderr, file) || !strings.Contains(stderr, "not a directory; the data needs a directory") {
			t.Errorf("%q: got %d, %s; want 2 and what to do", arguments, code, stderr)
		}
	}
}

func TestDirectoryWithoutPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere: modes of directories do not hold it back")
	}
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	code, stderr := runLine(t, "--data", filepath.Join(closed, "data"), "--listen", "127.0.0.1:0")
	if code != 1 || !strings.Contains(stderr, "not permitted") || !strings.Contains(stderr, "must be able to read and write") {
		t.Errorf("got %d, %s; want 1 and what to do", code, stderr)
	}
}

// TestPermissionIsExplained: as the test above, for root as well.
func TestPermissionIsExplained(t *testing.T) {
	s := startServer(t, Config{Host: openMemory(t)}, func(s *Server) {
		s.start = func(context.Context, host.Host) (running, error) {
			return nil, &fs.PathError{Op: "open", Path: "data/LOCK", Err: syscall.EACCES}
		}
	})
	if err := s.wait(); !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), "change the owner or mode") {
		t.Errorf("got %v, want ErrPermission and what to do", err)
	}
}

// TestPortInUseLeavesTheDataAlone: there is an exit code and advice, and no
// directory was made.
func TestPortInUseLeavesTheDataAlone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := filepath.Join(t.TempDir(), "data")
	code, stderr := runLine(t, "--data", dir, "--listen", l.Addr().String())
	if code != 1 || !strings.HasPrefix(stderr, "tally: the address is in use") || !strings.Contains(stderr, "--listen") {
		t.Errorf("got %d, %s; want 1 and what to do", code, stderr)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the data directory: got %v, want that it was not made", err)
	}
	if code, stderr = runLine(t, "--data", dir, "--listen", "192.0.2.1:0"); code != 2 || !strings.Contains(stderr, "does not have the address") {
		t.Errorf("an address of nobody: got %d, %s; want 2 and what to do", code, stderr)
	}
}

// TestServerThatServesNothingSaysSo: without an application it starts, and
// warns; an application that is empty by mistake is refused.
func TestServerThatServesNothingSaysSo(t *testing.T) {
	for _, c := range []struct {
		config Config
		says   string
	}{
		{Config{WithoutApp: true}, "this server has no application"},
		{Config{App: tallyApp()}, ""},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		log := &watchedBuffer{text: "serving", seen: func() {}}
		c.config.Host, c.config.Listen, c.config.Logger = openMemory(t), "127.0.0.1:0", slog.New(slog.NewTextHandler(log, nil))
		s, err := New(c.config)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-s.Ready()
			cancel()
		}()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		warned := strings.Contains(log.String(), "level=WARN")
		if warned != (c.says != "") || !strings.Contains(log.String(), c.says) {
			t.Errorf("got %s, want %q", log, c.says)
		}
	}
	if _, err := New(Config{App: holdfast.NewApp("idle"), Host: openMemory(t)}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "app idle serves nothing") {
		t.Errorf("an empty app: got %v, want ErrInvalid", err)
	}
}
