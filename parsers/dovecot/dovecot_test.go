package dovecot

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

func TestStampsOfEverySort(t *testing.T) {
	const text = "imap-login: Info: Login: user=<anna>, method=PLAIN, rip=198.51.100.7, lip=192.0.2.1, session=<S>"
	for stamp, want := range map[string]string{
		"Mar 22 17:01:50 ":                "2026-03-22T17:01:50Z",
		"2025-10-15 08:08:52 ":            "2025-10-15T08:08:52Z",
		"2025-10-15 08:08:52.25 ":         "2025-10-15T08:08:52.25Z",
		"@400000004c91b044077a9e94 ":      "2010-09-16T05:50:50.1254765Z",
		"":                                "2026-03-30T12:00:00Z", // the reference
		"Mar 22 17:01:50 mx dovecot: ":    "2026-03-22T17:01:50Z",
		"Mar 22 17:01:50 mx dovecot[7]: ": "2026-03-22T17:01:50Z",
		"<22>1 2026-03-22T17:01:50Z mx dovecot 7 - - ": "2026-03-22T17:01:50Z",
		"2026-03-22T17:01:50.5+01:00 mx dovecot: ":     "2026-03-22T16:01:50.5Z",
	} {
		got, counts := run(t, stamp+text+"\r\n", func(ev *harvestwatch.Event) string {
			return show(ev) + " " + ev.When().Format(time.RFC3339Nano)
		})
		if len(got) != 1 || got[0] != "1 auth_ok 198.51.100.7 anna "+want || counts.Lines != 1 {
			t.Errorf("%q: %q %+v", stamp, got, counts)
		}
	}
}

// A line without a stamp is of the time of the one before it.
func TestNoStampTakesThePreviousTime(t *testing.T) {
	got, _ := run(t, "2025-10-15 08:08:52 imap-login: Info: Login: user=<a>, rip=203.0.113.1, lip=192.0.2.1\n"+
		"imap-login: Aborted login (tried to use disabled plaintext auth): rip=203.0.113.1, lip=192.0.2.1\n",
		func(ev *harvestwatch.Event) string { return ev.When().Format(time.RFC3339) })
	if len(got) != 2 || got[1] != "2025-10-15T08:08:52Z" {
		t.Errorf("%q", got)
	}
}

func TestLoginLines(t *testing.T) {
	for text, want := range map[string]string{
		"Logged in: user=<a>, method=PLAIN, rip=203.0.113.1, lip=192.0.2.1":                                  "auth_ok 203.0.113.1 a",
		"Disconnected (client sent an invalid cert): rip=203.0.113.1, lip=192.0.2.1":                         "protocol_error 203.0.113.1",
		"Disconnected: Too many invalid commands (tried to use disallowed plaintext auth): rip=203.0.113.1":  "protocol_error 203.0.113.1",
		"Disconnected (disconnected before auth was ready, waited 0 secs): user=<>, rip=203.0.113.1, lip=::": "disconnect 203.0.113.1",
		"Disconnected (no auth attempts in 4 secs): user=<>, rip=203.0.113.1, lip=192.0.2.1":                 "disconnect -",
		"Disconnected: Too many invalid commands (no auth attempts in 4 secs): user=<>, rip=203.0.113.1":     "protocol_error -",
		"Disconnected (auth process communication failure): user=<>, rip=203.0.113.1, lip=192.0.2.1":         "server_error 203.0.113.1",
		"Disconnected (proxy dest auth failed): user=<a>, rip=203.0.113.1, lip=192.0.2.1":                    "auth_fail 203.0.113.1 a|disconnect 203.0.113.1 a",
		"Disconnected (user disabled, 1 attempts in 2 secs): user=<a>, rip=203.0.113.1, lip=192.0.2.1":       "auth_fail 203.0.113.1 a|disconnect 203.0.113.1 a",
		"Disconnected (auth failed, 1 attempts): rip=203.0.113.1, user=<a, rip=192.0.2.66>, session=<S>":     "auth_fail 203.0.113.1 a, rip=192.0.2.66|disconnect 203.0.113.1 a, rip=192.0.2.66",
		"Disconnected (auth failed, 1 attempts): method=PLAIN, user=<a>, session=<S>":                        "",
		"Disconnected (auth failed, 1 attempts): user=<x>, rip=192.0.2.66, lip=192.0.2.1>, method=PLAIN":     "",
		"Disconnected (auth failed, 1 attempts): user=<x>, rip=192.0.2.66, session=<y>, method=PLAIN":        "",
		"Disconnected (auth failed, 1 attempts): user=<x rip=192.0.2.66, lip=192.0.2.1":                      "",
		"Disconnected (auth failed, 1 attempts): user=<x>, rip=192.0.2.066, lip=192.0.2.1":                   "",
		"Disconnected: test": "",
		"proxy(a): Login failed to 192.0.2.9:143 (1s): user=<a>, rip=203.0.113.1": "",
	} {
		got, counts := run(t, "Mar 22 17:01:50 mx dovecot: imap-login: "+text+"\n", show)
		all := strings.ReplaceAll(strings.Join(got, "|"), "1 ", "")
		if clean := strings.ReplaceAll(want, "1 ", ""); all != clean || counts.Lines != 1 {
			t.Errorf("%s:\n got %q\nwant %q", text, all, clean)
		}
	}
}

