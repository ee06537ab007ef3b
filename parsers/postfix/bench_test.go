package postfix

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// traffic writes about n lines, four a second: of ten sessions seven harvest, one guesses a password, one delivers, one only connects.
func traffic(n int) []byte {
	var b bytes.Buffer
	line := 0
	say := func(format string, args ...any) {
		fmt.Fprintf(&b, "Nov %2d %02d:%02d:%02d mx1 postfix/", 1+line/345600, line/14400%24, line/240%60, line/4%60)
		fmt.Fprintf(&b, format+"\n", args...)
		line++
	}
	for i := 0; line < n; i++ {
		pid, client := 1000+i%40, fmt.Sprintf("host-%d.pool.isp.example[240.%d.%d.%d]", i, i>>16&63, i>>8&255, i&255)
		say("smtpd[%d]: connect from %s", pid, client)
		switch i % 10 {
		default:
			for j := range 4 {
				say("smtpd[%d]: NOQUEUE: reject: RCPT from %s: 550 5.1.1 <name.%d.%d@kontor.example>: Recipient address rejected: User unknown in local recipient table; from=<sender%d@elsewhere.example> to=<name.%d.%d@kontor.example> proto=ESMTP helo=<host-%d.example>",
					pid, client, i, j, i, i, j, i)
			}
		case 7:
			say("smtpd[%d]: warning: %s: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=user%d@kontor.example", pid, client, i)
			say("smtpd[%d]: lost connection after AUTH from %s", pid, client)
		case 8:
			id := fmt.Sprintf("%010X", i*7919+1<<36)
			say("smtpd[%d]: %s: client=%s", pid, id, client)
			say("cleanup[77]: %s: message-id=<%d.abcdef@mail.sender.example>", id, i)
			say("qmgr[66]: %s: from=<someone%d@sender.example>, size=12345, nrcpt=1 (queue active)", id, i)
			say("lmtp[88]: %s: to=<info@kontor.example>, relay=mx1.kontor.example[private/dovecot-lmtp], delay=0.31, delays=0.12/0.01/0.02/0.16, dsn=2.0.0, status=sent (250 2.0.0 <info@kontor.example> 6vwWFXkLVXz1l Saved)", id)
			say("qmgr[66]: %s: removed", id)
		case 9:
		}
		say("smtpd[%d]: disconnect from %s ehlo=1 auth=0/1 mail=1 rcpt=0/4 quit=1 commands=3/7", pid, client)
	}
	return b.Bytes()
}

func BenchmarkLex(b *testing.B) {
	data := traffic(4000)
	p := New(reference, 0, nil)
	l := &harvestwatch.Lines{Data: data}
	p.Lex(l)
	lines := float64(l.Lexed.(*lexed).lines)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		p.Lex(l)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lines, "ns/line")
	b.ReportMetric(float64(len(data))/lines, "B/line")
}

func BenchmarkFold(b *testing.B) {
	data := traffic(4000)
	p := New(reference, 0, nil)
	l := &harvestwatch.Lines{Data: data}
	p.Lex(l)
	lines := float64(l.Lexed.(*lexed).lines)
	events := 0
	p.Fold(l, func(*harvestwatch.Event) { events++ }, nil)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		l.Lexed.(*lexed).arena = l.Lexed.(*lexed).arena[:0]
		p.Fold(l, func(*harvestwatch.Event) { events++ }, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lines, "ns/line")
}
