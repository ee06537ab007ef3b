package harvestwatch_test

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The house rules that a machine can hold. Each limit is a reason to cut something in two, not to squeeze it.
const (
	maxFuncLines = 70  // a function fits a screen
	maxFileLines = 500 // a file is one topic
	maxColumns   = 160 // a line is read without scrolling
)

func TestFunctionsFitAScreen(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := lines(s.fset, f); n > maxFuncLines {
				t.Errorf("%s: %s has %d lines, %d are allowed", s.fset.Position(f.Pos()), f.Name.Name, n, maxFuncLines)
			}
		}
	}
}

func lines(fset *token.FileSet, n ast.Node) int {
	return fset.Position(n.End()).Line - fset.Position(n.Pos()).Line + 1
}

func TestFilesAreOneTopic(t *testing.T) {
	for _, s := range sources(t) {
		if n := s.fset.Position(s.file.FileEnd).Line; n > maxFileLines {
			t.Errorf("%s has %d lines, %d are allowed", s.path, n, maxFileLines)
		}
	}
}

func TestExportsAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && d.Doc == nil {
					t.Errorf("%s: %s has no doc comment", s.fset.Position(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				undocumented(t, &s, d)
			}
		}
	}
}

func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return true
	}
	typ := f.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// undocumented reports exported types, constants and variables without a comment; one for a group is enough.
func undocumented(t *testing.T, s *source, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch x := spec.(type) {
		case *ast.TypeSpec:
			if x.Name.IsExported() && d.Doc == nil && x.Doc == nil {
				t.Errorf("%s: type %s has no doc comment", s.fset.Position(x.Pos()), x.Name.Name)
			}
		case *ast.ValueSpec:
			if x.Names[0].IsExported() && d.Doc == nil && x.Doc == nil && x.Comment == nil {
				t.Errorf("%s: %s has no doc comment", s.fset.Position(x.Pos()), x.Names[0].Name)
			}
		}
	}
}

func TestPackagesAreIntroduced(t *testing.T) {
	introduced := map[string]bool{}
	first := map[string]string{}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		first[s.folder] = s.path
		introduced[s.folder] = introduced[s.folder] || s.file.Doc != nil
	}
	for folder, p := range first {
		if !introduced[folder] {
			t.Errorf("%s: the package has no comment that says its job, and what it does not do", p)
		}
	}
}

// errorNoise is how an error must not begin: whoever reads it knows that something failed.
var errorNoise = regexp.MustCompile(`(fmt\.Errorf|errors\.New)\("(failed|unable|could not|cannot|can't|error)\b`)

// leftOver marks work that was not done.
var leftOver = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)

func TestLinesFollowTheHouseRules(t *testing.T) {
	for _, s := range sources(t) {
		text, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(bytes.NewReader(text))
		sc.Buffer(nil, 1<<20)
		for n := 1; sc.Scan(); n++ {
			line := sc.Text()
			if s.path == "tidy_test.go" {
				continue
			}
			if errorNoise.MatchString(line) {
				t.Errorf("%s:%d: an error says what was being done: %s", s.path, n, strings.TrimSpace(line))
			}
			if leftOver.MatchString(line) {
				t.Errorf("%s:%d: left over: %s", s.path, n, strings.TrimSpace(line))
			}
			if !s.test && len(strings.ReplaceAll(line, "\t", "    ")) > maxColumns {
				t.Errorf("%s:%d: longer than %d columns", s.path, n, maxColumns)
			}
			if strings.Contains(line, "err.Error()") && strings.Contains(line, "strings.Contains") && !s.test {
				t.Errorf("%s:%d: an error is matched by its text: %s", s.path, n, strings.TrimSpace(line))
			}
		}
	}
}

func TestNoMutablePackageVariables(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		assigned := map[string]bool{}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if a, ok := n.(*ast.AssignStmt); ok && a.Tok != token.DEFINE {
				for _, l := range a.Lhs {
					if id, ok := l.(*ast.Ident); ok && id.Obj != nil && id.Obj.Kind == ast.Var {
						if _, ok := id.Obj.Decl.(*ast.ValueSpec); ok {
							assigned[id.Name] = assigned[id.Name] || packageLevel(s.file, id.Obj)
						}
					}
				}
			}
			return true
		})
		for name, yes := range assigned {
			if yes {
				t.Errorf("%s: the package variable %s is changed: make it a field of somebody", s.path, name)
			}
		}
	}
}

func packageLevel(f *ast.File, o *ast.Object) bool {
	return f.Scope != nil && f.Scope.Objects[o.Name] == o
}
