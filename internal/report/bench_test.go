package report

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// traffic makes n events as a log has them: of three, one connects, one guesses and one disconnects. heavy of a hundred
// guesses come from few sources, the others from sources that make three or four each.
func traffic(n, heavy int) []harvestwatch.Event {
	rnd := rand.New(rand.NewPCG(1, 2))
	list := make([]harvestwatch.Event, 0, n)
	for i := 0; len(list) < n; i++ {
		addr := rnd.IntN(200)
		if rnd.IntN(100) >= heavy {
			addr = 1000 + rnd.IntN(max(n/10, 1))
		}
		ev := harvestwatch.Event{Time: noon.Add(time.Duration(i) * 100 * time.Millisecond).UnixNano(),
			Addr: netip.AddrFrom4([4]byte{240, byte(addr >> 16), byte(addr >> 8), byte(addr)})}
		ev.Helo = fmt.Appendf(nil, "dsl-%d-%d.campaign%d.example", addr&255, addr>>8, addr%23)
		ev.Sender = fmt.Appendf(nil, "bounce%d@sender%d.example", i, addr%31)
		ev.Recipient = fmt.Appendf(nil, "name.%d@victim.example", rnd.IntN(20000))
		for _, kind := range []harvestwatch.Kind{harvestwatch.Connect, harvestwatch.RcptUnknown, harvestwatch.Disconnect} {
			ev.Kind = kind
			list = append(list, ev)
		}
	}
	return list
}

func BenchmarkCollector(b *testing.B) {
	for _, heavy := range []int{95, 60, 10} {
		b.Run(fmt.Sprintf("heavy=%d", heavy), func(b *testing.B) {
			events := traffic(600_000, heavy)
			out := &harvestwatch.Outcome{}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				c := NewCollector(time.UTC, func(string) bool { return true })
				for i := range events {
					c.Event(&events[i], out)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(events)), "ns/event")
		})
	}
}

func BenchmarkResult(b *testing.B) {
	events := traffic(600_000, 10)
	c := NewCollector(time.UTC, func(string) bool { return true })
	for i := range events {
		c.Event(&events[i], &harvestwatch.Outcome{})
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Result(ResultOptions{})
	}
}

func BenchmarkLane(b *testing.B) {
	events := traffic(600_000, 60)
	for b.Loop() {
		l := NewLane("rules", time.UTC)
		for i := range 200 {
			d := harvestwatch.Decision{Action: harvestwatch.ActBlock, Until: noon.Add(24 * time.Hour), Offence: harvestwatch.Offence{Rule: "harvest", Fired: noon}}
			d.Offence.Source, _ = harvestwatch.SourceOf(bulk(i))
			l.Decision(&d)
		}
		for i := range events {
			l.Event(&events[i], &harvestwatch.Outcome{Blocked: events[i].Addr.As4()[2] == 0})
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(events)), "ns/event")
}
