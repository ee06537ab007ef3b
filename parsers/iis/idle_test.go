package iis

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
)

// idleEnds gives rows "CLIENT VERB CODE" of one after the other second, or after the seconds that a fourth word says, to
// parsers of each format, a new one at each row, and returns which connections' ends were idle.
func idleEnds(t *testing.T, rows ...string) string {
	t.Helper()
	answers := map[string]bool{}
	for name, open := range formats {
		at, log := start, ""
		for _, row := range rows {
			var ip, verb, code string
			wait := 1
			if n, _ := fmt.Sscan(row, &ip, &verb, &code, &wait); n < 3 { //nolint:errcheck // the last word may be missing
				t.Fatal(row)
			}
			at = at.Add(time.Duration(wait) * time.Second)
			c := command{at, "203.0.113." + ip, "friend", verb, "-", code}
			if verb == "MAIL" {
				c.arg = "+FROM:<a@b.example>"
			}
			log += map[string]func() string{"w3c": c.w3c, "ncsa": c.ncsa, "native": c.native}[name]()
		}
		if name == "w3c" {
			log = usualHeader(start) + log
		}
		d, got := disk{}, ""
		for _, l := range pieces([]byte(log), func(int) bool { return true }) {
			p := open(home())
			d.give(t, p)
			p.Lex(l)
			p.Fold(l, func(ev *harvestwatch.Event) {
				if ev.Kind == harvestwatch.Disconnect {
					got += fmt.Sprint(ev.Idle, " ")
				}
			}, nil)
			d.take(p)
		}
		answers[strings.TrimSpace(got)] = true
	}
	if len(answers) != 1 {
		t.Errorf("%q: the formats differ: %v", rows, answers)
	}
	for a := range answers {
		return a
	}
	return ""
}

func TestIdle(t *testing.T) {
	for _, c := range []struct {
		name, want string
		rows       []string
	}{
		{"a look", "true", []string{"5 HELO 250", "5 QUIT 240"}},
		{"a guess", "true", []string{"5 EHLO 250", "5 AUTH 535", "5 QUIT 240"}},
		{"encrypted", "true", []string{"5 EHLO 250", "5 STARTTLS 220", "5 EHLO 250", "5 QUIT 240"}},
		{"mail", "false", []string{"5 HELO 250", "5 MAIL 250", "5 QUIT 240"}},
		{"mail refused", "false", []string{"5 HELO 250", "5 MAIL 550", "5 QUIT 240"}},
		{"mail put off", "false", []string{"5 HELO 250", "5 MAIL 452", "5 QUIT 240"}},
		{"mail, then a look", "false true", []string{"5 HELO 250", "5 MAIL 250", "5 QUIT 240", "5 HELO 250", "5 QUIT 240"}},
		{"a look, then mail", "true false", []string{"5 HELO 250", "5 QUIT 240", "5 HELO 250", "5 MAIL 250", "5 QUIT 240"}},
		{"not from its beginning", "false", []string{"5 QUIT 240"}},
		{"mail of another", "true", []string{"5 HELO 250", "6 HELO 250", "6 MAIL 250", "5 QUIT 240"}},
		{"two at once", "true true", []string{"5 HELO 250", "5 HELO 250", "5 QUIT 240", "5 QUIT 240"}},
		{"two at once, one with mail", "false false", []string{"5 HELO 250", "5 HELO 250", "5 MAIL 250", "5 QUIT 240", "5 QUIT 240"}},
		{"mail in the second only", "true false", []string{"5 HELO 250", "5 HELO 250", "5 QUIT 240", "5 MAIL 250", "5 QUIT 240"}},
		{"one never ended", "false false", []string{"5 HELO 250", "5 HELO 250", "5 MAIL 250", "5 QUIT 240", "5 HELO 250 600", "5 QUIT 240"}},
		{"one ended long ago", "false true", []string{"5 HELO 250", "5 HELO 250", "5 MAIL 250", "5 QUIT 240", "5 HELO 250 4000", "5 QUIT 240"}},
		{"no HELO, no connection", "false", []string{"5 HELO 501", "5 QUIT 240"}},
	} {
		if got := idleEnds(t, c.rows...); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Who only looks in leaves nothing behind.
func TestLooksAreForgotten(t *testing.T) {
	p := NewW3C(home())
	rows := make([]string, 0, 50)
	for i := range 25 {
		rows = append(rows, fmt.Sprintf("240.0.0.%d x EHLO +x 250", i), fmt.Sprintf("240.0.0.%d x QUIT - 240", i))
	}
	read(p, w3c(rows...), show)
	if n := p.clients.Len(); n != 0 {
		t.Errorf("%d clients are remembered", n)
	}
}

func TestConnectionsAreRestored(t *testing.T) {
	ip, _ := address.Parse([]byte("203.0.113.5"))
	c := client{sender: []byte("a@b.example"), began: 7, hello: 9, open: 3, mailed: true, null: true}
	p := NewW3C(home())
	if err := p.restoreClient(keyOf(nil, keyClient, ip)[1:], append(make([]byte, 8), c.append(nil)...)); err != nil {
		t.Fatal(err)
	}
	if got := p.clients.Get(ip); fmt.Sprint(*got) != fmt.Sprint(c) {
		t.Errorf("%+v, want %+v", *got, c)
	}
	c.open = 0
	bad := append(make([]byte, 8), c.append(nil)...)
	bad[16] |= 4 // as if connections were open, of which there are none
	if err := p.restoreClient(keyOf(nil, keyClient, ip)[1:], append(bad, make([]byte, 10)...)); !errors.Is(err, ErrState) {
		t.Errorf("no open connections are taken back: %v", err)
	}
}
