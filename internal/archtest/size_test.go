package archtest

import (
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"slices"
)

// The walls. They are far from what is good: most functions have ten lines.
const (
	functionLinesMax = 70
	fileLinesMax     = 1_000
	packageLinesMax  = 6_000
	rootLinesMax     = 5_800 // typed handles of all that users write; what comes next has to move something below
	engineLinesMax   = 7_500 // one state machine: its parts share one record, one fold and one check
	driverLinesMax   = 150   // of code
)

func sizeRules() []rule {
	return []rule{{
		name: "functions have at most 70 lines",
		reason: "a function that does not fit on a screen is read in pieces and understood in none; cut it at an idea, " +
			"not at line 70",
		check: checkFunctionLines,
	}, {
		name:   "files have at most 1,000 lines",
		reason: "a file that holds everything is where everything is added next",
		check:  checkFileLines,
	}, {
		name:   "packages have at most 6,000 lines, the root 5,800, the engine 7,500",
		reason: "a package is the unit that one person can hold in the head; a bigger one hides a boundary that was not drawn",
		check:  checkPackageLines,
	}, {
		name: "the live driver has at most 150 lines of code",
		reason: "the driver is the only code that the simulator replaces, so it is the only code that the simulator " +
			"does not test",
		check: checkDriverLines,
	}}
}

func (m *module) lineSpan(n ast.Node) int {
	return m.fset.Position(n.End()).Line - m.fset.Position(n.Pos()).Line + 1
}

func checkFunctionLines(m *module) (found []violation) {
	for _, s := range m.sources {
		if s.generated {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			var name string
			switch f := n.(type) {
			case *ast.FuncDecl:
				name = f.Name.Name
			case *ast.FuncLit:
				name = "a function literal"
			default:
				return true
			}
			if lines := m.lineSpan(n); lines > functionLinesMax {
				found = append(found, violation{m.at(n.Pos()), fmt.Sprintf("%s has %d lines, want at most %d", name, lines, functionLinesMax)})
			}
			return true
		})
	}
	return found
}

func checkFileLines(m *module) (found []violation) {
	for _, s := range m.production() {
		if lines := s.lines(); lines > fileLinesMax && !s.generated {
			found = append(found, violation{s.path, fmt.Sprintf("has %d lines, want at most %d", lines, fileLinesMax)})
		}
	}
	return found
}

func checkPackageLines(m *module) (found []violation) {
	dirs, of := packages(m.production())
	for _, dir := range dirs {
		limit, total := packageLinesMax, 0
		switch dir {
		case "":
			limit = rootLinesMax
		case "internal/engine":
			limit = engineLinesMax
		}
		for _, s := range of[dir] {
			if !s.generated {
				total += s.lines()
			}
		}
		if total > limit {
			found = append(found, violation{named(dir), fmt.Sprintf("has %d lines outside of tests, want at most %d", total, limit)})
		}
	}
	return found
}

func checkDriverLines(m *module) []violation {
	const driver = "internal/partition/driver"
	total := 0
	for _, s := range m.production() {
		if within(s.dir, driver) {
			total += codeLines(s.text)
		}
	}
	if total <= driverLinesMax {
		return nil
	}
	return []violation{{driver, fmt.Sprintf("has %d lines of code, want at most %d", total, driverLinesMax)}}
}

// codeLines counts the lines that hold code: blank lines and lines that hold
// only a comment do not count.
func codeLines(text []byte) int {
	fset := token.NewFileSet()
	file := fset.AddFile("", fset.Base(), len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	var lines []int
	for {
		position, tok, literal := s.Scan()
		if tok == token.EOF {
			break
		}
		if tok == token.SEMICOLON && literal == "\n" {
			continue // the scanner put it there
		}
		first := file.Line(position)
		last := file.Line(position + token.Pos(len(literal)))
		for line := first; line <= last; line++ {
			lines = append(lines, line)
		}
	}
	return len(slices.Compact(lines))
}
