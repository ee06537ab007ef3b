package report

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

func newCollector() *Collector { return NewCollector(time.UTC, func(string) bool { return true }) }

// bulk returns the n-th address of those that are for such things.
func bulk(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{240 + byte(n>>24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// guess makes a source ask for an unknown recipient.
func guess(c *Collector, source int, at time.Time, helo, sender, recipient string) {
	c.Event(&harvestwatch.Event{Kind: harvestwatch.RcptUnknown, Addr: bulk(source), Time: at.UnixNano(), Helo: []byte(helo), Sender: []byte(sender),
		Recipient: []byte(recipient), Null: sender == "<>"}, &harvestwatch.Outcome{})
}

func TestConcentrationIsExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	c, tries := newCollector(), map[int]int{}
	for range 40000 {
		source := int(math.Exp(rnd.Float64() * 8)) // few sources make most of it
		tries[source]++
		guess(c, source, noon, "a.example", "b@c.example", "d@e.example")
	}
	guess(c, 1<<20, noon, "a.example", "<>", "d@e.example") // a bounce is no try
	got := c.Result(ResultOptions{}).Concentration
	var all, sources, many, over float64
	for _, n := range tries {
		all += float64(n)
		sources++
		over += max(0, float64(n)-10)
		if n >= 10 {
			many += float64(n)
		}
	}
	if float64(got.AllTries) != all || float64(got.AllSources) != sources || float64(got.Tries) != many ||
		got.Share != many/all || got.Ceilings[0] != (Ceiling{10, over / all}) {
		t.Errorf("%+v; want %v tries of %v, %v by sources with ten, %v preventable", got, all, sources, many, over/all)
	}
	if !(got.Ceilings[0].Share < got.Ceilings[1].Share && got.Ceilings[1].Share < got.Ceilings[2].Share && got.Ceilings[2].At == 1) {
		t.Errorf("ceilings %+v", got.Ceilings)
	}
	var inClasses, sum int64
	for _, k := range got.Classes {
		inClasses, sum = inClasses+k.Sources, sum+k.Tries
		for _, n := range tries {
			if int64(n) >= k.From && (k.To == 0 || int64(n) <= k.To) {
				k.Sources, k.Tries = k.Sources-1, k.Tries-int64(n)
			}
		}
		if k.Sources != 0 || k.Tries != 0 {
			t.Errorf("class %d to %d is off by %d sources, %d tries", k.From, k.To, k.Sources, k.Tries)
		}
	}
	if inClasses != got.AllSources || sum != got.AllTries {
		t.Errorf("the classes hold %d sources and %d tries", inClasses, sum)
	}
}

// TestScanSaysFirstWhatBlockingCanDo holds the words for each kind of attack.
func TestScanSaysFirstWhatBlockingCanDo(t *testing.T) {
	for name, attack := range map[string]struct {
		sources, tries int
		want           string
	}{
		"none":        {0, 0, "Nobody guessed at recipients"},
		"little":      {3, 12, "too little to call it an attack"},
		"few sources": {5, 400, "Few sources do nearly all of it"},
		"both":        {40, 20, "much of it is done before a source has made ten guesses"},
		"stop soon":   {40, 12, "stop soon after their tenth guess"},
		"spread":      {400, 3, "blocking addresses can do little here"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCollector()
			c.Event(event(harvestwatch.Connect, "192.0.2.1", noon), &harvestwatch.Outcome{})
			for s := range attack.sources {
				for i := range attack.tries {
					guess(c, s, noon, "", "", fmt.Sprintf("r%d@e.example", i))
				}
			}
			s := c.Result(ResultOptions{})
			s.Inputs = []Input{{Path: "mail.log", Format: "postfix", Lines: 1}}
			var b bytes.Buffer
			if err := s.Text(&b, TextOptions{}); err != nil {
				t.Fatal(err)
			}
			at := strings.Index(b.String(), attack.want)
			if in := strings.Index(b.String(), "mail.log"); at < 0 || at > in {
				t.Errorf("%q is not said before the inputs:\n%s", attack.want, b.String())
			}
		})
	}
}
