package detector

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// bulk returns the i-th of many addresses, in no order, from 240.0.0.0/4.
func bulk(i uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0xf0000000|(i*2654435761)&0x0fffffff)
	return netip.AddrFrom4(b)
}

// used returns the bytes of the live heap.
func used() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// fillSources makes a detector that knows so many sources, each with one connect and so many refused recipients on average,
// within a day.
func fillSources(t testing.TB, sources, tries int) (*Detector, int) {
	set := rules.Default()
	d := New(set, Options{Key: testKey})
	r := rand.New(rand.NewPCG(1, 2))
	var ev harvestwatch.Event
	rcpt := make([]byte, 0, 64)
	events := 0
	for i := range sources * (tries + 1) {
		ev = harvestwatch.Event{Time: (start + int64(i)*80000/int64(sources*(tries+1))) * int64(time.Second), Kind: harvestwatch.RcptUnknown, Code: 550, Ref: uint32(i)}
		ev.Addr = bulk(uint32(r.IntN(sources)))
		if tries == 1 {
			ev.Addr = bulk(uint32(i) % uint32(sources))
		}
		if i < sources {
			ev.Kind, ev.Addr, ev.Session = harvestwatch.Connect, bulk(uint32(i)), uint64(i+1)
		}
		rcpt = fmt.Appendf(rcpt[:0], "user%d@example.com", i)
		ev.Recipient = rcpt
		events++
		if out := d.Observe(&ev); out.Offence != nil {
			settle(d, set, out.Offence)
		}
	}
	if d.Stats().Sources < sources*9/10 {
		t.Fatalf("%+v", d.Stats())
	}
	return d, events
}

// settle decides as the rule's mode says, as long as it says.
func settle(d *Detector, set *rules.Set, o *harvestwatch.Offence) {
	r := &set.Rules[o.RuleIndex]
	dec := harvestwatch.Decision{Offence: *o, Action: harvestwatch.ActBlock, Until: o.Fired.Add(r.Step(o.Level))}
	switch {
	case o.Guard != "":
		dec.Action, dec.Until = harvestwatch.ActSuppress, time.Time{}
	case r.Mode == rules.Alert:
		dec.Action, dec.Until = harvestwatch.ActAlert, time.Time{}
	case r.Mode == rules.Observe:
		dec.Action = harvestwatch.ActObserve
	}
	d.Settle(&dec)
}

func BenchmarkMemory(b *testing.B) {
	for _, tries := range []int{1, 4} {
		b.Run(fmt.Sprintf("tries=%d", tries), func(b *testing.B) {
			for b.Loop() {
				before := used()
				d, events := fillSources(b, 1000000, tries)
				after := used()
				s := d.Stats()
				b.ReportMetric(float64(after-before)/float64(s.Sources), "B/source")
				b.ReportMetric(float64(s.Bytes)/float64(s.Sources), "Bstats/source")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
				runtime.KeepAlive(d)
			}
		})
	}
}

// mix makes events as a server under attack sees them: connections, refused recipients, disconnections, few deliveries.
func mix(sources, n int) []harvestwatch.Event {
	r := rand.New(rand.NewPCG(3, 4))
	evs := make([]harvestwatch.Event, n)
	for i := range evs {
		ev := harvestwatch.Event{Code: 550, Addr: bulk(uint32(r.IntN(sources))), Ref: uint32(i)}
		switch x := r.IntN(100); {
		case x < 20:
			ev.Kind = harvestwatch.Connect
		case x < 40:
			ev.Kind = harvestwatch.Disconnect
		case x < 90:
			ev.Kind, ev.Recipient = harvestwatch.RcptUnknown, fmt.Appendf(nil, "user.name%d@example.com", r.IntN(100000))
		case x < 95:
			ev.Kind, ev.User = harvestwatch.AuthFail, fmt.Appendf(nil, "user%d", r.IntN(20))
		case x < 98:
			ev.Kind, ev.Recipient = harvestwatch.Delivered, fmt.Appendf(nil, "user%d@example.com", r.IntN(400))
			ev.Addr = bulk(uint32(r.IntN(sources) / 20)) // few of all sources send good mail
		default:
			ev.Kind = harvestwatch.RcptRelayDenied
		}
		if x := r.IntN(10); x < 6 { // half of the clients call themselves by a name that says nothing, of few kinds
			ev.Helo = fmt.Appendf(nil, "win-%d.local", r.IntN(1000))
		} else {
			ev.Helo = fmt.Appendf(nil, "mail%c%c.example", 'a'+rune(r.IntN(26)), 'a'+rune(r.IntN(26)))
		}
		ev.Sender = fmt.Appendf(nil, "news@bulk%c.example", 'a'+rune(r.IntN(26)))
		ev.Session = uint64(i)
		evs[i] = ev
	}
	return evs
}

func benchmarkObserve(b *testing.B, sources int) {
	evs := mix(sources, 1<<20)
	set := rules.Default()
	d := New(set, Options{Key: testKey})
	i, offences, now := 0, 0, int64(start)*int64(time.Second)
	one := func() {
		ev := &evs[i&(1<<20-1)]
		if ev.Kind == harvestwatch.RcptUnknown { // other recipients each time around
			ev.Recipient[len(ev.Recipient)-len("@example.com")-1] = 'a' + byte(i>>20%26)
		}
		i++
		now += int64(10 * time.Millisecond)
		ev.Time = now
		if out := d.Observe(ev); out.Offence != nil {
			offences++
			settle(d, set, out.Offence)
		}
	}
	for range 1 << 20 {
		one()
	}
	b.ReportAllocs()
	for b.Loop() {
		one()
	}
	b.ReportMetric(float64(offences)/float64(i)*1e6, "offences/Mevent")
}

func BenchmarkObserveHot(b *testing.B)    { benchmarkObserve(b, 3000) }
func BenchmarkObserveRandom(b *testing.B) { benchmarkObserve(b, 1000000) }
