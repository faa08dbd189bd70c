package compiletest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// One run of the compiler checks all packages: it goes on after a package that
// it refuses.

var (
	wantComment  = regexp.MustCompile(`// want ("(?:[^"\\]|\\.)*")\s*$`)
	errorMessage = regexp.MustCompile(`^(\S+\.go):(\d+):\d+: (.*)$`)
)

// line is one line of a source file.
type line struct {
	file   string
	number int
}

// packages gives the directories below a directory, as the go command wants
// them.
func packages(t *testing.T, of string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join("testdata", of))
	if err != nil || len(entries) == 0 {
		t.Fatalf("no packages in testdata/%s: %v", of, err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, "./"+filepath.Join("testdata", of, e.Name()))
	}
	return list
}

// compile gives what the compiler says about each line.
func compile(t *testing.T, packages []string) (messages map[line]string, output string) {
	t.Helper()
	// -e: all errors, not the first ten of a package.
	arguments := append([]string{"build", "-gcflags=-e"}, packages...)
	text, _ := exec.Command("go", arguments...).CombinedOutput() // fails: that is the point
	messages = map[line]string{}
	var last line
	for _, s := range strings.Split(string(text), "\n") {
		if m := errorMessage.FindStringSubmatch(s); m != nil {
			number, _ := strconv.Atoi(m[2])
			last = line{filepath.Clean(m[1]), number}
			messages[last] += m[3]
		} else if strings.HasPrefix(s, "\t") {
			messages[last] += " " + strings.TrimSpace(s)
		}
	}
	return messages, string(text)
}

// wanted reads the comments of the source files.
func wanted(t *testing.T, packages []string) map[line]string {
	t.Helper()
	wants := map[line]string{}
	for _, p := range packages {
		files, _ := filepath.Glob(filepath.Join(p, "*.go"))
		for _, name := range files {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			lines := bufio.NewScanner(f)
			for number := 1; lines.Scan(); number++ {
				if m := wantComment.FindStringSubmatch(lines.Text()); m != nil {
					text, err := strconv.Unquote(m[1])
					if err != nil {
						t.Fatalf("%s:%d: %v", name, number, err)
					}
					wants[line{filepath.Clean(name), number}] = text
				}
			}
		}
	}
	return wants
}

func TestWhatMustNotBeDoneDoesNotCompileAndTheMessageTeaches(t *testing.T) {
	refused, accepted := packages(t, "refused"), packages(t, "accepted")
	messages, output := compile(t, append(refused, accepted...))
	wants := wanted(t, refused)
	if len(wants) < 30 {
		t.Fatalf("only %d lines are expected to be refused: the comments are not found", len(wants))
	}
	for at, want := range wants {
		if got := messages[at]; !strings.Contains(got, want) {
			t.Errorf("%s:%d: the compiler says %q, want %q", at.file, at.number, got, want)
		}
	}
	for at, got := range messages {
		if wants[at] == "" {
			t.Errorf("%s:%d: not expected: %s", at.file, at.number, got)
		}
	}
	if t.Failed() {
		t.Log(output)
	}
}
