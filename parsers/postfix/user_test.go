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
	asJoe     = ", sasl_method=PLAIN, sasl_username=joe"
	bouncedA  = `local[4]: AAAAA1: to=<z@kontor.example>, relay=local, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (unknown user: "z")`
	sentA     = "local[4]: AAAAA1: to=<y@kontor.example>, relay=local, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (delivered)"
	acceptedX = "smtpd[7]: proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as BBBBB2; from=<a@b.example> to=<x@kontor.example>"
	noQueue   = "smtpd[7]: NOQUEUE: client=mail.sender.example[203.0.113.9]"
	refusedA  = "cleanup[8]: AAAAA1: reject: header Subject: x from y[192.0.2.66]; from=<a> to=<b> from z[192.0.2.67]; from=<c>"
)

// users writes what becomes of messages, and whose they are.
func users(ev *harvestwatch.Event) string {
	return fmt.Sprintf("%d %s %s %s", ev.Pos.Line, ev.Kind, ev.User, ev.Helo)
}

// expectUsers holds what a log tells of messages in the queue against want, read as a whole and with a new parser at each
// line, which only knows what the ones before stored.
func expectUsers(t *testing.T, data []byte, want ...string) {
	t.Helper()
	for _, every := range []int{1000, 1} {
		var got []string
		disk := golden.Disk{}
		for _, l := range golden.Pieces(data, func(line int) bool { return line%every == 0 }) {
			p := restored(t, disk)
			p.Lex(l)
			p.Fold(l, func(ev *harvestwatch.Event) {
				switch ev.Kind {
				case harvestwatch.Delivered, harvestwatch.SpamRefused, harvestwatch.RcptUnknown:
					got = append(got, users(ev))
				}
			}, nil)
			disk.Take(p)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\nstored each %d lines:\n  %s\nwant:\n  %s", data, every, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
}

// What becomes of a message is told with the user who sent it, and with nobody else.
func TestUserOfMessage(t *testing.T) {
	expectUsers(t, log(connectB, clientA+asJoe, fromA, sentA, bouncedA, sentA), "4 delivered joe ", "6 delivered joe ")
	expectUsers(t, log(connectB, refusedB, clientA+asJoe, refusedA), "2 rcpt_unknown  out.sender.example", "4 spam_refused joe out.sender.example")
	// Another message under the same queue id, and another client of the same process, are nobody's.
	expectUsers(t, log(connectB, refusedB, clientA+asJoe, sentA, connectB, clientA, sentA, bouncedA),
		"2 rcpt_unknown  out.sender.example", "4 delivered joe out.sender.example", "7 delivered  ", "8 rcpt_unknown  ")
	// Who gave no name has none.
	expectUsers(t, log(clientA+", sasl_method=ANONYMOUS, sasl_username=(unavailable)", sentA), "2 delivered  ")
	// A session's greeting after the first message takes nothing from its user.
	expectUsers(t, log(connectB, clientA+asJoe, refusedB, sentA, noQueue+asJoe, clientX, fromX, acceptedX, sentX),
		"3 rcpt_unknown  out.sender.example", "4 delivered joe ", "9 delivered joe out.sender.example")
}

// A filter brings a message on without its user: the client in front of the filter says whose it is.
func TestUserBehindFilter(t *testing.T) {
	forward := clientX + ", orig_client=mail.sender.example[203.0.113.9]"
	expectUsers(t, log(clientA+asJoe, fromA, clientX, fromX, toFilter, sentX), "6 delivered joe ")
	expectUsers(t, log(clientA+asJoe, fromA, clientX, fromX, sentX, toFilter), "5 delivered joe ")
	expectUsers(t, log(clientA+asJoe, fromA, clientX+", orig_queue_id=AAAAA1, orig_client=x[203.0.113.9]", fromX, sentX), "5 delivered joe ")
	expectUsers(t, log(connectB, noQueue+asJoe, clientX, fromX, acceptedX, sentX), "6 delivered joe ")
	bouncedX := strings.ReplaceAll(bouncedA, "AAAAA1", "BBBBB2")
	expectUsers(t, log(connectB, noQueue+asJoe, forward, fromX, acceptedX, sentX, bouncedX), "6 delivered joe ")
	// The last user of the session is the one who sends.
	expectUsers(t, log(connectB, noQueue+asJoe, noQueue+asJoe+"y", clientX, fromX, acceptedX, sentX), "7 delivered joey ")
	// The next client of the process is another one.
	expectUsers(t, log(connectB, noQueue+asJoe, connectB, noQueue, forward, fromX, acceptedX, sentX, bouncedX), "8 delivered  ", "9 rcpt_unknown  ")
	// A filter that logs in as itself where it brings the message back is no user of the client.
	expectUsers(t, log(clientA, fromA, clientX+", sasl_method=PLAIN, sasl_username=filter", fromX, toFilter, sentX), "6 delivered  ")
}

// A user's name is bounded, and so is what is stored of it.
func TestUserIsBounded(t *testing.T) {
	p := New(reference, 0, nil)
	runWith(p, log(connectB, clientA+asJoe+strings.Repeat("e", 5000)), show)
	disk := golden.Disk{}
	disk.Take(p)
	for key, value := range disk {
		if len(value) > 2*harvestwatch.MaxField {
			t.Errorf("%d bytes are stored under %q", len(value), key)
		}
	}
	got, _ := runWith(restored(t, disk), log(sentA), func(ev *harvestwatch.Event) string { return string(ev.User) })
	if len(got) != 1 || len(got[0]) != harvestwatch.MaxField || !strings.HasPrefix(got[0], "joeeee") {
		t.Errorf("%q", got)
	}
}

// What an earlier version stored, with names but without a user, is taken back and given out as it was.
func TestStateWithoutUser(t *testing.T) {
	names := append(append([]byte{0, 6}, "a.name"...), append([]byte{0, 6}, "a.helo"...)...)
	addr := append(make([]byte, 10), 0xff, 0xff, 203, 0, 113, 9)
	old := append(append(binary.BigEndian.AppendUint64(nil, 1), msgAuth|msgSender|msgNames), addr...)
	old = append(append(append(old, make([]byte, 16)...), 0, 1, 's'), names...)
	old = append(old, make([]byte, 8)...)
	var k queueKey
	copy(k.id[:], "AAAAA1")
	k.host = uint32(hash(0, []byte("mx1")))
	p := New(reference, 0, nil)
	if err := p.Restore(k.append(nil), old); err != nil {
		t.Fatal(err)
	}
	if again := p.messages.Get(k).append(binary.BigEndian.AppendUint64(nil, 1)); !slices.Equal(again, old) {
		t.Errorf("%x became %x", old, again)
	}
	session := append(append(binary.BigEndian.AppendUint64(nil, 1), make([]byte, 8)...), addr...)
	session = append(append(append(session, make([]byte, 12)...), storedKnown|storedNames), names...)
	if err := p.Restore(sessionKey(nil, 7), session); err != nil {
		t.Fatal(err)
	}
	if again := p.sessions.Get(7).append(binary.BigEndian.AppendUint64(nil, 1)); !slices.Equal(again, session) {
		t.Errorf("%x became %x", session, again)
	}
	got, _ := runWith(p, log(sentA), func(ev *harvestwatch.Event) string { return fmt.Sprintf("%s %s %q", ev.Name, ev.Helo, ev.User) })
	if len(got) != 1 || got[0] != `a.name a.helo ""` {
		t.Errorf("%q", got)
	}
}
