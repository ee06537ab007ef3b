package detector

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// flood shows a detector so many distinct sources, each with one connection and one guess, all within an hour, after 500
// sources that deliver and 500 that are blocked. It returns how many of these are lost, and the detector.
func flood(t testing.TB, sources, room int) (lost int, d *Detector) {
	set := rules.Default()
	d = New(set, Options{Key: testKey, MaxSources: room})
	b := &bench{t: t, d: d, set: set, act: true}
	good := func(i int) string { return fmt.Sprintf("192.0.%d.%d", 2+i/250, i%250+1) }
	blocked := func(i int) string { return fmt.Sprintf("198.51.%d.%d", 100+i/250, i%250+1) }
	for i := range 500 {
		for j := range 3 {
			ev := delivered(good(i), fmt.Sprintf("jo%d@example.com", j))
			ev.Join = uint64(j + 1)
			b.see(0, ev)
		}
		for j := range 10 {
			b.see(0, unknown(blocked(i), fmt.Sprintf("u%d@example.com", j)))
		}
	}
	rcpt := make([]byte, 0, 64)
	for i := range sources {
		sec := 1 + int64(i)*3000/int64(sources)
		ev := connect(bad)
		ev.Addr, ev.Session = bulk(uint32(i)), uint64(i+1)
		b.see(sec, ev)
		rcpt = fmt.Appendf(rcpt[:0], "user%d@example.com", i)
		ev.Kind, ev.Code, ev.Recipient = harvestwatch.RcptUnknown, 550, rcpt
		ev.Helo, ev.Sender = fmt.Appendf(nil, "h%x.example", uint32(i)*2654435761), []byte("a@bulk.example")
		b.see(sec, ev)
	}
	for i := range 500 {
		if out := b.see(3010, connect(blocked(i))); !out.Blocked {
			lost++
		}
		id := d.table.find(src(good(i)))
		if id == 0 || !d.sideAt(d.table.rec(id)).credited(d.now) {
			lost++
		}
	}
	return lost, d
}

func TestFloodOfDistinctSources(t *testing.T) {
	const room = 100000
	before := used()
	lost, d := flood(t, 3*room, room)
	s, held := d.Stats(), used()-before
	if lost != 0 || s.Sources != room || s.Evicted < room || s.Refused != 0 {
		t.Errorf("%d lost: %+v", lost, s)
	}
	t.Logf("%d sources of %d: %d bytes on the heap, %d by the detector's count, %.0f for each source", s.Sources, 3*room, held, s.Bytes, float64(s.Bytes)/float64(s.Sources))
	runtime.KeepAlive(d)
	if float64(s.Bytes) > 600*room || float64(held) > 1.1*float64(s.Bytes)+1<<20 {
		t.Errorf("%d bytes on the heap, %d counted", held, s.Bytes)
	}
}

func BenchmarkFlood10M(b *testing.B) {
	for b.Loop() {
		before := used()
		lost, d := flood(b, 10000000, 2000000)
		s := d.Stats()
		if lost != 0 || s.Sources != 2000000 {
			b.Fatalf("%d lost: %+v", lost, s)
		}
		b.ReportMetric(float64(used()-before)/(1<<20), "MB")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/20e6, "ns/event")
		b.ReportMetric(float64(s.Evicted), "evicted")
		runtime.KeepAlive(d)
	}
}
