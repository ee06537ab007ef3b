package detector

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// oracle does what the detector does by keeping every event and looking at all of them each time. It shares no code
// with the detector and takes its meaning from the description of the windows alone.
type oracle struct {
	set     *rules.Set
	grace   int64
	now     int64
	sources map[harvestwatch.Source]*seen
}

// seen is all that ever happened with one source.
type seen struct {
	bad, good, ok          []happened
	from, until, hold      int64
	probation              int64
	offences               int
	resting                map[int]int64
	offencesAt, forgivenAt int64
}

type happened struct {
	t         int64
	kind      harvestwatch.Kind
	rcpt      string
	user      string
	ref       uint32
	processed int
}

const oDay = 24 * 3600

func newOracle(set *rules.Set, grace int64) *oracle {
	return &oracle{set: set, grace: grace, sources: map[harvestwatch.Source]*seen{}}
}

func (o *oracle) source(s harvestwatch.Source) *seen {
	if o.sources[s] == nil {
		o.sources[s] = &seen{resting: map[int]int64{}}
	}
	return o.sources[s]
}

func plainRecipient(text string) string {
	text = strings.ToLower(text)
	local, domain, found := text, "", false
	if i := strings.LastIndex(text, "@"); i >= 0 {
		local, domain, found = text[:i], text[i:], true
	}
	if name, _, tagged := strings.Cut(local, "+"); tagged && name != "" {
		local = name
	}
	if found {
		return local + domain
	}
	return local
}

// distinctRecipient returns what tells one recipient from another. Where a line names none, the line itself stands for
// it, unless it speaks for the source.
func distinctRecipient(ev *harvestwatch.Event) string {
	if len(ev.Recipient) == 0 && ev.Kind != harvestwatch.Delivered {
		return fmt.Sprintf("session %d, stamp %d, offset %d", ev.Session, ev.Time, ev.Pos.Offset)
	}
	return plainRecipient(string(ev.Recipient))
}

func secs(d time.Duration) int64 { return int64(d / time.Second) }

// inWindow is the definition of a window, half open; with buckets, of whole buckets.
func inWindow(t, now, window, bucket int64) bool {
	if bucket > 0 {
		return t/bucket > now/bucket-window/bucket
	}
	return now-window < t
}

// verdict is the oracle's outcome.
type verdict struct {
	blocked, grace, late, ignored bool
	offence                       *harvestwatch.Offence
	refs                          []uint32
}

func (o *oracle) observe(ev *harvestwatch.Event, processed int) verdict {
	var v verdict
	t := ev.Time / int64(time.Second)
	o.now = max(o.now, t)
	key, _ := harvestwatch.SourceOf(ev.Addr)
	s := o.source(key)
	judged := t
	if ev.Kind == harvestwatch.Delivered && ev.Began != 0 {
		judged = ev.Began / int64(time.Second)
	}
	v.blocked = s.from < judged && judged < s.until
	v.grace = v.blocked && judged <= s.from+o.grace
	e := happened{t, ev.Kind, distinctRecipient(ev), strings.ToLower(string(ev.User)), ev.Ref, processed}
	switch ev.Kind {
	case harvestwatch.Delivered:
		if v.late = !o.relevantGood(t); !v.late {
			s.good = append(s.good, e)
			s.offences = 0
		}
		return v
	case harvestwatch.AuthOK:
		keep := int64(0)
		for _, r := range o.set.Rules {
			keep = max(keep, secs(r.AfterSuccess.Within))
		}
		v.ignored = keep == 0
		if v.late = keep > 0 && !inWindow(t, o.now, keep, 0); !v.late {
			s.ok = append(s.ok, e)
		}
		return v
	}
	if !o.countable(ev) {
		v.ignored = true
		return v
	}
	if !o.relevant(ev.Kind, t) {
		v.late = true
		return v
	}
	if t < s.hold {
		return v
	}
	s.bad = append(s.bad, e)
	for i := range o.set.Rules {
		if slices.Contains(o.set.Rules[i].Events, ev.Kind) && o.fires(i, s, key, &v) {
			return v
		}
	}
	return v
}

func (o *oracle) countable(ev *harvestwatch.Event) bool {
	if ev.Kind == harvestwatch.RcptUnknown && (ev.Null || len(ev.User) > 0 || ev.Code != 0 && ev.Code < 500) {
		return false
	}
	for _, r := range o.set.Rules {
		if slices.Contains(r.Events, ev.Kind) {
			return true
		}
	}
	return false
}

// relevant says whether any rule that counts the same things as a rule for that kind has a window for the time.
func (o *oracle) relevant(k harvestwatch.Kind, t int64) bool {
	for _, a := range o.set.Rules {
		for _, b := range o.set.Rules {
			if !slices.Contains(a.Events, k) || !slices.Equal(a.Events, b.Events) || a.Distinct != b.Distinct || a.Bucket != b.Bucket {
				continue
			}
			for _, c := range b.Conditions {
				if inWindow(t, o.now, secs(c.Window), secs(b.Bucket)) {
					return true
				}
			}
		}
	}
	return false
}

