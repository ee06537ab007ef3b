package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch/parsers"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// TestMistakesAreLocated: each mistake is one line that begins with file, line and key, and goes on with what to do.
func TestMistakesAreLocated(t *testing.T) {
	for text, want := range map[string]string{
		"mode = \"observe\"\n[site]\nown = [\"192.0.2.1\", \"mx1\"]\n":    `x.toml:3: site.own holds "mx1": name an address or a network`,
		"[site]\nown = [\n  \"192.0.2.1\",\n  \"mx1\",\n]\n":              `x.toml:2: site.own holds "mx1"`,
		"[site]\ndomains = [\"kontor.example\", \"a b\"]\n":               `x.toml:2: site.domains holds "a b": name a domain`,
		"[site]\n\ndate_order = \"dym\"\n":                                `x.toml:3: site.date_order is "dym": it must be mdy or dmy or ymd`,
		"site.date_order = \"dym\"\n":                                     `x.toml:1: site.date_order is "dym"`,
		"mode = \"observe\"\nsite = { date_order = \"dym\" }\n":           `x.toml:2: site.date_order is "dym"`,
		"[site]\nown = \"192.0.2.1\"\n":                                   `x.toml:2:7: key "site.own": `,
		"[recipients]\nfile = 5\n":                                        `x.toml:2:8: key "recipients.file": `,
		"[recipients]\nurl = \"ldap://a\"\nplain = \"yes\"\n":             `x.toml:3:9: key "recipients.plain": `,
		"[recipients]\nfile = \"x\"\nrefresh = \"-1h\"\n":                 `x.toml:3: recipients.refresh is "-1h": `,
		"[recipients]\nrefresh = \"59s\"\n":                               `x.toml:2: recipients.refresh is "59s": it must be a minute at least`,
		"[recipients]\ndelimiter = \"a\"\n":                               `x.toml:2: recipients.delimiter is "a": `,
		"[recipients]\ndelimiter = \"+-+\"\n":                             `x.toml:2: recipients.delimiter is "+-+": `,
		"[recipients]\ndelimiter = \"ä\"\n":                               `x.toml:2: recipients.delimiter is "ä": `,
		"[recipients]\n# who\nbind = \"hw\"\n":                            `x.toml:1: recipients.url is missing: `,
		"[recipients]\nurl = \"ldaps://u:p@dc1\"\n":                       `x.toml:2: recipients.url can't be used: `,
		"[recipients]\nurl = \"ldap://\"\n":                               `x.toml:2: recipients.url can't be used: `,
		"[recipients]\nurl = \"ldaps://dc1\"\nbind = \"hw\"\n":            `x.toml:2: recipients.url can't be used: the directory is configured wrongly: the login "hw"`,
		"[recipients]\nurl = \"ldaps://dc1\"\nstarttls = true\n":          `x.toml:2: recipients.url can't be used: the directory is configured wrongly: ldaps:// is`,
		"[recipients]\nurl = \"ldaps://dc1\"\nfilter = \"(mail=*\"\n":     `x.toml:2: recipients.url can't be used: the directory is configured wrongly: the filter`,
		"[recipients]\nurl = \"ldaps://dc1\"\npassword_file = \"x\"\n":    `x.toml:2: recipients.url can't be used: `,
		"[[input]]\npath = \"/x/[a\"\n":                                   `x.toml:2: input.path can't be used: follow /x/[a: `,
		"[[input]]\npath = \"/x/a*\"\n[[input]]\npath = \"/y*/a*\"\n":     `x.toml:4: input.path can't be used: follow /y*/a*: `,
		"[[input]]\npath = \"/x/a.log\"\n[[input]]\npath = \"/x/*/a*\"\n": `x.toml:4: input.path can't be used: follow /x/*/a*: `,
		"[[input]]\nformat = \"postfix\"\n":                               `x.toml:1: input.path is missing: name the log to follow`,
		"[[input]]\npath = \"/x/a.csv\"\nmapping = \"/no/such\"\n":        `x.toml:3: input.mapping can't be used: read the mapping: `,
		"[[input]]\npath = \"/x/a.csv\"\nformat = \"table\"\n":            `x.toml:1: input.mapping is missing: `,
		"[[input]]\npath = \"/x/a.accdb\"\n":                              `x.toml:1: input.mapping is missing: /x/a.accdb is an Access database`,
		"input = [{ path = \"/x/[a\" }]\n":                                `x.toml:1: input.path can't be used: `,
	} {
		_, err := parseConfig("x.toml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v\nwant one line %s", text, err, want)
		}
	}
}

