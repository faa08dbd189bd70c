package holdfasttest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// updateVariable of the environment says that golden traces are written.
const updateVariable = "HOLDFAST_UPDATE"

// goldenContext is how many lines before a difference are shown.
const goldenContext = 5

// Golden compares what happens in the world of the first seed with a file, line by
// line: what clients ask and are told, which handlers run, what is recorded and
// sent, which faults happen. A test that changes no more than it means to leaves the
// file alone. With HOLDFAST_UPDATE=1 in the environment the file is written, and its
// directory made. Another version of Holdfast may have another trace.
func Golden(file string) Option { return func(o *options) { o.golden = file } }

// golden compares the trace of the first seed with its file, or writes that.
func (r *runner) golden() {
	r.t.Helper()
	var trace bytes.Buffer
	c := r.config(1)
	c.Trace = &trace
	if result := r.run(c); result.Violation != "" {
		r.fail(c, result)
	}
	file := r.options.golden
	if os.Getenv(updateVariable) != "" {
		if err := writeGolden(file, trace.Bytes()); err != nil {
			r.t.Fatalf("write the golden trace: %v", err)
		}
		r.t.Logf("wrote the golden trace %s, %d lines", file, strings.Count(trace.String(), "\n"))
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatalf("read the golden trace: %v\nto write it, run the test with %s=1", err, updateVariable)
	}
	if text := traceDifference(trace.String(), string(want)); text != "" {
		r.t.Fatalf("what happens with seed 1 is not what %s says: %s\nif it is meant, write the file again: run the test with %s=1", file, text, updateVariable)
	}
}

func writeGolden(file string, trace []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, trace, 0o644)
}

// traceDifference shows the first line in which two traces differ, and what comes
// before it; empty if they are the same.
func traceDifference(got, want string) string {
	if got == want {
		return ""
	}
	g, w := strings.Split(got, "\n"), strings.Split(strings.ReplaceAll(want, "\r\n", "\n"), "\n")
	n := 0
	for n < min(len(g), len(w)) && g[n] == w[n] {
		n++
	}
	if n == len(g) && n == len(w) {
		return "" // but for how lines end
	}
	line := func(of []string) string {
		if n < len(of) {
			return of[n]
		}
		return "the end"
	}
	before := strings.Join(g[max(0, n-goldenContext):n], "\n    ")
	return fmt.Sprintf("line %d is another\n    %s\ngot %s\nwant %s", n+1, before, line(g), line(w))
}
