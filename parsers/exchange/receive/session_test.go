package receive

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// One clean session with eight valid recipients gives nothing that could speak against its client.
func TestCleanSessionIsClean(t *testing.T) {
	say := []string{"+", "*SMTPSubmit SMTPAcceptAnySender,|Set Session Permissions", ">220 mx.kontor.example Microsoft ESMTP MAIL Service ready",
		"<EHLO mail.sender.example", ">250  mx.kontor.example Hello [203.0.113.77] SIZE 37748736 PIPELINING", "<MAIL FROM:<news@sender.example> SIZE=100",
		"*08D3;2026-01-11T16:00:04.113Z;1|receiving message", ">250 2.1.0 Sender OK"}
	for i := range 8 {
		say = append(say, fmt.Sprintf("<RCPT TO:<user%d@kontor.example>", i), ">250 2.1.5 Recipient OK")
	}
	say = append(say, "<DATA", ">354 Start mail input; end with <CRLF>.<CRLF>", ">250 2.6.0 <1@sender.example> [InternalId=1, Hostname=MBX01] 9 bytes in 0.1, 0,9 KB/sec Queued mail for delivery",
		"<QUIT", ">221 2.0.0 Service closing transmission channel", "-Local")
	kinds := map[harvestwatch.Kind]int{}
	got, counts := run(front.log(say...), func(ev *harvestwatch.Event) string { kinds[ev.Kind]++; return full(ev) })
	want := map[harvestwatch.Kind]int{harvestwatch.Connect: 1, harvestwatch.RcptOK: 8, harvestwatch.Accepted: 1,
		harvestwatch.Delivered: 8, harvestwatch.Disconnect: 1}
	if fmt.Sprint(kinds) != fmt.Sprint(want) || counts.Events != 19 {
		t.Errorf("%v, want %v:\n%s", kinds, want, strings.Join(got, "\n"))
	}
}

func TestSession(t *testing.T) {
	expectAs(t, show, front.log("+", ">220 mx", "<helo friend", ">250 mx Hello", "<mail from: <> SIZE=9", ">250 2.1.0 Sender OK",
		"<rcpt to: <Joe@kontor.example> NOTIFY=NEVER", ">250 2.1.5 Recipient OK", "<RCPT TO:nobody@kontor.example", ">550 5.1.1 User unknown", "<RSET", ">250 2.0.0 Resetting",
		`<MAIL FROM:<"a>b c"@x.example> BODY=8BITMIME`, ">250 2.1.0 Sender OK", "<RCPT TO:<>", ">550 5.1.1 User unknown", "-Remote(ConnectionReset)"),
		"1 connect 203.0.113.77", "8 rcpt_ok 203.0.113.77 250 2.1.5 null to=Joe@kontor.example helo=friend",
		"10 rcpt_unknown 203.0.113.77 550 5.1.1 null to=nobody@kontor.example helo=friend",
		`16 rcpt_unknown 203.0.113.77 550 5.1.1 from="a>b c"@x.example helo=friend`, "17 disconnect 203.0.113.77 helo=friend")
}

func TestTimesAndPositions(t *testing.T) {
	data := front.log("+", "<RCPT TO:<a@k.example>", ">550 5.1.1 User unknown", "-Remote")
	var evs []harvestwatch.Event
	run(data, func(ev *harvestwatch.Event) string { evs = append(evs, ev.Clone()); return "" })
	began := evs[0].Time
	if evs[0].When().Format("2006-01-02T15:04:05.000Z") != "2026-01-11T16:00:00.000Z" || evs[1].Time-began != 2002e6 || evs[2].Began != began {
		t.Errorf("%+v", evs)
	}
	for _, ev := range evs {
		if row := data[ev.Pos.Offset:]; ev.Session == 0 || ev.Session != evs[0].Session || !bytes.HasPrefix(row, []byte(ev.When().Format("2006-01-02T15:04:05.000Z"))) {
			t.Errorf("%+v does not name its row", ev)
		}
	}
}

