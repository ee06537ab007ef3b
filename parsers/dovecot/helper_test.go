package dovecot

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// reference is when the made-up logs of the tests are read.
var reference = time.Date(2026, time.March, 30, 12, 0, 0, 0, time.UTC)

func open() *Parser { return New(&site.Site{Reference: reference}) }

// show writes what matters of an event.
func show(ev *harvestwatch.Event) string {
	text := fmt.Sprintf("%d %s -", ev.Pos.Line, ev.Kind)
	if ev.Addr.IsValid() {
		text = fmt.Sprintf("%d %s %s", ev.Pos.Line, ev.Kind, ev.Addr)
	}
	if len(ev.User) > 0 {
		text += " " + string(ev.User)
	}
	return text
}

// full writes everything of an event.
func full(ev *harvestwatch.Event) string {
	return fmt.Sprintf("%s %d %x %x %v %v", show(ev), ev.Time, ev.Session, ev.Twin, ev.Pos, ev.NoUser)
}

// run parses a log as one piece and returns what write makes of each event.
func run(t testing.TB, data string, write func(*harvestwatch.Event) string) ([]string, harvestwatch.Counts) {
	t.Helper()
	return runWith(open(), data, write)
}

func runWith(p *Parser, data string, write func(*harvestwatch.Event) string) ([]string, harvestwatch.Counts) {
	var got []string
	l := &harvestwatch.Lines{Data: []byte(data), Pos: harvestwatch.Pos{Line: 1}}
	p.Lex(l)
	counts := p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, write(ev)) }, nil)
	return got, counts
}

// expect holds a log's events against lines that show wrote.
func expect(t *testing.T, data string, want ...string) harvestwatch.Counts {
	t.Helper()
	got, counts := run(t, data, show)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\ngot:\n  %s\nwant:\n  %s", data, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	return counts
}

// logs returns the golden logs and one in which the memory is in use everywhere.
func logs(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{"mixed": mixed}
	for _, l := range golden.Load(t, "../../testdata/logs/dovecot") {
		all[l.Name] = string(l.Data)
	}
	return all
}

const mixed = `imap-login: Disconnected (auth failed, 1 attempts): user=<x>, rip=203.0.113.1, lip=192.0.2.1
@400000004c91b044077a9e94 auth: Info: sql(a,203.0.113.2): unknown user
pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=b rhost=203.0.113.3
@400000004c91b045077a9e94 auth: Info: pam(b,203.0.113.3,<S1>): pam_authenticate() failed: Authentication failure
@400000004c91b046077a9e94 auth: Info: pam(c,203.0.113.3,<S1>): unknown user
@400000004c91b046077a9e94 auth: Info: sql(c,203.0.113.3,<S1>): unknown user
rubbish
@400000004c91b047077a9e94 imap-login: Info: Disconnected (auth failed, 4 attempts): user=<c>, rip=203.0.113.3, lip=192.0.2.1, session=<S1>
@400000004c91b048077a9e94 imap-login: Info: Disconnected (auth failed, 2 attempts): user=<a>, rip=203.0.113.2, lip=192.0.2.1

Jan  1 00:00:00 mx dovecot: auth: sql(a,203.0.113.2): unknown user
Jan  1 00:00:01 mx dovecot: pop3-login: Disconnected (auth failed, 2 attempts): user=<a>, rip=203.0.113.2, lip=192.0.2.1
no end of line`
