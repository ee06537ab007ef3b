package receive

import (
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// traffic makes up about size bytes of log: of ten sessions seven harvest, one guesses a password, one delivers, one
// only connects; forty run at once.
func traffic(size int) []byte {
	var b strings.Builder
	b.WriteString(header)
	for i := 0; b.Len() < size; {
		sessions := make([][]string, 40)
		for j := range sessions {
			s := talk{`MBX01\Default Frontend MBX01`, fmt.Sprintf("08D3E5F6%08X", i), "192.0.2.21:25", fmt.Sprintf("240.%d.%d.%d:%d", i>>16&63, i>>8&255, i&255, 1024+i%60000), 0}
			sessions[j] = s.rows(script(i)...)
			i++
		}
		for _, row := range interleave(sessions...) {
			b.WriteString(row)
		}
	}
	return []byte(b.String())
}

func script(i int) []string {
	say := []string{"+", "*SMTPSubmit SMTPAcceptAnySender SMTPAcceptAuthoritativeDomainSender AcceptRoutingHeaders|Set Session Permissions",
		">220 mx.kontor.example Microsoft ESMTP MAIL Service ready at Sun, 11 Jan 2026 17:00:08 +0100", "<EHLO host.example", ">250  mx.kontor.example Hello [240.1.1.1] SIZE 37748736 PIPELINING DSN ENHANCEDSTATUSCODES STARTTLS 8BITMIME BINARYMIME CHUNKING"}
	mail := []string{fmt.Sprintf("<MAIL FROM:<sender%d@elsewhere.example>", i), "*08D3E5F6A7B8C9CF;2026-01-11T16:00:09.000Z;1|receiving message", ">250 2.1.0 Sender OK"}
	switch i % 10 {
	default:
		say = append(say, mail...)
		for j := range 5 {
			say = append(say, fmt.Sprintf("<RCPT TO:<name.%d.%d@kontor.example>", i, j), "*Tarpit for '0.00:00:05' due to '550 5.1.1 User unknown'", ">550 5.1.1 User unknown")
		}
	case 7:
		say = append(say, "<AUTH LOGIN", ">334 <authentication response>", ">334 <authentication response>", "*|Inbound AUTH LOGIN failed because of LogonDenied",
			"*|User Name: user@kontor.example", "*Tarpit for '0.00:00:05' due to '535 5.7.3 Authentication unsuccessful'", ">535 5.7.3 Authentication unsuccessful")
	case 8:
		say = append(append(say, mail...), "<RCPT TO:<info@kontor.example>", ">250 2.1.5 Recipient OK", "<DATA", ">354 Start mail input; end with <CRLF>.<CRLF>",
			fmt.Sprintf(">250 2.6.0 <%d.abcdef@mail.sender.example> [InternalId=237172389052427, Hostname=mbx01.kontor.example] 11511 bytes in 0.102, 109,173 KB/sec Queued mail for delivery", i), "<QUIT", ">221 2.0.0 Service closing transmission channel")
	case 9:
	}
	return append(say, "-Remote")
}

const benchSize = 20 << 20

// batches cuts a log as a reader does.
func batches(data []byte) []*harvestwatch.Lines {
	var out []*harvestwatch.Lines
	start, line := 0, int64(1)
	for i, n := 0, int64(0); i < len(data); i++ {
		if data[i] != '\n' {
			continue
		}
		if n++; i-start > 256<<10 || i == len(data)-1 {
			out = append(out, &harvestwatch.Lines{Data: data[start : i+1], Pos: harvestwatch.Pos{Line: line, Offset: int64(start)}})
			start, line, n = i+1, line+n, 0
		}
	}
	return out
}

func BenchmarkLex(b *testing.B) {
	data := traffic(1 << 20)
	p := New(own)
	l := &harvestwatch.Lines{Data: data}
	p.Lex(l)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		p.Lex(l)
	}
}

func BenchmarkFold(b *testing.B) {
	p := New(own)
	l := &harvestwatch.Lines{Data: traffic(1 << 20)}
	p.Lex(l)
	b.SetBytes(int64(len(l.Data)))
	b.ReportAllocs()
	events := 0
	for b.Loop() {
		scratch := p.log.Scratch(l)
		before := len(*scratch)
		p.Fold(l, func(*harvestwatch.Event) { events++ }, nil)
		*scratch = (*scratch)[:before]
	}
}

// BenchmarkRead reads 20 MiB as the pipeline does: one goroutine lexes ahead while another folds.
func BenchmarkRead(b *testing.B) {
	data := traffic(benchSize)
	parts := batches(data)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	events := int64(0)
	p := New(own)
	for b.Loop() {
		jobs, done := make(chan int, len(parts)), make([]chan struct{}, len(parts))
		for i := range parts {
			done[i] = make(chan struct{})
			jobs <- i
		}
		close(jobs)
		for range 2 {
			go func() {
				for i := range jobs {
					p.Lex(parts[i])
					close(done[i])
				}
			}()
		}
		for i, l := range parts {
			<-done[i]
			events += p.Fold(l, func(*harvestwatch.Event) {}, nil).Events
		}
	}
	b.ReportMetric(float64(events)/float64(b.N), "events/op")
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	p := New(own)
	l := &harvestwatch.Lines{Data: traffic(200 << 10)[len(header):]}
	once := func() {
		p.Lex(l)
		p.Fold(l, func(*harvestwatch.Event) {}, nil)
	}
	for range 50 {
		once()
		p.Changes(func(_, _ []byte) {})
	}
	if n := testing.AllocsPerRun(5, once); n > 1 {
		t.Errorf("%.0f allocations for %d bytes", n, len(l.Data))
	}
}
