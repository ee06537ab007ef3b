package ledger

import (
	"math"
	"slices"
	"testing"
)

// history is every delivery that was counted, in the order of the calls.
type history []uint32

func (d history) between(from, to uint32) (n int) {
	for _, sec := range d {
		n += one(sec >= from && sec < to)
	}
	return n
}

// check says what Hours is to answer, by going through all deliveries.
func (d history) check(now uint32) Reading {
	if len(d) == 0 {
		return Reading{}
	}
	now = max(now, slices.Max(d))
	hours := map[uint32]float64{}
	for _, sec := range d {
		hours[sec/3600]++
	}
	armed := Reading{Armed: now-d[0] >= 14*86400}
	for from := now / 300 * 300; now-from < 86400; from -= 300 {
		expected, ok := 0.0, true
		for part := from; part <= now; part += 300 {
			usual, known := usual(hours, d[0]/3600, part/3600)
			ok = ok && known
			expected += usual / 3600 * float64(min(300, now+1-part))
		}
		if !ok {
			return armed
		}
		if expected > 30-1e-9 {
			seen := d.between(from, now+1)
			return Reading{expected, seen, now + 1 - from, float64(seen) <= 0.3*expected+1e-9, armed.Armed}
		}
	}
	return armed
}

// usual returns the median of an hour, from what all hours brought.
func usual(hours map[uint32]float64, first, at uint32) (median float64, ok bool) {
	var list []float64
	for k := uint32(1); k <= 4; k++ {
		if past := at - k*7*24; past > first {
			list = append(list, hours[past])
		}
	}
	slices.Sort(list)
	switch n := len(list); {
	case n == 0:
		return 0, false
	case n%2 == 1:
		return list[n/2], true
	default:
		return (list[n/2-1] + list[n/2]) / 2, true
	}
}

func (d history) perDay(now uint32) float64 {
	if len(d) == 0 {
		return 0
	}
	now = max(now, slices.Max(d))
	end, days := now/3600*3600, uint32(0)
	for days < 30 && (end-(days+1)*86400)/3600 > d[0]/3600 {
		days++
	}
	if days == 0 {
		return 0
	}
	return float64(d.between(end-days*86400, end)) / float64(days)
}

// TestHoursAgainstAModel holds readings against the model's, over streams with a daily rhythm, pauses and late events,
// and those of hours that are saved and restored again and again.
func TestHoursAgainstAModel(t *testing.T) {
	compared, said, low, known := 0, 0, 0, 0
	for seed := range uint64(30) {
		rng := random(seed)
		var h, cut = &Hours{}, &Hours{}
		var d history
		store := map[uint64][]byte{}
		perDay := []float64{30, 100, 300}[seed%3]
		pause := uint32(0)
		traffic(rng, perDay, 1, start+rng.Uint32N(day), start+uint32(9+rng.IntN(40))*day, func(_ uint64, sec uint32) {
			if rng.IntN(200) == 0 {
				pause = sec + rng.Uint32N(day)
			}
			if sec < pause && rng.IntN(20) > 0 || sec < start {
				return
			}
			if rng.IntN(4) == 0 && len(d) > 0 {
				sec -= rng.Uint32N(1200)
			}
			d = append(d, sec)
			h.Deliver(sec)
			cut.Deliver(sec)
			if rng.IntN(20) == 0 {
				save(cut, store)
				cut = load(t, &Hours{}, store)
			}
			if rng.IntN(20) > 0 {
				return
			}
			now := sec + rng.Uint32N(3*hour)
			want, a, b := d.check(now), h.Check(now), cut.Check(now)
			if a != b || !same(a, want) {
				t.Fatalf("seed %d, day %d, %s: %+v and %+v, want %+v", seed, (now-start)/day, clockTime(now), a, b, want)
			}
			if a, b, want := h.PerDay(now), cut.PerDay(now), d.perDay(now); a != b || math.Abs(a-want) > 1e-9 {
				t.Fatalf("seed %d, day %d: %g and %g a day, want %g", seed, (now-start)/day, a, b, want)
			}
			compared, said, low, known = compared+1, said+one(want.Over > 0), low+one(want.Low), known+one(d.perDay(now) > 0)
		})
	}
	t.Logf("%d comparisons, twice each: %d say something, %d of them that the mail is low; %d know messages a day", compared, said, low, known)
	if said < 1000 || low < 100 {
		t.Error("the streams tell too little")
	}
}

func same(a, b Reading) bool {
	return math.Abs(a.Expected-b.Expected) < 1e-6 && a.Seen == b.Seen && a.Over == b.Over && a.Low == b.Low && a.Armed == b.Armed
}

// TestMailStaysAway has the mail fail at a site with 1,700 messages a day, and measures how long it takes to be seen.
func TestMailStaysAway(t *testing.T) {
	for _, at := range []uint32{10 * hour, 3 * hour} {
		var after, over uint32
		const runs, days = 20, 24
		for seed := range uint64(runs) {
			h, fails := &Hours{}, uint32(start+days*day)+at
			traffic(random(seed), 1700, 1, start, fails, func(_ uint64, sec uint32) { h.Deliver(sec) })
			sec := fails
			for !h.Check(sec).Low && sec < fails+day {
				sec += 10
			}
			after, over = after+sec-fails, over+h.Check(sec).Over
		}
		t.Logf("mail stops at %s: seen after %d min, over a period of %d min", clockTime(at), after/runs/60, over/runs/60)
		if at == 10*hour && after/runs > 20*60 || after/runs > 6*hour {
			t.Error("too late")
		}
	}
}