// TestEachMistakeIsSaid: several are as many lines, each with its own place.
func TestEachMistakeIsSaid(t *testing.T) {
	_, err := parseConfig("x.toml", []byte("never = [\"a\", \"b\"]\n[site]\nown = [\"c\", \"d\"]\n[[input]]\npath = \"/x/[a\"\nstart = \"now\"\n"))
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{"x.toml:1: never holds \"a\"", "x.toml:1: never holds \"b\"", "x.toml:3: site.own holds \"c\"", "x.toml:3: site.own holds \"d\"",
		"x.toml:5: input.path can't be used", "x.toml:6: input.start is \"now\""} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d should begin %s:\n%v", i+1, want, err)
		}
	}
}

// TestMappingAdviceNamesEachKey: who wrote a wrong key is told all right ones.
func TestMappingAdviceNamesEachKey(t *testing.T) {
	for f := range reflect.TypeFor[mapping]().Fields() {
		if key := f.Tag.Get("toml"); key == "" || !mentioned(mappingAdvice, key) {
			t.Errorf("the advice lacks %q: %s", key, mappingAdvice)
		}
	}
}

// TestDiscoverKnowsTheFormats: of each golden log of a format that needs no mapping discover says so, and of no other.
func TestDiscoverKnowsTheFormats(t *testing.T) {
	for _, format := range parsers.Formats() {
		dir := "../../testdata/logs/" + format
		for _, g := range golden.Load(t, dir) {
			want := format
			if r := g.Header["recognised"]; r != "" {
				want = r
			}
			if format == parsers.Table {
				want = ""
			}
			if got := knownFormat(logOf(t, dir, g.Name)); got != want {
				t.Errorf("%s/%s: %q, want %q", format, g.Name, got, want)
			}
		}
	}
	if got := knownFormat(filepath.Join("..", "..", "testdata", "access", "mail.mdb")); got != "" {
		t.Errorf("a database is %s", got)
	}
}

// TestListOfTheScan: --delimiter and --local say of the list of recipients what the configuration says to the daemon.
func TestListOfTheScan(t *testing.T) {
	c := newConfigured(t, "")
	c.write(t, "RECV.LOG", []byte(strings.ReplaceAll(string(acceptingLog()), "TO:<user", "TO:<info+user")))
	c.write(t, "valid.txt", []byte(validRecipients+"x@cheap.example\n"))
	c.write(t, "others.txt", []byte("info@partner.example\n@lists.example\n"+validRecipients))
	for _, test := range []struct {
		args    string
		unknown int64
	}{
		{"--recipients valid.txt", 24},
		{"--recipients valid.txt --delimiter +", 0},
		{"--recipients valid.txt --delimiter -", 24},
		{"--recipients others.txt --local kontor.example", 24},
		{"--recipients others.txt --local partner.example", 0},
	} {
		args := strings.Fields(test.args)
		args[1] = c.path(args[1])
		if s := scanJSON(t, append(args, c.path("RECV.LOG"))...); s.Totals.UnknownRecipients != test.unknown {
			t.Errorf("%s: %d unknown, want %d", test.args, s.Totals.UnknownRecipients, test.unknown)
		}
	}
}

// TestDaemonSaysThatTheListIsEmpty: a list of nobody is taken, harms nobody, and is said.
func TestDaemonSaysThatTheListIsEmpty(t *testing.T) {
	c := newConfigured(t, "[recipients]\nfile = \"DIR/valid.txt\"\n[[input]]\npath = \"DIR/RECV.LOG\"\n")
	c.write(t, "valid.txt", []byte("# nobody yet\n"))
	c.write(t, "RECV.LOG", acceptingLog())
	stop := c.run(t)
	c.hasRead(t, c.path("RECV.LOG"))
	stop()
	if out, err := os.ReadFile(c.output); err != nil || !strings.Contains(string(out), "there is nobody in the list of recipients") {
		t.Errorf("%v: it says\n%s", err, out)
	}
	if got := decidedAbout(t, c.state); got != "" {
		t.Errorf("decided about %s", got)
	}
}
