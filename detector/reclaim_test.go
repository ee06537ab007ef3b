package detector

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// TestForgottenSourceIsToldOf: a scan still wants to say how near a source came that time has made meaningless.
func TestForgottenSourceIsToldOf(t *testing.T) {
	var told []harvestwatch.Standing
	set := classic(t)
	b := &bench{t: t, d: New(set, Options{Forgotten: func(s harvestwatch.Standing) { told = append(told, s) }}), set: set, act: true}
	for i := range 9 {
		b.see(int64(1000+i), unknown(bad, string(rune('a'+i))+"@example.com"))
	}
	for i := range 100 {
		b.see(int64(1000+40*24*3600+i), connect("192.0.2.200"))
	}
	want := harvestwatch.Standing{Source: src(bad), Rule: "harvest", Count: 9, Threshold: 10}
	if len(told) != 1 || told[0] != want {
		t.Errorf("told %+v, want once %+v", told, want)
	}
}

// TestAskedUntilToTheSecond holds until when a list is worth keeping against what its window asks for.
func TestAskedUntilToTheSecond(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	for range 20000 {
		c := counter{longest: 1 + r.Uint32N(5000)}
		if r.IntN(2) == 0 {
			c.bucket = 1 + r.Uint32N(70)
			c.longest = c.bucket * (1 + r.Uint32N(30))
		}
		sec := start + r.Uint32N(10000)
		until := c.until(sec)
		if sec <= c.cutoff(until, c.longest) || sec > c.cutoff(until+1, c.longest) {
			t.Fatalf("%d s of window, buckets of %d s: an entry at %d is asked for until %d", c.longest, c.bucket, sec, until)
		}
	}
	if c := (counter{longest: 60, bucket: 5}); c.until(math.MaxUint32) != math.MaxUint32 || (&counter{longest: 60}).until(math.MaxUint32-1) != math.MaxUint32 {
		t.Error("time goes past its end")
	}
}
