package detector

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// verdict is the oracle's outcome.
type verdict struct {
	blocked, grace, late, ignored bool
	offence                       *harvestwatch.Offence
	refs                          []uint32
}

func (o *oracle) observe(ev *harvestwatch.Event) verdict {
	var v verdict
	e := o.makeOf(ev)
	o.now = max(o.now, e.t)
	s := o.source(e.src)
	prefix := o.key(e.keys[rules.ByPrefix])
	judged := e.t
	if ev.Kind == harvestwatch.Delivered && ev.Began != 0 {
		judged = ev.Began / int64(time.Second)
	}
	one := s.from < judged && judged < s.until
	two := prefix.from < judged && judged < prefix.until
	v.blocked = one || two
	v.grace = v.blocked && (!one || judged <= s.from+o.grace) && (!two || judged <= prefix.from+o.grace)
	o.take(ev, e, s, prefix, &v)
	if v.offence == nil {
		o.tellPrefix(ev, e, &v)
	}
	return v
}

func (o *oracle) take(ev *harvestwatch.Event, e happened, s *seen, prefix *seenKey, v *verdict) {
	switch ev.Kind {
	case harvestwatch.Delivered:
		o.delivered(ev, e, s, v)
	case harvestwatch.AuthOK:
		keep := int64(0)
		for _, r := range o.set.Rules {
			keep = max(keep, secs(r.AfterSuccess.Within), secs(r.UnlessSuccessWithin))
		}
		v.ignored = keep == 0
		if v.late = keep > 0 && !inWindow(e.t, o.now, keep, 0); !v.late {
			s.ok = append(s.ok, e)
		}
		return
	case harvestwatch.Disconnect:
		for i := range o.all {
			if a := &o.all[i]; a.kind == harvestwatch.Connect && a.session == e.session && a.src == e.src {
				a.ended = true
			}
		}
	case harvestwatch.RcptUnknown, harvestwatch.RcptRelayDenied, harvestwatch.RcptRefused, harvestwatch.RcptOK, harvestwatch.Accepted, harvestwatch.SpamRefused:
		s.mail = max(s.mail, e.t)
	}
	wanted, inTime := o.wanted(&e)
	evidence := e.kind != harvestwatch.RcptUnknown || len(ev.User) == 0 && (ev.Code == 0 || ev.Code >= 500) && !o.former[plainRecipient(string(ev.Recipient))]
	good := ev.Kind == harvestwatch.Delivered
	switch {
	case !wanted || !evidence:
		v.ignored = !good
		return
	case !inTime:
		v.late = !good || v.late
		return
	case good && v.late, e.t < max(s.hold, prefix.hold):
		return
	}
	o.all = append(o.all, e)
	if o.credited(s) {
		o.noteCredit(e)
	}
	for i := range o.set.Rules {
		if o.counts(i, &e) && o.fires(i, s, ev, &e, v) {
			return
		}
	}
}

// counts says whether a rule counts an event.
func (o *oracle) counts(i int, e *happened) bool {
	r := &o.set.Rules[i]
	for c := range r.Conditions {
		if !r.Blocks && (wants{r: r, c: &r.Conditions[c]}).takes(e) {
			return true
		}
	}
	return false
}

// wanted says whether any rule counts the event, in itself or as the other share, and whether it is in time for one that
// shares the counter.
func (o *oracle) wanted(e *happened) (wanted, inTime bool) {
	var list []wants
	for i := range o.set.Rules {
		r := &o.set.Rules[i]
		for c := range r.Conditions {
			if r.Blocks {
				continue
			}
			list = append(list, wants{r: r, c: &r.Conditions[c]})
			if r.Share > 0 {
				list = append(list, wants{r: r, c: &r.Conditions[c], against: true})
			}
			if r.Conditions[c].Sources > 0 {
				list = append(list, wants{r: r, c: &r.Conditions[c], sources: true})
			}
		}
	}
	for _, a := range list {
		if !a.takes(e) {
			continue
		}
		bucket := secs(a.r.Bucket)
		if a.sources || a.c.Open > 0 && !a.against {
			bucket = 0
		}
		wanted = true
		inTime = inTime || inWindow(e.t, o.now, secs(a.c.Window), bucket)
	}
	return wanted, inTime
}

