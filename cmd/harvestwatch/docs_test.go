package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// docBlock is a fenced block of a page.
type docBlock struct {
	page, lang string
	line       int // of its first line, from 1
	lines      []string
}

// at names a line of the block for an error.
func (b *docBlock) at(i int) string { return fmt.Sprintf("%s:%d", b.page, b.line+i) }

// docs changes to the root of the repository, so that the examples' paths hold, and returns the text of each page and
// all fenced blocks.
func docs(t *testing.T) (pages map[string]string, blocks []docBlock) {
	t.Helper()
	t.Chdir("../..")
	t.Setenv("TZ", "UTC")
	names, err := filepath.Glob("docs/*.md")
	if err != nil || len(names) < 7 {
		t.Fatalf("%d pages found in docs: %v", len(names), err)
	}
	if _, err := os.Stat("README.md"); err == nil {
		names = append(names, "README.md")
	}
	pages = map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = string(text)
		blocks = append(blocks, fenced(t, name, string(text))...)
	}
	return pages, blocks
}

// fenced returns the fenced blocks of a page.
func fenced(t *testing.T, page, text string) []docBlock {
	t.Helper()
	var blocks []docBlock
	open := false
	for i, line := range strings.Split(text, "\n") {
		lang, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !open:
			open = true
			blocks = append(blocks, docBlock{page: page, lang: lang, line: i + 2})
		case fence:
			open = false
		case open:
			b := &blocks[len(blocks)-1]
			b.lines = append(b.lines, line)
		}
	}
	if open {
		t.Fatalf("%s: the last fenced block has no end", page)
	}
	return blocks
}

// TestExamplesInTheDocsAreTrue runs each command of a console block and compares what it prints. In what is expected, …
// alone on a line stands for any lines, and within a line for any text. Blanks at the end of a line don't count.
func TestExamplesInTheDocsAreTrue(t *testing.T) {
	_, blocks := docs(t)
	ran := 0
	for _, b := range blocks {
		if b.lang != "console" {
			continue
		}
		for i := 0; i < len(b.lines); {
			command, ok := strings.CutPrefix(b.lines[i], "$ ")
			if !ok {
				t.Fatalf("%s: a console block begins with a command", b.at(i))
			}
			first, end := i, i+1
			for end < len(b.lines) && !strings.HasPrefix(b.lines[end], "$ ") {
				end++
			}
			example(t, b.at(first), command, b.lines[first+1:end])
			i = end
			ran++
		}
	}
	if ran < 8 {
		t.Errorf("only %d examples were found", ran)
	}
}

