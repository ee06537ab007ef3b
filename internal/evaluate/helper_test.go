package evaluate

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/loggen"
)

var t0 = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// at is a time so many seconds after t0.
func at(sec float64) int64 { return t0.UnixNano() + int64(sec*1e9) }

// script is a world made by hand.
type script struct {
	events []harvestwatch.Event
	truth  loggen.Truth
}

func (s *script) source(prefix, class string, label loggen.Label) {
	s.truth.Sources = append(s.truth.Sources, loggen.Source{Prefix: netip.MustParsePrefix(prefix), Class: class, Entity: class + "-0", Label: label})
}

// add adds an event of a client that many seconds after t0.
func (s *script) add(sec float64, addr string, k harvestwatch.Kind) *harvestwatch.Event {
	s.events = append(s.events, harvestwatch.Event{Time: at(sec), Addr: netip.MustParseAddr(addr), Kind: k, Code: 550,
		Recipient: []byte("someone@site.example"), Pos: harvestwatch.Pos{Line: int64(len(s.events))}})
	return &s.events[len(s.events)-1]
}

// world gives the events in the order of their times, each in a buffer that is overwritten afterwards.
func (s *script) world() World {
	slices.SortStableFunc(s.events, func(a, b harvestwatch.Event) int { return int(a.Time - b.Time) })
	return func(yield func(*harvestwatch.Event) bool) (loggen.Truth, error) {
		var buf harvestwatch.Event
		for i := range s.events {
			buf = s.events[i].Clone()
			more := yield(&buf)
			clear(buf.Recipient)
			if !more {
				break
			}
		}
		return s.truth, nil
	}
}

// plain blocks a source at every n-th event of a kind, for a time.
type plain struct {
	kind   harvestwatch.Kind
	n      int
	block  time.Duration
	prefix func(harvestwatch.Addr) netip.Prefix
	also   func(ev *harvestwatch.Event, a *Answer) bool
	seen   map[harvestwatch.Addr]int
	all    []harvestwatch.Event
}

func (p *plain) See(ev *harvestwatch.Event, _ int32, a *Answer) bool {
	p.all = append(p.all, ev.Clone())
	if p.also != nil && p.also(ev, a) {
		return true
	}
	if p.seen == nil {
		p.seen = map[harvestwatch.Addr]int{}
	}
	if ev.Kind != p.kind {
		return false
	}
	if p.seen[ev.Addr]++; p.seen[ev.Addr]%p.n != 0 {
		return false
	}
	a.Until, a.Rule = ev.Time+int64(p.block), "plain"
	if p.prefix != nil {
		a.Prefix = p.prefix(ev.Addr)
	}
	return true
}

// replay shows a script to one contender.
func replay(t *testing.T, s *script, c Contender, o ReplayOptions) (*Metrics, Stats) {
	t.Helper()
	list, stats, err := Replay(t.Context(), s.world(), []Entry{{Name: "it", New: func() (Contender, error) { return c, nil }}}, o)
	if err != nil {
		t.Fatal(err)
	}
	f := Found{Contenders: list}
	f.settle()
	return &f.Contenders[0], stats
}