// Replies are held back while commands are pipelined; tarpit rows come first and count for nothing.
func TestPipelining(t *testing.T) {
	expect(t, front.log("<MAIL FROM:<s@a.example>", "<RCPT TO:<a@k.example>", "<RCPT TO:<b@k.example>", "<RCPT TO:<c@far.example>", "<DATA",
		"*Tarpit for '0.00:00:05' due to '550 5.1.1 User unknown'", "*Tarpit for '0.00:00:05'", "*Tarpit for '0.00:00:05' due to '250 2.0.0 Resetting'",
		"*Tarpit for '0.00:00:05' due to '535 5.7.3 Authentication unsuccessful'", "*Tarpit for '0.00:00:30.120' due to 'DelayedAck'",
		">250 2.1.0 Sender OK", ">550 5.1.1 User unknown", ">250 2.1.5 Recipient OK", ">550 5.7.1 Unable to relay", ">354 Start mail input",
		">250 2.6.0 <1@a.example> Queued mail for delivery", "<RCPT TO:<d@k.example>", ">503 5.5.2 Need mail command"),
		"12 rcpt_unknown 203.0.113.77 to=a@k.example", "13 rcpt_ok 203.0.113.77 to=b@k.example", "14 rcpt_relay_denied 203.0.113.77 to=c@far.example",
		"16 accepted 203.0.113.77", "18 protocol_error 203.0.113.77 to=d@k.example")
}

// Where the replies don't fit the commands, the enhanced codes tell.
func TestResynchronising(t *testing.T) {
	for name, c := range map[string]struct{ say, want []string }{
		"the log begins behind MAIL": {
			[]string{"<RCPT TO:<a@k.example>", ">250 2.1.0 Sender OK", ">550 5.1.1 User unknown"},
			[]string{"3 rcpt_unknown 203.0.113.77 to=a@k.example"},
		},
		"replies to NOOP and MAIL are missing": {
			[]string{"<NOOP", "<MAIL FROM:<s@a.example>", "<RCPT TO:<a@k.example>", "<RCPT TO:<b@k.example>", ">550 5.1.1 User unknown", ">250 2.1.5 Recipient OK"},
			[]string{"5 rcpt_unknown 203.0.113.77 to=a@k.example", "6 rcpt_ok 203.0.113.77 to=b@k.example"},
		},
		"a reply to RCPT is missing": {
			[]string{"<RCPT TO:<a@k.example>", "<RSET", ">250 2.0.0 Resetting", "<RCPT TO:<b@k.example>", ">550 5.1.1 User unknown"},
			[]string{"5 rcpt_unknown 203.0.113.77 to=b@k.example"},
		},
		"354 comes out of turn": {
			[]string{"<RCPT TO:<a@k.example>", "<DATA", ">354 go on", ">250 2.6.0 <1@a.example> Queued mail for delivery", "<RCPT TO:<b@k.example>", ">550 5.1.1 User unknown"},
			[]string{"4 accepted 203.0.113.77", "6 rcpt_unknown 203.0.113.77 to=b@k.example"},
		},
	} {
		t.Run(name, func(t *testing.T) { expect(t, front.log(c.say...), c.want...) })
	}
}

// Above the bound commands are only counted, so that later ones are matched again.
func TestManyPending(t *testing.T) {
	var say, want []string
	for i := range maxPending + 40 {
		say = append(say, fmt.Sprintf("<RCPT TO:<u%d@k.example>", i))
	}
	for i := range maxPending + 40 {
		say = append(say, ">550 5.1.1 User unknown")
		line := fmt.Sprintf("%d rcpt_unknown 203.0.113.77", len(say))
		if i < maxPending {
			line += fmt.Sprintf(" to=u%d@k.example", i)
		}
		want = append(want, line)
	}
	say = append(say, "<RCPT TO:<z@k.example>", ">550 5.1.1 User unknown")
	expect(t, front.log(say...), append(want, fmt.Sprintf("%d rcpt_unknown 203.0.113.77 to=z@k.example", len(say)))...)
}

