package detector

import (
	"math"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// The ledger of credit: a source that delivered good mail on two days, or three messages, within 30 days has credit.
// Neither bounces earn it nor what an authenticated user sends. All recipients of a message, told one after another, are
// one message.

// creditable says whether a delivery earns its source credit.
func creditable(ev *harvestwatch.Event) bool { return !ev.Null && len(ev.User) == 0 }

// message returns what names the message of a delivery, 0 where the log doesn't say.
func (h *hasher) message(ev *harvestwatch.Event) uint32 {
	id := ev.Join
	if id == 0 {
		id = ev.Session ^ uint64(ev.Began)
	}
	if id == 0 {
		return 0
	}
	return fold(h.source(harvestwatch.Source(id)))
}

// earn notes a good message. It reports false when it is one that was noted already, or too old.
func (s *side) earn(t, now, message uint32) bool {
	if message != 0 && message == s.message || t <= before(now, keepDeliverer) {
		return false
	}
	s.message = message
	s.gain(t)
	latest := s.mails[0]
	switch {
	case t/day > latest/day:
		s.earlier = latest
	case t/day < latest/day:
		s.earlier = max(s.earlier, t)
	}
	for i := range s.mails {
		if t > s.mails[i] {
			s.mails[i], t = t, s.mails[i]
		}
	}
	return true
}

// gain adds a message to the decaying number of messages.
func (s *side) gain(t uint32) {
	if t >= s.mails[0] {
		s.mass = halved(s.mass, t-s.mails[0]) + 1000
		return
	}
	s.mass += halved(1000, s.mails[0]-t)
}

// halved returns what is left of a number after so many seconds, half of it for each 30 days.
func halved(n, age uint32) uint32 {
	return uint32(math.Round(float64(n) * math.Exp2(-float64(age)/keepDeliverer)))
}

// credited says whether the source has credit.
func (s *side) credited(now uint32) bool {
	cut := before(now, keepDeliverer)
	return s.mails[2] > cut || s.earlier > cut
}

// perDay returns the good messages a day of a source, in thousandths: what decays to the present number when it comes in
// evenly for so many days.
func (s *side) perDay(now uint32, days float64) uint32 {
	mass := float64(halved(s.mass, now-min(now, s.mails[0])))
	return uint32(mass * math.Ln2 / 30 / (1 - math.Exp2(-days/30)))
}

// served returns for how long a source was blocked, or would have been, within the last day.
func (d *Detector) servedOf(s *side) time.Duration {
	if s == nil {
		return 0
	}
	from, sum := before(d.now, day), uint32(0)
	for _, e := range d.slabs.live(s.served, from) {
		if end := min(e.sec, d.now); end > max(e.hash, from) {
			sum += end - max(e.hash, from)
		}
	}
	return time.Duration(sum) * time.Second
}

// budgetShare is how much of the site's good mail all blocks together may hold up.
const budgetShare = 0.001

// overBudget says whether a block of the source would hold up more good mail than all blocks together may. As long as
// nobody knows how much good mail the site has, none does.
func (d *Detector) overBudget(s *side) bool {
	if s == nil || s.mass == 0 {
		return false
	}
	cost := s.perDay(d.now, d.hours.Days(d.now))
	site := d.hours.PerDay(d.now)
	return cost > 0 && site > 0 && float64(d.budget.Spent(d.now))+float64(cost) > site*1000*budgetShare
}

// charge enters a block's cost in the budget, in place of that of the source's block before.
func (d *Detector) charge(s *side, until uint32) {
	d.refund(s)
	if s.cost = s.perDay(d.now, d.hours.Days(d.now)); s.cost > 0 {
		s.costUntil = until
		d.budget.Add(until, s.cost)
	}
}

// refund takes the cost of a block that was ended, or is followed by another, out of the budget.
func (d *Detector) refund(s *side) {
	if s.cost > 0 && s.costUntil > d.now {
		d.budget.Remove(s.costUntil, s.cost)
	}
	s.cost, s.costUntil = 0, 0
}
