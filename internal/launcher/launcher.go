package launcher

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Config says what is run.
type Config struct {
	Command     []string
	Environment []string // added to that of this process
	Stdout      io.Writer
	Stderr      io.Writer
	Now         func() time.Time // nil: time.Now
}

// Process is a child process.
type Process struct {
	command *exec.Cmd
	exited  chan struct{}
	code    int
}

// outputGrace is how long output is waited for after the end of a process whose
// children have kept it open.
const outputGrace = time.Second

// Start starts the command. The goroutine that does so stays on its thread until
// the process has ended, because that thread's end would kill it.
func Start(c Config) (*Process, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &Process{command: exec.Command(c.Command[0], c.Command[1:]...), exited: make(chan struct{})}
	p.command.Env = append(os.Environ(), c.Environment...)
	p.command.SysProcAttr = &syscall.SysProcAttr{}
	dieWithParent(p.command.SysProcAttr)
	var lock sync.Mutex
	out := &prefixed{to: c.Stdout, prefix: "[STDOUT] ", now: c.Now, lock: &lock}
	failures := &prefixed{to: c.Stderr, prefix: "[STDERR] ", now: c.Now, lock: &lock}
	p.command.Stdout, p.command.Stderr = out, failures
	p.command.WaitDelay = outputGrace
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := p.command.Start()
		started <- err
		if err != nil {
			return
		}
		err = p.command.Wait()
		out.end()
		failures.end()
		p.code = exitCode(err)
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// exitCode is that of the process, or 128 and the signal that ended it.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return 0
	case !errors.As(err, &exit):
		return 1
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Code is the exit code of a process that has ended.
func (p *Process) Code() int { return p.code }

// Pid is the id of the process.
func (p *Process) Pid() int { return p.command.Process.Pid }

// Stop asks the process to end, and kills it after a grace. It returns when the
// process has ended.
func (p *Process) Stop(grace time.Duration) {
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.exited:
		return
	case <-time.After(grace):
	}
	p.Kill()
}

// Kill kills the process, and returns when it has ended.
func (p *Process) Kill() {
	_ = p.command.Process.Kill() // it may have ended
	<-p.exited
}

// lineMax is where a line without an end is broken.
const lineMax = 64 << 10

// prefixed writes whole lines with the time and a prefix.
type prefixed struct {
	to     io.Writer
	prefix string
	now    func() time.Time
	lock   *sync.Mutex // of both outputs, which may be one
	rest   []byte
}

// Write implements io.Writer.
func (p *prefixed) Write(b []byte) (int, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.rest = append(p.rest, b...)
	for {
		advance, line, _ := bufio.ScanLines(p.rest, false)
		if advance == 0 && len(p.rest) > lineMax {
			advance, line = lineMax, p.rest[:lineMax]
		}
		if advance == 0 {
			return len(b), nil
		}
		p.line(line)
		p.rest = append(p.rest[:0], p.rest[advance:]...)
	}
}

func (p *prefixed) line(line []byte) {
	text := p.now().AppendFormat(nil, "2006/01/02 15:04:05.000000 ")
	text = append(append(append(text, p.prefix...), line...), '\n')
	_, _ = p.to.Write(text) // an output that is closed is nobody's loss here
}

// end writes what has no end of line.
func (p *prefixed) end() {
	p.lock.Lock()
	defer p.lock.Unlock()
	if len(p.rest) > 0 {
		p.line(p.rest)
		p.rest = nil
	}
}