// A queue that is never empty doesn't grow.
func TestQueueIsBounded(t *testing.T) {
	var q queue
	text := bytes.Repeat([]byte("x"), 300)[:harvestwatch.MaxField]
	for i := range 10_000 {
		q.push(rcpt, text, false)
		if i > 3 {
			q.pop(rcpt)
		}
	}
	if len(q.list) > 2*maxPending || len(q.texts) > 2*maxTexts+len(text) || q.more != 0 {
		t.Errorf("%d commands, %d bytes, %d more", len(q.list), len(q.texts), q.more)
	}
	for range maxPending {
		q.push(rcpt, text, false)
	}
	if len(q.texts)-q.at > maxTexts {
		t.Errorf("%d bytes of texts", len(q.texts)-q.at)
	}
	named := 0
	for range maxPending {
		c, got := q.pop(rcpt)
		if c.has {
			named++
			if !bytes.Equal(got, text) {
				t.Fatalf("%q", got)
			}
		}
	}
	if named < 4 || named > maxPending/2 {
		t.Errorf("%d have their texts", named)
	}
}

func TestTransactionIsBounded(t *testing.T) {
	say := []string{"<MAIL FROM:<s@a.example>", ">250 2.1.0 Sender OK"}
	for i := range maxRcpts + 50 {
		say = append(say, fmt.Sprintf("<RCPT TO:<u%d@k.example>", i), ">250 2.1.5 Recipient OK")
	}
	unknown := map[string]bool{}
	_, counts := run(front.log(append(say, "<DATA", ">354 go on", ">550 5.1.1 User unknown")...), func(ev *harvestwatch.Event) string {
		if ev.Kind == harvestwatch.RcptUnknown {
			unknown[string(ev.Recipient)] = true
		}
		return ""
	})
	if len(unknown) != 1 || counts.Events != int64(maxRcpts+50+1) {
		t.Errorf("%d recipients, %+v", len(unknown), counts)
	}
	for names := range unknown {
		if len(names) != harvestwatch.MaxField || !strings.HasPrefix(names, "u0@k.example, u1@k.example, ") {
			t.Errorf("%d bytes: %q", len(names), names)
		}
	}
}

// A front end takes every recipient and refuses the message: one of them is unknown, and nobody can tell here which.
func TestRefusedAfterData(t *testing.T) {
	start := []string{"<MAIL FROM:<s@a.example>", ">250 2.1.0 Sender OK", "<RCPT TO:<gone@k.example>", ">250 2.1.5 Recipient OK", "<RSET", ">250 2.0.0 Resetting",
		"<MAIL FROM:<s@a.example>", ">250 2.1.0 Sender OK", "<RCPT TO:<a@k.example>", "<RCPT TO:<x@far.example>", "<RCPT TO:<b@k.example>",
		">250 2.1.5 Recipient OK", ">550 5.7.1 Unable to relay", ">250 2.1.5 Recipient OK"}
	want := []string{"4 rcpt_ok 203.0.113.77 to=gone@k.example", "12 rcpt_ok 203.0.113.77 to=a@k.example", "13 rcpt_relay_denied 203.0.113.77 to=x@far.example",
		"14 rcpt_ok 203.0.113.77 to=b@k.example"}
	for name, end := range map[string][]string{
		"DATA":           {"<DATA", ">354 go on", "*|Proxy destination(s) obtained from OnProxyInboundMessage event", ">550 5.1.1 User unknown", "<NOOP"},
		"BDAT":           {"<NOOP", ">250 2.0.0 OK", "<BDAT 5 LAST", ">550 5.1.1 User unknown", "<NOOP"},
		"BDAT in pieces": {"<BDAT 5", "<BDAT 5", "<BDAT 5 LAST", ">550 5.1.1 User unknown", ">550 5.1.1 User unknown", ">550 5.1.1 User unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			all := append(append([]string{}, want...), "18 rcpt_unknown 203.0.113.77 to=a@k.example, b@k.example")
			expect(t, front.log(append(append([]string{}, start...), end...)...), all...)
		})
	}
	expect(t, front.log("<DATA", ">550 5.1.1 User unknown"), "2 rcpt_unknown 203.0.113.77") // begun before the log
}