// example runs one command and compares its output, what it wrote to standard error last.
func example(t *testing.T, at, command string, want []string) {
	t.Helper()
	args, err := words(command)
	if err != nil || len(args) < 2 || args[0] != "harvestwatch" {
		t.Errorf("%s: %q is not a single harvestwatch command: %v", at, command, err)
		return
	}
	out, errs, _ := runCommand(t, "", args[1:]...)
	got := strings.Split(strings.TrimSuffix(out+errs, "\n"), "\n")
	if !matchLines(got, want) {
		t.Errorf("%s: %s\nprints\n%s\nand not, as the page says,\n%s", at, command, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// matchLines compares lines with a pattern in which … alone on a line stands for any lines.
func matchLines(got, want []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == "…" {
		for n := 0; n <= len(got); n++ {
			if matchLines(got[n:], want[1:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && matchLine(got[0], want[0]) && matchLines(got[1:], want[1:])
}

// matchLine compares a line with a pattern in which … stands for any text.
func matchLine(got, want string) bool {
	parts := strings.Split(strings.TrimRight(want, " "), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(strings.TrimRight(got, " "))
}

func TestMatchLines(t *testing.T) {
	for _, c := range []struct {
		got, want string
		ok        bool
	}{
		{"a\nb", "a\nb", true},
		{"a  \nb", "a\nb ", true},
		{"a\nb\nc", "a\n…", true},
		{"a\nb\nc", "…\nc", true},
		{"a\nb\nc", "a\n…\nb\n…\nc", true},
		{"a\nb\nc", "a\n…\nb", false},
		{"a\nb", "a", false},
		{"a", "a\nb", false},
		{"a.c", "a…c", true},
		{"abc", "a.c", false},
		{"abcd", "a…c", false},
	} {
		if matchLines(strings.Split(c.got, "\n"), strings.Split(c.want, "\n")) != c.ok {
			t.Errorf("%q against %q: want %v", c.got, c.want, c.ok)
		}
	}
}

var codeSpan = regexp.MustCompile("`(harvestwatch [^`]+)`")

// TestCommandsInTheDocsExist checks the commands and flags of sh blocks, and of code within sentences.
func TestCommandsInTheDocsExist(t *testing.T) {
	pages, blocks := docs(t)
	app := (&program{}).app()
	checked := 0
	check := func(at, line string) {
		list, err := words(line)
		if err != nil {
			t.Errorf("%s: %v", at, err)
		}
		for _, args := range invocations(list) {
			checked++
			if err := checkCommand(app, args); err != nil {
				t.Errorf("%s: %s: %v", at, line, err)
			}
		}
	}
	for _, b := range blocks {
		if b.lang != "sh" {
			continue
		}
		for i, line := range b.lines {
			check(b.at(i), line)
		}
	}
	for page, text := range pages {
		for i, line := range strings.Split(text, "\n") {
			for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
				check(fmt.Sprintf("%s:%d", page, i+1), m[1])
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d commands were found", checked)
	}
}

func TestCheckCommandFindsMistakes(t *testing.T) {
	app := (&program{}).app()
	for line, ok := range map[string]bool{
		"harvestwatch scan --json x.log --top 3 | less -R":            true,
		"sudo -u mail harvestwatch rules list && harvestwatch events": true,
		"harvestwatch run -c x.toml --never=192.0.2.1":                true,
		"harvestwatch --version":                                      true,
		"echo x | sudo harvestwatch scna -":                           false,
		"harvestwatch scan --jsn x.log":                               false,
		"harvestwatch rules":                                          false,
		"harvestwatch rules lst":                                      false,
		"harvestwatch block 192.0.2.1 --for":                          false,
		"cat x > y; go run ./cmd/harvestwatch scan --evil":            false,
		"sudo install harvestwatch /usr/bin/harvestwatch":             true,
	} {
		list, err := words(line)
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range invocations(list) {
			if e := checkCommand(app, args); err == nil {
				err = e
			}
		}
		if (err == nil) != ok {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// invocations returns the arguments of each harvestwatch that a line of shell calls.
func invocations(list []string) [][]string {
	var all [][]string
	for len(list) > 0 {
		end := slices.IndexFunc(list, func(w string) bool { return slices.Contains([]string{"|", "&&", ";", ">", ">>"}, w) })
		if end < 0 {
			end = len(list)
		}
		if args, ok := called(list[:end]); ok {
			all = append(all, args)
		}
		list = list[min(end+1, len(list)):]
	}
	return all
}

// called returns the arguments of a call of harvestwatch, through sudo or go run too; false for another program's call.
func called(call []string) ([]string, bool) {
	if len(call) > 0 && call[0] == "sudo" {
		call = call[1:]
		if len(call) > 1 && call[0] == "-u" {
			call = call[2:]
		}
	}
	if len(call) > 2 && call[0] == "go" && call[1] == "run" {
		call = call[2:]
	}
	if len(call) == 0 || !slices.Contains([]string{"harvestwatch", "./harvestwatch", "./cmd/harvestwatch"}, call[0]) {
		return nil, false
	}
	return call[1:], true
}

// checkCommand says what is wrong with the arguments of a harvestwatch: a command or a flag that does not exist.
func checkCommand(app *cli.App, args []string) error {
	commands, flags, path := app.Commands, app.Flags, "harvestwatch"
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "-" || slices.Contains([]string{"--help", "-h", "--version"}, arg):
		case strings.HasPrefix(arg, "-"):
			name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			if !slices.ContainsFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) }) {
				return fmt.Errorf("%s has no flag %s", path, arg)
			}
			if takesValue(flags, arg) {
				if len(args) == 0 {
					return fmt.Errorf("%s %s lacks its value", path, arg)
				}
				args = args[1:]
			}
		case len(commands) > 0:
			c := find(commands, arg)
			if c == nil {
				return fmt.Errorf("%s has no command %s", path, arg)
			}
			commands, flags, path = c.Subcommands, c.Flags, path+" "+arg
			if len(commands) > 0 && len(args) == 0 {
				return fmt.Errorf("%s lacks its command", path)
			}
		}
	}
	return nil
}

// words takes a line of shell apart: blanks separate words, quotation marks keep them together, # begins a comment.
func words(line string) ([]string, error) {
	var list []string
	var word strings.Builder
	inWord, quote := false, rune(0)
	flush := func() {
		if inWord {
			list = append(list, word.String())
		}
		word.Reset()
		inWord = false
	}
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == ' ':
			flush()
		case c == '#' && !inWord:
			return list, nil
		case c == ';':
			flush()
			list = append(list, ";")
		case c == '\\' || c == '$' || c == '`':
			return nil, fmt.Errorf("%q stands outside quotation marks: write a plain command", c)
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quotation mark is not closed")
	}
	flush()
	return list, nil
}

// TestDocsNameEverything: whatever the program can be told stands in a page, and so does every kind of event.
func TestDocsNameEverything(t *testing.T) {
	pages, _ := docs(t)
	var all strings.Builder
	for _, text := range pages {
		all.WriteString(text)
	}
	app := (&program{}).app()
	var visit func(path string, list []*cli.Command)
	visit = func(path string, list []*cli.Command) {
		for _, c := range list {
			if c.Name == "help" {
				continue
			}
			if name := path + " " + c.Name; !mentioned(all.String(), name) {
				t.Errorf("no page mentions %s", name)
			}
			for _, f := range c.Flags {
				for _, name := range f.Names() {
					if flag := dashes(name); !mentioned(all.String(), flag) {
						t.Errorf("no page mentions %s of %s %s", flag, path, c.Name)
					}
				}
			}
			visit(path+" "+c.Name, c.Subcommands)
		}
	}
	visit("harvestwatch", app.Commands)
	for k := harvestwatch.Connect; k.String() != ""; k++ {
		if !strings.Contains(pages["docs/postfix.md"], "| `"+k.String()+"` |") {
			t.Errorf("docs/postfix.md does not say what gives %s", k)
		}
	}
}

func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// mentioned reports whether a text holds a command or flag as a whole word, and not only as the beginning of another.
func mentioned(text, what string) bool {
	return regexp.MustCompile(`(^|[^\w-])` + regexp.QuoteMeta(what) + `($|[^\w-])`).MatchString(text)
}

var link = regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`)

// TestDocsAreWhole: the rule files and configurations that are shown are valid, and the links lead somewhere.
func TestDocsAreWhole(t *testing.T) {
	pages, blocks := docs(t)
	for _, b := range blocks {
		text := strings.Join(b.lines, "\n")
		switch {
		case !slices.Contains([]string{"console", "sh", "text", "toml", "powershell"}, b.lang):
			t.Errorf("%s: nothing checks a block of %q", b.at(0), b.lang)
		case b.lang == "toml" && strings.Contains(text, "[[rule]]"):
			if _, err := rules.Parse(b.at(0), []byte(text)); err != nil {
				t.Error(err)
			}
		case b.lang == "toml":
			if _, err := parseConfig(b.at(0), []byte(text)); err != nil {
				t.Error(err)
			}
		}
	}
	for page, text := range pages {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target := filepath.Join(filepath.Dir(page), m[1])
			if m[1] == "" {
				target = page
			}
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
			if m[2] != "" && !hasHeading(pages[target], m[2]) {
				t.Errorf("%s links to %s%s: there is no such heading", page, m[1], m[2])
			}
		}
	}
}

// hasHeading reports whether a page has the heading that an anchor means: small letters, hyphens for blanks, no marks.
func hasHeading(text, anchor string) bool {
	marks := regexp.MustCompile(`[^\w -]`)
	for line := range strings.SplitSeq(text, "\n") {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			if "#"+strings.ReplaceAll(strings.ToLower(marks.ReplaceAllString(title, "")), " ", "-") == anchor {
				return true
			}
		}
	}
	return false
}
