package tracking2003

import (
	"fmt"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
)

const head = "# Message Tracking Log File\r\n# Exchange System Attendant Version 6.5.7638.1\r\n# Date\tTime\tclient-ip\t...\r\n"

var seeds = []string{
	head + row(1019, "203.0.113.77", "a@kontor.example", "<1@x.example>", "0", "x@x.example"),
	strings.Repeat("-\t", 19) + "-\n", "2004-2-30\t9:0:5 GMT" + strings.Repeat("\t1019", 18) + "\n", "#\n\r\n\n",
}

// row makes a row; second is its second.
func row(id int, client, rcpt, message, report, sender string, second ...int) string {
	at := 5
	if len(second) > 0 {
		at = second[0]
	}
	clock := fmt.Sprintf("%d:%d:%d GMT", 9+at/3600, at/60%60, at%60)
	return strings.Join([]string{"2004-4-6", clock, client, "host.example", "-", "EX03", "192.0.2.10", rcpt, fmt.Sprint(id), message, "0", report, "2311", "1",
		"2004-4-6 9:0:5 GMT", "0", "Version: 6.0.3790.1830", "-", "hello", sender}, "\t") + "\r\n"
}

func TestRows(t *testing.T) {
	data := head + row(1019, "203.0.113.77", "a@kontor.example", "<1@x.example>", "0", "x@x.example") +
		row(1019, "203.0.113.77", "b@kontor.example", "<1@x.example>", "0", "x@x.example") +
		row(1025, "-", "a@kontor.example", "<1@x.example>", "0", "x@x.example") +
		row(1028, "-", "a@kontor.example", "<1@x.example>", "0", "x@x.example", 7) +
		row(1023, "-", "c@kontor.example", "<1@x.example>", "0", "x@x.example", 7) +
		row(1030, "-", "b@kontor.example", "<1@x.example>", "550 5.1.1 unknown", "x@x.example", 7) +
		row(1030, "-", "b@kontor.example", "<1@x.example>", "0", "x@x.example", 7) +
		row(1019, "203.0.113.77", "a@kontor.example", "<1@x.example>", "0", "x@x.example", 300) +
		row(1019, "198.51.100.80", "a@kontor.example", "<2@x.example>", "0", "<>")
	counts := expect(t, data, "4 accepted 203.0.113.77 from=x@x.example", "7 delivered - from=x@x.example to=a@kontor.example",
		"8 delivered - from=x@x.example to=c@kontor.example", "9 rcpt_unknown - 550 5.1.1 from=x@x.example to=b@kontor.example",
		"11 accepted 203.0.113.77 from=x@x.example", "12 accepted 198.51.100.80 null")
	if counts.Unparsed != 0 || counts.Ignored != 6 {
		t.Errorf("%+v", counts)
	}
	events, _ := parse(golden.Ours(), data)
	ip, _ := address.Parse([]byte("203.0.113.77"))
	for _, ev := range events[:5] {
		if ev.Join == 0 || ev.Join != events[0].Join {
			t.Errorf("not joined: %s", golden.Full(&ev))
		}
	}
	if events[0].Twin != twin.Message(ip, []byte("1@x.example")) || events[0].When().String() != "2004-04-06 09:00:05 +0000 UTC" {
		t.Errorf("%s", golden.Full(&events[0]))
	}
	kit().Hold(t, []byte(data))
}

func TestNobody(t *testing.T) {
	for _, client := range []string{"-", "192.0.2.9", "127.0.0.1", "0.0.0.0", ""} {
		if counts := expect(t, head+row(1019, client, "a@kontor.example", "<1@x.example>", "0", "x@x.example")); counts.Ignored != 4 {
			t.Errorf("%q: %+v", client, counts)
		}
	}
	expect(t, head+row(1019, "203.0.113.77", "a@kontor.example", "-", "0", "x@x.example")+row(1020, "203.0.113.77", "a@kontor.example", "<1@x.example>", "0", "x@x.example"))
}