func TestBdat(t *testing.T) {
	expect(t, front.log("<MAIL FROM:<s@a.example>", "<RCPT TO:<a@k.example>", "<BDAT 100", "<BDAT 50", "<BDAT 9 LAST", ">250 2.1.0 Sender OK",
		">250 2.1.5 Recipient OK", ">250 2.6.0 CHUNK received OK, 100 octets", ">250 2.6.0 CHUNK received OK, 50 octets",
		">250 2.6.0 <1@a.example> [InternalId=1, Hostname=x] 159 bytes in 0.1, 1,5 KB/sec Queued mail for delivery"),
		"7 rcpt_ok 203.0.113.77 to=a@k.example", "10 accepted 203.0.113.77")
}

// A row that the server wrote several times, with one sequence number, is one row; two equal replies are two.
func TestCopies(t *testing.T) {
	rows := front.rows("<RCPT TO:<a@k.example>", "<RCPT TO:<b@k.example>", ">550 5.1.1 User unknown", ">550 5.1.1 User unknown", "<AUTH LOGIN", ">535 5.7.3 Authentication unsuccessful")
	expect(t, []byte(header+strings.Join(rows, "")), "3 rcpt_unknown 203.0.113.77 to=a@k.example", "4 rcpt_unknown 203.0.113.77 to=b@k.example", "6 auth_fail 203.0.113.77")
	for i, row := range rows {
		rows[i] = row + row + row
	}
	expect(t, []byte(header+strings.Join(rows, "")), "7 rcpt_unknown 203.0.113.77 to=a@k.example", "10 rcpt_unknown 203.0.113.77 to=b@k.example", "16 auth_fail 203.0.113.77")
	// Without a column of numbers, equal rows can't be told from copies.
	bare := strings.NewReplacer("sequence-number,", "", ",2,192", ",192", ",3,192", ",192").Replace(header + front.rows("+", "+", ">550 5.1.1 User unknown", ">550 5.1.1 User unknown")[2])
	row := bare[strings.LastIndex(bare, "2026"):]
	if got, counts := run([]byte(bare+row), brief); len(got) != 2 || counts.Unparsed != 0 {
		t.Errorf("%q %+v", got, counts)
	}
}

// A message that was accepted is delivered to each recipient that was accepted with it.
func TestAcceptedIsDelivered(t *testing.T) {
	log := front.log("<MAIL FROM:<s@a.example>", ">250 2.1.0 Sender OK", "<RCPT TO:<a@k.example>", ">250 2.1.5 Recipient OK",
		"<RCPT TO:<b@k.example>", ">550 5.1.1 User unknown", "<RCPT TO:<c@k.example>", ">250 2.1.5 Recipient OK", "<DATA", ">354 Start mail input",
		">250 2.6.0 <1@a.example> Queued mail for delivery", "<MAIL FROM:<s@a.example>", ">250 2.1.0 Sender OK", "<RCPT TO:<d@k.example>",
		">250 2.1.5 Recipient OK", "<DATA", ">354 Start mail input", ">550 5.7.1 Message rejected as spam by Content Filtering.")
	got, _ := run(log, func(ev *harvestwatch.Event) string {
		if ev.Kind != harvestwatch.Delivered {
			return ev.Kind.String()
		}
		if ev.Began != ev.Time || ev.Twin == 0 {
			t.Errorf("%+v", ev)
		}
		return "delivered " + string(ev.Recipient)
	})
	want := []string{"rcpt_ok", "rcpt_unknown", "rcpt_ok", "accepted", "delivered a@k.example", "delivered c@k.example", "rcpt_ok", "spam_refused"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
