package syslog

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of these tests, where the host has none
)

func zoneOf(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// stampOf makes the stamp that a line at that local time has.
func stampOf(t *testing.T, text string) Stamp {
	t.Helper()
	var l Line
	if !Parse([]byte(text+" mx a: b"), &l) {
		t.Fatalf("no stamp: %q", text)
	}
	return l.Stamp
}

func TestYearOfFirstStamp(t *testing.T) {
	reference := time.Date(2026, time.January, 15, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		stamp string
		year  int
		want  int
	}{
		{"Jan  3 10:00:00", 0, 2026},
		{"Jan 15 20:00:00", 0, 2026}, // within the day that a wrong zone can make
		{"Jan 17 10:00:00", 0, 2025},
		{"Dec 31 23:59:59", 0, 2025},
		{"Feb 29 10:00:00", 0, 2024},
		{"Dec 31 23:59:59", 2011, 2011},
	} {
		got := time.Unix(0, NewClock(reference, c.year, nil).Time(stampOf(t, c.stamp))).UTC()
		if got.Year() != c.want || got.Format(time.Stamp) != c.stamp {
			t.Errorf("%s with year %d: %s, want year %d", c.stamp, c.year, got, c.want)
		}
	}
}

func TestYearFollowsTheLog(t *testing.T) {
	clock := NewClock(time.Date(2026, time.January, 15, 0, 0, 0, 0, time.UTC), 0, nil)
	for _, c := range []struct {
		stamp string
		want  int
	}{
		{"Nov  1 00:00:00", 2025}, {"Dec 31 23:59:59", 2025}, {"Jan  1 00:00:01", 2026}, {"Dec 31 23:59:58", 2025},
		{"Jan  1 00:00:02", 2026}, {"Jun 20 12:00:00", 2026}, {"Sep 30 12:00:00", 2026}, {"Dec 30 12:00:00", 2026}, {"Jan  2 00:00:00", 2027},
	} {
		if got := time.Unix(0, clock.Time(stampOf(t, c.stamp))).UTC(); got.Year() != c.want {
			t.Errorf("%s: %s, want year %d", c.stamp, got, c.want)
		}
	}
	if got := clock.Assumed(); !strings.Contains(got, "2025") || !strings.Contains(got, "UTC") {
		t.Errorf("assumed: %q", got)
	}
}

func TestAssumedSaysWhatWasOpen(t *testing.T) {
	clock := NewClock(time.Time{}, 0, zoneOf(t, "Europe/Berlin"))
	clock.Time(stampOf(t, "2024-08-26T01:33:38Z"))
	if got := clock.Assumed(); got != "" {
		t.Errorf("the stamps say all: %q", got)
	}
	clock.Time(stampOf(t, "2024-08-26 01:33:38"))
	if got := clock.Assumed(); !strings.Contains(got, "Europe/Berlin") || strings.Contains(got, "year") {
		t.Errorf("no zone: %q", got)
	}
}

func TestChangeFromSummerTime(t *testing.T) {
	clock := NewClock(time.Date(2025, time.November, 15, 0, 0, 0, 0, time.UTC), 0, zoneOf(t, "Europe/Berlin"))
	for _, c := range []struct{ stamp, want string }{
		{"Oct 26 01:59:59", "2025-10-25T23:59:59Z"},
		{"Oct 26 02:00:00", "2025-10-26T00:00:00Z"},
		{"Oct 26 02:59:59", "2025-10-26T00:59:59Z"},
		{"Oct 26 02:00:00", "2025-10-26T01:00:00Z"}, // the second pass
		{"Oct 26 02:00:00", "2025-10-26T01:00:00Z"},
		{"Oct 26 02:30:00", "2025-10-26T01:30:00Z"},
		{"Oct 26 02:59:59", "2025-10-26T01:59:59Z"},
		{"Oct 26 03:00:00", "2025-10-26T02:00:00Z"},
		{"Oct 26 04:00:00", "2025-10-26T03:00:00Z"},
	} {
		if got := time.Unix(0, clock.Time(stampOf(t, c.stamp))).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%s: %s, want %s", c.stamp, got, c.want)
		}
	}
}

func TestChangeToSummerTime(t *testing.T) {
	clock := NewClock(time.Date(2025, time.April, 15, 0, 0, 0, 0, time.UTC), 0, zoneOf(t, "Australia/Lord_Howe"))
	for _, c := range []struct{ stamp, want string }{ // there the clocks change by half an hour
		{"Apr  6 01:29:59", "2025-04-05T14:29:59Z"},
		{"Apr  6 01:59:59", "2025-04-05T14:59:59Z"},
		{"Apr  6 01:30:00", "2025-04-05T15:00:00Z"},
		{"Apr  6 02:00:00", "2025-04-05T15:30:00Z"},
	} {
		if got := time.Unix(0, clock.Time(stampOf(t, c.stamp))).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%s: %s, want %s", c.stamp, got, c.want)
		}
	}
}

// The caches must not change what stamps mean: random walks through a year, against a clock that starts anew each time
// from nothing but the previous moment.
func TestCachesChangeNothing(t *testing.T) {
	zone := zoneOf(t, "America/New_York")
	rng := rand.New(rand.NewPCG(1, 2))
	reference := time.Date(2025, time.December, 31, 23, 0, 0, 0, zone)
	clock := NewClock(reference, 0, zone)
	at := time.Date(2025, time.January, 3, 0, 0, 0, 0, zone)
	state, _ := clock.MarshalBinary()
	for at.Before(reference) {
		stamp := stampOf(t, at.Format(time.Stamp))
		fresh := NewClock(reference, 0, zone)
		if err := fresh.UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		got, want := clock.Time(stamp), fresh.Time(stamp)
		if got != want || got != at.Unix()*int64(time.Second) {
			t.Fatalf("%s: %d, without caches %d, truth %d", at, got, want, at.Unix())
		}
		state, _ = clock.MarshalBinary()
		step := time.Duration(rng.Int64N(int64(20 * time.Minute)))
		if rng.IntN(3) == 0 {
			step = time.Duration(rng.IntN(3)) * time.Second
		}
		at = at.Add(step).Truncate(time.Second)
	}
}

func TestClockRefusesForeignState(t *testing.T) {
	for _, b := range [][]byte{nil, {1}, make([]byte, 12), {9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}} {
		if err := NewClock(time.Time{}, 0, nil).UnmarshalBinary(b); !errors.Is(err, ErrState) {
			t.Errorf("%v: %v", b, err)
		}
	}
}

func TestSecondsAgainstTheLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		at := time.Unix(rng.Int64N(200*365*86400)-50*365*86400, 0).UTC()
		got := seconds(at.Year(), int(at.Month()), at.Day(), at.Hour(), at.Minute(), at.Second())
		if got != at.Unix() {
			t.Fatalf("%s: %d, want %d", at, got, at.Unix())
		}
	}
}
