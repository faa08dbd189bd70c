// Report reads the output of go test -json, prints one line for each package
// and everything about what failed, lists skipped tests with their reasons, and
// appends "passed failed skipped" to the file that is its argument.
//
// It fails if a test failed, if a package did, or if a test was skipped without
// a reason.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is a line of go test -json; see go doc test2json.
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// name identifies a test of a run.
type name struct{ pkg, test string }

// report is what is known about a run.
type report struct {
	out      io.Writer
	output   map[name]*strings.Builder
	parents  map[name]bool // tests that have subtests: those count instead
	blamed   map[name]bool // tests of which a subtest failed
	ended    map[name]string
	order    []name
	failed   int // packages that failed without a test that did
	failures map[string]bool
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go test -json … | report FILE")
		os.Exit(2)
	}
	totals, ok, err := run(os.Stdin, os.Stdout)
	if err == nil {
		err = appendLine(os.Args[1], totals)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func appendLine(file, line string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// run reads events and prints the report. ok says that nothing failed.
func run(in io.Reader, out io.Writer) (totals string, ok bool, err error) {
	r := &report{
		out: out, output: map[name]*strings.Builder{}, parents: map[name]bool{},
		blamed: map[name]bool{}, ended: map[name]string{}, failures: map[string]bool{},
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20) // a test may print a long line
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text()) // the go command itself says something
			continue
		}
		r.take(e)
	}
	if err := lines.Err(); err != nil {
		return "", false, fmt.Errorf("read the output of go test: %w", err)
	}
	totals, ok = r.conclude()
	return totals, ok, nil
}

func (r *report) take(e event) {
	n := name{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		if r.output[n] == nil {
			r.output[n] = new(strings.Builder)
		}
		r.output[n].WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
			return
		}
		r.endTest(n, e.Action)
	}
}

func (r *report) endTest(n name, action string) {
	if i := strings.LastIndex(n.test, "/"); i > 0 {
		parent := name{n.pkg, n.test[:i]}
		r.parents[parent] = true
		r.blamed[parent] = r.blamed[parent] || action == "fail"
	}
	r.ended[n] = action
	r.order = append(r.order, n)
	if action == "fail" {
		r.failures[n.pkg] = true
		fmt.Fprintf(r.out, "--- FAIL: %s %s\n%s", n.pkg, n.test, r.text(n))
	}
}

func (r *report) text(n name) string {
	if r.output[n] == nil {
		return ""
	}
	return r.output[n].String()
}

func (r *report) endPackage(e event) {
	fmt.Fprintf(r.out, "%-4s %s %.1fs\n", e.Action, e.Package, e.Elapsed)
	if e.Action != "fail" {
		return
	}
	if !r.failures[e.Package] { // it did not build, or ended in the middle
		r.failed++
	}
	fmt.Fprint(r.out, r.text(name{pkg: e.Package}))
	for n, b := range r.output { // tests that never ended: a panic or a timeout
		if n.pkg == e.Package && n.test != "" && r.ended[n] == "" {
			fmt.Fprint(r.out, b.String())
		}
	}
}

// conclude counts what has no subtests, and lists skips.
func (r *report) conclude() (totals string, ok bool) {
	passed, failed, skipped, silent := 0, r.failed, 0, 0
	for _, n := range r.order {
		switch action := r.ended[n]; {
		case r.parents[n] && (action == "pass" || r.blamed[n]):
		case action == "pass":
			passed++
		case action == "fail":
			failed++
		default:
			skipped++
			reason := skipReason(r.text(n))
			if reason == "" {
				silent++
				reason = "WITHOUT A REASON"
			}
			fmt.Fprintf(r.out, "skipped: %s %s: %s\n", n.pkg, n.test, reason)
		}
	}
	if passed+failed+skipped == 0 {
		fmt.Fprintln(r.out, "no test has run")
		failed++
	}
	if silent > 0 {
		fmt.Fprintf(r.out, "%d tests were skipped without a reason\n", silent)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return fmt.Sprint(passed, failed+silent, skipped-silent), failed+silent == 0
}

// skipReason finds what a test said when it was skipped.
func skipReason(output string) string {
	var reasons []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- SKIP") {
			continue
		}
		if _, text, found := strings.Cut(line, ".go:"); found {
			_, line, _ = strings.Cut(text, ": ")
		}
		if line != "" {
			reasons = append(reasons, line)
		}
	}
	return strings.Join(reasons, " ")
}
