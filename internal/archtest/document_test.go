package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// selfExplaining are methods whose contract the standard library states.
var selfExplaining = []string{
	"Error", "Is", "As", "Unwrap", "String", "Len", "Less", "Swap", "ServeHTTP", "LogValue",
	"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText",
}

func documentRules() []rule {
	return []rule{{
		name: "every package has a doc",
		reason: "what a package is, what it guarantees and what it does not do stands in no code; the doc is the first " +
			"thing that is read and the only place for it",
		check: checkPackageDocs,
	}, {
		name:   "every exported name has a doc comment",
		reason: "an exported name is a promise to somebody else, and a promise has words",
		check:  checkNameDocs,
	}}
}

func checkPackageDocs(m *module) (found []violation) {
	dirs, of := packages(m.sources)
	for _, dir := range dirs {
		documented := slices.ContainsFunc(of[dir], func(s *source) bool {
			return !s.test && s.file.Doc != nil && startsAsDoc(s.file)
		})
		if !documented {
			found = append(found, violation{named(dir), `has no package comment that begins with "Package" or, for a command, its name`})
		}
	}
	return found
}

func startsAsDoc(file *ast.File) bool {
	text := file.Doc.Text()
	return text != "" && (file.Name.Name == "main" || strings.HasPrefix(text, "Package "+file.Name.Name+" "))
}

func checkNameDocs(m *module) (found []violation) {
	for _, s := range m.production() {
		if s.file.Name.Name == "main" || s.generated || within(s.dir, "examples") {
			continue
		}
		for _, declaration := range s.file.Decls {
			for _, id := range undocumented(declaration) {
				found = append(found, violation{m.at(id.Pos()), "exported " + id.Name + " has no doc comment"})
			}
		}
	}
	return found
}

// undocumented lists the exported names of a declaration without a comment.
func undocumented(declaration ast.Decl) []*ast.Ident {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && needsDoc(d) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		if d.Tok != token.IMPORT {
			return undocumentedSpecs(d)
		}
	}
	return nil
}

// needsDoc says whether a function can be seen from outside and means
// something that the standard library does not define.
func needsDoc(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	receiver := d.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr:
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.Ident:
			return r.IsExported() && !slices.Contains(selfExplaining, d.Name.Name)
		default:
			return true
		}
	}
}

// undocumentedSpecs looks at constants, variables and types. A comment on a
// group speaks for constants and variables, not for types.
func undocumentedSpecs(d *ast.GenDecl) (names []*ast.Ident) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			alone := d.Doc != nil && !d.Lparen.IsValid()
			if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && !alone {
				names = append(names, s.Name)
			}
		case *ast.ValueSpec:
			if s.Doc != nil || s.Comment != nil || d.Doc != nil {
				continue
			}
			for _, id := range s.Names {
				if id.IsExported() {
					names = append(names, id)
				}
			}
		}
	}
	return names
}
