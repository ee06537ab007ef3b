package postfix

import (
	"fmt"
	"strings"
	"testing"
)

const (
	clientA  = "smtpd[7]: AAAAA1: client=mail.sender.example[203.0.113.9]"
	fromA    = "qmgr[6]: AAAAA1: from=<a@b.example>, size=1, nrcpt=1 (queue active)"
	clientX  = "10025/smtpd[8]: BBBBB2: client=localhost[127.0.0.1]"
	fromX    = "qmgr[6]: BBBBB2: from=<a@b.example>, size=1, nrcpt=1 (queue active)"
	toFilter = "smtp[5]: AAAAA1: to=<x@kontor.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as BBBBB2)"
	sentX    = "local[4]: BBBBB2: to=<x@kontor.example>, relay=local, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (delivered to maildir)"
	gone     = "qmgr[6]: %s: removed"

	toldX = "delivered 203.0.113.9 from=a@b.example to=x@kontor.example"
)

func TestDelivery(t *testing.T) {
	sent := "local[4]: AAAAA1: to=<x@kontor.example>, orig_to=<y@kontor.example>, relay=local, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (delivered)"
	removed := fmt.Sprintf(gone, "AAAAA1")
	expect(t, log(clientA, fromA, sent, removed, sent), "1 accepted 203.0.113.9", "3 "+toldX)
	expect(t, log(clientA, strings.Replace(fromA, "a@b.example", "", 1), sent),
		"1 accepted 203.0.113.9", "3 delivered 203.0.113.9 null to=x@kontor.example")
	expect(t, log(clientA, fromA, "milter-discard", "cleanup[3]: AAAAA1: milter-discard: END-OF-MESSAGE from x[192.0.2.66]: y", sent), "1 accepted 203.0.113.9")
	expect(t, log(clientA, fromA, strings.Replace(sent, "local[", "discard[", 1)), "1 accepted 203.0.113.9")
	expect(t, log("pickup[3]: AAAAA1: uid=0 from=<root>", fromA, sent))
	expect(t, log(clientA, "pickup[3]: AAAAA1: uid=0 from=<root>", fromA, sent), "1 accepted 203.0.113.9")
	expect(t, log(clientA, fromA, strings.Replace(sent, "status=sent", "status=deferred", 1)), "1 accepted 203.0.113.9")
	expect(t, log("smtpd[7]: AAAAA1: client=unknown[unknown]", fromA, sent), "1 accepted -")
	long := strings.NewReplacer("AAAAA1", "44JCRG5tYPzCqt2")
	expect(t, log(long.Replace(clientA), long.Replace(fromA), long.Replace(sent)), "1 accepted 203.0.113.9", "3 "+toldX)
	other := append(log(clientA, fromA), "Nov 22 10:00:05 mx2 postfix/local[4]: AAAAA1: to=<x@y.example>, relay=local, delay=1, dsn=2.0.0, status=sent (ok)\n"...)
	expect(t, other, "1 accepted 203.0.113.9") // another host's queue
}

// Neither what the recipient's address says nor what a remote server says makes a delivery of what was none.
func TestDeliveryIsNotForged(t *testing.T) {
	fake := ", relay=local, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (ok)"
	for _, line := range []string{
		`smtp[5]: AAAAA1: to=<"x>` + fake + `"@b.example>, relay=mx.b.example[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=4.0.0, status=deferred (no)`,
		`smtp[5]: AAAAA1: to=<x>` + fake + `@b.example>, relay=mx.b.example[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=4.0.0, status=deferred (no)`,
		`smtp[5]: AAAAA1: to=<x@b.example>, relay=mx.b.example[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=4.0.0, status=deferred (host said: 450 x` + fake + `)`,
		`smtp[5]: AAAAA1: to=<x@b.example>, relay=mx.b.example[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.b.example[192.0.2.9] said: 550 5.1.1)`,
	} {
		expect(t, log(clientA, fromA, line), "1 accepted 203.0.113.9")
	}
}

