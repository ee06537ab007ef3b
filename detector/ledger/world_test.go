package ledger

import (
	"math"
	"math/rand/v2"
	"testing"
)

// profile says how many of a thousand good messages of a working day each hour brings.
var profile = [24]float64{6, 6, 6, 6, 6, 6, 6, 30, 90, 90, 90, 90, 90, 90, 90, 90, 90, 51, 12, 12, 12, 11, 10, 10}

// working returns how many messages a second such a day brings.
func working(perDay float64) func(sec uint32) float64 {
	return func(sec uint32) float64 { return perDay * profile[sec%day/hour] / 1000 / hour }
}

// arrivals calls back for each good message of a time: Poisson arrivals, to recipients of whom some get far more than
// others.
func arrivals(rng *rand.Rand, rate func(sec uint32) float64, users int, from, to uint32, message func(hash uint64, sec uint32)) {
	for sec := from; sec < to; sec++ {
		r := rate(sec)
		for p := rng.Float64(); p < r; p += 1 {
			message(1+uint64(math.Pow(float64(users), rng.Float64())), sec)
		}
	}
}

func traffic(rng *rand.Rand, perDay float64, users int, from, to uint32, message func(hash uint64, sec uint32)) {
	arrivals(rng, working(perDay), users, from, to, message)
}

// sender names one of 80 sources, some of which send far more than others.
func sender(rng *rand.Rand) uint64 { return uint64(math.Pow(80, rng.Float64())) }

// failure is what a failing directory brought about.
type failure struct {
	trips      int
	delay      uint32 // from the beginning to the first trip
	held, more uint32 // seconds held while it failed, and after
}

// fail has the directory deny a share of the recipients for 20 minutes at a site with 1,700 messages a day.
func fail(t *testing.T, seed uint64, at uint32, share float64) (f failure) {
	rng, r := random(seed), NewRecipients(0)
	begin := uint32(start + 8*day + at)
	end := begin + 20*60
	traffic(rng, 1700, 300, start, begin, r.Deliver)
	if _, _, ok := r.Outage(begin); ok || r.Floor() != 0 {
		t.Fatalf("seed %d: an outage before there is one", seed)
	}
	for sec := begin; sec < end; sec++ {
		traffic(rng, 1700, 300, sec, sec+1, func(hash uint64, sec uint32) {
			if rng.Float64() >= share {
				r.Deliver(hash, sec)
				return
			}
			if _, trip := r.Refuse(hash, sec, sender(rng)); trip {
				if f.trips++; f.trips == 1 {
					f.delay = sec - begin
				}
				if since, _, ok := r.Outage(sec); !ok || since < begin || since > sec {
					t.Fatalf("seed %d: tripped at %s, the outage began at %s", seed, clockTime(sec), clockTime(since))
				}
			}
		})
		f.held += uint32(one(r.outage.held(sec)))
	}
	for sec := end; r.outage.held(sec); sec++ {
		traffic(rng, 1700, 300, sec, sec+1, r.Deliver)
		f.more++
	}
	return f
}

// TestDirectoryIsDown has the directory fail, at one server and at one of two.
func TestDirectoryIsDown(t *testing.T) {
	runs := 100
	if testing.Short() {
		runs = 40
	}
	for _, c := range []struct {
		what  string
		at    uint32
		share float64
	}{
		{"all servers at 10:00", 10 * hour, 1}, {"all servers at 03:00", 3 * hour, 1}, {"one of two at 10:00", 10 * hour, .5}, {"one of two at 03:00", 3 * hour, .5},
	} {
		tripped, trips, delay, held, more, most, long := 0, 0, uint32(0), uint32(0), uint32(0), uint32(0), 0
		for seed := range uint64(runs) {
			f := fail(t, seed, c.at, c.share)
			tripped, trips = tripped+min(f.trips, 1), trips+f.trips
			delay, held, more, most = delay+f.delay, held+f.held, more+f.more, max(most, f.more)
			long += one(f.more > 5*60)
			if c.share == 1 && f.trips > 1 {
				t.Errorf("seed %d: tripped %d times", seed, f.trips)
			}
		}
		n := uint32(max(tripped, 1))
		t.Logf("%s: %d of %d runs trip, %.2f times each, first after %d s, held for %d of 1200 s; after the end for %d s, at most %d s, more than 300 s in %d runs",
			c.what, tripped, runs, float64(trips)/float64(n), delay/n, held/n, more/n, most, long)
		if c.at == 10*hour && c.share == 1 && (tripped < runs*95/100 || delay/n > 180 || more/n > 180 || long > runs*5/100) {
			t.Error("too seldom, too late or for too long") // in few runs five messages take longer to come
		}
	}
}

