package iis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

// credits makes a log of rows of one client, and returns what is told as delivered, as LINE:RECIPIENT.
func credits(p *Parser, rows ...string) string {
	for i, r := range rows {
		if !strings.HasPrefix(r, "20") {
			rows[i] = "203.0.113.5 x " + r
		}
	}
	got, _ := read(p, w3c(rows...), func(ev *harvestwatch.Event) string {
		if ev.Kind != harvestwatch.Delivered {
			return ""
		}
		return fmt.Sprintf("%d:%s", ev.Pos.Line, ev.Recipient)
	})
	return strings.Join(strings.Fields(strings.Join(got, " ")), " ")
}

const (
	from   = "MAIL +FROM:<s@b.example> 250"
	to     = "RCPT +TO:<a@home.example> 250"
	taken  = "DATA - 250"
	other  = "RCPT +TO:<b@home.example> 250"
	anyone = "203.0.113.6 y "
)

func TestDeliveriesAreTold(t *testing.T) {
	got, counts := read(NewW3C(home()), w3c("203.0.113.5 x "+from, "203.0.113.5 x "+to, "203.0.113.5 x RCPT +TO:<c@home.example> 550",
		"203.0.113.5 x RCPT +TO:<b@home.example> 251", "203.0.113.5 x "+taken, anyone+"MAIL +FROM:<> 250", anyone+to, anyone+taken), full)
	want := []string{
		"6 rcpt_ok 203.0.113.5 250 from=s@b.example to=a@home.example helo=x 2009-07-13T10:00:01Z 0 0",
		"7 rcpt_unknown 203.0.113.5 550 from=s@b.example to=c@home.example helo=x 2009-07-13T10:00:02Z 0 0",
		"8 rcpt_ok 203.0.113.5 251 from=s@b.example to=b@home.example helo=x 2009-07-13T10:00:03Z 0 0",
		"9 accepted 203.0.113.5 250 from=s@b.example helo=x 2009-07-13T10:00:04Z 0 0",
		"9 delivered 203.0.113.5 250 from=s@b.example to=a@home.example helo=x 2009-07-13T10:00:04Z 0 1247479200000000000",
		"9 delivered 203.0.113.5 250 from=s@b.example to=b@home.example helo=x 2009-07-13T10:00:04Z 0 1247479200000000000",
		"11 rcpt_ok 203.0.113.6 250 null to=a@home.example helo=y 2009-07-13T10:00:06Z 0 0",
		"12 accepted 203.0.113.6 250 null helo=y 2009-07-13T10:00:07Z 0 0",
		"12 delivered 203.0.113.6 250 null to=a@home.example helo=y 2009-07-13T10:00:07Z 0 1247479205000000000",
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]+" {") {
			t.Fatalf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if counts.Events != 9 || counts.Ignored != 4+2 || counts.Lines != 12 {
		t.Errorf("%+v", counts)
	}
}

func TestWhatEndsATransaction(t *testing.T) {
	for _, c := range []struct {
		row  string // between RCPT and DATA
		kept bool
	}{
		{"NOOP - 250", true}, {"RSET - 503", true}, {"MAIL +FROM:<t@b.example> 503", true}, {"HELO - 501", true}, {"DATA - 354", true},
		{"DATA - 503", true}, {"VRFY +a@home.example 252", true}, {"RCPT +TO:<c@home.example> 550", true}, {"BDAT +100 250", true},
		{"RCPT - 250", true}, {"RCPT +TO:<> 250", true}, {"RCPT +TO:<c@home.example> 252", true}, {"RCPT +TO:<c@home.example> 451", true},
		{"AUTH +LOGIN 535", true}, {anyone + "RSET - 250", true}, {anyone + from, true}, {anyone + "QUIT - 240", true}, {anyone + taken, true},
		{"RSET - 250", false}, {"rset - 250", false}, {from, false}, {"MAIL - 250", false}, {"HELO +x 250", false}, {"EHLO +x 250", false},
		{"QUIT x 240", false}, {"QUIT - 500", false}, {"DATA - 554", false}, {"DATA - 451", false}, {"BDAT +100 552", false},
		{"NOOP - 421", false}, {"RCPT +TO:<c@home.example> 421", false}, {"RSET - 421", false}, {"DATA - 252", false},
	} {
		want := ""
		if c.kept {
			want = "8:a@home.example"
		}
		if got := credits(NewW3C(home()), from, to, c.row, taken); got != want {
			t.Errorf("%s: %q is told, want %q", c.row, got, want)
		}
	}
	for rows, want := range map[string]string{
		from + "," + to + "," + taken + "," + taken:                        "7:a@home.example",
		from + "," + to + ",BDAT +9 250,BDAT +9+LAST 250,BDAT +0+LAST 250": "8:a@home.example",
		from + "," + to + "," + from + "," + other + "," + taken:           "9:b@home.example",
		to + "," + taken: "6:a@home.example", // the log begins in between
		from + "," + to + "," + anyone + from + "," + anyone + other + "," + taken:          "9:a@home.example",
		from + "," + to + "," + anyone + to + "," + anyone + taken + "," + anyone + taken:   "8:a@home.example",
		from + "," + to + ",STARTTLS - 220,EHLO +x 250," + taken + "," + from + "," + taken: "",
	} {
		if got := credits(NewW3C(home()), strings.Split(rows, ",")...); got != want {
			t.Errorf("%s: %q is told, want %q", rows, got, want)
		}
	}
}

