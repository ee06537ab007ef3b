package detector

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
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
	nulls   int                // one sender in so many is the null sender
	overlap bool               // recipients of mail are refused too
	sharing bool               // sources share a list of names
}

func newStream(seed uint64) *stream {
	s := &stream{Rand: rand.New(rand.NewPCG(seed, 7)), now: start, names: 3}
	s.names += s.IntN(40)
	s.nulls = []int{12, 12, 2}[s.IntN(3)]
	for i := range 1 + s.IntN(3) {
		s.hosts = append(s.hosts, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}))
	}
	s.hosts = append(s.hosts, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"))
	if seed%6 == 5 { // many sources with one list
		s.sharing, s.names = true, 8
		for i := range 8 {
			s.hosts = append(s.hosts, netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}))
		}
	}
	return s
}

func (s *stream) within(limit int) time.Duration { return time.Duration(1+s.IntN(limit)) * time.Second }

// shape is what a rule counts.
type shape struct {
	kinds    []harvestwatch.Kind
	distinct rules.Distinct
	only     rules.Only
	against  []harvestwatch.Kind
	keys     []rules.Key
	bucket   bool
	amounts  string // what conditions may ask for: e events, s seconds, o open, n users that don't exist
}

func shapes() []shape {
	rcpt, fail, disc := []harvestwatch.Kind{harvestwatch.RcptUnknown}, []harvestwatch.Kind{harvestwatch.AuthFail}, []harvestwatch.Kind{harvestwatch.Disconnect}
	good := []harvestwatch.Kind{harvestwatch.Delivered, harvestwatch.RcptOK}
	return []shape{
		{kinds: rcpt, distinct: rules.Recipient}, {kinds: rcpt, distinct: rules.Recipient}, {kinds: fail, distinct: rules.UserMinute},
		{kinds: []harvestwatch.Kind{harvestwatch.Connect}}, {kinds: []harvestwatch.Kind{harvestwatch.Connect}, bucket: true},
		{kinds: []harvestwatch.Kind{harvestwatch.RcptUnknown, harvestwatch.RcptRelayDenied}, distinct: rules.Recipient},
		{kinds: []harvestwatch.Kind{harvestwatch.Connect, harvestwatch.AuthFail}},
		{kinds: rcpt, distinct: rules.Recipient, only: rules.NullSender, against: good}, {kinds: fail, distinct: rules.User, amounts: "en"},
		{kinds: disc, only: rules.IdleOnly, bucket: true, amounts: "eso"}, {kinds: disc, bucket: true, amounts: "so"},
		{kinds: []harvestwatch.Kind{harvestwatch.SpamRefused, harvestwatch.RcptRefused}, bucket: true, against: good},
		{kinds: []harvestwatch.Kind{harvestwatch.SpamRefused}, against: good}, {kinds: []harvestwatch.Kind{harvestwatch.RcptRelayDenied}, distinct: rules.Domain},
		{kinds: rcpt, keys: []rules.Key{rules.ByHelo}, distinct: rules.Recipient}, {kinds: rcpt, keys: []rules.Key{rules.ByHelo, rules.BySenderDomain}, against: good},
		{kinds: fail, keys: []rules.Key{rules.ByUser}, distinct: rules.Client}, {kinds: rcpt, keys: []rules.Key{rules.ByPrefix}, distinct: rules.Recipient},
		{kinds: fail, keys: []rules.Key{rules.ByPrefix}, distinct: rules.User}, {kinds: rcpt, keys: []rules.Key{rules.BySenderDomain}, distinct: rules.Client},
		{kinds: []harvestwatch.Kind{harvestwatch.Connect}, keys: []rules.Key{rules.ByPrefix}, bucket: true},
		{keys: []rules.Key{rules.ByPrefix}},
	}
}

// set makes one to five rules of all shapes.
func (s *stream) set() []rules.Rule {
	all := shapes()
	if s.sharing {
		return s.sharingSet(all[0])
	}
	var list []rules.Rule
	for i := range 1 + s.IntN(5) {
		list = append(list, s.rule(i, all[s.IntN(len(all))]))
	}
	return list
}