func (o *oracle) relevantGood(t int64) bool {
	for _, r := range o.set.Rules {
		for _, c := range r.Conditions {
			if inWindow(t, o.now, max(secs(c.Window), secs(r.GoodWindow)), 0) {
				return true
			}
		}
		if r.UnlessDeliveredWithin > 0 && inWindow(t, o.now, secs(r.UnlessDeliveredWithin), 0) {
			return true
		}
	}
	return false
}

// tally is what a condition counts: one entry for each distinct thing, with its latest event; in buckets, each bucket.
type tally struct {
	count int
	first int64
	refs  []uint32
	users int
}

func (o *oracle) tally(r *rules.Rule, window time.Duration, s *seen) tally {
	out := tally{first: 1 << 62}
	latest := map[string]happened{}
	users := map[string]bool{}
	for i, e := range s.bad {
		if !slices.Contains(r.Events, e.kind) || !inWindow(e.t, o.now, secs(window), secs(r.Bucket)) {
			continue
		}
		key := "each " + strconv.Itoa(i)
		switch {
		case r.Bucket > 0:
			key = strconv.FormatInt(e.t/secs(r.Bucket), 10)
			out.count++
			out.first = min(out.first, e.t)
		case r.Distinct == rules.Recipient:
			key = e.rcpt
		case r.Distinct == rules.UserMinute:
			key = e.user + " " + strconv.FormatInt(e.t/60, 10)
			if e.user != "" {
				users[e.user] = true
			}
		}
		if was, ok := latest[key]; !ok || r.Bucket > 0 || e.t >= was.t {
			latest[key] = e
		}
	}
	for _, e := range latest {
		out.refs = append(out.refs, e.ref)
		if r.Bucket == 0 {
			out.count++
			out.first = min(out.first, e.t)
		}
	}
	slices.Sort(out.refs)
	out.users = len(users)
	return out
}

func (o *oracle) deliveries(s *seen, window int64) int {
	who := map[string]bool{}
	for _, e := range s.good {
		if inWindow(e.t, o.now, window, 0) {
			who[e.rcpt] = true
		}
	}
	return min(len(who), rules.MaxGood)
}

func (o *oracle) fires(i int, s *seen, key harvestwatch.Source, v *verdict) bool {
	r := &o.set.Rules[i]
	if s.resting[i] > o.now {
		return false
	}
	for _, e := range s.good {
		if r.UnlessDeliveredWithin > 0 && inWindow(e.t, o.now, secs(r.UnlessDeliveredWithin), 0) {
			return false
		}
	}
	success := false
	for _, e := range s.ok {
		success = success || r.AfterSuccess.Within > 0 && inWindow(e.t, o.now, secs(r.AfterSuccess.Within), 0)
	}
	probation := o.now < s.probation
	for _, c := range r.Conditions {
		n0 := c.AtLeast
		if success {
			n0 = max(n0, r.AfterSuccess.AtLeast)
		}
		if probation { // in thousandths, rounded up
			n0 = (n0*int(r.Probation*1000+0.5) + 999) / 1000
		}
		good := o.deliveries(s, max(secs(c.Window), secs(r.GoodWindow)))
		need := n0 + int(r.GoodFactor*100+0.5)*good/100
		f := o.tally(r, c.Window, s)
		if f.count < need || success && f.users < r.AfterSuccess.Users {
			continue
		}
		v.refs = f.refs
		v.offence = &harvestwatch.Offence{Source: key, Rule: r.Name, RuleIndex: i, First: time.Unix(f.first, 0).UTC(), Fired: time.Unix(o.now, 0).UTC(),
			Window: c.Window, Count: f.count, Threshold: need, Deliveries: good, Level: o.remembered(s) + 1, Probation: probation}
		return true
	}
	return false
}

func (o *oracle) remembered(s *seen) int {
	n := s.offences
	for t := s.until + 7*oDay; t <= o.now && n > 0; t += 7 * oDay {
		n--
	}
	if s.until+30*oDay <= o.now {
		return 0
	}
	return n
}

func (o *oracle) settle(d *harvestwatch.Decision) {
	s := o.source(d.Offence.Source)
	fired, until := d.Offence.Fired.Unix(), d.Until.Unix()
	trial := d.Action == harvestwatch.ActObserve && o.set.Rules[d.Offence.RuleIndex].Mode == rules.Observe
	if d.Action == harvestwatch.ActSuppress || d.Action == harvestwatch.ActAlert || trial {
		if d.Until.IsZero() {
			until = fired + secs(d.Offence.Window)
		}
		s.resting[d.Offence.RuleIndex] = max(s.resting[d.Offence.RuleIndex], until)
		return
	}
	s.from, s.until = fired, until
	s.hold = max(until, fired+o.grace+1)
	s.probation = until + oDay
	s.offences = d.Offence.Level
	s.bad = nil
}

func (o *oracle) release(key harvestwatch.Source, at int64) {
	s := o.sources[key]
	if s == nil {
		return
	}
	s.bad = nil
	if s.until > at {
		s.until = max(at, s.from)
	}
	s.hold, s.probation, s.offences = at, 0, 0
}
