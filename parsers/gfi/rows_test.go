package gfi

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// rows are single rows with what must come of them: the events' addresses and recipients, "unparsed" or "ignored".
var rows = []struct{ row, want string }{
	{"2026-03-12 09:00:00,198.51.100.7,a@k.example,s@x.example,u,h,unknown", "198.51.100.7 a@k.example"},
	{`"2026-03-12 09:00:00","198.51.100.7","a@k.example","","","","UNKNOWN"`, "198.51.100.7 a@k.example"},
	{"2026-03-12T09:00:00.5+01:00,198.51.100.7,,,,,unknown", "198.51.100.7 "},
	{"2026-03-12 09:00:00,198.51.100.7,a@k.example; b@k.example;; ,,,,list of spammers", "198.51.100.7 a@k.example|198.51.100.7 b@k.example"},
	{`2026-03-12 09:00:00,198.51.100.7,"a@k.example, Bob <b@k.example>",,,,ok`, "198.51.100.7 a@k.example|198.51.100.7 b@k.example"},
	{`2026-03-12 09:00:00,198.51.100.7,"""a;b"", ""@k.example",,,,ok`, `198.51.100.7 "a;b"|198.51.100.7 "@k.example`},
	{"2026-03-12 09:00:00,[2001:db8::7]:1025,a@k.example,,,,ok", "2001:db8::7 a@k.example"},
	{"2026-03-12 09:00:00,::ffff:198.51.100.7,a@k.example,,,,ok", "198.51.100.7 a@k.example"},
	{"2026-03-12 09:00:00,fe80::1%eth0,a@k.example,,,,ok", "fe80::1 a@k.example"},

	{"2026-03-12 09:00:00,198.51.100.7,a@k.example,,,,checked", "ignored"},
	{"2026-03-12 09:00:00,198.51.100.7,a@k.example,,,,", "ignored"},
	{"2026-03-12 09:00:00,198.51.100.7,a@k.example,,,,unknown user", "ignored"},
	{"2026-03-12 09:00:00,,a@k.example,,,,unknown", "ignored"},
	{"2026-03-12 09:00:00,127.0.0.1,a@k.example,,,,unknown", "ignored"},
	{"2026-03-12 09:00:00,192.0.2.25:25,a@k.example,,,,unknown", "ignored"},
	{"2026-03-12 09:00:00,0.0.0.0,a@k.example,,,,unknown", "ignored"},
	{head[:len(head)-1], "ignored"},
	{"", "ignored"},
	{"   ", "ignored"},

	{"1900-01-00 00:00:00,198.51.100.7,a@k.example,,,,unknown", "unparsed"},
	{",198.51.100.7,a@k.example,,,,unknown", "unparsed"},
	{"0000-00-00 00:00:00,198.51.100.7,a@k.example,,,,unknown", "unparsed"},
	{"1899-12-30 00:00:00,198.51.100.7,a@k.example,,,,unknown", "unparsed"},
	{"1989-12-31 23:59:59,198.51.100.7,a@k.example,,,,unknown", "unparsed"},
	{"2201-01-01 00:00:00,198.51.100.7,a@k.example,,,,unknown", "unparsed"},
	{"03/12/26 09:00:00,198.51.100.7,a@k.example,,,,unknown", "unparsed"},
	{"2026-02-30 09:00:00,198.51.100.7,a@k.example,,,,unknown", "unparsed"},
	{"2026-03-12,198.51.100.7,a@k.example,,,,unknown", "unparsed"},
	{"2026-03-12 09:00:00 x,198.51.100.7,a@k.example,,,,unknown", "unparsed"},
	{"2026-03-12 09:00:00,unknown [192.0.2.66],a@k.example,,,,unknown", "unparsed"},
	{"2026-03-12 09:00:00,198.51.100.7 192.0.2.66,a@k.example,,,,unknown", "unparsed"},
	{"2026-03-12 09:00:00,198.51.100.7,a@k.example,,,unknown", "unparsed"},
	{"2026-03-12 09:00:00,198.51.100.7,a@k.example,,,,unknown,", "unparsed"},
	{`2026-03-12 09:00:00,198.51.100.7,"a"@k.example,,,,unknown`, "unparsed"},
	{`2026-03-12 09:00:00,"198.51.100.7" ,a,,,,unknown`, "unparsed"},
	{"IP,Time,To,From,User,Helo,", "unparsed"},
}

