package postfix

import (
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

func TestAuthCountedOnce(t *testing.T) {
	expect(t, log(
		"smtpd[7]: connect from unknown[203.0.113.9]",
		"smtpd[7]: warning: SASL authentication failure: Password verification failed",
		"smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: x, sasl_username=joe",
		"smtpd[7]: lost connection after AUTH from unknown[203.0.113.9]",
		"smtpd[7]: disconnect from unknown[203.0.113.9] ehlo=1 auth=0/3 commands=1/4"),
		"1 connect 203.0.113.9", "3 auth_fail 203.0.113.9 user=joe", "4 protocol_error 203.0.113.9",
		"5 auth_fail 203.0.113.9", "5 auth_fail 203.0.113.9", "5 disconnect 203.0.113.9")
	// The server's fault and a wrong mechanism stand in the counters too, and a success is none.
	expect(t, log(
		"smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: Connection lost to authentication server",
		"smtpd[7]: warning: unknown[203.0.113.9]: SASL FOO authentication failed: Invalid authentication mechanism",
		"smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication aborted",
		"smtpd[7]: disconnect from unknown[203.0.113.9] ehlo=1 auth=1/4 commands=2/5"),
		"1 server_error 203.0.113.9", "2 protocol_error 203.0.113.9", "3 protocol_error 203.0.113.9", "4 disconnect 203.0.113.9")
	// Another client under the same process id, of which a line is missing, inherits nothing.
	expect(t, log(
		"smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: x",
		"smtpd[7]: disconnect from unknown[203.0.113.10] auth=0/1 commands=0/1"),
		"1 auth_fail 203.0.113.9", "2 auth_fail 203.0.113.10", "2 disconnect 203.0.113.10")
	// The same process id of another program or host is another session.
	expect(t, append(log("smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: x",
		"submission/smtpd[7]: disconnect from unknown[203.0.113.9] auth=0/1 commands=0/1"),
		"Nov 22 10:00:05 mx2 postfix/smtpd[7]: disconnect from unknown[203.0.113.9] auth=0/1 commands=0/1\n"...),
		"1 auth_fail 203.0.113.9", "2 auth_fail 203.0.113.9", "2 disconnect 203.0.113.9", "3 auth_fail 203.0.113.9", "3 disconnect 203.0.113.9")
}

func TestAuthCounterIsBounded(t *testing.T) {
	got, _ := run(t, log("smtpd[7]: disconnect from unknown[203.0.113.9] auth=0/99999999999 commands=0/1"), show)
	if len(got) != maxFails+1 {
		t.Errorf("%d events", len(got))
	}
}

func TestRepeatedLines(t *testing.T) {
	expect(t, log(
		"smtpd[7]: connect from unknown[203.0.113.9]",
		"smtpd[7]: message repeated 3 times: [ warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: x, sasl_username=joe]",
		"smtpd[7]: disconnect from unknown[203.0.113.9] auth=0/3 commands=0/3"),
		"1 connect 203.0.113.9", "2 auth_fail 203.0.113.9 user=joe", "2 auth_fail 203.0.113.9 user=joe", "2 auth_fail 203.0.113.9 user=joe",
		"3 disconnect 203.0.113.9")
	got, _ := run(t, log("smtpd[7]: message repeated 4000000000 times: [ connect from unknown[203.0.113.9]]"), show)
	if len(got) != maxRepeat {
		t.Errorf("%d events of one line", len(got))
	}
}

func TestAuthOKOncePerSession(t *testing.T) {
	expect(t, log(
		"submission/smtpd[7]: connect from unknown[203.0.113.9]",
		"submission/smtpd[7]: 00ADB3C0899: client=unknown[203.0.113.9], sasl_method=PLAIN, sasl_username=joe, orig_client=x[192.0.2.66]",
		"submission/smtpd[7]: 00ADB3C089A: client=unknown[203.0.113.9], sasl_method=PLAIN, sasl_username=joe"),
		"1 connect 203.0.113.9", "2 accepted 203.0.113.9", "2 auth_ok 203.0.113.9 user=joe, orig_client=x[192.0.2.66]", "3 accepted 203.0.113.9")
}

func TestSessionNumbers(t *testing.T) {
	data := log(
		"smtpd[7]: connect from unknown[203.0.113.9]",
		"smtpd[8]: connect from unknown[203.0.113.9]",
		"smtpd[7]: too many errors after RCPT from unknown[203.0.113.9]",
		"smtpd[7]: disconnect from unknown[203.0.113.9] commands=0/0",
		"smtpd[7]: connect from unknown[203.0.113.9]",
		"smtpd[9]: disconnect from unknown[203.0.113.9] commands=0/0")
	var ids []uint64
	var began []int64
	run(t, data, func(ev *harvestwatch.Event) string {
		ids, began = append(ids, ev.Session), append(began, ev.Began-ev.Time)
		return ""
	})
	if ids[0] == 0 || ids[0] == ids[1] || ids[2] != ids[0] || ids[3] != ids[0] || ids[4] == ids[0] || ids[5] != 0 {
		t.Errorf("sessions %x", ids)
	}
	if began[3] != -3e9 {
		t.Errorf("the disconnect began %d ns after itself, want 3 s before", began[3])
	}
}

func TestPostscreenThenSMTPD(t *testing.T) {
	for _, pass := range []string{"PASS OLD", "PASS NEW", "ALLOWLISTED", "WHITELISTED"} {
		expect(t, log(
			"postscreen[9]: CONNECT from [203.0.113.9]:4711 to [192.0.2.1]:25",
			"postscreen[9]: "+pass+" [203.0.113.9]:4711",
			"smtpd[7]: connect from mail.sender.example[203.0.113.9]",
			"smtpd[7]: disconnect from mail.sender.example[203.0.113.9] quit=1 commands=1",
			"smtpd[7]: connect from mail.sender.example[203.0.113.9]"),
			"1 connect 203.0.113.9", "4 disconnect 203.0.113.9", "5 connect 203.0.113.9")
	}
	// A client that postscreen sends away has to come again.
	expect(t, log(
		"postscreen[9]: CONNECT from [203.0.113.9]:4711 to [192.0.2.1]:25",
		"postscreen[9]: PASS NEW [203.0.113.9]:4711",
		"postscreen[9]: DISCONNECT [203.0.113.9]:4711",
		"submission/smtpd[7]: connect from mail.sender.example[203.0.113.9]"),
		"1 connect 203.0.113.9", "3 disconnect 203.0.113.9", "4 connect 203.0.113.9")
	// Its CONNECT was not seen, or smtpd comes too late: then smtpd's counts.
	expect(t, log("postscreen[9]: PASS OLD [203.0.113.9]:4711", "smtpd[7]: connect from mail.sender.example[203.0.113.9]"),
		"2 connect 203.0.113.9")
	late := log("postscreen[9]: CONNECT from [203.0.113.9]:4711 to [192.0.2.1]:25", "postscreen[9]: PASS OLD [203.0.113.9]:4711")
	late = append(late, "Nov 22 10:05:00 mx1 postfix/smtpd[7]: connect from mail.sender.example[203.0.113.9]\n"...)
	expect(t, late, "1 connect 203.0.113.9", "3 connect 203.0.113.9")
}

func TestPostscreenServesMany(t *testing.T) {
	data := log(
		"postscreen[9]: CONNECT from [203.0.113.9]:4711 to [192.0.2.1]:25",
		"postscreen[9]: CONNECT from [203.0.113.9]:4712 to [192.0.2.1]:25",
		"postscreen[9]: DISCONNECT [203.0.113.9]:4712",
		"postscreen[9]: DNSBL rank 3 for [203.0.113.9]:4711",
		"postscreen[9]: DISCONNECT [203.0.113.9]:4711")
	var ids []uint64
	run(t, data, func(ev *harvestwatch.Event) string { ids = append(ids, ev.Session); return "" })
	if ids[0] == ids[1] || ids[2] != ids[1] || ids[3] != ids[0] || ids[4] != ids[0] {
		t.Errorf("sessions %x", ids)
	}
}

func TestTablesAreBounded(t *testing.T) {
	p := New(reference, 0, nil)
	var b strings.Builder
	flush := func() {
		runWith(p, []byte(b.String()), show)
		b.Reset()
	}
	for i := range MaxMessages + 5000 {
		fmt.Fprintf(&b, "Nov 22 10:00:00 mx1 postfix/smtpd[%d]: %X: client=unknown[240.0.0.9]\n", i, 0x100000+i)
		fmt.Fprintf(&b, "Nov 22 10:00:00 mx1 postfix/qmgr[1]: %X: from=<a@b.example>, size=1, nrcpt=1 (queue active)\n", 0x100000+i)
		if i < MaxSessions+500 {
			fmt.Fprintf(&b, "Nov 22 10:00:00 mx1 postfix/smtpd[%d]: connect from unknown[240.0.0.9]\n", i)
		}
		if i%10000 == 0 {
			flush()
		}
	}
	flush()
	if n, s := p.messages.Len(), p.sessions.Len(); n != MaxMessages || s != MaxSessions {
		t.Errorf("%d messages and %d sessions", n, s)
	}
	if p.Pushed() != 5000+500 {
		t.Errorf("%d were pushed out", p.Pushed())
	}
	if got := p.senders[(&message{sender: []byte("a@b.example")}).slot()]; got != MaxMessages {
		t.Errorf("%d live messages of the sender", got)
	}
	got, _ := runWith(p, log(fmt.Sprintf("local[1]: %X: to=<x@y.example>, relay=local, delay=0, dsn=2.0.0, status=sent (ok)", 0x100000),
		fmt.Sprintf("local[1]: %X: to=<x@y.example>, relay=local, delay=0, dsn=2.0.0, status=sent (ok)", 0x100000+MaxMessages)), show)
	if len(got) != 1 || !strings.HasPrefix(got[0], "2 delivered") {
		t.Errorf("the oldest must be forgotten, the newest not: %q", got)
	}
}
