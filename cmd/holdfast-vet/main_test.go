package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The tests run the go command with the tool, as users do: on a module that
// they write, and on the examples of this repository.

// repository is its root, seen from here.
var repository = filepath.Join("..", "..")

// stub is package holdfast as far as the analyzer looks at it.
var stub = filepath.Join(repository, "internal", "vet", "testdata", "src", "github.com", "holdfast-io", "holdfast", "holdfast.go")

// tool builds the command.
func tool(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "holdfast-vet")
	if out, err := exec.Command("go", "build", "-o", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the tool: %v\n%s", err, out)
	}
	return file
}

// goVet runs go vet in a directory and gives what it says and its exit code.
func goVet(t *testing.T, dir string, patterns ...string) (output string, code int) {
	t.Helper()
	command := exec.Command("go", append([]string{"vet", "-vettool=" + tool(t)}, patterns...)...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOWORK=off")
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), command.ProcessState.ExitCode()
}

// findings gives the lines of an output without the names of packages.
func findings(output string) []string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "# ") })
}

// module writes a module that requires the stub.
func module(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	text, err := os.ReadFile(stub)
	if err != nil {
		t.Fatal(err)
	}
	const path = "github.com/holdfast-io/holdfast"
	write(t, filepath.Join(dir, "stub", "holdfast.go"), string(text))
	write(t, filepath.Join(dir, "stub", "go.mod"), "module "+path+"\n\ngo 1.26.0\n")
	write(t, filepath.Join(dir, "go.mod"), fmt.Sprintf(
		"module shop\n\ngo 1.26.0\n\nrequire %[1]s v0.0.0\n\nreplace %[1]s => ./stub\n", path))
	for name, text := range files {
		write(t, filepath.Join(dir, filepath.FromSlash(name)), text)
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const mistakes = `package main

import (
	"fmt"
	"time"

	"github.com/holdfast-io/holdfast"

	"shop/calendar"
)

var ship = holdfast.NewWorkflow[time.Time, string]("ship")

func shipping(ctx *holdfast.WorkflowContext, due time.Time) (string, error) {
	if calendar.Late(due) {
		time.Sleep(time.Second)
	}
	return fmt.Sprintf("shipped %v", due.Add(time.Hour)), nil
}

func main() { ship.Handle(shipping) }
`

const calendar = `package calendar

import "time"

func Late(due time.Time) bool { return time.Now().After(due) }
`

func TestFindingsHaveFileLineAndReplacementAndFailTheRun(t *testing.T) {
	dir := module(t, map[string]string{"main.go": mistakes, "calendar/calendar.go": calendar})
	output, code := goVet(t, dir, "./...")
	got := findings(output)
	want := []string{
		"main.go:15:14: Late leads to time.Now (calendar.go:5), which gives another time in each execution: use ctx.Now()",
		"main.go:16:8: time.Sleep waits in real time, and anew in each execution: use ctx.Sleep or ctx.Until",
	}
	if !slices.Equal(got, want) || code != 1 {
		t.Errorf("got exit code %d and %q, want 1 and %q", code, got, want)
	}
}

func TestAModuleWithoutMistakesPassesInSilence(t *testing.T) {
	corrected := strings.NewReplacer("calendar.Late(due)", "ctx.Now().After(due)", "time.Sleep(", "_ = ctx.Sleep(",
		"\t\"shop/calendar\"\n", "").Replace(mistakes)
	dir := module(t, map[string]string{"main.go": corrected})
	if output, code := goVet(t, dir, "./..."); output != "" || code != 0 {
		t.Errorf("got exit code %d and %q, want 0 and nothing", code, output)
	}
}

func TestTheExamplesAreClean(t *testing.T) {
	if output, code := goVet(t, repository, "./examples/..."); output != "" || code != 0 {
		t.Errorf("got exit code %d and %q, want 0 and nothing", code, output)
	}
}

// before is what the guide leaves out of its program.
const before = `package main

import "time"
import "github.com/holdfast-io/holdfast"

type Order struct { Due time.Time; Lines map[string]int }
var Reserve = holdfast.NewUpdate[int, int](holdfast.NewEntity[int]("article"), "reserve")
func main() { holdfast.NewWorkflow[Order, string]("ship").Handle(shipping) }
`

func TestTheGuideShowsWhatTheToolSays(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join(repository, "docs", "guide", "vet.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(guide), "```")
	at := slices.IndexFunc(blocks, func(b string) bool { return strings.HasPrefix(b, "text\nfunc shipping(") })
	if at < 0 || at+2 >= len(blocks) {
		t.Fatal("the guide has no program with output")
	}
	program, want := strings.TrimPrefix(blocks[at], "text\n"), strings.TrimPrefix(blocks[at+2], "text\n")
	output, _ := goVet(t, module(t, map[string]string{"shipping.go": before + program}), ".")
	if got := findings(output); !slices.Equal(got, findings(want)) {
		t.Errorf("got %q, want what the guide shows:\n%s", got, want)
	}
}
