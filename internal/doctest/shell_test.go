package doctest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// command is a shell command of a document.
type command struct {
	place  string
	words  []string
	output string // what a console block shows below it
}

// commands lists the commands of a block. In sh blocks every line is one; in
// console blocks those after "$ ", followed by their output.
func commands(b block) ([]command, error) {
	var list []command
	number := b.line - 1
	for line := range strings.Lines(b.text) {
		number++
		text := strings.TrimRight(line, "\n")
		if b.language == "console" {
			shown, is := strings.CutPrefix(text, "$ ")
			if !is {
				if len(list) == 0 {
					return nil, fmt.Errorf("%s:%d: output without a command", b.document, number)
				}
				list[len(list)-1].output += line
				continue
			}
			text = shown
		}
		words, err := split(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", b.document, number, err)
		}
		if len(words) > 0 {
			list = append(list, command{place: fmt.Sprintf("%s:%d", b.document, number), words: words})
		}
	}
	return list, nil
}

// split takes a command apart as a shell would, as far as documents need it:
// quotes, and comments at the end.
func split(text string) (words []string, err error) {
	var word strings.Builder
	var quote rune
	inside := false
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inside = r, true
		case r == '#' && !inside:
			return words, nil
		case r == ' ':
			if inside {
				words = append(words, word.String())
			}
			word.Reset()
			inside = false
		case strings.ContainsRune("|&;<>$`\\*?", r):
			return nil, fmt.Errorf("%q has %q, which this test does not understand", text, r)
		default:
			word.WriteRune(r)
			inside = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("%q has an open quote", text)
	}
	if inside {
		words = append(words, word.String())
	}
	return words, nil
}

// TestSplitTakesCommandsApart checks the reader of commands itself.
func TestSplitTakesCommandsApart(t *testing.T) {
	got, err := split(`curl -H 'A: b c'  -d "" x # y`)
	if want := []string{"curl", "-H", "A: b c", "-d", "", "x"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q %v, want %q", got, err, want)
	}
	for _, text := range []string{"a | b", "a 'b"} {
		if _, err := split(text); err == nil {
			t.Errorf("split(%q) gave no error", text)
		}
	}
}

// shell checks commands of documents against what exists.
type shell struct {
	root   string
	binary func() (string, error) // cmd/holdfast, built once
}

func newShell(t *testing.T) *shell {
	root, dir := moduleRoot(t), t.TempDir()
	return &shell{root: root, binary: sync.OnceValues(func() (string, error) {
		file := filepath.Join(dir, "holdfast")
		build := exec.Command("go", "build", "-o", file, "./cmd/holdfast")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build cmd/holdfast: %w\n%s", err, out)
		}
		return file, nil
	})}
}

// TestShellCommandsOfTheDocumentsExist checks that programs, packages,
// subcommands and flags that documents name are there.
func TestShellCommandsOfTheDocumentsExist(t *testing.T) {
	s, checked := newShell(t), 0
	for _, b := range documents(t) {
		if b.language != "sh" && b.language != "console" {
			continue
		}
		list, err := commands(b)
		if err != nil {
			t.Error(err)
		}
		for _, c := range list {
			checked++
			if err := s.check(c.words); err != nil {
				t.Errorf("%s: %v", c.place, err)
			}
		}
	}
	if checked == 0 {
		t.Error("found no command, want some")
	}
}

// TestAMistakeInACommandIsFound plants commands that must not pass.
func TestAMistakeInACommandIsFound(t *testing.T) {
	s := newShell(t)
	for _, text := range []string{
		"frobnicate", "HOLDFAST_FROBNICATE=1 go test", "HOLDFAST_UPDATE=1 frobnicate", "go frobnicate", "go run ./examples/missing", "go run ./internal/msg", "go test ./missing/...",
		"go vet -vettool=./frobnicate ./...",
		"go get " + modulePath, "go mod edit -replace elsewhere=../holdfast",
		"go run ./examples/counter serve --dada x", "holdfast frobnicate", "holdfast call --frobnicate", ".ci/walk",
		"curl http://elsewhere.example.com/", "npm ci --prefix elsewhere", "npm install something",
	} {
		words, err := split(text)
		if err != nil {
			t.Fatal(err)
		}
		if s.check(words) == nil {
			t.Errorf("%q passed", text)
		}
	}
	if _, err := s.binary(); err != nil {
		t.Error(err)
	}
}

// checkVariable says whether a variable of the environment is one of ours.
func (s *shell) checkVariable(name string) error {
	files, err := filepath.Glob(filepath.Join(s.root, "holdfasttest", "*.go"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(text), strconv.Quote(name)) {
			return nil
		}
	}
	return cmp.Or(err, fmt.Errorf("nothing reads the variable %s", name))
}