// sharingSet makes a rule that blocks fast, so that others learn of it, and one that asks who else tried a name.
func (s *stream) sharingSet(sh shape) []rules.Rule {
	fast, shared := s.rule(0, sh), s.rule(1, sh)
	for _, r := range []*rules.Rule{&fast, &shared} {
		r.UnlessDeliveredWithin, r.UnlessCredited, r.UnlessMailWithin, r.Mode = 0, false, 0, rules.Enforce
		r.Shared, r.CreditFactor, r.Probation = rules.Shared{}, 1, 1
		for i := range r.Conditions {
			r.Conditions[i] = rules.Condition{Window: time.Duration(50+s.IntN(50)) * time.Second, AtLeast: 4 + s.IntN(2)}
		}
	}
	s.windows = 600
	for i := range shared.Conditions {
		shared.Conditions[i] = rules.Condition{Window: 600 * time.Second, AtLeast: 7 + s.IntN(4)}
	}
	shared.Shared = rules.Shared{Within: time.Duration(1+s.IntN(7)) * 24 * time.Hour, Sources: 2 + s.IntN(2), Names: 1 + s.IntN(3)}
	return []rules.Rule{fast, shared, s.rule(2, shapes()[len(shapes())-1])}
}

func (s *stream) rule(i int, sh shape) rules.Rule {
	r := rules.Rule{Name: fmt.Sprintf("rule-%d", i), Text: "Made by chance.", Mode: rules.Enforce, Events: sh.kinds, Distinct: sh.distinct, Only: sh.only,
		Keys: sh.keys, Blocks: sh.kinds == nil, GoodWindow: s.within(300), Ladder: []time.Duration{time.Hour}, Probation: []float64{0.5, 0.5, 0.3, 1}[s.IntN(4)],
		CreditFactor: []float64{1, 1.5, 4}[s.IntN(3)], VerifiedFactor: []float64{1, 1.5}[s.IntN(2)], ListedFactor: []float64{1, 0.7, 0.5}[s.IntN(3)]}
	if s.IntN(5) == 0 {
		r.Mode = rules.Observe
	}
	if s.IntN(3) > 0 && len(sh.keys) == 0 {
		r.GoodFactor = float64(s.IntN(300)) / 100
	}
	if sh.bucket {
		r.Bucket = s.within(7)
	}
	for range 1 + s.IntN(2) {
		r.Conditions = append(r.Conditions, s.condition(&r, sh))
	}
	if sh.against != nil && s.IntN(3) > 0 && r.Conditions[0].AtLeast*r.Conditions[len(r.Conditions)-1].AtLeast > 0 {
		r.Against, r.Share = sh.against, []float64{0.5, 0.75, 0.9}[s.IntN(3)]
	}
	if s.IntN(4) == 0 {
		r.UnlessDeliveredWithin = s.within(60)
	}
	if s.IntN(6) == 0 && len(sh.keys) == 0 {
		r.UnlessMailWithin = s.within(20)
	}
	if s.IntN(8) == 0 {
		r.UnlessCredited = true
	}
	s.loginsAndShared(&r, sh)
	return r
}

func (s *stream) loginsAndShared(r *rules.Rule, sh shape) {
	switch {
	case slices.Equal(sh.kinds, []harvestwatch.Kind{harvestwatch.AuthFail}) && s.IntN(2) == 0 && len(sh.keys) == 0:
		if s.IntN(3) == 0 {
			r.UnlessSuccessWithin = s.within(100)
			return
		}
		r.AfterSuccess = rules.AfterSuccess{Within: s.within(400), AtLeast: 1 + s.IntN(12), Users: s.IntN(6)}
	case slices.Equal(sh.kinds, []harvestwatch.Kind{harvestwatch.RcptUnknown}) && sh.only == 0 && sh.keys == nil && s.IntN(2) == 0:
		r.Shared = rules.Shared{Within: time.Duration(1+s.IntN(7)) * 24 * time.Hour, Sources: 2 + s.IntN(2), Names: 1 + s.IntN(4)}
	}
}

