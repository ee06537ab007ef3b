package postfix

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

const (
	connectB = "smtpd[7]: connect from mail.sender.example[203.0.113.9]"
	refusedB = "smtpd[7]: NOQUEUE: reject: RCPT from mail.sender.example[203.0.113.9]: 550 5.1.1 <x@kontor.example>: Recipient address rejected: User unknown; from=<a@b.example> to=<x@kontor.example> proto=ESMTP helo=<out.sender.example>"
	toldB    = "mail.sender.example out.sender.example"
)

// callers writes each event's kind, and whose doing it was by name and HELO name.
func callers(ev *harvestwatch.Event) string {
	return fmt.Sprintf("%d %s %s %s", ev.Pos.Line, ev.Kind, ev.Name, ev.Helo)
}

func expectCallers(t *testing.T, data []byte, want ...string) {
	t.Helper()
	if got, _ := run(t, data, callers); !slices.Equal(got, want) {
		t.Errorf("%s\ngot:\n  %s\nwant:\n  %s", data, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// Every line that names its client says its name, if Postfix verified it.
func TestNameOfEveryLine(t *testing.T) {
	for _, line := range []string{
		"smtpd[7]: connect from CLIENT",
		"smtpd[7]: disconnect from CLIENT ehlo=1 quit=1 commands=2",
		"smtpd[7]: disconnect from CLIENT",
		"smtpd[7]: lost connection after RCPT from CLIENT",
		"smtpd[7]: NOQUEUE: timeout after RCPT from CLIENT",
		"smtpd[7]: too many errors after RCPT from CLIENT",
		"smtpd[7]: improper command pipelining after MAIL from CLIENT: x\\r\\n",
		"smtpd[7]: SSL_accept error from CLIENT: lost connection",
		"smtpd[7]: NOQUEUE: abort: TLS from CLIENT: No client certificate presented",
		"smtpd[7]: warning: CLIENT: SASL LOGIN authentication failed: x, sasl_username=good.evil.example[203.0.113.9]",
		"smtpd[7]: warning: CLIENT: SASL LOGIN authentication aborted",
		"smtpd[7]: warning: CLIENT: request longer than 2048: x...",
		"smtpd[7]: warning: non-SMTP command from CLIENT: GET / from good.evil.example[203.0.113.9]",
		"smtpd[7]: warning: Illegal address syntax from CLIENT in RCPT command: <x>",
		"smtpd[7]: warning: Connection rate limit exceeded: 61 from CLIENT for service smtp",
		"smtpd[7]: NOQUEUE: reject: CONNECT from CLIENT: 554 5.7.1 <good.evil.example[203.0.113.9]>: Client host rejected: Access denied; proto=SMTP",
		"smtpd[7]: NOQUEUE: reject: RCPT from CLIENT: 450 4.7.1 x from good.evil.example[203.0.113.9]; from=<a> to=<b> proto=ESMTP helo=<c>",
		"smtpd[7]: AAAAA1: client=CLIENT",
		"smtpd[7]: AAAAA1: client=CLIENT, sasl_method=PLAIN, sasl_username=a, orig_client=good.evil.example[203.0.113.9]",
		"cleanup[8]: AAAAA1: milter-reject: END-OF-MESSAGE from CLIENT: 5.7.1 no; from=<a> to=<b> proto=ESMTP helo=<c>",
	} {
		for front, want := range map[string]string{
			"mail.sender.example":              "mail.sender.example",
			"xn--mnchen-3ya.example":           "xn--mnchen-3ya.example",
			"unknown":                          "",
			"unknown.sender.example":           "unknown.sender.example",
			".sender.example":                  "",
			"sender.example.":                  "",
			"-sender.example":                  "",
			strings.Repeat("a", 250) + ".name": strings.Repeat("a", 250) + ".name",
			strings.Repeat("a", 251) + ".name": "",
			strings.Repeat("a", 295) + ".name": "",
		} {
			for _, at := range []string{"[203.0.113.9]", "[203.0.113.9]:4711", "[2001:db8::9]"} {
				told := 0
				run(t, log(strings.Replace(line, "CLIENT", front+at, 1)), func(ev *harvestwatch.Event) string {
					if told++; string(ev.Name) != want {
						t.Errorf("%s: the name is %q, want %q", line, ev.Name, want)
					}
					return ""
				})
				if told == 0 {
					t.Errorf("%s tells nothing", line)
				}
			}
		}
	}
	// Who has no address has no name.
	expectCallers(t, log("smtpd[7]: connect from mail.sender.example[unknown]"), "1 connect  ")
}

// What is no place for a client's name gives none, whatever stands there.
func TestNameOfNobody(t *testing.T) {
	expectCallers(t, log(
		"postscreen[9]: CONNECT from [203.0.113.9]:4711 to [192.0.2.1]:25",
		"postscreen[9]: PREGREET 9 after 0.1 from [203.0.113.9]:4711: EHLO good.evil.example[203.0.113.9]\\r\\n",
		"cleanup[8]: AAAAA1: reject: header Subject: x from good.evil.example[203.0.113.9]; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<e>: 5.7.1 no",
		"smtpd[7]: warning: hostname good.evil.example does not resolve to address 203.0.113.9",
		"smtpd[7]: connect from unknown[203.0.113.9]"),
		"1 connect  ", "2 protocol_error  ", "3 spam_refused  ", "5 connect  ")
	// Behind a content filter the name in XFORWARD is nobody's word but the filter's.
	expectCallers(t, log(
		"10025/smtpd[8]: BBBBB2: client=localhost[127.0.0.1], orig_client=good.evil.example[203.0.113.9]",
		fromX, sentX), "3 delivered  ")
}

// What one line of a session says of its client holds for the session's other lines and its messages.
func TestHeloOfSession(t *testing.T) {
	sent := "local[4]: AAAAA1: to=<y@kontor.example>, relay=local, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (delivered)"
	bounced := `local[4]: AAAAA1: to=<z@kontor.example>, relay=local, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (unknown user: "z")`
	failed := "smtpd[7]: warning: mail.sender.example[203.0.113.9]: SASL LOGIN authentication failed: x"
	end := "smtpd[7]: disconnect from mail.sender.example[203.0.113.9] ehlo=1 auth=0/2 mail=1 commands=3/5"
	expectCallers(t, log(connectB, refusedB, failed, clientA, end, fromA, sent, bounced, connectB),
		"1 connect mail.sender.example ", "2 rcpt_unknown "+toldB, "3 auth_fail "+toldB, "4 accepted "+toldB,
		"5 auth_fail "+toldB, "5 disconnect "+toldB, "7 delivered "+toldB, "8 rcpt_unknown "+toldB, "9 connect mail.sender.example ")
	// Another client has nothing of it, nor has a message under the same queue id.
	expectCallers(t, log(connectB, refusedB, "smtpd[7]: AAAAA1: client=unknown[203.0.113.10]", sent, clientA, sent),
		"1 connect mail.sender.example ", "2 rcpt_unknown "+toldB, "3 accepted  ", "4 delivered  ", "5 accepted "+toldB, "6 delivered "+toldB)
	// The client in front of a filter is the message's, whichever way the filter stands.
	expectCallers(t, log(connectB, refusedB, clientA, fromA, clientX, fromX, sentX, toFilter),
		"1 connect mail.sender.example ", "2 rcpt_unknown "+toldB, "3 accepted "+toldB, "5 accepted localhost ", "7 delivered "+toldB)
	expectCallers(t, log(connectB, refusedB, clientX, fromX,
		"smtpd[7]: proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as BBBBB2; from=<a@b.example> to=<x@kontor.example> proto=ESMTP helo=<h>", sentX,
		"smtpd[7]: proxy-reject: END-OF-MESSAGE: 554 5.7.1 spam; from=<a@b.example> to=<x@kontor.example> proto=ESMTP helo=<other.example>"),
		"1 connect mail.sender.example ", "2 rcpt_unknown "+toldB, "3 accepted localhost ", "6 delivered "+toldB,
		"7 spam_refused mail.sender.example other.example")
	expectCallers(t, log(connectB, refusedB, clientX+", orig_client=good.evil.example[203.0.113.9]", fromX,
		"smtpd[7]: proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as BBBBB2; from=<a@b.example> to=<x@kontor.example>", sentX),
		"1 connect mail.sender.example ", "2 rcpt_unknown "+toldB, "6 delivered "+toldB)
	expectCallers(t, log(connectB, clientX+", orig_client=good.evil.example[203.0.113.10]", fromX,
		"smtpd[7]: proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as BBBBB2; from=<a@b.example> to=<x@kontor.example>", sentX),
		"1 connect mail.sender.example ", "5 delivered  ")
	// cleanup's own refusal names nobody in a place that could be trusted: its message does.
	expectCallers(t, log(connectB, refusedB, clientA, "cleanup[8]: AAAAA1: reject: header Subject: x from y[192.0.2.66]; from=<a> to=<b> from z[192.0.2.67]; from=<c>"),
		"1 connect mail.sender.example ", "2 rcpt_unknown "+toldB, "3 accepted "+toldB, "4 spam_refused "+toldB)
}

func TestIdle(t *testing.T) {
	for counters, want := range map[string]bool{
		"":                              false, // before Postfix 3.0
		" commands=0/0":                 true,
		" ehlo=1 quit=1 commands=2":     true,
		" ehlo=1 auth=0/3 commands=1/4": true,
		" ehlo=1 quit=1 commands=2 notes=bare_lf":     true,
		" ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4": false,
		" ehlo=1 mail=0/1 quit=1 commands=2/3":        false,
		" ehlo=1 quit=1":                              false, // cut short
		" notes=mail=1":                               false,
	} {
		got, _ := run(t, log("smtpd[7]: disconnect from unknown[203.0.113.9]"+counters), func(ev *harvestwatch.Event) string {
			return fmt.Sprint(ev.Kind, ev.Idle)
		})
		if want := []string{fmt.Sprint(harvestwatch.Disconnect, want)}; strings.Contains(counters, "auth=") {
			if len(got) != 4 || got[3] != want[0] {
				t.Errorf("%q: %q", counters, got)
			}
		} else if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", counters, got, want)
		}
	}
}

// What an earlier version stored, without names, is taken back.
func TestStateWithoutNames(t *testing.T) {
	p := New(reference, 0, nil)
	var k queueKey
	copy(k.id[:], "AAAAA1")
	k.host = uint32(hash(0, []byte("mx1")))
	addr := make([]byte, 16)
	copy(addr[10:], []byte{0xff, 0xff, 203, 0, 113, 9})
	old := append(binary.BigEndian.AppendUint64(nil, 1), msgSender)
	old = append(append(old, addr...), make([]byte, 16)...)
	old = append(append(old, 0, 11), "a@b.example"...)
	old = append(old, make([]byte, 8)...)
	if err := p.Restore(k.append(nil), old); err != nil {
		t.Fatal(err)
	}
	session := append(binary.BigEndian.AppendUint64(nil, 1), make([]byte, 8)...)
	session = append(append(session, addr...), make([]byte, 12)...)
	if err := p.Restore(sessionKey(nil, 7), append(session, 1)); err != nil {
		t.Fatal(err)
	}
	if s := p.sessions.Get(7); s == nil || !s.known || len(s.texts) > 0 {
		t.Errorf("the session is %+v", s)
	}
	sent := "local[4]: AAAAA1: to=<y@kontor.example>, relay=local, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (delivered)"
	if got, _ := runWith(p, log(sent), show); len(got) != 1 || got[0] != "1 delivered 203.0.113.9 from=a@b.example to=y@kontor.example" {
		t.Errorf("%q", got)
	}
	// A name longer than any that is stored is refused.
	bad := append(session, storedNames)
	bad = append(append(bad, 1, 1), make([]byte, 257+2)...)
	if err := p.Restore(sessionKey(nil, 7), bad); err == nil {
		t.Error("a name of 257 bytes is taken back")
	}
}

// What is remembered of clients is bounded, and the names of events hold as long as their lines.
func TestCallersAreBounded(t *testing.T) {
	name, helo := strings.Repeat("n", maxName-8)+".example", strings.Repeat("h", 4000)
	r := strings.NewReplacer("mail.sender.example", name, "out.sender.example", helo)
	p := New(reference, 0, nil)
	runWith(p, log(r.Replace(connectB), r.Replace(refusedB), r.Replace(clientA)), func(ev *harvestwatch.Event) string {
		if string(ev.Name) != name || len(ev.Helo) > harvestwatch.MaxField {
			t.Errorf("a name of %d bytes and one in HELO of %d", len(ev.Name), len(ev.Helo))
		}
		return ""
	})
	p.messages.Each(func(_ queueKey, m *message) bool {
		if len(m.texts) != maxName+harvestwatch.MaxField {
			t.Errorf("%d bytes are remembered", len(m.texts))
		}
		return true
	})
	disk := golden.Disk{}
	disk.Take(p)
	got, _ := runWith(restored(t, disk), log("local[4]: AAAAA1: to=<y@kontor.example>, relay=local, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (ok)"), callers)
	if len(got) != 1 || !strings.HasPrefix(got[0], "1 delivered "+name+" "+helo[:200]) {
		t.Errorf("%q", got)
	}
}
