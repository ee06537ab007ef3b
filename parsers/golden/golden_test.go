package golden

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// words is a parser of lines "KIND ADDRESS RECIPIENT"; others are not understood.
type words struct{ deaf bool }

func (words) Lex(*harvestwatch.Lines) {}

func (w words) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(harvestwatch.Pos, []byte)) (c harvestwatch.Counts) {
	for i, line := range bytes.Split(bytes.TrimSuffix(l.Data, []byte("\n")), []byte("\n")) {
		c.Lines++
		pos := l.Pos
		pos.Line += int64(i)
		f := strings.Fields(string(line))
		if len(f) != 3 {
			c.Unparsed++
			unparsed(pos, line)
			continue
		}
		if w.deaf {
			c.Ignored++
			continue
		}
		kind, _ := harvestwatch.KindOf(f[0])
		c.Events++
		emit(&harvestwatch.Event{Pos: pos, Kind: kind, Addr: netip.MustParseAddr(f[1]), Recipient: []byte(f[2])})
	}
	return c
}

// complaints records what a test is told.
type complaints struct {
	testing.TB
	said []string
}

func (c *complaints) Helper() {}
func (c *complaints) Errorf(format string, a ...any) {
	c.said = append(c.said, fmt.Sprintf(format, a...))
}

func load1(t *testing.T, log, expect string) *Log {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"a.csv": log, "a.expect": expect} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &Load(t, dir)[0]
}

const (
	goodLog    = "connect 192.0.2.1 -\nrcpt_ok 192.0.2.1 a@b.example\n"
	goodExpect = "# format: words\n# local: b.example, c.example\n# date-order: dmy\n# own: 192.0.2.0/24\n# odd: x\n! none\n" +
		"1 connect 192.0.2.1\n2 rcpt_ok 192.0.2.1 recipient=\"a@b.example\"\n? 2 rcpt_ok 192.0.2.1\n"
)

func TestCheckIsContent(t *testing.T) {
	l := load1(t, goodLog, goodExpect)
	Check(t, l, func() Parser { return words{} })
	if l.Format != "words" || len(l.Site.Domains) != 2 || l.Site.DateOrder != "dmy" || len(l.Site.Own) != 1 || l.Header["odd"] != "x" ||
		len(l.Hits) != 1 || l.Hits[0] != "none" {
		t.Errorf("the header is %+v", l)
	}
}

func TestCheckComplains(t *testing.T) {
	for _, c := range []struct{ name, log, expect, want string }{
		{"missing", goodLog, goodExpect + "2 rcpt_ok 192.0.2.1\n2 connect 192.0.2.1\n", "no connect 192.0.2.1"},
		{"unexpected", goodLog + "connect 192.0.2.2 -\n", goodExpect, "line 3: unexpected connect"},
		{"another key", goodLog, strings.ReplaceAll(strings.Replace(goodExpect, "a@b", "c@b", 1), "? ", "#"), `recipient is "a@b.example", want "c@b.example"`},
		{"another address", goodLog, strings.Replace(goodExpect, "connect 192.0.2.1", "connect 192.0.2.3", 1), "another kind or address"},
		{"not understood", goodLog + "what\n", goodExpect, "line 3 is not understood"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := load1(t, c.log, c.expect)
			said := &complaints{TB: t}
			Check(said, l, func() Parser { return words{} })
			if !strings.Contains(strings.Join(said.said, "\n"), c.want) {
				t.Errorf("%q is not among %q", c.want, said.said)
			}
		})
	}
	said := &complaints{TB: t}
	Check(said, load1(t, goodLog, goodExpect), func() Parser { return words{deaf: true} })
	if !strings.Contains(strings.Join(said.said, "\n"), "no event at all") {
		t.Errorf("a deaf parser passes: %q", said.said)
	}
}

func TestBadExpectations(t *testing.T) {
	for _, line := range []string{"x connect 192.0.2.1", "1 connect", "1 conect 192.0.2.1", "1 connect 192.0.2.1 recipient",
		`1 connect 192.0.2.1 recipient="x`, "1 connect 192.0.2.1 time=noon", "# zone: Nowhere/At_All", "# reference: today", "# own: x"} {
		var l Log
		l.Header = map[string]string{}
		if err := l.read(line); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}
