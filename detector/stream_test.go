package detector

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// stream makes random rules, events and decisions.
type stream struct {
	*rand.Rand
	now     int64
	windows int64 // the longest window of the rules
	names   int   // how many recipients and users there are
	hosts   []netip.Addr
	n       int
	unnamed harvestwatch.Event // the latest without a recipient
}

func newStream(seed uint64) *stream {
	s := &stream{Rand: rand.New(rand.NewPCG(seed, 7)), now: start, names: 3}
	s.names += s.IntN(40)
	for i := range 1 + s.IntN(3) {
		s.hosts = append(s.hosts, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}))
	}
	s.hosts = append(s.hosts, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"))
	return s
}

func (s *stream) within(limit int) time.Duration { return time.Duration(1+s.IntN(limit)) * time.Second }

// set makes one to four rules of all shapes.
func (s *stream) set() []rules.Rule {
	shapes := []struct {
		kinds    []harvestwatch.Kind
		distinct rules.Distinct
	}{
		{[]harvestwatch.Kind{harvestwatch.RcptUnknown}, rules.Recipient},
		{[]harvestwatch.Kind{harvestwatch.RcptUnknown}, rules.Recipient},
		{[]harvestwatch.Kind{harvestwatch.AuthFail}, rules.UserMinute},
		{[]harvestwatch.Kind{harvestwatch.Connect}, rules.Each},
		{[]harvestwatch.Kind{harvestwatch.RcptUnknown, harvestwatch.RcptRelayDenied}, rules.Recipient},
		{[]harvestwatch.Kind{harvestwatch.Connect, harvestwatch.AuthFail}, rules.Each},
	}
	var list []rules.Rule
	for i := range 1 + s.IntN(4) {
		sh := shapes[s.IntN(len(shapes))]
		r := rules.Rule{Name: fmt.Sprintf("rule-%d", i), Text: "Made by chance.", Mode: rules.Enforce, Events: sh.kinds, Distinct: sh.distinct,
			GoodWindow: s.within(300), Ladder: []time.Duration{time.Hour}, Probation: []float64{0.5, 0.5, 0.3, 1}[s.IntN(4)]}
		if s.IntN(5) == 0 {
			r.Mode = rules.Observe
		}
		if s.IntN(3) > 0 {
			r.GoodFactor = float64(s.IntN(300)) / 100
		}
		if sh.distinct == rules.Each && s.IntN(2) == 0 {
			r.Bucket = s.within(7)
		}
		for range 1 + s.IntN(2) {
			w := s.within(200)
			if r.Bucket > 0 {
				w = r.Bucket * time.Duration(1+s.IntN(12))
			}
			r.Conditions = append(r.Conditions, rules.Condition{Window: w, AtLeast: 1 + s.IntN(16)*(1+s.IntN(2))})
			s.windows = max(s.windows, int64(w/time.Second))
		}
		if s.IntN(4) == 0 {
			r.UnlessDeliveredWithin = s.within(60)
		}
		if sh.distinct == rules.UserMinute && s.IntN(2) == 0 {
			r.AfterSuccess = rules.AfterSuccess{Within: s.within(400), AtLeast: 1 + s.IntN(12), Users: s.IntN(6)}
		}
		list = append(list, r)
	}
	return list
}

// event makes the next event: a quarter are out of order, few come after a long silence.
func (s *stream) event() harvestwatch.Event {
	s.n++
	t := s.now
	switch x := s.IntN(1000); {
	case x < 250:
		t -= s.Int64N(s.windows*3/2 + 1)
	case x < 985:
		t += s.Int64N(4)
	case x < 995:
		t += s.Int64N(2 * oDay)
	default:
		t += s.Int64N(20 * oDay)
	}
	s.now = max(s.now, t)
	kinds := []harvestwatch.Kind{harvestwatch.RcptUnknown, harvestwatch.RcptUnknown, harvestwatch.RcptUnknown, harvestwatch.RcptUnknown,
		harvestwatch.RcptUnknown, harvestwatch.AuthFail, harvestwatch.AuthFail, harvestwatch.AuthFail, harvestwatch.Connect,
		harvestwatch.Connect, harvestwatch.Connect, harvestwatch.RcptRelayDenied, harvestwatch.Delivered, harvestwatch.AuthOK, harvestwatch.Disconnect}
	ev := harvestwatch.Event{Time: t*int64(time.Second) + s.Int64N(int64(time.Second)), Kind: kinds[s.IntN(len(kinds))],
		Addr: s.hosts[s.IntN(len(s.hosts))], Ref: uint32(s.n), Session: uint64(s.n), Pos: harvestwatch.Pos{Line: int64(s.n), Offset: int64(100 * s.n)},
		Code: []uint16{550, 550, 550, 0, 550, 450}[s.IntN(6)], Null: s.IntN(12) == 0}
	ev.Recipient = fmt.Appendf(nil, "%s%d@%s", []string{"user", "User"}[s.IntN(2)], s.IntN(s.names), []string{"example.com", "EXAMPLE.com"}[s.IntN(2)])
	if s.IntN(5) == 0 {
		ev.Recipient = fmt.Appendf(nil, "user%d+tag%d@example.com", s.IntN(s.names), s.n)
	}
	if s.IntN(5) == 0 {
		s.unname(&ev)
	}
	if ev.Kind == harvestwatch.AuthFail && s.IntN(4) > 0 || s.IntN(12) == 0 {
		ev.User = fmt.Appendf(nil, "%s%d", []string{"jo", "Jo"}[s.IntN(2)], s.IntN(8))
	}
	if ev.Kind == harvestwatch.Delivered && s.IntN(2) == 0 {
		ev.Began = ev.Time - s.Int64N(600)*int64(time.Second)
	}
	return ev
}

// unname takes the recipient from an event. One in three has the stamp, the session or the place of the one before, or
// all of them: then it is the same line.
func (s *stream) unname(ev *harvestwatch.Event) {
	ev.Recipient = nil
	if was := &s.unnamed; was.Seconds() >= s.now-s.windows && s.IntN(3) == 0 {
		same := s.IntN(8)
		if same&1 == 0 {
			ev.Time = was.Time
		}
		if same&2 == 0 {
			ev.Session = was.Session
		}
		if same&4 == 0 {
			ev.Pos.Offset = was.Pos.Offset
		}
		if same == 0 {
			ev.Addr, ev.Kind = was.Addr, was.Kind
		}
	}
	s.unnamed = *ev
}

// decision makes up what is decided about an offence.
func (s *stream) decision(o *harvestwatch.Offence) harvestwatch.Decision {
	d := harvestwatch.Decision{Offence: *o, Until: o.Fired.Add(s.within(400))}
	if s.IntN(8) == 0 {
		d.Until = o.Fired.Add(s.within(3 * oDay))
	}
	switch s.IntN(10) {
	case 0, 1, 2:
		d.Action = harvestwatch.ActSuppress
	case 3:
		d.Action, d.Until = harvestwatch.ActAlert, time.Time{}
	case 4, 5, 6:
		d.Action = harvestwatch.ActObserve
	default:
		d.Action = harvestwatch.ActBlock
	}
	return d
}
