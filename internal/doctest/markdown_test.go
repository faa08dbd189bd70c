package doctest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// block is a fenced block of a document.
type block struct {
	document string // slash-separated, from the root of the module
	line     int    // of the first line inside the fence, from 1
	language string
	text     string
}

// blocks lists the fenced blocks of a text.
func blocks(document, text string) (list []block) {
	var open *block
	number := 0
	for line := range strings.Lines(text) {
		number++
		language, fence := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "```")
		switch {
		case fence && open == nil:
			open = &block{document: document, line: number + 1, language: language}
		case fence:
			list, open = append(list, *open), nil
		case open != nil:
			open.text += line
		}
	}
	if open != nil {
		list = append(list, *open)
	}
	return list
}

// TestBlocksAreFoundWithTheirLines checks the reader of documents itself.
func TestBlocksAreFoundWithTheirLines(t *testing.T) {
	got := blocks("x.md", "# T\n\n```go\na\nb\n```\n`go`\n```sh\nc\n```\n```\nopen\n")
	want := []block{
		{"x.md", 4, "go", "a\nb\n"},
		{"x.md", 9, "sh", "c\n"},
		{"x.md", 12, "", "open\n"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// moduleRoot is the directory with go.mod above the test.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// documents lists the blocks of what users read, by document.
func documents(t *testing.T) []block {
	t.Helper()
	root := moduleRoot(t)
	names := []string{"README.md", "CONTRIBUTING.md", "AGENTS.md"}
	guides, err := filepath.Glob(filepath.Join(root, "docs", "guide", "*.md"))
	if err != nil || len(guides) == 0 {
		t.Fatalf("no guides below docs/guide: %v", err)
	}
	for _, guide := range guides {
		names = append(names, "docs/guide/"+filepath.Base(guide))
	}
	var list []block
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, blocks(name, string(text))...)
	}
	return list
}

// TestEveryBlockNamesALanguageThatIsChecked keeps snippets from slipping past
// the other tests under a name that nothing looks at.
func TestEveryBlockNamesALanguageThatIsChecked(t *testing.T) {
	known := []string{"go", "sh", "console", "json", "text", "mermaid"}
	for _, b := range documents(t) {
		if !slices.Contains(known, b.language) {
			t.Errorf("%s:%d: block of language %q, want one of %v", b.document, b.line, b.language, known)
		}
	}
}