func (o *oracle) delivered(ev *harvestwatch.Event, e happened, s *seen, v *verdict) {
	keep := int64(30 * oDay)
	for _, r := range o.set.Rules {
		for _, c := range r.Conditions {
			keep = max(keep, secs(c.Window), secs(r.GoodWindow))
		}
		keep = max(keep, secs(r.UnlessDeliveredWithin))
	}
	if v.late = !inWindow(e.t, o.now, keep, 0); v.late {
		return
	}
	e.rcpt = distinctRecipient(ev, true)
	s.good = append(s.good, e)
	s.mail = max(s.mail, e.t)
	s.offences = 0
	message := strconv.FormatUint(ev.Join, 16)
	if ev.Join == 0 {
		message = strconv.FormatUint(ev.Session^uint64(ev.Began), 16) + " session"
	}
	if !ev.Null && len(ev.User) == 0 && message != s.message {
		s.messages, s.message = append(s.messages, e.t), message
	}
	for _, k := range e.keys {
		if k != "" {
			o.key(k).delivered = max(o.key(k).delivered, e.t)
		}
	}
	if o.credited(s) {
		o.noteCredit(e)
	}
}

// noteCredit remembers that a source with credit was seen under its keys.
func (o *oracle) noteCredit(e happened) {
	for _, key := range e.keys {
		if key != "" {
			o.key(key).credited = max(o.key(key).credited, e.t)
		}
	}
}