func TestRows(t *testing.T) {
	for _, c := range rows {
		o := table()
		o.Own = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/26")}
		p := parser(t, o)
		var got []string
		l := &harvestwatch.Lines{Data: []byte(head + c.row + "\n"), Pos: harvestwatch.Pos{Line: 1}}
		counts := p.Fold(l, func(ev *harvestwatch.Event) {
			got = append(got, fmt.Sprintf("%s %s", ev.Addr, ev.Recipient))
			if ev.Pos.Line != 2 || ev.Pos.Offset != int64(len(head)) {
				t.Errorf("%q: at %+v", c.row, ev.Pos)
			}
		}, nil)
		text := strings.Join(got, "|")
		switch {
		case counts.Unparsed == 1:
			text = "unparsed"
		case counts.Ignored == 2:
			text = "ignored"
		}
		if text != c.want || counts.Lines != 2 {
			t.Errorf("%q: %q, want %q; %+v", c.row, text, c.want, counts)
		}
	}
}

func TestNullSenderAndBrackets(t *testing.T) {
	got := run(t, table(), head+"2026-03-12 09:00:00,198.51.100.7,<a@k.example>,<>,u,h,ok\n2026-03-12 09:00:00,198.51.100.7,a,<s@x.example>,K\\u,h,ok\n")
	if len(got.events) != 2 || !strings.HasSuffix(got.events[0], `to="a@k.example" from="" null=true user="" helo="h"`) ||
		!strings.HasSuffix(got.events[1], `from="s@x.example" null=false user="" helo="h"`) {
		t.Errorf("%+v", got)
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"198.51.100.7": "198.51.100.7", " 198.51.100.7 ": "198.51.100.7", "[198.51.100.7]": "198.51.100.7", "198.51.100.7:25": "198.51.100.7",
		"[198.51.100.7]:65535": "198.51.100.7", "2001:db8::1": "2001:db8::1", "[2001:db8::1]": "2001:db8::1", "[2001:db8::1]:25": "2001:db8::1",
		"::ffff:198.51.100.7": "198.51.100.7", "[::ffff:198.51.100.7]:25": "198.51.100.7", "2001:db8::1%eth0": "2001:db8::1",
		"": "", "[]": "", "[": "", "]": "", ":25": "", "198.51.100.7:": "", "198.51.100.7:65536": "", "198.51.100.7:+5": "", "198.51.100.7:2 5": "",
		"[198.51.100.7": "", "198.51.100.7]": "", "[198.51.100.7]x": "", "x[198.51.100.7]": "", "198.51.100.7,": "", "198.51.100.007": "",
		"198.51.100.7 (x)": "", "mail.example": "", "3325256711": "", "0x7f.1": "", "[IPv6:2001:db8::1]": "", "198.51.100.7/32": "", "[[198.51.100.7]]": "",
	} {
		got := ""
		if a, ok := parseAddr([]byte(text)); ok {
			got = a.String()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, layout, want string }{
		{"2026-03-12 09:00:00", "", "2026-03-12T08:00:00Z"},
		{"2026-07-12T09:00:00", "", "2026-07-12T07:00:00Z"},
		{"2026-07-12T09:00", "", "2026-07-12T07:00:00Z"},
		{"2026/07/12 09:00:00.123456789123", "", "2026-07-12T07:00:00.123456789Z"},
		{"2026-07-12T09:00:00,5Z", "", "2026-07-12T09:00:00.5Z"},
		{"2026-07-12 09:00:00 +0530", "", "2026-07-12T03:30:00Z"},
		{"2026-07-12 09:00:00-08", "", "2026-07-12T17:00:00Z"},
		{"2024-02-29 00:00:60", "", "2024-02-28T23:00:59Z"},
		{"12.07.2026 09:00", "02.01.2006 15:04", "2026-07-12T07:00:00Z"},
		{"7/2/2026 3:04:05 PM", "1/2/2006 3:04:05 PM", "2026-07-02T13:04:05Z"},
		{"12.07.2026 09:00 +0000", "02.01.2006 15:04 -0700", "2026-07-12T09:00:00Z"},
		{"12.07.0026 09:00", "02.01.2006 15:04", ""},
		{"2026-07-12 09:00", "02.01.2006 15:04", ""},
		{"2023-02-29 00:00:00", "", ""}, {"2026-13-01 00:00:00", "", ""}, {"2026-00-01 00:00:00", "", ""}, {"2026-01-00 00:00:00", "", ""},
		{"2026-01-01 24:00:00", "", ""}, {"2026-01-01 00:60:00", "", ""}, {"2026-01-01 00:00:61", "", ""}, {"2026-01-01 00:00:00.", "", ""},
		{"2026-01-01 00:00:00+1", "", ""}, {"2026-01-01 00:00:00+24:00", "", ""}, {"2026-01-01 00:00:00 GMT", "", ""}, {"", "", ""}, {"now", "", ""},
	} {
		o := table()
		o.Location, o.Fields.TimeLayout = vienna, c.layout
		got := ""
		if ns, _, ok := parser(t, o).when([]byte(c.text)); ok {
			got = time.Unix(0, ns).UTC().Format(time.RFC3339Nano)
		}
		if got != c.want {
			t.Errorf("%q by %q: %q, want %q", c.text, c.layout, got, c.want)
		}
	}
}

func TestAssumed(t *testing.T) {
	p := parser(t, table())
	for _, c := range []struct{ row, want string }{
		{head, ""}, {"2026-03-12 09:00:00Z,198.51.100.7,a,,,,ok\n", ""}, {"2026-03-12 09:00:00,198.51.100.7,a,,,,ok\n", "times without a zone are taken for UTC"},
	} {
		p.Fold(&harvestwatch.Lines{Data: []byte(c.row)}, func(*harvestwatch.Event) {}, nil)
		if p.Assumed() != c.want {
			t.Errorf("after %q: %q", c.row, p.Assumed())
		}
	}
}

func TestVerdicts(t *testing.T) {
	v, err := newVerdicts(map[string]harvestwatch.Kind{"a*": 1, "ab*": 2, "abc": 3, " Ärger ": 4, "": 5})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]harvestwatch.Kind{"a": 1, "ABX": 2, "abc": 3, "abcd": 2, "ÄRGER": 4, "": 5, "x": 0} {
		if got := v.kind(appendLower(nil, []byte(text))); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestManyRecipientsAreBounded(t *testing.T) {
	got := run(t, table(), head+`2026-03-12 09:00:00,198.51.100.7,"`+strings.Repeat("a@k.example;", 3000)+`",,,,ok`+"\n")
	if got.counts.Events != maxRecipients {
		t.Errorf("%d events", got.counts.Events)
	}
}

func TestLongFieldsAreCut(t *testing.T) {
	long := strings.Repeat("x", 5000)
	p := parser(t, table())
	p.Fold(&harvestwatch.Lines{Data: []byte(head + "2026-03-12 09:00:00,198.51.100.7," + strings.Repeat(long+",", 4) + "ok\n")}, func(ev *harvestwatch.Event) {
		for _, b := range [][]byte{ev.Recipient, ev.Sender, ev.Helo} {
			if len(b) != harvestwatch.MaxField {
				t.Errorf("%d bytes", len(b))
			}
		}
	}, nil)
}

func TestMappingErrors(t *testing.T) {
	if _, err := New(&site.Site{}); !errors.Is(err, ErrNoMapping) {
		t.Error(err)
	}
	kinds := map[string]harvestwatch.Kind{"x": harvestwatch.RcptUnknown}
	const good = `^(?P<time>\S+) (?P<ip>\S+)`
	for _, f := range []site.Fields{
		{}, {Time: "a", Source: "b"}, {Time: "a", Kind: 1}, {Source: "a", Kind: 1}, {Time: "a", Source: "b", Verdict: "c", Kind: 1},
		{Time: "a", Source: "b", Verdict: "c", Verdicts: map[string]harvestwatch.Kind{"x": 0}},
		{Time: "a", Source: "b", Verdict: "c", Verdicts: map[string]harvestwatch.Kind{"x": 200}},
		{Time: "a", Source: "b", Kind: 1, TimeLayout: "Jan _2 15:04:05"}, {Time: "a", Source: "b", Kind: 1, TimeLayout: "x"},
		{Time: strings.Repeat("a", 300), Source: "b", Kind: 1},
		{Pattern: good}, {Pattern: good + "(", Kind: 1}, {Pattern: `(?P<time>a)`, Kind: 1}, {Pattern: `(?P<source>a)`, Kind: 1},
		{Pattern: good + `(?P<source>a)`, Kind: 1}, {Pattern: good + `(?P<colour>a)`, Kind: 1}, {Pattern: good + `(?P<verdict>a)`, Kind: 1},
		{Pattern: good + ")|(x", Kind: 1}, {Pattern: good + strings.Repeat("a", 5000), Kind: 1},
	} {
		if _, err := New(&site.Site{Fields: &f}); !errors.Is(err, ErrMapping) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	for _, f := range []site.Fields{{Pattern: good, Kind: 1}, {Pattern: good + "(?P<verdict>x)", Verdicts: kinds}, {Time: "a", Source: "b", Kind: 1}} {
		if _, err := New(&site.Site{Fields: &f}); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// A user is one that logs in: on other rows the column may name the mailbox's owner, and whoever is logged in may guess
// recipients without being counted.
func TestUserIsOfLogins(t *testing.T) {
	o := table()
	o.Fields.Verdicts["login failed"] = harvestwatch.AuthFail
	got := run(t, o, head+"2026-03-12 09:00:00,198.51.100.7,a@k.example,s,K\\u,h,login failed\n2026-03-12 09:00:00,198.51.100.7,a@k.example,s,K\\u,h,unknown\n")
	if len(got.events) != 2 || !strings.Contains(got.events[0], `user="K\\u"`) || !strings.Contains(got.events[1], `user=""`) {
		t.Errorf("%+v", got)
	}
}