// Where the rows name no recipient, no delivery is told; else it has a client, and no id of its message.
func TestDeliveriesOfAllFormats(t *testing.T) {
	for name, log := range mixed() {
		accepted, delivered := 0, 0
		read(formats[name](home()), log, func(ev *harvestwatch.Event) string {
			switch ev.Kind {
			case harvestwatch.Accepted:
				accepted++
			case harvestwatch.Delivered:
				if delivered++; ev.Join != 0 || !ev.Addr.IsValid() {
					t.Errorf("%s: %+v", name, ev)
				}
			}
			return ""
		})
		if accepted == 0 || delivered == 0 {
			t.Errorf("%s: %d accepted, %d delivered", name, accepted, delivered)
		}
	}
	log := fmt.Sprintf(header, "2009-07-13 10:00:00", short)
	for _, row := range []string{"HELO - 250", "MAIL - 250", "RCPT - 250", "DATA - 250"} {
		log += "10:00:01 203.0.113.5 " + row + "\r\n"
	}
	expect(t, NewW3C(home()), log, "5 connect 203.0.113.5 250", "7 rcpt_ok 203.0.113.5 250", "8 accepted 203.0.113.5 250")
}

func TestTransactionsAreBounded(t *testing.T) {
	var log strings.Builder
	for i := range MaxRecipients + 50 {
		log.WriteString(command{start, "203.0.113.5", "x", "RCPT", fmt.Sprintf("+TO:<%03d%s@home.example>", i, strings.Repeat("x", 300)), "250"}.w3c())
	}
	data := command{start, "203.0.113.5", "x", "DATA", "-", "250"}.w3c()
	var told []string
	read(NewW3C(home()), usualHeader(start)+log.String()+data+data, func(ev *harvestwatch.Event) string {
		if ev.Kind == harvestwatch.Delivered {
			told = append(told, string(ev.Recipient))
		}
		return ""
	})
	if len(told) != MaxRecipients {
		t.Fatalf("%d deliveries", len(told))
	}
	for i, r := range told {
		if len(r) != harvestwatch.MaxField || r[:4] != fmt.Sprintf("%03dx", i) {
			t.Errorf("the recipient %d is %q", i, r)
		}
	}
	p, q, d := NewW3C(home()), NewW3C(home()), disk{}
	log.Reset()
	for i := range MaxTransactions + 10 {
		log.WriteString(command{start, fmt.Sprintf("240.0.%d.%d", i>>8, i&255), "x", "RCPT", "+TO:<a@home.example>", "250"}.w3c())
	}
	read(p, usualHeader(start)+log.String(), show)
	d.take(p)
	d.give(t, q)
	for _, p := range []*Parser{p, q} {
		if first, full := p.open.Full(); p.open.Len() != MaxTransactions || !full || first.Addr().String() != "240.0.0.10" {
			t.Errorf("%d clients are remembered, from %s on", p.open.Len(), first.Addr())
		}
	}
	if p.Pushed() != 10 {
		t.Errorf("%d were pushed out", p.Pushed())
	}
}

// A client that takes the place of a forgotten one is not credited with its recipients.
func TestForgottenTransactionsLeaveNothing(t *testing.T) {
	p := NewW3C(home())
	p.open = memory.NewTable[address.IP, transaction](1)
	if got := credits(p, from, to, anyone+other, taken, anyone+taken, to, taken); got != "9:b@home.example 11:a@home.example" {
		t.Errorf("%q", got)
	}
	p = NewW3C(home())
	p.clients = memory.NewTable[address.IP, client](1)
	read(p, w3c("203.0.113.5 x "+from, anyone+"STARTTLS - 220", anyone+to, anyone+taken), func(ev *harvestwatch.Event) string {
		if ev.Began != 0 || ev.Sender != nil {
			t.Errorf("%s has what another client said", full(ev))
		}
		return ""
	})
}