// TestNoFalseAlarm counts what says low over five weeks of plain traffic.
func TestNoFalseAlarm(t *testing.T) {
	checks, low := 0, 0
	for seed := range uint64(5) {
		h := &Hours{}
		traffic(random(seed), 1700, 1, start, start+35*day, func(_ uint64, sec uint32) {
			h.Deliver(sec)
			r := h.Check(sec)
			checks, low = checks+one(r.Over > 0), low+one(r.Low && r.Armed)
		})
	}
	t.Logf("%d readings, %d low", checks, low)
	if low > 0 || checks < 100_000 {
		t.Errorf("%d of %d readings are low", low, checks)
	}
}

// TestHoursToTheSecond has one delivery a minute, so that half an hour is the shortest period.
func TestHoursToTheSecond(t *testing.T) {
	h := &Hours{}
	if r := h.Check(start); r != (Reading{}) || h.PerDay(start) != 0 {
		t.Errorf("an empty one says %+v", r)
	}
	for sec := uint32(start); sec < start+15*day; sec += 60 {
		h.Deliver(sec)
	}
	const now = start + 15*day - 1
	for _, c := range []struct {
		now  uint32
		want Reading
	}{
		{start + 7*day, Reading{30, 30, 1800, false, true}}, // stands for the latest delivery's second, 59 before now
		{now, Reading{30, 30, 1800, false, true}},
		{now + 60, Reading{31, 30, 1860, false, true}}, // five minutes are the steps
		{now + 300, Reading{30, 25, 1800, false, true}},
		{now + 1200, Reading{30, 10, 1800, false, true}},
		{now + 1260, Reading{31, 10, 1860, false, true}},
		{now + 1320, Reading{32, 10, 1920, false, true}},
		{now + 1380, Reading{33, 10, 1980, false, true}},
		{now + 1440, Reading{34, 10, 2040, true, true}},
		{now + 1500, Reading{30, 5, 1800, true, true}},
	} {
		if r := h.Check(c.now); r != c.want && c.now > now-60 {
			t.Errorf("%d s after the mail stopped: %+v, want %+v", c.now-now, r, c.want)
		}
	}
	if r := h.Check(start); r != h.Check(now-59) || r.Over == 0 {
		t.Errorf("the past: %+v, want what the latest delivery's second says: %+v", r, h.Check(now-59))
	}
	if got := h.PerDay(now); got != 1440 {
		t.Errorf("%g a day, want 1440", got)
	}
	young := &Hours{}
	for sec := uint32(start + 1); sec < start+14*day; sec += 60 {
		young.Deliver(sec)
		switch r := young.Check(sec); {
		case r.Armed:
			t.Fatalf("armed after %d s", sec-start-1)
		case r.Over > 0 && sec < start+7*day+hour:
			t.Fatalf("says something after %d s, when the hour is not known: %+v", sec-start-1, r)
		case r.Over == 0 && sec > start+8*day+2*hour:
			t.Fatalf("says nothing on day %d", (sec-start)/day)
		}
	}
	if !young.Check(start + 1 + 14*day).Armed {
		t.Error("not armed after 14 days")
	}
}

// TestHoursAtTheEndsOfTime holds that no second breaks them, and that a leap leaves them whole.
func TestHoursAtTheEndsOfTime(t *testing.T) {
	for _, list := range [][]uint32{{0, 1, 2}, {math.MaxUint32, 0, math.MaxUint32}, {0, math.MaxUint32}, {start, start + 400*day, start + 1, start + 380*day}} {
		h := &Hours{}
		for _, sec := range list {
			for range 100 {
				h.Deliver(sec)
			}
			for _, now := range []uint32{0, sec, start, math.MaxUint32} {
				if r := h.Check(now); r.Low {
					t.Errorf("%v at %d: %+v", list, now, r)
				}
				h.PerDay(now)
			}
		}
	}
	h := &Hours{}
	h.Deliver(start)
	h.days[(start/day)%dayPages].count[0] = math.MaxUint32
	h.Deliver(start)
	if h.days[(start/day)%dayPages].count[0] != math.MaxUint32 {
		t.Error("a count ran over")
	}
}

// TestLongestPeriod has 30 deliveries a day: only 24 whole hours bring them.
func TestLongestPeriod(t *testing.T) {
	h := &Hours{}
	for sec := uint32(start); sec < start+15*day; sec += 48 * 60 {
		h.Deliver(sec)
	}
	if r := h.Check(start + 15*day - 1); r.Over != day || r.Expected != 30 || r.Seen != 30 {
		t.Errorf("at the end of a day: %+v", r)
	}
	if r := h.Check(start + 15*day); r != (Reading{Armed: true}) {
		t.Errorf("a second later: %+v", r)
	}
}

// TestTooLateIsNotCounted holds that a delivery which is older than what is kept is not counted for a later time.
func TestTooLateIsNotCounted(t *testing.T) {
	h := &Hours{}
	for sec := uint32(start); sec < start+40*day; sec += hour {
		h.Deliver(sec)
	}
	want := *h
	h.Deliver(start + 40*day - hour - dayPages*day)
	if h.days != want.days || h.fine != want.fine {
		t.Error("a delivery of a month ago counts today")
	}
	h.Deliver(start + 40*day - hour - finePages*2*hour)
	if h.fine != want.fine || h.days == want.days {
		t.Error("a delivery of yesterday counts today, or does not count for its hour")
	}
}
