package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Run measures what the options say, one line after the other, and prints each
// to stdout when it is there. Progress goes to stderr. SIGINT and SIGTERM end
// it, and what was made on the disk is removed all the same.
func Run(ctx context.Context, options Options, stdout, stderr io.Writer) (err error) {
	if err := options.Validate(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{options: options, stdout: stdout, stderr: stderr, progress: newProgress(stderr)}
	b.table.to = stdout
	defer b.progress.end()
	if b.profiles, err = startProfiles(&options); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.profiles.close()) }()
	for _, w := range options.workloads {
		if err := b.workload(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

// bench is a run.
type bench struct {
	options        Options
	stdout, stderr io.Writer
	progress       *progress
	profiles       *profiles
	table          table
}

func (b *bench) workload(ctx context.Context, w *workload) error {
	for _, callers := range w.callers(b.options.callers) {
		if w.special != nil {
			if err := w.special(ctx, b, callers); err != nil {
				return err
			}
			continue
		}
		r, err := b.line(ctx, w, callers)
		if err != nil {
			return err
		}
		b.progress.clear()
		if err := b.print(r, func() error { return b.table.row(r) }); err != nil {
			return err
		}
	}
	return nil
}

func removeDirectory(name string) error {
	if err := os.RemoveAll(name); err != nil {
		return fmt.Errorf("remove what was measured with: %w", err)
	}
	return nil
}

// progress is a line that says what is being measured. It is written to
// terminals only: elsewhere the results are enough.
type progress struct {
	mu    sync.Mutex
	to    io.Writer
	shown bool
}

func newProgress(to io.Writer) *progress {
	file, ok := to.(*os.File)
	if !ok {
		return &progress{}
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&fs.ModeCharDevice == 0 {
		return &progress{}
	}
	return &progress{to: to}
}

func (p *progress) say(format string, arguments ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to != nil {
		fmt.Fprint(p.to, "\r\x1b[K"+fmt.Sprintf(format, arguments...))
		p.shown = true
	}
}

func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.to, "\r\x1b[K")
		p.shown = false
	}
}

func (p *progress) end() { p.clear() }