func (o *oracle) credited(s *seen) bool {
	days, n := map[int64]bool{}, 0
	for _, t := range s.messages {
		if inWindow(t, o.now, 30*oDay, 0) {
			n++
			days[t/oDay] = true
		}
	}
	return n >= 3 || len(days) >= 2
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

// up multiplies and rounds up.
func up(n int, factor float64) int { return int(math.Ceil(math.Round(float64(n)*factor*1e6) / 1e6)) }

// asks returns the threshold of a condition, with all that moves it.
func (o *oracle) asks(r *rules.Rule, c *rules.Condition, s *seen, ev *harvestwatch.Event, k rules.Key) (need, good int, success, probation bool) {
	n := c.AtLeast + c.Seconds + c.Open
	if c.AtLeastV6 > 0 && ev.Addr.Is6() && (k == rules.BySource || k == rules.ByPrefix) {
		n = c.AtLeastV6
	}
	for _, e := range s.ok {
		success = success || r.AfterSuccess.Within > 0 && inWindow(e.t, o.now, secs(r.AfterSuccess.Within), 0)
	}
	if success && c.AtLeast > 0 {
		n = max(n, r.AfterSuccess.AtLeast)
	}
	good = o.deliveries(s, max(secs(c.Window), secs(r.GoodWindow)))
	credited := o.credited(s) || success && good > 0
	if k == rules.BySource {
		probation = o.now < s.probation
	} else if k == rules.ByPrefix {
		probation = o.now < o.key(textKeys(ev)[k]).probation
	}
	fits := string(ev.Name) == "mx7.partner.example" && (string(ev.Helo) == "mx7.partner.example" || string(ev.Helo) == "out.partner.example")
	switch {
	case credited:
		n = up(n, r.CreditFactor)
		probation = false
	case fits && r.VerifiedFactor > 1:
		n = up(n, r.VerifiedFactor)
	case ev.Listed && k == rules.BySource:
		n = up(n, r.ListedFactor)
	}
	if probation {
		n = up(n, r.Probation)
	}
	return n + int(r.GoodFactor*100+0.5)*good/100, good, success, probation
}

// rests says whether a rule rests for a source by what it did well.
func (o *oracle) rests(r *rules.Rule, s *seen) bool {
	for _, e := range s.good {
		if r.UnlessDeliveredWithin > 0 && inWindow(e.t, o.now, secs(r.UnlessDeliveredWithin), 0) {
			return true
		}
	}
	for _, e := range s.ok {
		if r.UnlessSuccessWithin > 0 && inWindow(e.t, o.now, secs(r.UnlessSuccessWithin), 0) {
			return true
		}
	}
	return r.UnlessCredited && o.credited(s) || r.UnlessMailWithin > 0 && s.mail > 0 && inWindow(s.mail, o.now, secs(r.UnlessMailWithin), 0)
}

func (o *oracle) fires(i int, s *seen, ev *harvestwatch.Event, e *happened, v *verdict) bool {
	r := &o.set.Rules[i]
	keys := r.Keys
	if len(keys) == 0 {
		keys = []rules.Key{rules.BySource}
	}
	if len(r.Keys) == 0 && s.resting[i] > o.now || o.rests(r, s) {
		return false
	}
	for _, k := range r.Keys {
		if e.keys[k] == "" {
			return false
		}
		of := o.key(e.keys[k])
		if of.resting[i] > o.now || r.UnlessDeliveredWithin > 0 && of.delivered > 0 && inWindow(of.delivered, o.now, secs(r.UnlessDeliveredWithin), 0) ||
			r.UnlessCredited && of.credited > 0 && inWindow(of.credited, o.now, 30*oDay, 0) {
			return false
		}
	}
	for n := range r.Conditions {
		c := &r.Conditions[n]
		holds := true
		var first *harvestwatch.Offence
		for at, k := range keys {
			w := wants{r: r, c: c}
			f := o.tally(w, k, e.src, e.keys[k])
			need, good, success, probation := o.asks(r, c, s, ev, k)
			got, enough := o.weigh(r, f)
			other := 0
			if r.Share > 0 {
				other = o.tally(wants{r: r, c: c, against: true}, k, e.src, e.keys[k]).count
			}
			holds = holds && enough && got >= need && (!success || f.users >= r.AfterSuccess.Users) && (r.Share == 0 || float64(got) >= r.Share*float64(got+other)-1e-9) &&
				(c.Sources == 0 || o.tally(wants{r: r, c: c, sources: true}, k, e.src, e.keys[k]).count >= c.Sources)
			if at == 0 {
				v.refs = f.refs
				first = &harvestwatch.Offence{Source: e.src, Rule: r.Name, RuleIndex: i, First: time.Unix(f.first, 0).UTC(), Fired: time.Unix(o.now, 0).UTC(),
					Window: c.Window, Count: got, Threshold: need, Deliveries: good, Level: o.remembered(s.until, s.offences) + 1, Probation: probation}
				if k != rules.BySource {
					first.Probation = o.now < s.probation && !o.credited(s)
				}
				if k == rules.ByPrefix {
					of := o.key(e.keys[k])
					first.Level, first.Probation = o.remembered(of.until, of.offences)+1, o.now < of.probation
				}
			}
		}
		if holds {
			v.offence = first
			return true
		}
	}
	return false
}

// weigh returns what a rule takes a list for: names that many blocked sources tried count two, and there must be enough.
func (o *oracle) weigh(r *rules.Rule, f tally) (weight int, enough bool) {
	if r.Shared == (rules.Shared{}) {
		return f.count, true
	}
	n := 0
	for name := range f.things {
		who := map[harvestwatch.Source]bool{}
		for _, l := range o.taught {
			if l.what == name && l.t/oDay > o.now/oDay-secs(r.Shared.Within)/oDay {
				who[l.src] = true
			}
		}
		if len(who) >= r.Shared.Sources {
			n++
		}
	}
	return f.count + n, n >= r.Shared.Names
}

func (o *oracle) remembered(until int64, offences int) int {
	n := offences
	for t := until + 7*oDay; t <= o.now && n > 0; t += 7 * oDay {
		n--
	}
	if until+30*oDay <= o.now {
		return 0
	}
	return n
}

func isRoleName(rcpt string) bool {
	return strings.HasPrefix(rcpt, "info@") || strings.HasPrefix(rcpt, "session ") || rcpt == "info"
}
