package doctest

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linkPattern    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingPattern = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	notInAnchors   = regexp.MustCompile(`[^\w\- ]`)
)

// markdown reads every document of the module, by its path from the root.
func markdown(t *testing.T) map[string]string {
	t.Helper()
	root, texts := moduleRoot(t), map[string]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if filepath.Ext(name) != ".md" {
			return nil
		}
		text, err := os.ReadFile(name)
		relative, _ := filepath.Rel(root, name)
		texts[filepath.ToSlash(relative)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// prose is a document without its fenced blocks, whose brackets mean something
// else.
func prose(document, text string) string {
	for _, b := range blocks(document, text) {
		text = strings.Replace(text, b.text, "", 1)
	}
	return text
}

// anchors lists the anchors that a renderer gives the headings of a document.
func anchors(text string) map[string]bool {
	set := map[string]bool{}
	for _, heading := range headingPattern.FindAllStringSubmatch(text, -1) {
		anchor := notInAnchors.ReplaceAllString(strings.ToLower(heading[1]), "")
		set[strings.ReplaceAll(anchor, " ", "-")] = true
	}
	return set
}

// TestLinksBetweenDocumentsLead follows every link that stays in the module.
func TestLinksBetweenDocumentsLead(t *testing.T) {
	root, texts, followed := moduleRoot(t), markdown(t), 0
	for document, text := range texts {
		for _, link := range linkPattern.FindAllStringSubmatch(prose(document, text), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			followed++
			to, anchor, _ := strings.Cut(link[1], "#")
			target := document
			if to != "" {
				target = path.Join(path.Dir(document), to)
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(target))); err != nil {
				t.Errorf("%s: link to %s: %v", document, link[1], err)
			} else if anchor != "" && !anchors(texts[target])[anchor] {
				t.Errorf("%s: link to %s: no such heading", document, link[1])
			}
		}
	}
	if followed == 0 {
		t.Error("followed no link, want some")
	}
}

// TestDocumentsHaveOneTitle checks that each document has one heading of the
// first level, at its top.
func TestDocumentsHaveOneTitle(t *testing.T) {
	for document, text := range markdown(t) {
		titles := regexp.MustCompile(`(?m)^# .+$`).FindAllString(prose(document, text), -1)
		if len(titles) != 1 || !strings.HasPrefix(text, "# ") {
			t.Errorf("%s: got titles %q, want one on the first line", document, titles)
		}
	}
}
