package receive

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// interleave deals the rows of several sessions out, one of each in turn.
func interleave(sessions ...[]string) (out []string) {
	for i := 0; ; i++ {
		n := len(out)
		for _, rows := range sessions {
			if i < len(rows) {
				out = append(out, rows[i])
			}
		}
		if n == len(out) {
			return out
		}
	}
}

// Rows of sessions that run at once lie among each other, and a session goes on in the next file.
func TestInterleavedAndOverFiles(t *testing.T) {
	b, zero, other := front, front, front
	b.session, b.remote = "08D3E5F6A7B8C9D2", "203.0.113.78:40113"
	zero.session, zero.remote = "0000000000000000", "203.0.113.79:1"
	other.session, other.remote, other.connector = "0000000000000000", "203.0.113.80:1", `MBX02\Default Frontend MBX02`
	say := func(name string) []string {
		return []string{"+", "<MAIL FROM:<s@" + name + ".example>", "<RCPT TO:<" + name + "@k.example>", ">250 2.1.0 Sender OK", ">550 5.1.1 User unknown", "-Remote"}
	}
	rows := interleave(front.rows(say("a")...), b.rows(say("b")...), zero.rows(say("c")...), other.rows(say("d")...))
	for cut := range rows {
		data := []byte(header + strings.Join(rows[:cut], "") + header + strings.Join(rows[cut:], ""))
		got, counts := run(data, func(ev *harvestwatch.Event) string {
			return fmt.Sprintf("%s %s %s %s", ev.Kind, ev.Addr, ev.Sender, ev.Recipient)
		})
		for i, name := range []string{"a", "b", "c", "d"} {
			want := fmt.Sprintf("rcpt_unknown 203.0.113.%d s@%s.example %s@k.example", 77+i, name, name)
			if !strings.Contains(strings.Join(got, "\n"), want) {
				t.Fatalf("cut at %d: no %s in\n%s", cut, want, strings.Join(got, "\n"))
			}
		}
		if counts.Events != 12 || counts.Unparsed != 0 || counts.Lines != int64(len(rows)+10) {
			t.Errorf("cut at %d: %+v", cut, counts)
		}
	}
}

func TestSessionIDUsedAgain(t *testing.T) {
	zero := front
	zero.session = "0000000000000000"
	first := zero.rows("+", "<MAIL FROM:<old@a.example>", ">250 2.1.0 Sender OK", "<RCPT TO:<old@k.example>")
	expectAs(t, show, []byte(header+strings.Join(first, "")+strings.Join(zero.rows("+", ">550 5.1.1 User unknown"), "")),
		"1 connect 203.0.113.77", "5 connect 203.0.113.77", "6 rcpt_unknown 203.0.113.77 550 5.1.1")
}

// Columns are taken by name, from the directive that holds.
func TestColumnsByName(t *testing.T) {
	moved := "#Log-type: SMTP Receive Protocol Log\n#Fields: event,extra,data,DATE-TIME,remote-endpoint,session-id, connector-id,context\n" +
		"<,x,RCPT TO:<a@k.example>,2026-01-11T16:00:00Z,203.0.113.77:1,1,MBX\\x,\n>,,550 5.1.1 User unknown,2026-01-11T16:00:00Z,203.0.113.77:1,1,MBX\\x,\n"
	back := "#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\n"
	got, counts := run([]byte(moved+back+strings.Join(front.rows("+"), "")), brief)
	if fmt.Sprint(got) != "[-1 rcpt_unknown 203.0.113.77 to=a@k.example 1 connect 203.0.113.77]" || counts.Unparsed != 0 {
		t.Errorf("%q %+v", got, counts)
	}
}

func TestOtherLogsArePassedOver(t *testing.T) {
	send := strings.Replace(string(front.log("+", "<RCPT TO:<a@k.example>", ">550 5.1.1 User unknown")), "Receive", "Send", 1)
	got, counts := run([]byte(send), brief)
	if len(got) != 0 || counts.Ignored != counts.Lines || Share([]byte(send)) != 0 {
		t.Errorf("%q %+v %f", got, counts, Share([]byte(send)))
	}
	for text, want := range map[string]float64{
		header: 1, header + front.rows("+")[0]: 1, front.rows("+")[0]: 1, "": 0, "Jan  1 00:00:00 mx postfix/smtpd[1]: connect\n": 0,
		front.rows("+")[0] + "what\n": 0.5, "#Software: Microsoft Internet Information Services 8.5\n": 0,
	} {
		if got := Share([]byte(text)); got != want {
			t.Errorf("%q: %f, want %f", text, got, want)
		}
	}
}

