package report

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// delivered makes a source deliver a message.
func delivered(c *Collector, source int, at time.Time, helo, sender string) {
	c.Event(&harvestwatch.Event{Kind: harvestwatch.Delivered, Addr: bulk(source), Time: at.UnixNano(), Helo: []byte(helo), Sender: []byte(sender)},
		&harvestwatch.Outcome{})
}

// TestTheRemainderIsExactWhileItIsSmall plays a botnet of 40 sources with 3 tries each from one word list, a harvester
// that uses the same name and list, and honest servers whose name and domain the botnet took.
func TestTheRemainderIsExactWhileItIsSmall(t *testing.T) {
	c := newCollector()
	for s := range 40 {
		for i := range 3 {
			guess(c, s, noon.Add(time.Duration(s)*time.Minute), fmt.Sprintf("BOT-%d.example", s), fmt.Sprintf("x%d@Spam.example", i),
				fmt.Sprintf("word%d@e.example", (s+i)%4))
		}
	}
	for i := range 10 { // the tenth try takes all of them away
		guess(c, 1000, noon, "bot-7.example", "x@spam.example", fmt.Sprintf("word%d@e.example", i%4))
	}
	for s := range 6 {
		guess(c, 2000+s, noon, "relay.partner.example", "newsletter@partner.example", "postmaster@e.example")
		delivered(c, 2000+s, noon, "relay.partner.example", "newsletter@partner.example")
		guess(c, 3000+s, noon, "[192.0.2.9]", "<>", "ghost@e.example") // bounces are no tries
	}
	d := c.Result(ResultOptions{}).Distributed
	if d.Sources != 46 || d.Tries != 126 || d.Sample != 1 || len(d.Helos) != 2 || len(d.Domains) != 2 {
		t.Fatalf("%+v", d)
	}
	want := Campaign{Shared: "bot-0.example", Sources: 40, Tries: 120, Unknown: 1, First: Time{noon}, Last: Time{noon.Add(39 * time.Minute)}, Good: "no"}
	if d.Helos[0] != want {
		t.Errorf("HELO %+v, want %+v", d.Helos[0], want)
	}
	want.Shared = "spam.example"
	if d.Domains[0] != want {
		t.Errorf("domain %+v, want %+v", d.Domains[0], want)
	}
	if k := d.Domains[1]; k.Shared != "partner.example" || k.Sources != 6 || k.Good != "yes" || k.Unknown != 0.5 || k.Deliveries != 6 {
		t.Errorf("the partner's domain: %+v", k)
	}
	if k := d.Dictionary; k.Names != 4 || k.By != 5 || k.Campaign.Sources != 40 || k.Campaign.Tries != 120 || len(k.Top) != 4 || k.Top[0].Sources != 30 {
		t.Errorf("word list %+v", k)
	}
}

// TestTheRemainderIsEstimatedWhenItIsLarge holds the estimates against what is true, with sources that pass the bound
// later mixed in.
func TestTheRemainderIsEstimatedWhenItIsLarge(t *testing.T) {
	const sources = 60000
	rnd := rand.New(rand.NewPCG(3, 4))
	c := newCollector()
	left := make([]int, sources)
	truth := map[string][2]float64{} // sources and tries of a HELO name
	var open []int
	for s := range left {
		left[s] = 1 + rnd.IntN(6)
		if s%50 == 0 {
			left[s] = 30 // a harvester: no part of the remainder
		} else {
			k := truth[heloOf(s)]
			truth[heloOf(s)] = [2]float64{k[0] + 1, k[1] + float64(left[s])}
		}
		open = append(open, s)
	}
	for n := 0; len(open) > 0; n++ {
		i := rnd.IntN(len(open))
		s := open[i]
		guess(c, s, noon.Add(time.Duration(n)*time.Millisecond), heloOf(s), fmt.Sprintf("a@d%d.example", n), fmt.Sprintf("n%d@e.example", n))
		if left[s]--; left[s] == 0 {
			open[i] = open[len(open)-1]
			open = open[:len(open)-1]
		}
	}
	if n := len(c.remainder.tries); n >= maxTries {
		t.Fatalf("%d tries are kept", n)
	}
	d := c.Result(ResultOptions{}).Distributed
	if d.Sample < 4 || len(d.Helos) != topShared {
		t.Fatalf("%+v", d)
	}
	for _, k := range d.Helos {
		true := truth[k.Shared]
		if k.Margin <= 0 || k.Margin > 0.3 {
			t.Errorf("margin %v", k.Margin)
		}
		if off := math.Abs(float64(k.Sources)-true[0]) / true[0]; off > 2*k.Margin {
			t.Errorf("%s: %d sources, %v are true: off by %v, said %v", k.Shared, k.Sources, true[0], off, k.Margin)
		}
		if off := math.Abs(float64(k.Tries)-true[1]) / true[1]; off > 2.5*k.Margin {
			t.Errorf("%s: %d tries, %v are true", k.Shared, k.Tries, true[1])
		}
	}
	again := c.Result(ResultOptions{}).Distributed
	if fmt.Sprint(again) != fmt.Sprint(d) {
		t.Error("asked twice, two answers")
	}
}

func heloOf(source int) string { return string(rune('a'+source%7)) + ".example" }

// TestTheRemainderIsBounded floods it with long texts that are all different.
func TestTheRemainderIsBounded(t *testing.T) {
	c := newCollector()
	for i := range 30_000 {
		long := fmt.Sprintf("%0200x.example", again(uint64(i)))
		guess(c, i, noon, "h"+long, "s@"+long, "r"+long)
		if n, size := len(c.remainder.tries), c.remainder.size(); n > maxTries || size > maxTexts+3*maxText {
			t.Fatalf("after %d tries %d are kept, and %d bytes", i, n, size)
		}
	}
	for by := range c.remainder.texts {
		if n := cap(c.remainder.texts[by].index) + cap(c.remainder.spare[by].index); n > 4*maxTries {
			t.Errorf("the index has room for %d", n)
		}
	}
}

// TestTextOfTheRemainder holds the words, with text that wants to deceive who reads it.
func TestTextOfTheRemainder(t *testing.T) {
	c := newCollector()
	for s := range 20 {
		for i := range 4 {
			guess(c, s, noon.Add(time.Duration(s*i)*time.Second), "evil\x1b[2J\u202e\xff-"+strings.Repeat("z", 80), "a@\nfake.example", fmt.Sprintf("anna%d@e.example", i))
		}
	}
	for s := range 8 {
		guess(c, 100+s, noon, "good.example", "b@good.example", "info@e.example")
		delivered(c, 200, noon, "good.example", "b@good.example")
	}
	s := c.Result(ResultOptions{})
	var b bytes.Buffer
	p := &printer{w: &b}
	s.Distributed.text(p)
	if strings.ContainsAny(b.String(), "\x1b\u202e\xff") {
		t.Errorf("a log's bytes reach the terminal: %q", b.String())
	}
	golden(t, "remainder.txt", b.Bytes())
}
