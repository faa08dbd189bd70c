package drill

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// startTimeMax is how long a server may take to serve: a hundred times what
	// it does on an idle machine.
	startTimeMax = 30 * time.Second
	// stopTimeMax is how long it may take to stop in order.
	stopTimeMax = 30 * time.Second
	// logLinesMax is how much of its log is kept, to be shown after a failure.
	logLinesMax = 40
)

// process is a running server. Its log is read as people's tools would: a line
// that says "serving" has the address.
type process struct {
	command *exec.Cmd
	began   time.Time
	ended   chan struct{}
	address string
	err     error // how it ended; set before ended is closed
	log     *tail
}

// startProcess starts the program as a server on a directory and waits until it
// serves.
func startProcess(ctx context.Context, directory string, log *tail) (*process, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program that is to serve: %w", err)
	}
	p := &process{
		command: exec.Command(executable, "serve", "--data", directory, "--listen", "127.0.0.1:0", "--log-format", "json"),
		ended:   make(chan struct{}), log: log,
	}
	p.command.SysProcAttr = dependent()
	p.command.Env = append(os.Environ(), serverVariable+"=1")
	output, err := p.command.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	started, serving := make(chan error, 1), make(chan string, 1)
	go p.own(started, output, serving)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	return p, p.await(ctx, serving)
}

// serverVariable is in the environment of the servers. The test of this package
// is such a program, too.
const serverVariable = "HOLDFAST_DRILL_SERVER"

// own starts the process and reads its log until it has ended. On Linux the
// kernel kills the process when the thread that has started it ends, so the
// goroutine keeps its thread.
func (p *process) own(started chan<- error, output io.Reader, serving chan<- string) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.ended)
	p.began = time.Now()
	err := p.command.Start()
	started <- err
	if err != nil {
		return
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		p.log.add(lines.Text())
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			serving <- line.Address
		}
	}
	_, _ = io.Copy(io.Discard, output) // behind a line that is too long
	p.err = p.command.Wait()
}

func (p *process) await(ctx context.Context, serving <-chan string) error {
	timer := time.NewTimer(startTimeMax)
	defer timer.Stop()
	select {
	case p.address = <-serving:
		return nil
	case <-p.ended:
		return fmt.Errorf("the server ended before it served: %w", p.err)
	case <-timer.C:
		p.kill()
		return fmt.Errorf("the server does not serve within %v", startTimeMax)
	case <-ctx.Done():
		p.kill()
		return context.Cause(ctx)
	}
}

// running says whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill ends the process as a power cut of its own would: it cannot react.
func (p *process) kill() {
	_ = p.command.Process.Kill() // an error says that it has ended
	<-p.ended
}

// stop ends the process in order.
func (p *process) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	timer := time.NewTimer(stopTimeMax)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.kill()
		return fmt.Errorf("the server does not stop within %v", stopTimeMax)
	}
	if p.err != nil {
		return fmt.Errorf("the server did not stop in order: %w", p.err)
	}
	return nil
}

// tail keeps the last lines of a log.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines = append(t.lines, line); len(t.lines) > logLinesMax {
		t.lines = t.lines[1:]
	}
}

func (t *tail) all() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lines
}
