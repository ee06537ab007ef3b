package harvestwatch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/harvestwatch/harvestwatch"

// mayImport says which packages of ours a folder may import, and why not more. "" is the root package. A folder's
// entry holds for the folders below it, unless they have one of their own.
var mayImport = []struct {
	folder  string
	imports []string
	why     string
}{
	{"", nil, "the nouns depend on nothing, so that everything can depend on them"},
	{"parsers/syslog", nil, "a stamp is a stamp: no noun of ours is needed to read it"},
	{"parsers", []string{"", "parsers"}, "a parser turns bytes into events and knows nobody who uses them"},
	{"rules", []string{""}, "rules are data and judgement; what they are applied to comes in as an offence"},
	{"detector", []string{"", "rules", "detector/ledger"}, "the detector can't block, store or read: it is a function of the events"},
	{"detector/ledger", nil, "what good mail teaches is told in seconds and hashes"},
	{"firewall", []string{"", "firewall"}, "the firewall can't decide: it makes two sets equal"},
	{"store", []string{""}, "the store keeps what it is given"},
	{"internal/tailer", nil, "files are read without knowing what they say"},
	{"internal/pipeline", []string{"", "parsers/memory"}, "the loop knows nouns and the bounded table; its parts come in through its own interfaces"},
	{"internal/child", nil, "it starts what it is given"},
	{"internal/access", []string{"internal/child"}, "a database gives tables; what they mean is the mapping's"},
	{"internal/journal", []string{"internal/child"}, "the journal gives entries; what they say is the parsers'"},
	{"internal/recipients", nil, "a list of addresses is a list of addresses"},
	{"internal/discover", []string{"", "parsers/site", "internal/access"}, "it proposes a mapping, and reads what a mapping can read"},
	{"internal/control", nil, "the socket carries what others mean"},
	{"internal/report", []string{"", "rules", "internal/pipeline"}, "a report is a sink of the loop, and speaks the rules' words"},
	{"internal/loggen", []string{""}, "the generator must not share code with the parsers that are held against it"},
	{"internal/reputation", []string{""}, "what the DNS says of an address; what follows from it is the rules'"},
	{"internal/pools", nil, "a list of networks is a list of networks"},
	{"internal/evaluate", []string{"", "rules", "detector", "internal/loggen"}, "it measures the detector and the judge as they are, without the parts around them"},
	{"bench/evaluate", []string{"internal/evaluate"}, "a command around one package"},
	{"internal/nstest", nil, "a test helper serves all"},
	{"cmd/harvestwatch", []string{"*"}, "wire.go is the one place that knows every part"},
}

// owners names the one folder that may import an outside module.
var owners = map[string]string{
	"github.com/mattn/go-sqlite3":     "store",
	"github.com/google/nftables":      "firewall/nft",
	"github.com/mdlayher/netlink":     "firewall/nft",
	"github.com/fsnotify/fsnotify":    "internal/tailer",
	"github.com/klauspost/compress":   "internal/tailer",
	"github.com/ulikunitz/xz":         "internal/tailer",
	"github.com/urfave/cli/v2":        "cmd/harvestwatch",
	"github.com/pelletier/go-toml/v2": "rules cmd/harvestwatch",
	"github.com/rogpeppe/go-internal": "cmd/harvestwatch",
	"github.com/google/go-cmp":        "",
	"golang.org/x/sys":                "internal/tailer internal/child firewall/nft internal/nstest cmd/harvestwatch",
	"golang.org/x/sync":               "",
	"github.com/go-ldap/ldap/v3":      "internal/recipients",
	"github.com/miekg/dns":            "internal/reputation",
}

// bannedImports are packages that no code of a folder may import, tests apart.
var bannedImports = []struct{ folder, pkg, why, except string }{
	{"", "os/exec", "no program is started but mdb-export and journalctl, with fixed arguments: a log's bytes could reach a command line",
		"internal/access internal/journal internal/child"},
	{"", "unsafe", "bytes that an attacker wrote are handled by the compiler's rules", ""},
	{"", "log", "what happens is told through values and slog, not through a global", ""},
	{"detector", "os", "the detector does no I/O", ""},
	{"detector", "sync", "the detector has no goroutine: it belongs to its caller's", ""},
	{"parsers", "os", "a parser does no I/O", ""},
	{"rules", "net", "rules judge without asking the network", ""},
}

