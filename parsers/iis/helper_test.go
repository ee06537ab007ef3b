package iis

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

var formats = map[string]func(*site.Site) *Parser{"w3c": NewW3C, "ncsa": NewNCSA, "native": NewNative}

var shares = map[string]func([]byte) float64{"w3c": ShareW3C, "ncsa": ShareNCSA, "native": ShareNative}

// home is the site of the tests.
func home() *site.Site {
	return &site.Site{Reference: time.Date(2009, 7, 30, 12, 0, 0, 0, time.UTC), Domains: []string{"home.example", ".branch.example"}}
}

// show writes what matters of an event.
func show(ev *harvestwatch.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s %s %d", ev.Pos.Line, ev.Kind, ev.Addr, ev.Code)
	if ev.Null {
		b.WriteString(" null")
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{"from", ev.Sender}, {"to", ev.Recipient}, {"helo", ev.Helo}, {"user", ev.User}} {
		if len(f.text) > 0 {
			fmt.Fprintf(&b, " %s=%s", f.name, f.text)
		}
	}
	return b.String()
}

// full writes everything of an event.
func full(ev *harvestwatch.Event) string {
	return fmt.Sprintf("%s %s %d %d %v %v", show(ev), ev.When().Format(time.RFC3339Nano), ev.Session, ev.Began, ev.Pos, ev.Idle)
}

// read parses a log in one piece.
func read(p *Parser, data string, write func(*harvestwatch.Event) string) (got []string, counts harvestwatch.Counts) {
	l := &harvestwatch.Lines{Data: []byte(data), Pos: harvestwatch.Pos{Line: 1}}
	p.Lex(l)
	counts = p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, write(ev)) }, nil)
	return got, counts
}

// expect holds a log's events against what show writes of them, and that nothing is unparsed.
func expect(t *testing.T, p *Parser, data string, want ...string) {
	t.Helper()
	got, counts := read(p, data, show)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\ngot:\n  %s\nwant:\n  %s", data, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	if counts.Unparsed != 0 {
		t.Errorf("%s\n%d lines not understood", data, counts.Unparsed)
	}
}

// times returns when the events of a log were.
func times(p *Parser, data string) (got []string, counts harvestwatch.Counts) {
	return read(p, data, func(ev *harvestwatch.Event) string { return ev.When().Format("2006-01-02 15:04:05") })
}

// command is one row in any of the formats.
type command struct {
	at              time.Time
	ip, helo        string
	verb, arg, code string
}

const header = "#Software: Microsoft Internet Information Services 6.0\r\n#Version: 1.0\r\n#Date: %s\r\n#Fields: %s \r\n"

// usualHeader begins a W3C log with all columns.
func usualHeader(at time.Time) string {
	return fmt.Sprintf(header, at.Format("2006-01-02 15:04:05"), usual)
}

func (c command) w3c() string {
	return fmt.Sprintf("%s %s %s SMTPSVC1 MX1 192.0.2.10 0 %s - %s %s 0 46 33 0 SMTP - - - -\r\n",
		c.at.UTC().Format("2006-01-02 15:04:05"), c.ip, c.helo, c.verb, c.arg, c.code)
}

func (c command) ncsa() string {
	query := "-"
	if c.arg != "-" {
		query = "-?" + c.arg
	}
	return fmt.Sprintf("%s - %s [%s] \"%s %s SMTP\" %s 32\r\n", c.ip, c.helo, c.at.Format("02/Jan/2006:15:04:05 -0700"), c.verb, query, c.code)
}

func (c command) native() string {
	return fmt.Sprintf("%s, %s, %s, SMTPSVC1, MX1, 192.0.2.10, 15, 30, 24, %s, 0, %s, -, %s,\r\n",
		c.ip, c.helo, c.at.Format("1/2/06, 15:04:05"), c.code, c.verb, strings.TrimPrefix(c.arg, "+"))
}

var start = time.Date(2009, 7, 13, 23, 59, 0, 0, time.UTC)