func TestContentFilter(t *testing.T) {
	start := []string{clientA, fromA, clientX, fromX}
	before := []string{"1 accepted 203.0.113.9", "3 accepted 127.0.0.1"}
	with := func(lines ...string) []byte { return log(append(start[:4:4], lines...)...) }
	told := func(events ...string) []string { return append(before[:2:2], events...) }
	goneA, goneX := fmt.Sprintf(gone, "AAAAA1"), fmt.Sprintf(gone, "BBBBB2")

	expect(t, with(toFilter, goneA, sentX, goneX, sentX), told("7 "+toldX)...)
	expect(t, with(sentX, toFilter, goneA, goneX), told("5 "+toldX)...)        // sent before the link is logged
	expect(t, with(sentX, goneX, toFilter, goneA, sentX), told("5 "+toldX)...) // and removed too
	expect(t, with(toFilter, toFilter, goneA, sentX, sentX), told("8 "+toldX, "9 "+toldX)...)
	expect(t, with(strings.Replace(toFilter, "2.0.0 Ok: queued as BBBBB2", "2.7.0 Ok, discarded, id=1 - spam", 1),
		strings.Replace(toFilter, "250 2.0.0 from", "250 2.7.0 Ok, discarded, id=1 - spam from", 1)), told()...)
	expect(t, with(strings.Replace(toFilter, "queued as BBBBB2", "queued as CCCCC3", 1)), told("5 "+toldX)...) // another server's id
	// A remote server can't claim a message that came from here.
	expect(t, with(strings.Replace(toFilter, "127.0.0.1[127.0.0.1]:10024", "mx.evil.example[192.0.2.66]:25", 1)), told("5 "+toldX)...)
	// A filter can't claim a message of somebody else, who came from outside.
	expect(t, log(clientA, fromA, strings.Replace(clientX, "127.0.0.1", "192.0.2.9", 1), toFilter, sentX),
		"1 accepted 203.0.113.9", "3 accepted 192.0.2.9", "4 "+toldX, "5 delivered 192.0.2.9 to=x@kontor.example")
	// The client of the message in front is not known: nobody's delivery.
	expect(t, log(clientX, fromX, toFilter, sentX), "1 accepted 127.0.0.1")
	// Mail of this host itself, or of a private network, while no message from outside waits.
	lan := strings.Replace(clientX, "localhost[127.0.0.1]", "pc[192.168.1.5]", 1)
	expect(t, log(lan, fromX, sentX), "1 accepted 192.168.1.5", "3 delivered 192.168.1.5 from=a@b.example to=x@kontor.example")
}

func TestHeldDeliveriesEnd(t *testing.T) {
	data := log(clientA, fromA, clientX, fromX, sentX, fmt.Sprintf(gone, "BBBBB2"))
	data = append(data, "Nov 22 10:05:00 mx1 postfix/qmgr[6]: CCCCC3: removed\n"...)
	expect(t, data, "1 accepted 203.0.113.9", "3 accepted 127.0.0.1", "5 delivered 127.0.0.1 from=a@b.example to=x@kontor.example")
	// More than are kept: the rest is counted as pushed out.
	p := New(reference, 0, nil)
	lines := []string{clientA, fromA, clientX, fromX}
	for range maxHeld + 3 {
		lines = append(lines, sentX)
	}
	got, _ := runWith(p, log(append(lines, toFilter)...), show)
	if len(got) != 2+maxHeld || p.Pushed() != 3 {
		t.Errorf("%d events, %d pushed out", len(got), p.Pushed())
	}
}

