package iis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// traffic is what a harvested server logs: of ten sessions nine ask for eight names each.
func traffic() map[string]string {
	logs := map[string]*strings.Builder{"w3c": {}, "ncsa": {}, "native": {}}
	logs["w3c"].WriteString(usualHeader(start))
	at := start
	say := func(ip, helo, verb, arg, code string) {
		c := command{at, ip, helo, verb, arg, code}
		logs["w3c"].WriteString(c.w3c())
		logs["ncsa"].WriteString(c.ncsa())
		logs["native"].WriteString(c.native())
		at = at.Add(200 * time.Millisecond)
	}
	for i := range 2000 {
		ip, helo := fmt.Sprintf("240.%d.%d.7", i>>8, i&255), fmt.Sprintf("host-%d.pool.example", i)
		say(ip, helo, "HELO", "+"+helo, "250")
		say(ip, helo, "MAIL", fmt.Sprintf("+FROM:<sender%d@elsewhere.example>", i), "250")
		if i%10 == 0 {
			say(ip, helo, "RCPT", "+TO:<info@home.example>", "250")
			say(ip, helo, "DATA", "+<0001@there.example>", "250")
		} else {
			for j := range 8 {
				say(ip, helo, "RCPT", fmt.Sprintf("+TO:<name.%d@home.example>", j), "550")
			}
		}
		say(ip, helo, "QUIT", helo, "240")
	}
	out := map[string]string{}
	for name, b := range logs {
		out[name] = b.String()
	}
	return out
}

func BenchmarkParse(b *testing.B) {
	logs := traffic()
	for _, name := range []string{"w3c", "ncsa", "native"} {
		for _, phase := range []string{"lex", "fold"} {
			b.Run(name+"/"+phase, func(b *testing.B) {
				p := formats[name](home())
				l := &harvestwatch.Lines{Data: []byte(logs[name])}
				tell := func(*harvestwatch.Event) {}
				p.Lex(l)
				if n := p.Fold(l, tell, nil); n.Unparsed != 0 {
					b.Fatalf("%+v", n)
				}
				p.Lex(l)
				out := l.Lexed.(*lexed)
				b.SetBytes(int64(len(l.Data)))
				b.ReportAllocs()
				for b.Loop() {
					if phase == "lex" {
						p.Lex(l)
					} else {
						out.arena = out.arena[:0]
						p.Fold(l, tell, nil)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(out.lines), "ns/line")
			})
		}
	}
}
