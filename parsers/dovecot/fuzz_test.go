package dovecot

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// hostile writes a name and a password of the client's into every place that he can fill.
var hostile = []string{
	"auth: Info: passwd-file(NAME,203.0.113.9,<AAAA>): unknown user",
	"auth: Info: sql(NAME,203.0.113.9,<AAAA>): Password mismatch (given password: PASS)",
	"auth: Info: ldap(NAME,203.0.113.9,): invalid credentials (given password: PASS)",
	"auth-worker(7): Info: conn unix:auth-worker (pid=1,uid=2): auth-worker<3>: pam(NAME,203.0.113.9): pam_authenticate() failed: Authentication failure (Password mismatch?)",
	"auth: Info: plain(?,203.0.113.9,<AAAA>): Username character disallowed by auth_username_chars: 0x2c (username: NAME)",
	"auth(NAME,203.0.113.9,sasl:plain)<AAAA>: Info: sql: Password mismatch (given password: PASS)",
	"auth(NAME,203.0.113.9,sasl:login)<AAAA>: Info: sql: unknown user",
	"imap-login: Info: Disconnected (auth failed, 1 attempts in 2 secs): user=<NAME>, method=PLAIN, rip=203.0.113.9, lip=198.51.100.1, TLS, session=<AAAA>",
	"imap-login: Info: Disconnected (auth failed, 1 attempts in 2 secs): user=<NAME>, method=PLAIN, rip=203.0.113.9, lip=198.51.100.1",
	"imap-login: Info: Login: user=<NAME>, method=PLAIN, rip=203.0.113.9, lip=198.51.100.1, mpid=1, session=<AAAA>",
	"imap-login: Info: Disconnected (auth failed, 1 attempts): rip=203.0.113.9, lip=198.51.100.1, user=<NAME>, session=<AAAA>",
	"imap-login: Info: Disconnected (auth failed, 1 attempts): user=<NAME>, method=PLAIN, session=<AAAA>", // the client has no address
	"imap-login: Info: proxy(NAME): Login failed to 198.51.100.9:143: user=<NAME>, method=PLAIN, rip=203.0.113.9, lip=198.51.100.1",
	"imap-login: Info: ID sent: name=NAME: user=<>, rip=203.0.113.9, lip=198.51.100.1, session=<AAAA>",
	"imap(NAME)<12><AAAA>: Info: Disconnected: Logged out",
	"lmtp(NAME)<12><AAAA>: Info: msgid=<PASS>: saved mail to INBOX",
}

// pamForms have no level.
var pamForms = []string{
	"pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=NAME rhost=203.0.113.9",
	"pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=NAME rhost=203.0.113.9  user=NAME",
}

// clean makes of a text what Dovecot makes of it: no control characters.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return '?'
		}
		return r
	}, text)
}

var seeds = []string{
	"x>, method=plain, rip=192.0.2.66, lip=127.0.0.1, session=<abc>",
	"x>, rip=192.0.2.66, y", "x>, rip=192.0.2.66, session=<y", "x rip=192.0.2.66",
	"x,192.0.2.66,<abc>): unknown user", "x,192.0.2.66): unknown user (y", "y,192.0.2.66,<abc>): Password mismatch (given password: z",
	"default): sql(x,192.0.2.66): unknown user (y", "x,192.0.2.66,sasl:plain)<abc>: Info: sql: unknown user",
	"a rhost=192.0.2.66  user=b", "rhost=192.0.2.66", "a rhost=192.0.2.66", " ruser=b rhost=192.0.2.66",
	"a (auth failed, 99 attempts): user=<b>, rip=192.0.2.66", "x): Started proxying to 1: user=<y>, rip=192.0.2.66",
	"\r\nMar 22 17:01:50 auth: Info: sql(x,192.0.2.66): unknown user\n", "user=<", "): ", "given password: ", ")<a>: ",
}

// FuzzNeverForges holds that an event's address is the true client's or none, whatever he calls himself.
func FuzzNeverForges(f *testing.F) {
	for _, a := range seeds {
		for _, b := range seeds {
			f.Add(a, b)
		}
	}
	f.Fuzz(func(t *testing.T, name, pass string) {
		true4 := netip.MustParseAddr("203.0.113.9")
		fill := strings.NewReplacer("NAME", clean(name), "PASS", clean(pass))
		for _, form := range slices.Concat(hostile, pamForms) {
			for _, head := range []string{"Mar 22 17:01:50 ", "Mar 22 17:01:50 mx dovecot: ", ""} {
				text := head + fill.Replace(form)
				run(t, text+"\n", func(ev *harvestwatch.Event) string {
					if ev.Addr.IsValid() && ev.Addr != true4 {
						t.Errorf("the address %s in the event of\n%s", ev.Addr, text)
					}
					return ""
				})
			}
		}
	})
}

// FuzzRaw gives any bytes to the parser: it must not fail, must account for each line, and must not care how they are cut.
func FuzzRaw(f *testing.F) {
	for _, text := range logs(f) {
		f.Add([]byte(text))
	}
	for _, s := range seeds {
		f.Add([]byte("Mar 22 17:01:50 " + s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, l := open(), &harvestwatch.Lines{Data: data, Pos: harvestwatch.Pos{Line: 1}}
		p.Lex(l)
		told, whole := map[int64]bool{}, []string{}
		var unparsed int64
		counts := p.Fold(l, func(ev *harvestwatch.Event) {
			told[ev.Pos.Offset] = true
			whole = append(whole, full(ev))
			if len(ev.User) > harvestwatch.MaxField || ev.Kind == 0 || ev.Addr.Is4In6() || ev.Addr.Zone() != "" {
				t.Errorf("%+v", ev)
			}
		}, func(harvestwatch.Pos, []byte) { unparsed++ })
		n := int64(bytes.Count(data, []byte("\n")))
		if len(data) > 0 && data[len(data)-1] != '\n' {
			n++
		}
		if counts.Lines != n || counts.Unparsed != unparsed || int64(len(told))+counts.Ignored+counts.Unparsed != n {
			t.Errorf("%d lines, %d told, %d unparsed, counts %+v", n, len(told), unparsed, counts)
		}
		var parts []string
		p, disk := open(), golden.Disk{}
		for _, l := range golden.Pieces(data, func(int) bool { return true }) {
			p.Lex(l)
			p.Fold(l, func(ev *harvestwatch.Event) { parts = append(parts, full(ev)) }, nil)
			if n <= 30 {
				disk.Take(p)
				p = restored(t, disk)
			}
		}
		if !slices.Equal(parts, whole) {
			t.Errorf("line by line:\n  %s\nwhole:\n  %s", strings.Join(parts, "\n  "), strings.Join(whole, "\n  "))
		}
	})
}