func TestFilterWithXForward(t *testing.T) {
	expect(t, log(clientA, fromA, clientX+", orig_queue_id=AAAAA1, orig_client=mail.sender.example[203.0.113.9]", fromX, sentX, toFilter),
		"1 accepted 203.0.113.9", "5 "+toldX)
	expect(t, log(clientX+", orig_client=mail.sender.example[203.0.113.9]", fromX, sentX), "3 "+toldX)
	expect(t, log(clientX+", orig_client=unknown[unknown]", fromX, sentX))
	// Not from a host that anybody outside can be, and not behind a name that the user chose.
	outside := "smtpd[8]: BBBBB2: client=evil.example[192.0.2.66], orig_client=mail.sender.example[203.0.113.9]"
	expect(t, log(outside, fromX, sentX), "1 accepted 192.0.2.66", "3 delivered 192.0.2.66 from=a@b.example to=x@kontor.example")
	named := clientX + ", sasl_method=PLAIN, sasl_username=joe, orig_client=mail.sender.example[203.0.113.9]"
	expect(t, log(named, fromX, sentX), "1 accepted 127.0.0.1", "1 auth_ok 127.0.0.1 user=joe, orig_client=mail.sender.example[203.0.113.9]",
		"3 delivered 127.0.0.1 from=a@b.example to=x@kontor.example user=joe, orig_client=mail.sender.example[203.0.113.9]")
}

func TestFilterBeforeTheQueue(t *testing.T) {
	expect(t, log(
		"smtpd[7]: connect from mail.sender.example[203.0.113.9]",
		"smtpd[7]: NOQUEUE: client=mail.sender.example[203.0.113.9]",
		clientX, fromX,
		"smtpd[7]: proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as BBBBB2; from=<a@b.example> to=<x@kontor.example> proto=ESMTP helo=<h>",
		sentX,
		"smtpd[7]: proxy-reject: END-OF-MESSAGE: 554 5.7.1 no; from=<a@b.example> to=<x@kontor.example> proto=ESMTP helo=<h>"),
		"1 connect 203.0.113.9", "2 accepted 203.0.113.9", "3 accepted 127.0.0.1", "6 "+toldX,
		"7 spam_refused 203.0.113.9 554 5.7.1 from=a@b.example to=x@kontor.example helo=h")
}

func TestBouncedRecipients(t *testing.T) {
	unknown := "local[4]: AAAAA1: to=<x@kontor.example>, relay=local, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (unknown user: \"x\")"
	inner := "smtp[4]: AAAAA1: to=<x@kontor.example>, relay=ex.kontor.example[10.0.0.5]:25, delay=1, delays=0/0/0/1, dsn=5.1.10, status=bounced (host ex.kontor.example[10.0.0.5] said: 550 5.1.10 no)"
	want := []string{"1 accepted 203.0.113.9", "3 rcpt_unknown 203.0.113.9 5.1.1 from=a@b.example to=x@kontor.example"}
	expect(t, log(clientA, fromA, unknown), want...)
	expect(t, log(clientA, fromA, strings.Replace(unknown, "dsn=5.1.1", "dsn=5.0.0", 1)), want[0], strings.Replace(want[1], "5.1.1", "5.0.0", 1))
	expect(t, log(clientA, fromA, inner), want[0], strings.Replace(want[1], "5.1.1", "5.1.10", 1))
	expect(t, log(clientA, fromA, strings.NewReplacer("10.0.0.5", "192.0.2.66").Replace(inner)), want[0])
	expect(t, log(clientA, fromA, strings.Replace(inner, "5.1.10", "5.2.2", 1)), want[0])
	expect(t, log(clientA+", sasl_method=PLAIN, sasl_username=joe", fromA, unknown), want[0], "1 auth_ok 203.0.113.9 user=joe")
	expect(t, log(strings.Replace(clientA, "203.0.113.9", "10.0.0.9", 1), fromA, unknown), "1 accepted 10.0.0.9")
	expect(t, log("pickup[3]: AAAAA1: uid=0 from=<root>", fromA, unknown))
}

func TestCleanupKnowsItsClient(t *testing.T) {
	expect(t, log(clientA, "cleanup[3]: AAAAA1: reject: header Subject: x from mx[192.0.2.66]; from=<a> to=<b> from mail.sender.example[203.0.113.9]; from=<s@b.example> to=<c@d.example> proto=ESMTP helo=<e>: 5.7.1 no"),
		"1 accepted 203.0.113.9", "2 spam_refused 203.0.113.9")
}