func (s *stream) condition(r *rules.Rule, sh shape) rules.Condition {
	w := s.within(200)
	if r.Bucket > 0 {
		w = r.Bucket * time.Duration(1+s.IntN(12))
	}
	c := rules.Condition{Window: w}
	s.windows = max(s.windows, int64(w/time.Second))
	amounts := sh.amounts + "e"
	switch amounts[s.IntN(len(amounts))] {
	case 's':
		c.Seconds = 1 + s.IntN(40)
		return c
	case 'o':
		c.Open = 1 + s.IntN(5)
		return c
	case 'n':
		c.NoUser = true
	}
	c.AtLeast = 1 + s.IntN(16)*(1+s.IntN(2))
	switch {
	case r.Blocks:
		c.AtLeast, c.Window = 1+s.IntN(3), time.Hour
		return c
	case sh.distinct >= rules.User:
		c.AtLeast = 1 + s.IntN(5)
	case sh.against != nil && r.Bucket == 0: // what is kept must not be cut in these short streams
		c.AtLeast = max(c.AtLeast, 12)
	}
	if len(sh.keys) == 0 || sh.keys[0] == rules.ByPrefix {
		c.AtLeastV6 = s.IntN(2) * (1 + s.IntN(10))
	} else if sh.distinct != rules.Client {
		c.Sources = min(s.IntN(4), c.AtLeast)
	}
	return c
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
		harvestwatch.Connect, harvestwatch.Connect, harvestwatch.RcptRelayDenied, harvestwatch.Delivered, harvestwatch.AuthOK, harvestwatch.Disconnect,
		harvestwatch.Disconnect, harvestwatch.SpamRefused, harvestwatch.SpamRefused, harvestwatch.RcptRefused, harvestwatch.RcptOK}
	ev := harvestwatch.Event{Time: t*int64(time.Second) + s.Int64N(int64(time.Second)), Kind: kinds[s.IntN(len(kinds))],
		Addr: s.hosts[s.IntN(len(s.hosts))], Ref: uint32(s.n), Session: uint64(s.n), Pos: harvestwatch.Pos{Line: int64(s.n), Offset: int64(100 * s.n)},
		Code: []uint16{550, 550, 550, 0, 550, 450}[s.IntN(6)], Null: s.IntN(s.nulls) == 0, Listed: s.IntN(6) == 0, Idle: s.IntN(2) == 0}
	if s.sharing && s.IntN(4) > 0 {
		ev.Kind, ev.Code = harvestwatch.RcptUnknown, 550
	}
	s.recipients(&ev)
	if ev.Kind == harvestwatch.AuthFail && s.IntN(4) > 0 || s.IntN(12) == 0 {
		user := []string{"jo", "Jo", "jo", "info"}[s.IntN(4)]
		ev.User = []byte(user)
		if user != "info" {
			ev.User = fmt.Appendf(nil, "%s%d", user, s.IntN(8))
		}
		ev.NoUser = s.IntN(2) == 0
	}
	s.names7(&ev)
	if ev.Kind == harvestwatch.Connect || ev.Kind == harvestwatch.Disconnect {
		ev.Session = uint64(s.IntN(9))
		ev.Began = max(ev.Time-s.Int64N(20)*int64(time.Second), 1) * int64(min(s.IntN(4), 1))
	}
	if ev.Kind == harvestwatch.Delivered && s.IntN(2) == 0 {
		ev.Began = ev.Time - s.Int64N(600)*int64(time.Second)
	}
	return ev
}

// recipients names recipients. Those of refusals never received mail, or are former users, unless the stream says else.
func (s *stream) recipients(ev *harvestwatch.Event) {
	name := []string{"user", "User"}[s.IntN(2)]
	if ev.Kind == harvestwatch.Delivered && !s.overlap {
		name = "good"
	}
	domain := []string{"example.com", "EXAMPLE.com"}[s.IntN(2)]
	if ev.Kind == harvestwatch.RcptRelayDenied {
		domain = fmt.Sprintf("d%d.example", s.IntN(9))
	}
	ev.Recipient = fmt.Appendf(nil, "%s%d@%s", name, s.IntN(s.names), domain)
	switch s.IntN(10) {
	case 0, 1:
		ev.Recipient = fmt.Appendf(nil, "%s%d+tag%d@example.com", name, s.IntN(s.names), s.n)
	case 2, 3:
		s.unname(ev)
	case 4:
		ev.Recipient = []byte("info@example.com")
		if ev.Kind == harvestwatch.Delivered && !s.overlap {
			ev.Recipient = []byte("good@example.com")
		}
	}
}

// names7 names client and sender.
func (s *stream) names7(ev *harvestwatch.Event) {
	ev.Name = []byte([]string{"", "", "mx7.partner.example", "dsl-7.pool.example"}[s.IntN(4)])
	ev.Helo = []byte([]string{"", "mx7.partner.example", "OUT.partner.example", "[192.0.2.1]", "192.0.2.1", "win-7781", "WIN-12", "dsl-7.pool.example"}[s.IntN(8)])
	if string(ev.Helo) == "OUT.partner.example" {
		ev.Helo = []byte("out.partner.example")
	}
	if !ev.Null {
		ev.Sender = []byte([]string{"", "a@bulk.example", "b@Bulk.example", "c@gmail.com", "d@other.example", "nobody"}[s.IntN(6)])
	}
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