// check says what in a command does not exist.
func (s *shell) check(words []string) error {
	if name, _, set := strings.Cut(words[0], "="); set {
		return cmp.Or(s.checkVariable(name), s.check(words[1:]))
	}
	switch words[0] {
	case "mkdir", "cd":
		return nil
	case "go":
		return s.checkGo(words[1:])
	case "npm":
		if len(words) != 4 || words[1] != "ci" || words[2] != "--prefix" {
			return fmt.Errorf("npm %s is not known to this test", strings.Join(words[1:], " "))
		}
		_, err := os.Stat(filepath.Join(s.root, words[3], "package-lock.json"))
		return err
	case "holdfast":
		return s.checkHoldfast(words[1:])
	case "curl":
		_, err := parseCurl(words[1:])
		return err
	}
	if strings.Contains(words[0], "/") {
		_, err := os.Stat(filepath.Join(s.root, words[0]))
		return err
	}
	return fmt.Errorf("command %s is not known to this test", words[0])
}

func (s *shell) checkGo(words []string) error {
	switch {
	case len(words) == 3 && words[0] == "mod" && words[1] == "init":
		return nil
	case slices.Equal(words, []string{"mod", "tidy"}), slices.Equal(words, []string{"mod", "edit", "-replace", modulePath + "=../holdfast"}):
		return nil
	case len(words) > 1 && words[0] == "run":
		return s.checkRun(words[1], words[2:])
	case len(words) > 0 && slices.Contains([]string{"build", "test", "vet"}, words[0]):
		return s.checkPackages(words[1:])
	}
	return fmt.Errorf("go %s is not known to this test", strings.Join(words, " "))
}

// checkRun looks at a program and the flags that it is given.
func (s *shell) checkRun(dir string, args []string) error {
	if dir == "." { // the reader's own program, which has the flags of every application
		dir = "./examples/counter"
	}
	files, _ := filepath.Glob(filepath.Join(s.root, dir, "*.go"))
	main := slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		return err == nil && packageClause(string(text)) == "main"
	})
	if !main {
		return fmt.Errorf("%s is no program", dir)
	}
	if len(args) == 0 {
		return nil
	}
	help := exec.Command("go", "run", dir, args[0], "--help")
	help.Dir = s.root
	out, _ := help.CombinedOutput() // asking for help may count as a mistake
	return checkFlags(string(out), args[1:])
}

func (s *shell) checkPackages(words []string) error {
	for i := 0; i < len(words); i++ {
		switch {
		case words[i] == "-race", words[i] == "-v", strings.HasPrefix(words[i], "-seeds="), strings.HasPrefix(words[i], "-kill-for="):
		case words[i] == "-run" && i+1 < len(words):
			i++
		case words[i] == "-tags" && i+1 < len(words) && words[i+1] == "invariants":
			i++
		case strings.HasPrefix(words[i], "-vettool=./"):
			if _, err := os.Stat(filepath.Join(s.root, "cmd", strings.TrimPrefix(words[i], "-vettool=./"))); err != nil {
				return err
			}
		case strings.HasPrefix(words[i], "./"):
			dir := strings.TrimSuffix(words[i], "...")
			if _, err := os.Stat(filepath.Join(s.root, dir)); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s is not known to this test", words[i])
		}
	}
	return nil
}

// checkHoldfast asks the program itself for its subcommand and flags.
func (s *shell) checkHoldfast(words []string) error {
	file, err := s.binary()
	if err != nil {
		return err
	}
	command := words[:1]
	if len(words) > 1 && !strings.HasPrefix(words[1], "-") {
		command = words[:2]
	}
	out, err := exec.Command(file, append(slices.Clone(command), "--help")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("holdfast %s --help: %w\n%s", words[0], err, out)
	}
	if !regexp.MustCompile(`holdfast ` + regexp.QuoteMeta(words[0]) + `\b`).Match(out) {
		return fmt.Errorf("holdfast has no command %s", words[0])
	}
	return checkFlags(string(out), words[1:])
}

// checkFlags looks for flags in a help text.
func checkFlags(help string, words []string) error {
	for _, word := range words {
		name, isFlag := strings.CutPrefix(word, "--")
		if !isFlag {
			continue
		}
		name, _, _ = strings.Cut(name, "=")
		if !regexp.MustCompile(`(?m)(?:^|\s)--?` + regexp.QuoteMeta(name) + `\b`).MatchString(help) {
			return fmt.Errorf("there is no flag --%s in\n%s", name, help)
		}
	}
	return nil
}
