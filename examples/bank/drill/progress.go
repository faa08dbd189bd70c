package drill

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// progress is the line that says how far the drill is. On a terminal it is
// rewritten in place, elsewhere written again when the stage changes.
type progress struct {
	mu       sync.Mutex
	to       io.Writer
	terminal bool
	began    time.Time
	stage    string
}

func newProgress(to io.Writer) *progress {
	return &progress{to: to, terminal: isTerminal(to), began: time.Now()}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}

// clearLine puts the cursor back and clears what is behind it.
const clearLine = "\r\x1b[K"

// say shows a stage and what is counted in it.
func (p *progress) say(stage, format string, arguments ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := stage != p.stage
	p.stage = stage
	line := fmt.Sprintf("drill: %4.1fs %s", time.Since(p.began).Seconds(), stage)
	if detail := fmt.Sprintf(format, arguments...); detail != "" {
		line += ": " + detail
	}
	switch {
	case p.terminal:
		fmt.Fprint(p.to, clearLine+line)
	case changed:
		fmt.Fprintln(p.to, line)
	}
}

// end takes the line away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal && p.stage != "" {
		fmt.Fprint(p.to, clearLine)
	}
}
