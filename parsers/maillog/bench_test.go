package maillog

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/postfix"
)

// traffic writes n lines of Postfix, of every ten the last one of Dovecot where both is set.
func traffic(n int, both bool) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "Mar %2d %02d:%02d:%02d mx1 ", 1+i/345600, i/14400%24, i/240%60, i/4%60)
		client := fmt.Sprintf("240.%d.%d.%d", i>>16&63, i>>8&255, i&255)
		switch {
		case both && i%10 == 9:
			fmt.Fprintf(&b, "dovecot: auth: passwd-file(user%d,%s,<S%d>): unknown user\n", i, client, i)
		case i%5 == 0:
			fmt.Fprintf(&b, "postfix/smtpd[%d]: connect from host-%d.isp.example[%s]\n", 1000+i%40, i, client)
		default:
			fmt.Fprintf(&b, "postfix/smtpd[%d]: NOQUEUE: reject: RCPT from host-%d.isp.example[%s]: 550 5.1.1 <name.%d@kontor.example>: Recipient address rejected: "+
				"User unknown in local recipient table; from=<sender%d@elsewhere.example> to=<name.%d@kontor.example> proto=ESMTP helo=<host-%d.example>\n",
				1000+i%40, i, client, i, i, i, i)
		}
	}
	return b.Bytes()
}

// The share of a log without Dovecot is what reading both costs a host that has Postfix only.
func BenchmarkMailLog(b *testing.B) {
	data := traffic(1500, false)
	b.Run("postfix", func(b *testing.B) { bench(b, postfix.New(reference, 0, nil), data) })
	b.Run("maillog", func(b *testing.B) { bench(b, open(), data) })
	b.Run("both", func(b *testing.B) { bench(b, open(), traffic(1500, true)) })
}

func bench(b *testing.B, p parser, data []byte) {
	l := &harvestwatch.Lines{Data: data}
	events := 0
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		p.Lex(l)
		p.Fold(l, func(*harvestwatch.Event) { events++ }, nil)
	}
}
