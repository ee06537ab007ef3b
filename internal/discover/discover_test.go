package discover

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/pelletier/go-toml/v2"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/access"
	"github.com/harvestwatch/harvestwatch/parsers/gfi"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

const (
	databases = "../../testdata/access"
	tables    = "../../testdata/logs/table"
)

// need ends the test where mdbtools is missing: it fails it when HARVESTWATCH_REQUIRE names interop.
func need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("mdb-export"); err != nil {
		needed := strings.FieldsFunc(os.Getenv("HARVESTWATCH_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' })
		if slices.Contains(needed, "interop") {
			t.Fatalf("interop is required, and mdbtools is missing: %v", err)
		}
		t.Skipf("needs mdbtools: %v", err)
	}
}

func find(t testing.TB, path string) *Finding {
	t.Helper()
	f, err := Path(t.Context(), path, access.Options{Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// file writes a file and looks into it.
func file(t testing.TB, text string) *Finding {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return find(t, path)
}

// config is the mapping as a configuration has it.
type config struct {
	Table      string            `toml:"table"`
	Key        string            `toml:"key"`
	Pattern    string            `toml:"pattern"`
	Time       string            `toml:"time"`
	TimeLayout string            `toml:"time_layout"`
	Source     string            `toml:"source"`
	Recipient  string            `toml:"recipient"`
	Sender     string            `toml:"sender"`
	Helo       string            `toml:"helo"`
	User       string            `toml:"user"`
	Verdict    string            `toml:"verdict"`
	Kind       string            `toml:"kind"`
	Verdicts   map[string]string `toml:"verdicts"`
}

// decode reads a configuration strictly.
func decode(t testing.TB, text string) (c config, fields *site.Fields) {
	t.Helper()
	d := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	f := site.Fields{Table: c.Table, Key: c.Key, Pattern: c.Pattern, Time: c.Time, TimeLayout: c.TimeLayout, Source: c.Source,
		Recipient: c.Recipient, Sender: c.Sender, Helo: c.Helo, User: c.User, Verdict: c.Verdict, Verdicts: map[string]harvestwatch.Kind{}}
	f.Kind, _ = harvestwatch.KindOf(c.Kind)
	for text, kind := range c.Verdicts {
		f.Verdicts[text], _ = harvestwatch.KindOf(kind)
	}
	return c, &f
}

func TestDatabases(t *testing.T) {
	need(t)
	for _, name := range []string{"mail.mdb", "mail.accdb"} {
		f := find(t, filepath.Join(databases, name))
		best := f.Best()
		if f.Kind != KindAccess || best == nil || best.Name != "Blocked mail" || best.Confidence() != "likely" || len(f.Tables) != 5 || best.Rows != 360 {
			t.Fatalf("%s: %+v", name, f)
		}
		for _, o := range f.Tables[1:] {
			if o.Usable || (o.Err != nil) != (o.Name == "--help") {
				t.Errorf("%s: %q %v", name, o.Name, o.Err)
			}
		}
		c, _ := decode(t, f.TOML())
		want := config{Table: "Blocked mail", Key: "ID", Time: "Received", Source: "Client IP", Recipient: "Recipients", Sender: "Sender", Verdict: "Filter, rule",
			Verdicts: map[string]string{"Directory Harvesting: unknown recipient": "rcpt_unknown", "IP Blocklist": "rcpt_refused"}}
		if c.Table != want.Table || c.Key != want.Key || c.Time != want.Time || c.Source != want.Source || c.Recipient != want.Recipient ||
			c.Sender != want.Sender || c.Verdict != want.Verdict || len(c.Verdicts) != 2 || c.Verdicts["Directory Harvesting: unknown recipient"] != "rcpt_unknown" {
			t.Errorf("%s: %+v in\n%s", name, c, f.TOML())
		}
		if !strings.HasPrefix(f.TOML(), "# unverified: ") {
			t.Errorf("the mapping is not marked: %.80s", f.TOML())
		}
	}
}

// What is proposed for the golden tables, once the kinds that only a person can know are filled in, gives the events
// that are expected of them.
func TestProposalsGiveTheExpectedEvents(t *testing.T) {
	for _, l := range golden.Load(t, tables) {
		names, err := filepath.Glob(filepath.Join(tables, l.Name+".[tcl]*"))
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		f := find(t, names[0])
		_, fields := decode(t, f.TOML())
		switch l.Name {
		case "blocked": // that mail was delivered is never taken for granted
			if !strings.Contains(f.TOML(), `# "Delivered" = "delivered" # 45 rows`) {
				t.Error(f.TOML())
			}
			fields.Verdicts["Delivered"] = harvestwatch.Delivered
		case "spreadsheet":
			fields.Kind = harvestwatch.RcptUnknown
		case "filter": // which word is the verdict is for a person
			fields.Pattern = strings.Replace(fields.Pattern, `\]`, `\] (?P<verdict>[a-z ]+)`, 1)
			fields.Verdicts = map[string]harvestwatch.Kind{"no such user": harvestwatch.RcptUnknown, "refused*": harvestwatch.RcptRefused, "passed": harvestwatch.Delivered}
			for i := range l.Want { // and which mail address is the sender
				delete(l.Want[i].Keys, "sender")
				delete(l.Want[i].Keys, "helo")
			}
		}
		l.Site.Fields = fields
		t.Run(l.Name, func(t *testing.T) {
			golden.Check(t, &l, func() golden.Parser {
				p, err := gfi.New(&l.Site)
				if err != nil {
					t.Fatalf("%v of\n%s", err, f.TOML())
				}
				return p
			})
		})
	}
}

func TestColumns(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want config
	}{
		"names decide between two": {"When,Server IP,Remote IP,From,To\n2026-03-12 09:00:00,192.0.2.1,198.51.100.7,a@x.example,b@k.example\n" +
			"2026-03-12 09:00:01,192.0.2.1,198.51.100.8,a@y.example,c@k.example\n", config{Time: "When", Source: "Remote IP", Recipient: "To", Sender: "From"}},
		"domains decide between two": {"T;I;M1;M2\n2026-03-12T09:00:00Z;198.51.100.7;a@x.example;b@k.example\n" +
			"2026-03-12T09:00:01Z;198.51.100.8;a@y.example;c@k.example\n", config{Time: "T", Source: "I", Recipient: "M2", Sender: "M1"}},
		"a layout": {"Date\tIP\n13.03.2026 09:00:00\t198.51.100.7\n14.03.2026 09:00:00\t198.51.100.7\n",
			config{Time: "Date", TimeLayout: "02.01.2006 15:04:05", Source: "IP"}},
		"the month first": {"Date,IP\n3/13/2026 9:00:00 PM,198.51.100.7\n", config{Time: "Date", TimeLayout: "1/2/2006 3:04:05 PM", Source: "IP"}},
		"the day first":   {"Date,IP\n13/3/2026 9:00:00,198.51.100.7\n3/3/2026 9:00:00,198.51.100.7\n", config{Time: "Date", TimeLayout: "2/1/2006 15:04:05", Source: "IP"}},
		"user and helo": {"T,IP,Account,HELO\n2026-03-12 09:00:00,[2001:db8::1]:25,joe,x\n2026-03-12 09:00:00,198.51.100.7:25,ann,y\n",
			config{Time: "T", Source: "IP", User: "Account", Helo: "HELO"}},
	} {
		f := file(t, c.text)
		got, _ := decode(t, f.TOML())
		got.Verdicts, got.Verdict, got.Key = nil, "", ""
		if f.Kind != KindCSV || got.Time != c.want.Time || got.TimeLayout != c.want.TimeLayout || got.Source != c.want.Source || got.Recipient != c.want.Recipient ||
			got.Sender != c.want.Sender || got.User != c.want.User || got.Helo != c.want.Helo {
			t.Errorf("%s: %+v, want %+v of\n%s", name, got, c.want, f.TOML())
		}
	}
}

func TestAmbiguousDatesAreSaid(t *testing.T) {
	f := file(t, "Date,IP\n3/4/2026 9:00:00,198.51.100.7\n3/5/2026 9:00:00,198.51.100.7\n")
	if !strings.Contains(f.TOML(), "other way round") {
		t.Error(f.TOML())
	}
	if f = file(t, "Date,IP\n2026-03-04 00:00:00,198.51.100.7\n2026-03-05 00:00:00,198.51.100.7\n"); !strings.Contains(f.TOML(), "midnight") {
		t.Error(f.TOML())
	}
}

// A table without a time or an address gives no mapping at all, and no kind of event is ever set without words for it.
func TestNothingIsMadeUp(t *testing.T) {
	for _, text := range []string{"a,b\n1,2\n", "Time,To\n2026-03-12 09:00:00,a@k.example\n", "IP,To\n198.51.100.7,a@k.example\n", "hello\nworld\n",
		"2026-03-12 09:00:00 hello\n", "Time,IP\nnever,198.51.100.7\n1900-01-00 00:00:00,198.51.100.7\n"} {
		f := file(t, text)
		if c, _ := decode(t, f.TOML()); f.Best() != nil || c.Source != "" || c.Pattern != "" || c.Kind != "" {
			t.Errorf("%q:\n%s", text, f.TOML())
		}
	}
	f := file(t, "Time,IP,Filter\n2026-03-12 09:00:00,198.51.100.7,Whim\n2026-03-12 09:00:00,198.51.100.7,Fancy\n")
	c, fields := decode(t, f.TOML())
	if c.Verdict != "Filter" || len(c.Verdicts) != 0 || !strings.Contains(f.TOML(), `# "Whim" = "" # 1 row`) {
		t.Error(f.TOML())
	}
	if _, err := gfi.New(&site.Site{Fields: fields}); !errors.Is(err, gfi.ErrMapping) {
		t.Errorf("it can be used unread: %v", err)
	}
}

func TestGuesses(t *testing.T) {
	for text, want := range map[string]harvestwatch.Kind{
		"Directory Harvesting": harvestwatch.RcptUnknown, "Relay denied, user unknown": harvestwatch.RcptRelayDenied, "IP DNS Blocklist (RBL)": harvestwatch.RcptRefused,
		"SPAM": harvestwatch.SpamRefused, "Delivered": harvestwatch.Delivered, "not delivered": 0, "OK": 0, "": 0, "could not be delivered": 0,
	} {
		if got := guess(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestUnreadable(t *testing.T) {
	for text, want := range map[string]error{
		"\xff\xfea\x00,\x00b\x00": ErrUTF16, "\x00\x01\x00\x00MSISAM Database\x00": ErrBinary, "PK\x03\x04\x00\x00": ErrBinary, "": ErrEmpty, " \n\n": ErrEmpty,
	} {
		path := filepath.Join(t.TempDir(), "-x")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Path(t.Context(), path, access.Options{}); !errors.Is(err, want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Path(t.Context(), filepath.Join(t.TempDir(), "none"), access.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Path(t.Context(), t.TempDir(), access.Options{}); err == nil {
		t.Error("a folder is taken")
	}
	if _, err := Path(t.Context(), filepath.Join(databases, "mail.mdb"), access.Options{Programs: t.TempDir()}); !errors.Is(err, access.ErrMissing) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Path(ctx, filepath.Join(databases, "mail.mdb"), access.Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Nothing that a file holds reaches the terminal or the configuration unescaped.
func TestHostileTexts(t *testing.T) {
	evil := "\x1b]0;x\x07\u202e\u2028\r\x00" + `"` + "\\\xff]\n[verdicts]\nkind = 'delivered'\n"
	q := `"` + strings.ReplaceAll(strings.ReplaceAll(evil, `"`, `""`), "\x00", "") + `"`
	f := file(t, "Time,IP,"+q+",Filter\n"+strings.Repeat("2026-03-12 09:00:00,198.51.100.7,"+q+","+q+"\n"+
		"2026-03-12 09:00:00,198.51.100.7,x,\"spam "+q[1:]+"\n", 5))
	var out strings.Builder
	if err := f.Text(&out); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{out.String(), f.TOML()} {
		for _, r := range text {
			if !unicode.IsPrint(r) && r != '\n' {
				t.Errorf("%U in\n%q", r, text)
				break
			}
		}
	}
	if c, _ := decode(t, f.TOML()); c.Kind != "" || f.Kind != KindCSV || c.Verdicts["kind"] != "" {
		t.Errorf("%+v, %s of\n%s", c, f.Kind, f.TOML())
	}
}

func TestBounds(t *testing.T) {
	f := file(t, "Time,IP\n"+strings.Repeat("2026-03-12 09:00:00,198.51.100.7\n", 5000))
	if b := f.Best(); b.Rows != maxRows || !b.More {
		t.Errorf("%+v", b)
	}
	f = file(t, strings.Repeat("2026-03-12 09:00:00 [198.51.100.7] x\n", 5000))
	if b := f.Best(); b.Rows != maxRows || !b.More || b.Lines != maxRows {
		t.Errorf("%+v", b)
	}
	file(t, strings.Repeat("a,", 5000)+"b\n"+strings.Repeat("1,", 5000)+"2\n")
	file(t, strings.Repeat("x", 1<<20))
}