// session is a day's variety: harvest, mail, bounces, TLS, authentication, others' rows, over midnight. Transactions are
// interleaved, taken back and given in chunks.
func session() (list []command) {
	at := start
	say := func(ip, helo, verb, arg, code string) {
		list = append(list, command{at, ip, helo, verb, arg, code})
		at = at.Add(7 * time.Second)
	}
	for i := range 6 {
		ip := fmt.Sprintf("203.0.113.%d", 5+i%2)
		say(ip, "friend", "HELO", "+friend", "250")
		say(ip, "friend", "MAIL", fmt.Sprintf("+FROM:<a%d@there.example>", i), "250")
		say(ip, "friend", "RCPT", fmt.Sprintf("+TO:+<n%d@home.example>", i), "550")
		say(ip, "friend", "RCPT", fmt.Sprintf("+TO:<n%d@other.example>+NOTIFY=NEVER", i), "550")
		say("2001:db8::5", "v6.example", "EHLO", "+v6.example", "250")
		say("2001:db8::5", "v6.example", "STARTTLS", "-", "220")
		say("2001:db8::5", "v6.example", "EHLO", "+v6.example", "250")
		say("2001:db8::5", "v6.example", "MAIL", "+From:<>", "250")
		say("2001:db8::5", "v6.example", "RCPT", "+To:<gone@home.example>", "550")
		say("2001:db8::5", "v6.example", "RCPT", "+To:<info@home.example>", "250")
		say("198.51.100.3", "-", "xxxx", "+pc.example", "500")
		say(ip, "friend", "RCPT", "+TO:<info@home.example>", "250")
		say(ip, "friend", "RCPT", "+TO:<office@home.example>", "251")
		if i%3 == 1 {
			say("2001:db8::5", "v6.example", "RSET", "-", "250")
		}
		say(ip, "friend", "DATA", "+<1@x.example>", "250")
		say("2001:db8::5", "v6.example", "BDAT", "+100", "250")
		say("2001:db8::5", "v6.example", "BDAT", "+10+LAST", "250")
		say("198.51.100.9", "OutboundConnectionResponse", "-", "550+5.1.1+<n@far.example>", "0")
		say("198.51.100.9", "OutboundConnectionCommand", "QUIT", "-", "240")
		say(ip, "friend", "AUTH", "-", "535")
		say("127.0.0.1", "self", "RCPT", "+TO:<x@home.example>", "550")
		say(ip, "friend", "QUIT", "friend", "240")
	}
	return list
}

// mixed returns the session's log in each format, the W3C log with columns that change and a date that is missing.
func mixed() map[string]string {
	logs := map[string]string{"w3c": usualHeader(start), "ncsa": "", "native": ""}
	for i, c := range session() {
		switch {
		case i == 40:
			logs["w3c"] += fmt.Sprintf(header, c.at.Format("2006-01-02 15:04:05"), "time c-ip cs-method sc-status cs-uri-query")
		case i == 70:
			logs["w3c"] += fmt.Sprintf("#Fields: %s\r\n", usual)
		}
		if i >= 40 && i < 70 {
			logs["w3c"] += fmt.Sprintf("%s %s %s %s %s\r\n", c.at.Format("15:04:05"), c.ip, c.verb, c.code, c.arg)
		} else {
			logs["w3c"] += c.w3c()
		}
		logs["ncsa"] += c.ncsa()
		logs["native"] += c.native()
	}
	return logs
}

func TestGolden(t *testing.T) {
	for name, open := range formats {
		t.Run(name, func(t *testing.T) {
			golden.Run(t, "iis-"+name, func(l *golden.Log) golden.Parser {
				if l.Format != "iis-"+name {
					t.Errorf("%s is said to be %q", l.Name, l.Format)
				}
				if got := shares[name](l.Data); got < 0.9 {
					t.Errorf("%s: %v of it is recognised", l.Name, got)
				}
				return open(&l.Site)
			})
		})
	}
}

var ownNet = netip.MustParsePrefix("192.0.2.0/24")