// The texts hold until the lines are given back, though the memory that they come from is used again, and whoever is
// told an event may change it.
func TestDeliveredTextsHold(t *testing.T) {
	p := NewW3C(home())
	credits(p, from, to, other)
	l := &harvestwatch.Lines{Data: []byte(w3c("203.0.113.5 x "+taken, "203.0.113.5 x MAIL +FROM:<t@c.example> 250",
		"203.0.113.5 x RCPT +TO:<long.name@home.example> 250", "203.0.113.5 x "+taken))}
	p.Lex(l)
	var told []harvestwatch.Event
	p.Fold(l, func(ev *harvestwatch.Event) {
		if ev.Kind == harvestwatch.Delivered {
			told = append(told, *ev)
		}
		*ev = harvestwatch.Event{}
	}, nil)
	got := ""
	for i := range told {
		got += show(&told[i]) + "\n"
	}
	if want := "0 delivered 203.0.113.5 250 from=s@b.example to=a@home.example helo=x\n0 delivered 203.0.113.5 250 from=s@b.example to=b@home.example helo=x\n" +
		"0 delivered 203.0.113.5 250 from=t@c.example to=long.name@home.example helo=x\n"; got != want {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
}

// What an earlier version stored of a client is taken back; what is no transaction is refused.
func TestTransactionState(t *testing.T) {
	key := func(kind byte) []byte {
		ip, _ := address.Parse([]byte("203.0.113.5"))
		return keyOf(nil, kind, ip)
	}
	old := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, 7), 0)
	p := NewW3C(home())
	if err := p.Restore(key(keyClient), memory.AppendText(append(old[:16:16], 0), []byte("s@b.example"))); err != nil {
		t.Fatal(err)
	}
	got, _ := read(p, w3c("203.0.113.5 x "+to, "203.0.113.5 x "+taken), full)
	if len(got) != 3 || !strings.HasPrefix(got[2], "6 delivered 203.0.113.5 250 from=s@b.example to=a@home.example helo=x 2009-07-13T10:00:01Z 0 0 ") {
		t.Errorf("%q", got)
	}
	seq := old[:8:8]
	many := append(seq, MaxRecipients+1)
	for range MaxRecipients + 1 {
		many = memory.AppendText(many, []byte("a"))
	}
	q := NewW3C(home())
	for _, value := range [][]byte{nil, seq, append(seq, 0), append(seq, 1), many, append(seq, 1, 0, 0), append(seq, 2, 0, 1, 'a', 0, 0),
		append(append(seq, 1, 1, 1), make([]byte, 257)...), append(seq, 1, 0, 1, 'a', 'b')} {
		if err := q.Restore(key(keyOpen), value); !errors.Is(err, ErrState) || q.open.Len() != 0 {
			t.Errorf("%d bytes are taken: %v", len(value), err)
		}
	}
	for _, flags := range []byte{4, 2, 255} {
		b := memory.AppendText(append(old[:16:16], flags), []byte("s"))
		if err := q.Restore(key(keyClient), append(b, make([]byte, int(flags&2)*4)...)); !errors.Is(err, ErrState) {
			t.Errorf("a client with the flags %d is taken: %v", flags, err)
		}
	}
}

// A server that takes what it is sent gives no garbage, once all is warm.
func TestWarmFoldAllocatesNothing(t *testing.T) {
	var log strings.Builder
	for i := range 300 {
		ip := fmt.Sprintf("240.0.%d.7", i%100)
		log.WriteString(command{start, ip, "x", "MAIL", "+FROM:<s@b.example>", "250"}.w3c())
		for j := range 1 + i%3 {
			log.WriteString(command{start, ip, "x", "RCPT", fmt.Sprintf("+TO:<name.%d@home.example>", j), "250"}.w3c())
		}
		log.WriteString(command{start, ip, "x", "DATA", "-", "250"}.w3c())
	}
	p, l, delivered := NewW3C(home()), &harvestwatch.Lines{Data: []byte(usualHeader(start) + log.String())}, 0
	tell := func(ev *harvestwatch.Event) {
		if ev.Kind == harvestwatch.Delivered {
			delivered++
		}
	}
	if n := testing.AllocsPerRun(20, func() { p.Lex(l); p.Fold(l, tell, nil) }); n != 0 || delivered != 21*600 {
		t.Errorf("%v allocations a run, %d deliveries", n, delivered)
	}
}