// bannedCalls are calls that belong into cmd only, tests apart.
var bannedCalls = map[string]string{
	"time.Now":           "time is data: it comes with the events, or from cmd as an argument",
	"time.Since":         "time is data: it comes with the events, or from cmd as an argument",
	"os.Exit":            "only main ends the process",
	"context.Background": "a context comes from main, so that everything ends when main says so",
}

// source is one Go file of ours.
type source struct {
	path   string // from the root, with slashes
	folder string // "" for the root
	test   bool
	fset   *token.FileSet
	file   *ast.File
}

// sources parses every Go file of the project.
func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "vendor" || strings.HasPrefix(d.Name(), ".") && p != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		folder := path.Dir(p)
		if folder == "." {
			folder = ""
		}
		list = append(list, source{p, folder, strings.HasSuffix(p, "_test.go") || testOnly(folder), fset, f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 30 {
		t.Fatalf("only %d Go files found: this test does not see the project", len(list))
	}
	return list
}

// testOnly names the packages that only tests import.
func testOnly(folder string) bool {
	return folder == "firewall/fwtest" || folder == "internal/nstest" || folder == "parsers/golden"
}

func (s *source) imports() []string {
	var list []string
	for _, im := range s.file.Imports {
		p, err := strconv.Unquote(im.Path.Value)
		if err == nil {
			list = append(list, p)
		}
	}
	return list
}

func below(folder, parent string) bool {
	return parent == "" || folder == parent || strings.HasPrefix(folder, parent+"/")
}

func TestImportsRunOneWay(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		rule := -1
		for i, r := range mayImport {
			if (r.folder == s.folder || r.folder != "" && below(s.folder, r.folder)) && (rule < 0 || len(r.folder) > len(mayImport[rule].folder)) {
				rule = i
			}
		}
		if rule < 0 {
			t.Errorf("%s: the folder %s has no line in mayImport: say what it may know, and why", s.path, s.folder)
			continue
		}
		for _, im := range s.imports() {
			ours, ok := strings.CutPrefix(im+"/", module+"/")
			if !ok {
				continue
			}
			ours = strings.TrimSuffix(ours, "/")
			if !slices.ContainsFunc(mayImport[rule].imports, func(a string) bool {
				return a == "*" || ours == a || a != "" && below(ours, a)
			}) {
				t.Errorf("%s imports %s: %s", s.path, im, mayImport[rule].why)
			}
		}
	}
}

func TestEveryOutsideModuleHasOneOwner(t *testing.T) {
	for _, s := range sources(t) {
		for _, im := range s.imports() {
			if !strings.Contains(strings.Split(im, "/")[0], ".") || below(im, module) {
				continue
			}
			owner, known := "", false
			for mod, folders := range owners {
				if im == mod || strings.HasPrefix(im, mod+"/") {
					owner, known = folders, true
				}
			}
			if !known {
				t.Errorf("%s imports %s, which has no owner: name it in owners", s.path, im)
				continue
			}
			if !s.test && !slices.ContainsFunc(strings.Fields(owner), func(f string) bool { return below(s.folder, f) }) {
				t.Errorf("%s imports %s, which belongs to %q", s.path, im, owner)
			}
		}
	}
}

func TestBannedImports(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, ban := range bannedImports {
			if below(s.folder, ban.folder) && slices.Contains(s.imports(), ban.pkg) && !slices.Contains(strings.Fields(ban.except), s.folder) {
				t.Errorf("%s imports %s: %s", s.path, ban.pkg, ban.why)
			}
		}
	}
}

func TestBannedCalls(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init runs before anybody asked for it", s.fset.Position(f.Pos()))
			}
		}
		if s.test || below(s.folder, "cmd") || s.folder == "bench/evaluate" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok {
					if why := bannedCalls[x.Name+"."+sel.Sel.Name]; why != "" {
						t.Errorf("%s: %s.%s: %s", s.fset.Position(n.Pos()), x.Name, sel.Sel.Name, why)
					}
				}
			}
			return true
		})
	}
}

func TestDetectorStartsNoGoroutine(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || !below(s.folder, "detector") && !below(s.folder, "rules") && !below(s.folder, "parsers") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s: a goroutine, where everything is a function of its input", s.fset.Position(g.Pos()))
			}
			return true
		})
	}
}