// The last row of a file that is being written is cut anywhere: it is not understood, or whole.
func TestTornTail(t *testing.T) {
	whole := front.log("<RCPT TO:<a@k.example>", ">550 5.1.1 User unknown")
	start := bytes.LastIndex(whole[:len(whole)-2], []byte("\n")) + 1
	for end := start + 1; end < len(whole)-2; end++ {
		got, counts := run(whole[:end], brief)
		comma := whole[end-1] == ',' && end == len(whole)-2
		if !comma && (len(got) != 0 || counts.Unparsed != 1) {
			t.Errorf("%q: %q %+v", whole[start:end], got, counts)
		}
	}
	for _, data := range [][]byte{whole, whole[:len(whole)-1], whole[:len(whole)-2]} {
		if got, counts := run(data, brief); len(got) != 1 || counts.Unparsed != 0 {
			t.Errorf("%q: %q %+v", data, got, counts)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for remote, want := range map[string]string{
		"203.0.113.77:40112": "203.0.113.77", "[2001:db8:bad::7]:41000": "2001:db8:bad::7", "2001:db8:bad::7:4455": "2001:db8:bad::7",
		"[2001:db8::7%12]:25": "2001:db8::7", "[::ffff:203.0.113.77]:25": "203.0.113.77", "203.0.113.77": "203.0.113.77",
		"x.x.x.x:25": "", "203.0.113.777:25": "", "203.0.113.077:25": "", "mail.example:25": "", "[2001:db8::7": "", "203.0.113.77:99999": "",
	} {
		session := talk{`MBX01\x`, "1", "x.x.x.x:25", remote, 0}
		got, counts := run(session.log("+"), brief)
		if want == "" && (len(got) != 0 || counts.Unparsed != 1) || want != "" && fmt.Sprint(got) != "[1 connect "+want+"]" {
			t.Errorf("%s: %q %+v", remote, got, counts)
		}
	}
	nobody := talk{`MBX01\x`, "1", "", "", 0}
	expect(t, nobody.log("+", "<RCPT TO:<a@k.example>", ">550 5.1.1 User unknown"))
}

func TestRowsNobodyUnderstands(t *testing.T) {
	good := front.rows("<RCPT TO:<a@k.example>")[0]
	for name, row := range map[string]string{
		"no stamp": strings.Replace(good, "2026-", "", 1), "another date": strings.Replace(good, "2026-01-11T", "11.01.2026 ", 1),
		"another event": strings.Replace(good, ",<,", ",=,", 1), "a long event": strings.Replace(good, ",<,", ",<<,", 1),
		"an open quote": strings.Replace(good, ",RCPT", ",\"RCPT", 1), "too few columns": "2026-01-11T16:00:00.000Z,a,b\r\n",
		"no columns": "what\r\n", "a reply that is none": front.rows(">hello")[0], "too long": strings.Replace(good, "a@", strings.Repeat("a", 70_000)+"@", 1),
	} {
		if got, counts := run([]byte(header+row), brief); len(got) != 0 || counts.Unparsed != 1 || counts.Lines != 6 {
			t.Errorf("%s: %q %+v", name, got, counts)
		}
	}
}

// Forums cut the asterisk of information rows.
func TestInfoWithoutAsterisk(t *testing.T) {
	rows := strings.Join(front.rows("<AUTH LOGIN", "*|User Name: joe", "*SMTPSubmit|Set Session Permissions", ">535 5.7.3 Authentication unsuccessful"), "")
	expect(t, []byte(header+strings.ReplaceAll(rows, ",*,", ",,")), "4 auth_fail 203.0.113.77 user=joe")
}

func TestTextsAreCut(t *testing.T) {
	long := strings.Repeat("x", 1000)
	run(front.log("<EHLO "+long, ">250 mx", "<MAIL FROM:<"+long+">", ">250 2.1.0 Sender OK", "<RCPT TO:<"+long+">", ">550 5.1.1 User unknown",
		"<AUTH LOGIN", "*|User Name: "+long, ">535 5.7.3 no"), func(ev *harvestwatch.Event) string {
		for _, text := range [][]byte{ev.Helo, ev.Sender, ev.Recipient, ev.User} {
			if len(text) > harvestwatch.MaxField {
				t.Errorf("%d bytes", len(text))
			}
		}
		return ""
	})
}