// migrate has correspondents go on writing to people who are gone, one to five at a time, as often as gap says.
func migrate(seed uint64, gap func(rng *rand.Rand) uint32) (trips int, held uint32) {
	const moved = 200 // people
	rng, r := random(seed), NewRecipients(0)
	rate := func(sec uint32) float64 {
		if h := sec % day / hour; h >= 8 && h < 18 {
			return 3. / 60
		}
		return .3 / 60
	}
	begin := uint32(start + 8*day)
	arrivals(rng, rate, 300, start, begin, r.Deliver)
	for hash := range uint64(moved) {
		r.Deliver(10_000+hash, begin-rng.Uint32N(2*day))
	}
	next := begin + gap(rng)
	for sec := begin; sec < begin+14*day; sec++ {
		arrivals(rng, rate, 300, sec, sec+1, r.Deliver)
		if sec == next {
			source := 1 + rng.Uint64N(8)
			for range 1 + rng.IntN(5) {
				_, trip := r.Refuse(10_000+rng.Uint64N(moved), sec, source)
				trips += one(trip)
			}
			next += gap(rng)
		}
		held += uint32(one(r.outage.held(sec)))
	}
	return trips, held
}

// TestMigration holds that a domain that moved is no outage.
func TestMigration(t *testing.T) {
	const runs = 12
	for _, c := range []struct {
		what  string
		gap   func(rng *rand.Rand) uint32
		bound int
	}{
		{"10 to 40 minutes apart", func(rng *rand.Rand) uint32 { return 600 + rng.Uint32N(1801) }, 1},
		{"1 to 40 minutes apart", func(rng *rand.Rand) uint32 { return 60 + rng.Uint32N(2341) }, 1},
		{"by chance, every 25 minutes", func(rng *rand.Rand) uint32 { return 1 + uint32(1500*rng.ExpFloat64()) }, 14},
	} {
		sum, most, held := 0, 0, uint32(0)
		for seed := range uint64(runs) {
			trips, h := migrate(seed, c.gap)
			sum, most, held = sum+trips, max(most, trips), held+h
		}
		t.Logf("%s: %d trips in %d runs of 14 days, at most %d in one, held for %d s each", c.what, sum, runs, most, held/uint32(max(sum, 1)))
		if most > c.bound {
			t.Errorf("%s: %d trips", c.what, most)
		}
	}
}

// TestLeaversCannotHoldTheBreaker has a harvester ask for three people who left this week, all week long. From fewer than
// three sources he can't even trip it.
func TestLeaversCannotHoldTheBreaker(t *testing.T) {
	for _, sources := range []uint32{1, 2, 1000} {
		r, held, trips := NewRecipients(0), 0, 0
		for hash := range uint64(3) {
			r.Deliver(10+hash, start+uint32(hash)*day)
		}
		for sec := uint32(start); sec < start+17*day; sec++ {
			if sec%20 == 0 && sec >= start+3*day {
				known, trip := r.Refuse(10+uint64(sec/20%3), sec, uint64(sec/20%sources))
				if !known {
					t.Fatal("a leaver became a guess")
				}
				trips += one(trip)
			}
			if sec%90 == 0 {
				r.Deliver(50+uint64(sec/90%200), sec) // everybody else gets mail
			}
			_, _, ok := r.Outage(sec)
			held += one(ok)
		}
		t.Logf("asked for every 20 s for two weeks from %d sources: %d trips, held for %d s in sum", sources, trips, held)
		if sources < 3 && trips > 0 || sources >= 3 && trips != 1 || held > 8*60 {
			t.Errorf("%d trips, held for %d s", trips, held)
		}
	}
}
