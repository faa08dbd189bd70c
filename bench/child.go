package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast"
)

// noInput is the input of a read that has none.
var noInput = holdfast.None

// errEnded says that a process went away that should have said something.
var errEnded = errors.New("the process that is measured has ended")

// child is this program in a process of its own.
type child struct {
	command *exec.Cmd
	began   time.Time
	lines   chan []byte
	ended   chan struct{}
	err     error // how it ended; set before ended is closed
}

func startChild(stderr io.Writer, arguments []string, environment ...string) (*child, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	c := &child{command: exec.Command(executable, arguments...), lines: make(chan []byte, 2), ended: make(chan struct{})}
	c.command.SysProcAttr = dependent()
	c.command.Env = append(os.Environ(), environment...)
	c.command.Stderr = stderr
	output, err := c.command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a process to measure: %w", err)
	}
	started := make(chan error, 1)
	go c.own(started, output)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start a process to measure: %w", err)
	}
	return c, nil
}

// own starts the process and waits for it, on one thread: on Linux the process
// is killed when the thread that started it ends.
func (c *child) own(started chan<- error, output io.Reader) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(c.ended)
	c.began = time.Now()
	err := c.command.Start()
	started <- err
	if err != nil {
		return
	}
	for lines := bufio.NewScanner(output); lines.Scan(); {
		select {
		case c.lines <- append([]byte(nil), lines.Bytes()...):
		default: // more than anybody waits for
		}
	}
	c.err = c.command.Wait()
}

// line waits for the next line and reads it.
func (c *child) line(ctx context.Context, into any) error {
	select {
	case line := <-c.lines:
		return parseLine(line, into)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.ended:
	}
	select {
	case line := <-c.lines:
		return parseLine(line, into)
	default:
		return fmt.Errorf("%w: %w", errEnded, errors.Join(c.err))
	}
}

// wait lets time pass in which the process should not end.
func (c *child) wait(ctx context.Context, howLong time.Duration) error {
	timer := time.NewTimer(howLong)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.ended:
		return fmt.Errorf("%w: %w", errEnded, errors.Join(c.err))
	}
}

// kill ends the process with SIGKILL.
func (c *child) kill() {
	_ = c.command.Process.Kill() // an error says that it has ended
	<-c.ended
}

// recoveryLog takes what the server says about its recovery out of its log.
type recoveryLog struct {
	slog.Handler
	mu   sync.Mutex
	said map[string]int64
}

func (l *recoveryLog) logger() *slog.Logger { return slog.New(l) }

// Enabled implements slog.Handler.
func (l *recoveryLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// Handle implements slog.Handler.
func (l *recoveryLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "recovered" {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.said = map[string]int64{}
		r.Attrs(func(a slog.Attr) bool {
			switch v := a.Value; v.Kind() {
			case slog.KindInt64:
				l.said[a.Key] = v.Int64()
			case slog.KindUint64:
				l.said[a.Key] = int64(v.Uint64())
			}
			return true
		})
	}
	if !l.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

func (l *recoveryLog) recovered() recovered {
	l.mu.Lock()
	defer l.mu.Unlock()
	return recovered{
		RecoveredEntities: l.said["entities"], RecoveredRecords: l.said["records"],
		RecoveredFrames: l.said["frames"], Checkpoints: l.said["checkpoints"],
	}
}
