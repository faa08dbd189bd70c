package vet

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// directive begins a comment that silences a finding.
const directive = "//holdfast:allow"

// line is a line of a file.
type line struct {
	file   string
	number int
}

// allowances counts the findings of each line that may still be silenced.
type allowances struct {
	fset *token.FileSet
	left map[line]int
}

// newAllowances reads the directives of a package, and reports those that give
// no reason.
func newAllowances(s *survey) (*allowances, error) {
	a := &allowances{fset: s.pass.Fset, left: map[line]int{}}
	for _, file := range s.files() {
		for _, group := range file.Comments {
			for _, comment := range group.List {
				if err := a.read(s.pass, comment); err != nil {
					return nil, err
				}
			}
		}
	}
	return a, nil
}

func (a *allowances) read(pass *analysis.Pass, comment *ast.Comment) error {
	reason, ok := strings.CutPrefix(comment.Text, directive)
	if !ok || reason != "" && !strings.HasPrefix(reason, " ") && !strings.HasPrefix(reason, "\t") {
		return nil
	}
	if strings.TrimSpace(reason) == "" {
		pass.Report(analysis.Diagnostic{
			Pos: comment.Pos(), Category: "allow",
			Message: directive + " gives no reason: write why this is safe here",
		})
		return nil
	}
	at := a.lineOf(comment.Pos())
	alone, err := standsAlone(pass, comment.Pos())
	if err != nil {
		return err
	}
	if alone {
		at.number++
	}
	a.left[at]++
	return nil
}

// standsAlone says whether nothing precedes a comment on its line.
func standsAlone(pass *analysis.Pass, at token.Pos) (bool, error) {
	file := pass.Fset.File(at)
	text, err := pass.ReadFile(file.Name())
	if err != nil {
		return false, fmt.Errorf("read the line of a comment: %w", err)
	}
	begin, end := file.Offset(file.LineStart(file.Line(at))), file.Offset(at)
	return end <= len(text) && len(bytes.TrimSpace(text[begin:end])) == 0, nil
}

func (a *allowances) lineOf(at token.Pos) line {
	position := a.fset.PositionFor(at, false)
	return line{position.Filename, position.Line}
}

// silences says whether the line of a place has an allowance left.
func (a *allowances) silences(at token.Pos) bool { return a.left[a.lineOf(at)] > 0 }

// silence uses an allowance of a line up, if there is one left.
func (a *allowances) silence(at token.Pos) bool {
	if !a.silences(at) {
		return false
	}
	a.left[a.lineOf(at)]--
	return true
}