func TestAuthLines(t *testing.T) {
	for text, want := range map[string]string{
		"auth: sql(a,203.0.113.1,<S>): Password mismatch":                                                                    "a",
		"auth: sql(a,203.0.113.1,<S>): Password mismatch (given password: x): y)":                                            "", // left to the connection's end
		"auth: sql(a,203.0.113.1,<S>): Password mismatch (SHA1 of given password: 0123456789)":                               "a",
		"auth: sql(a,b,203.0.113.1,<S>): unknown user":                                                                       "a,b",
		"auth(default): pam(a,203.0.113.1): pam_authenticate() failed: User not known: 2 Time(s)":                            "a",
		"auth-worker(7): conn unix:/run/dovecot/auth-worker (pid=1,uid=2): auth-worker<3>: sql(a,203.0.113.1): unknown user": "a",
		"auth(a,203.0.113.1,sasl:login)<S>: sql: Password mismatch (given password: b)":                                      "a",
		"auth(a,203.0.113.1,sasl:login)<S>: Debug: sql: query: SELECT 1":                                                     "",
		"auth: sql(a,203.0.113.1,<S>): unknown user): unknown user":                                                          "",
		"auth: sql(x,192.0.2.66,<S>): unknown user (y): unknown user":                                                        "", // a lookup without an address
		"auth: sql(a): unknown user":                                                                                         "",
		"auth: sql(a,unix,<S>): unknown user":                                                                                "",
		"auth: policy(a,203.0.113.1,<S>): Authentication failure due to policy server refusal":                               "a",
		"auth: Error: sql(a,203.0.113.1): unknown user":                                                                      "",
		"auth: sql(a,203.0.113.1,<S>): something that nobody has seen":                                                       "",
		"auth: Warning: auth client 0 disconnected":                                                                          "",
	} {
		got, counts := run(t, "Mar 22 17:01:50 mx dovecot: "+text+"\n", show)
		if want != "" {
			want = "1 auth_fail 203.0.113.1 " + want
		}
		if strings.Join(got, "|") != want || counts.Lines != 1 {
			t.Errorf("%s:\n got %q\nwant %q", text, got, want)
		}
	}
}

func TestOtherProgramsAreIgnored(t *testing.T) {
	counts := expect(t, "Mar 22 17:01:50 mx sshd[1]: imap-login: Login: user=<a>, rip=203.0.113.1, lip=192.0.2.1\n"+
		"Mar 22 17:01:50 mx auth: pam_unix(sshd:auth): authentication failure; ruser=a rhost=203.0.113.1\n"+
		"Mar 22 17:01:50 mx dovecot: imap(a)<1><S>: Disconnected (auth failed, 1 attempts): user=<a>, rip=203.0.113.1\n\n"+
		"what is this\n"+strings.Repeat("x", MaxLine+1)+"\n")
	if counts != (harvestwatch.Counts{Lines: 6, Ignored: 4, Unparsed: 2}) {
		t.Errorf("%+v", counts)
	}
}

func TestOwnServersAreNoClients(t *testing.T) {
	p := New(&site.Site{Reference: reference, Own: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28")}})
	got, counts := runWith(p, "Mar 22 17:01:50 mx dovecot: auth: sql(a,203.0.113.1): unknown user\n"+
		"Mar 22 17:01:50 mx dovecot: auth: sql(a,203.0.113.16): unknown user\nMar 22 17:01:50 mx dovecot: auth: sql(a,127.0.0.1): unknown user\n", show)
	if len(got) != 2 || got[0] != "2 auth_fail 203.0.113.16 a" || got[1] != "3 auth_fail 127.0.0.1 a" || counts.Ignored != 1 {
		t.Errorf("%q %+v", got, counts)
	}
}

func TestShare(t *testing.T) {
	const ours, other = "Mar 22 17:01:50 imap(a)<1><S>: Info: Logged out\n", "Mar 22 17:01:50 mx sshd[1]: x\n"
	for text, want := range map[string]float64{
		"": 0, "\n": 0, ours: 1, other: 0, ours + other: 0.5, ours + "torn li": 1, strings.TrimSuffix(ours, "\n"): 1, ours + "\r\n\n": 1,
		"Mar 22 17:01:50 mx dovecot: lmtp(1): Connect from local\n": 1, "{\"a\":1}\n": 0,
	} {
		if got := Share([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestTextsAreCut(t *testing.T) {
	user := strings.Repeat("u", 1000)
	run(t, "Mar 22 17:01:50 mx dovecot: auth: sql("+user+",203.0.113.1): unknown user\n", func(ev *harvestwatch.Event) string {
		if len(ev.User) != harvestwatch.MaxField {
			t.Errorf("a user of %d bytes", len(ev.User))
		}
		return fmt.Sprint(ev)
	})
}