// Whoever sends a message chooses its id. One who uses another's is told apart by the recipients; where those don't help,
// because the server delivered to another address of the same user, nobody is credited.
func TestBorrowedID(t *testing.T) {
	const id = "<news@partner.example>"
	data := head + row(1019, "198.51.100.20", "info@kontor.example", id, "0", "n@partner.example") +
		row(1019, "203.0.113.77", "nobody@kontor.example", id, "0", "n@partner.example") +
		row(1028, "-", "info@kontor.example", id, "0", "n@partner.example") +
		row(1030, "-", "nobody@kontor.example", id, "550 5.1.1", "n@partner.example") +
		row(1028, "-", "alias@kontor.example", id, "0", "n@partner.example")
	events, counts := parse(golden.Ours(), data)
	if len(events) != 4 || counts.Ignored != 4 {
		t.Fatalf("%d events, %+v", len(events), counts)
	}
	if honest, attacker := events[0].Join, events[1].Join; honest == attacker || events[2].Join != honest || events[3].Join != attacker {
		t.Errorf("honest %x, attacker %x, delivered %x, failed %x", honest, attacker, events[2].Join, events[3].Join)
	}
	kit().Hold(t, []byte(data))
}

// A tab in the client's text would shift the columns: such a row is not read.
func TestTabs(t *testing.T) {
	good := row(1019, "203.0.113.77", "a@kontor.example", "<1@x.example>", "0", "x@x.example")
	forged := strings.Replace(good, "host.example", "x\t-\tEX03\t192.0.2.10\tinfo@kontor.example\t1028\t<honest@partner.example>\t0\t0\t1\t1", 1)
	for name, bad := range map[string]string{
		"more columns": forged, "a tab in the subject": strings.Replace(good, "hello", "a\tb", 1), "fewer columns": strings.Replace(good, "hello\t", "", 1),
		"a bad client": strings.Replace(good, "203.0.113.77", "203.0.113.777", 1), "a bad date": strings.Replace(good, "2004-4-6", "2004-4-31", 1),
		"another order of the date": strings.Replace(good, "2004-4-6", "4/6/2004", 1), "no zone": strings.Replace(good, "9:0:5 GMT", "9:0:5", 1),
		"a bad hour": strings.Replace(good, "9:0:5 GMT", "24:0:5 GMT", 1), "a bad number": strings.Replace(good, "2311", "x", 1),
		"a bad event": strings.Replace(good, "1019", "a1019", 1), "too long": strings.Replace(good, "hello", strings.Repeat("x", maxLine), 1), "text": "hello\n",
	} {
		if counts := expect(t, head+bad); counts.Unparsed != 1 {
			t.Errorf("%s: %+v", name, counts)
		}
		if Share([]byte(bad)) != 0 {
			t.Errorf("%s: is taken for such a log", name)
		}
	}
	if Share([]byte(good)) != 1 || Share([]byte(head)) != 1 {
		t.Error("a good log is not known")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	p := New(golden.Ours())
	tok := token{op: opReceive, ip: address.IP{Lo: 0xffff<<32 | 203<<24 | 1}}
	for i := range MaxRecipients + 10 {
		tok.message, tok.recipient = fmt.Append(nil, i/2), fmt.Append(nil, i)
		p.receive(&tok, uint64(i/2))
	}
	if p.owners.Len() != MaxMessages || p.arrivals.Len() != MaxMessages || p.recipients.Len() != MaxRecipients {
		t.Errorf("%d ids, %d arrivals, %d recipients", p.owners.Len(), p.arrivals.Len(), p.recipients.Len())
	}
}

func BenchmarkTracking2003(b *testing.B) {
	var rows []string
	for i := range 500 {
		id := fmt.Sprintf("<%d@x.example>", i)
		for _, event := range []int{1019, 1025, 1024, 1023, 1028} {
			rows = append(rows, row(event, "203.0.113.77", "a@kontor.example", id, "0", "x@x.example"))
		}
	}
	kit().Benchmark(b, head, rows...)
}
