package ledger

import "testing"

// full returns a set as large as it may be, and hashes of which the even ones are in it.
func full(b *testing.B) (*Recipients, []uint64) {
	r, rng := NewRecipients(0), random(1)
	hashes := make([]uint64, 1<<16)
	for i := range hashes {
		if hashes[i] = rng.Uint64(); i%2 == 0 {
			r.Deliver(hashes[i], start)
		}
	}
	for r.Len() < defaultSize {
		r.Deliver(rng.Uint64(), start)
	}
	b.ReportMetric(float64(r.Bytes())/float64(r.Len()), "B/recipient")
	return r, hashes
}

func BenchmarkDeliverKnown(b *testing.B) {
	r, hashes := full(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Deliver(hashes[i*2&0xffff], start+uint32(i>>8))
	}
}

func BenchmarkDeliverToAFullSet(b *testing.B) {
	r, rng := NewRecipients(0), random(1)
	for r.Len() < defaultSize {
		r.Deliver(rng.Uint64(), start)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Deliver(rng.Uint64(), start+uint32(i>>8))
	}
}

func BenchmarkDeliverNew(b *testing.B) {
	r, rng := NewRecipients(0), random(1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if r.Len() == defaultSize {
			r = NewRecipients(0)
		}
		r.Deliver(rng.Uint64(), start)
	}
}

func BenchmarkRefuse(b *testing.B) {
	r, hashes := full(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Refuse(hashes[i&0xffff], start+uint32(i>>12), uint64(i))
	}
}

func BenchmarkHoursDeliver(b *testing.B) {
	h := &Hours{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.Deliver(start + uint32(i>>8))
	}
}

func BenchmarkHoursCheck(b *testing.B) {
	h := &Hours{}
	for sec := uint32(start); sec < start+28*day; sec += 3000 { // 29 a day: the longest search
		h.Deliver(sec)
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Check(start + 28*day)
	}
}

func BenchmarkBudget(b *testing.B) {
	var x Budget
	rng := random(1)
	for range maxBlocks {
		x.Add(start+rng.Uint32N(7*day), 1)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		x.Add(start+uint32(i)+4*hour, 1)
		x.Spent(start + uint32(i))
	}
}
