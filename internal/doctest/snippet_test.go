package doctest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/holdfast-io/holdfast"

// wellKnown are the packages that a snippet need not import itself.
var wellKnown = map[string]string{
	"holdfast": modulePath, "client": modulePath + "/client", "server": modulePath + "/server",
	"holdfasttest": modulePath + "/holdfasttest",
	"context":      "context", "errors": "errors", "fmt": "fmt", "json": "encoding/json", "log": "log", "os": "os",
	"slog": "log/slog", "strings": "strings", "testing": "testing", "time": "time",
}

// snippets is a program made of the Go blocks of a document.
type snippets struct {
	dir   string            // its package in the module of the snippets
	files map[string]string // name → text
}

// programs groups Go blocks into programs and completes them.
func programs(list []block) ([]snippets, error) {
	var made []snippets
	clause, document := "", ""
	for _, b := range list {
		if b.language != "go" {
			continue
		}
		if b.document != document {
			document, clause = b.document, ""
		}
		own := packageClause(b.text)
		if own != "" || clause == "" {
			clause = own
			if clause == "" {
				clause = "snippet"
			}
			base := strings.TrimSuffix(path.Base(b.document), ".md")
			made = append(made, snippets{fmt.Sprintf("%s_%d", base, b.line), map[string]string{}})
		}
		text, err := complete(b, clause)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("line%d.go", b.line)
		if strings.Contains(b.text, "*testing.T") {
			name = fmt.Sprintf("line%d_test.go", b.line)
		}
		made[len(made)-1].files[name] = text
	}
	return made, nil
}

// packageClause gives the name in the package clause of a snippet, if it has
// one.
func packageClause(text string) string {
	file, err := parser.ParseFile(token.NewFileSet(), "", text, parser.PackageClauseOnly)
	if err != nil {
		return ""
	}
	return file.Name.Name
}

// complete makes a Go file of a block: a whole file, declarations, or
// statements, which may use ctx and the client c and return an error.
func complete(b block, clause string) (string, error) {
	origin := fmt.Sprintf("\n//line %s:%d\n", b.document, b.line)
	if packageClause(b.text) != "" {
		return strings.TrimPrefix(origin, "\n") + b.text, nil
	}
	text := origin + b.text
	file, err := parseBody(clause, text)
	if err != nil {
		text = "\nfunc _(ctx context.Context, c *holdfast.ClientContext) error {\n{" + origin + b.text + "}\nreturn nil\n}\n"
		if _, inner := parseBody(clause, text); inner != nil {
			return "", fmt.Errorf("%s:%d: neither declarations (%w) nor statements (%w)", b.document, b.line, err, inner)
		}
		file, _ = parseBody(clause, text)
	}
	return "package " + clause + "\n" + importsOf(file) + text, nil
}

func parseBody(clause, text string) (*ast.File, error) {
	return parser.ParseFile(token.NewFileSet(), "", "package "+clause+"\n"+text, 0)
}

// importsOf writes imports of the well-known packages that a file uses.
func importsOf(file *ast.File) (text string) {
	var used []string
	for _, id := range file.Unresolved {
		if imported, ok := wellKnown[id.Name]; ok && !slices.Contains(used, imported) {
			used = append(used, imported)
		}
	}
	slices.Sort(used)
	for _, imported := range used {
		text += fmt.Sprintf("import %q\n", imported)
	}
	return text
}

// newModule writes programs into a module of their own that requires this one,
// as a reader of the documents would.
func newModule(t *testing.T, list []snippets) (dir string) {
	t.Helper()
	root, dir := moduleRoot(t), t.TempDir()
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	own := strings.Replace(string(gomod), "module "+modulePath, "module snippets", 1)
	own += fmt.Sprintf("\nrequire %[1]s v0.0.0\n\nreplace %[1]s => %[2]s\n", modulePath, root)
	write(t, filepath.Join(dir, "go.mod"), own)
	write(t, filepath.Join(dir, "go.sum"), string(sums))
	for _, program := range list {
		for name, text := range program.files {
			write(t, filepath.Join(dir, program.dir, name), text)
		}
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

// vet builds and vets programs in one run of the go command.
func vet(t *testing.T, list []snippets) (output string, err error) {
	t.Helper()
	command := exec.Command("go", "vet", "./...")
	command.Dir = newModule(t, list)
	out, err := command.CombinedOutput()
	return string(out), err
}

// TestGoSnippetsOfTheDocumentsBuild type-checks and vets every Go block.
func TestGoSnippetsOfTheDocumentsBuild(t *testing.T) {
	list, err := programs(documents(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("found no Go snippet, want some")
	}
	if out, err := vet(t, list); err != nil {
		t.Errorf("go vet of the snippets: %v\n%s", err, out)
	}
}

// TestAMistakeInASnippetIsFound plants snippets that must not pass, and checks
// that the document's line is named.
func TestAMistakeInASnippetIsFound(t *testing.T) {
	for name, planted := range map[string]struct{ text, want string }{
		"a whole file":     {"# T\n\n```go\npackage x\n\nvar a int = \"\"\n```\n", "planted.md:6"},
		"a declaration":    {"```go\nfunc f() error { return errors.News(\"\") }\n```\n", "planted.md:2"},
		"a statement":      {"```go\nfmt.Println(\"\")\nreturn 5\n```\n", "planted.md:3"},
		"a follower":       {"```go\npackage x\n```\n\n```go\nvar b = missing\n```\n", "planted.md:6"},
		"a printf mistake": {"```go\nfunc f() { fmt.Printf(\"%d\", \"\") }\n```\n", "planted.md:2"},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := programs(blocks("planted.md", planted.text))
			if err != nil {
				t.Fatal(err)
			}
			out, err := vet(t, list)
			if err == nil || !strings.Contains(out, planted.want) {
				t.Errorf("got %v %q, want an error at %s", err, out, planted.want)
			}
		})
	}
}
