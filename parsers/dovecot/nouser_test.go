package dovecot

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// days is a log of messages, each with the hour at which it was said, from the first of March on.
func days(messages ...string) string {
	var b strings.Builder
	for i, m := range messages {
		hour, text, _ := strings.Cut(m, " ")
		n := 0
		fmt.Sscan(hour, &n) //nolint:errcheck // a wrong hour is the first
		at := time.Date(2026, time.March, 1, n, 0, i, 0, time.UTC)
		fmt.Fprintf(&b, "%s mx dovecot: %s\n", at.Format(time.RFC3339), text)
	}
	return b.String()
}

// logins is a number of connections that log in at an hour, each under a session of its own.
func logins(hour, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%d imap-login: Login: user=<anna>, method=PLAIN, rip=198.51.100.7, lip=192.0.2.1, session=<L%d>", hour, i))
	}
	return list
}

// strangers returns which users a log says the site doesn't have; a new parser reads each line.
func strangers(t *testing.T, messages []string) string {
	t.Helper()
	disk := golden.Disk{}
	var names []string
	for _, l := range golden.Pieces([]byte(days(messages...)), func(int) bool { return true }) {
		p := restored(t, disk)
		p.Lex(l)
		p.Fold(l, func(ev *harvestwatch.Event) {
			if ev.NoUser {
				names = append(names, fmt.Sprint(ev.Kind, ":", string(ev.User)))
			}
		}, nil)
		disk.Take(p)
	}
	return strings.Join(names, " ")
}

func TestNoUser(t *testing.T) {
	const (
		first  = "0 auth: sql(web,203.0.113.1,<A>): unknown user"
		second = "30 auth: sql(root,203.0.113.2,<B>): unknown user"
		known  = "auth_fail:root"
	)
	all := func(middle []string, last ...string) []string {
		return append(append(append([]string{first}, logins(2, learnLogins)...), middle...), last...)
	}
	for name, c := range map[string]struct {
		messages []string
		want     string
	}{
		"one database, for a day":  {all(nil, second), known},
		"the other form of a line": {all(nil, "30 auth(root,203.0.113.2,sasl:plain)<B>: sql: unknown user"), known},
		"a worker": {all(nil, "30 auth-worker(7): conn unix:/run/dovecot/auth-worker (pid=1,uid=2): auth-worker<3>: "+
			"sql(root,203.0.113.2,<B>): Unknown user (given password: x)"), known},
		"a wrong password":             {all(nil, "30 auth: sql(root,203.0.113.2,<B>): Password mismatch"), ""},
		"a password of that text":      {all(nil, "30 auth: sql(root,203.0.113.2,<B>): Password mismatch (given password: unknown user)"), ""},
		"the connection's end":         {all(nil, "30 imap-login: Disconnected (auth failed, 1 attempts): user=<root>, rip=203.0.113.2, lip=192.0.2.1, session=<B>"), ""},
		"not for a day yet":            {all(nil, strings.Replace(second, "30", "20", 1)), ""},
		"too few logins":               {append(append([]string{first}, logins(2, learnLogins-1)...), second), ""},
		"another database":             {all([]string{"3 auth: ldap(web,203.0.113.1,<A>): invalid credentials"}, second), ""},
		"another one, later":           {all([]string{second}, "31 auth: ldap(root,203.0.113.2,<B>): unknown user", "32 auth: sql(x,203.0.113.3,<C>): unknown user"), known},
		"a policy server":              {all([]string{"3 auth: policy(web,203.0.113.1,<A>): Authentication failure due to policy server refusal"}, second), known},
		"a user whom it didn't know":   {all([]string{"3 auth: sql(bert,203.0.113.3,<C>): unknown user", "3 imap-login: Login: user=<Bert@kontor.example>, rip=203.0.113.3, lip=192.0.2.1, session=<C>"}, second), ""},
		"a session without attempts":   {all([]string{"3 auth: sql(bert,203.0.113.3): unknown user", "3 imap-login: Login: user=<bert>, rip=203.0.113.3, lip=192.0.2.1, session=<C>"}, second), ""},
		"without any session":          {all([]string{"3 auth: sql(bert,203.0.113.3): unknown user", "3 imap-login: Login: user=<bert>, rip=203.0.113.3, lip=192.0.2.1"}, second), ""},
		"a name mistyped":              {all([]string{"3 auth: sql(bret,203.0.113.3,<C>): unknown user", "3 imap-login: Login: user=<bert>, rip=203.0.113.3, lip=192.0.2.1, session=<C>"}, second), known},
		"the same name from elsewhere": {all([]string{"3 auth: sql(bert,203.0.113.3,<C>): unknown user", "3 imap-login: Login: user=<bert>, rip=203.0.113.4, lip=192.0.2.1, session=<D>"}, second), known},
		"PAM":                          {append([]string{"0 auth: pam(web,203.0.113.1,<A>): pam_authenticate() failed: User not known to the underlying authentication module"}, append(logins(2, learnLogins), "30 auth: pam(root,203.0.113.2,<B>): pam_authenticate() failed: User not known to the underlying authentication module: 2 Time(s)", "31 auth: pam(anna,203.0.113.2,<C>): pam_authenticate() failed: Authentication failure (Password mismatch?)")...), known},
	} {
		if got := strangers(t, c.messages); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What an earlier version stored of a connection is taken back.
func TestStateWithoutUnknown(t *testing.T) {
	p := open()
	old := record{last: 5, told: 1, open: 1}
	if err := p.Restore(toldKey(nil, 7), old.append(make([]byte, 8))); err != nil {
		t.Fatal(err)
	}
	if r := p.told.Get(7); r == nil || *r != old {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{"", strings.Repeat("\x00", 13), strings.Repeat("\x00", 13) + "\x02", strings.Repeat("\x00", 12) + "\x0b\x00", strings.Repeat("\x00", 15)} {
		if err := p.Restore([]byte{keySole}, []byte(bad)); !errors.Is(err, ErrState) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if p.sole != (sole{}) {
		t.Errorf("refused bytes left %+v", p.sole)
	}
}
