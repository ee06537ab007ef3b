package detector

import (
	"fmt"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// held is an offence that a guard held back.
type held struct {
	rule, cond int
	guard      string // "" for none
	got        int
	m          measure
}

// heldBack names the guard without which the condition would be reached, "" where it is reached. What speaks for the
// source is gone through in the order in which it raises the threshold.
func (d *Detector) heldBack(ru *rule, c *condition, x *sight, s *side, list []entry, got int, m measure) string {
	switch {
	case got < m.base:
		return d.excuseOf(ru, c, s)
	case got < m.raw:
		return rules.GuardSuccess
	case got < m.bar && m.stand == withCredit:
		return rules.GuardCredit
	case got < m.bar && m.stand == withName:
		return rules.GuardCorroborate
	case got < m.need:
		return rules.GuardDeliveries
	case !usersAmong(ru, &m, list):
		return rules.GuardSuccess
	case !d.shareHolds(ru, got, d.other(c, x.r)):
		return rules.GuardShare
	}
	return ""
}

// excuseOf names the guard that exempted most of a source's events.
func (d *Detector) excuseOf(ru *rule, c *condition, s *side) string {
	var n [reasons]int
	for _, e := range d.slabs.live(d.exemptOf(s), d.cutoff(&d.counters[c.counted[0]], c.window)) {
		n[e.hash%uint32(reasons)]++
	}
	most := repeated
	for why := repeated; why < reasons; why++ {
		if n[why] > n[most] {
			most = why
		}
	}
	return guardNames[most]
}

// beyond is how many times the evidence that a rule asks for is beyond the collateral budget: four times, as much as credit
// asks for. Without this, whoever gets one message through to each of many of his machines would use the budget up for
// all of them.
const beyond = 4

// siteGuard names the guard that holds back an offence whose threshold is reached, by so much that was counted.
func (d *Detector) siteGuard(ru *rule, x *sight, s *side, got int, m *measure, out *harvestwatch.Outcome) string {
	if x.aggregate && !ru.ofPrefix() {
		return rules.GuardIPv6
	}
	if ru.unknown && d.outage() {
		return rules.GuardOutage
	}
	if ru.alert {
		return ""
	}
	d.checkMail(out)
	switch {
	case d.suspended:
		return rules.GuardGoodMail
	case got < beyond*m.base+m.need-m.bar && d.overBudget(s):
		return rules.GuardBudget
	}
	return ""
}

// toldMark is the mark of a rule that is not to be told as held back again. A guard of the whole site has another than what
// speaks for a source: who comes to a higher threshold than the one that was told meets the second one.
func toldMark(rule int, guard string) int {
	switch guard {
	case rules.GuardOutage, rules.GuardGoodMail, rules.GuardBudget, rules.GuardIPv6:
		return rule + 1 + 2*guardMark
	}
	return rule + 1 + guardMark
}

// hold keeps the first offence that a guard held back, unless it was told within the window.
func (d *Detector) hold(h held, x *sight, s *side) {
	if x.held.guard == "" && (s == nil || !d.quieted(s.quiet, toldMark(h.rule, h.guard))) {
		x.held = h
	}
}

// tellHeld puts the offence that a guard held back into the outcome.
func (d *Detector) tellHeld(x *sight, out *harvestwatch.Outcome) {
	h := &x.held
	if h.guard == "" {
		return
	}
	ru := &d.rules[h.rule]
	c := &ru.conds[h.cond]
	if !ru.bySource() {
		d.fireKeys(h.rule, c, x, h.got, h.m, h.guard, out)
		return
	}
	ct := &d.counters[c.counted[0]]
	list := d.live(x.r, ct, c.window)
	if h.got < h.m.base { // what was exempted is the evidence too
		exempt := d.slabs.live(d.exemptOf(x.side), d.cutoff(ct, c.window))
		list = append(slices.Clone(list), exempt...)
		slices.SortStableFunc(list, func(a, b entry) int { return int(int64(b.sec) - int64(a.sec)) })
		h.got = len(list)
	}
	d.fire(h.rule, c, x, list, h.got, h.m, h.guard, out)
}

// outage says whether the directory seems to be down.
func (d *Detector) outage() bool {
	_, _, ok := d.recipients.Outage(d.now)
	return ok
}

// rollBack is how far back blocks are ended when the directory turns out to be down.
const rollBack = 15 * 60

// trip tells that the directory is down, and ends what was blocked because of it.
func (d *Detector) trip(out *harvestwatch.Outcome) {
	since, until, _ := d.recipients.Outage(d.now)
	n := &harvestwatch.Notice{Guard: rules.GuardOutage, At: when(d.now), Until: when(until)}
	for id := uint32(1); id <= d.table.high; id++ {
		r := d.table.rec(id)
		s := d.sideAt(r)
		if r.key() == 0 || s == nil || s.by == 0 || s.until <= d.now || s.from <= before(d.now, rollBack) || !d.rules[s.by-1].unknown {
			continue
		}
		n.Release = append(n.Release, r.key())
	}
	slices.Sort(n.Release)
	for _, src := range n.Release {
		d.Release(src, when(d.now))
	}
	n.Reason = fmt.Sprintf("since %s at least 3 recipients who received mail this week were refused as unknown to several sources: the directory seems to be "+
		"down; rules that count unknown recipients are suspended until %s, or until mail to such recipients comes in again, and %d blocks of the "+
		"last 15 minutes are ended",
		clock(since), clock(until), len(n.Release))
	out.Notice = n
}

func clock(sec uint32) string { return when(sec).Format(time.RFC3339) }

// checkMail looks whether good mail stays away, and tells it once.
func (d *Detector) checkMail(out *harvestwatch.Outcome) {
	m := d.hours.Check(d.now)
	d.suspended = m.Low && m.Armed
	if !d.suspended {
		d.told = false
	}
	if !m.Low || d.suspended && d.told || out.Notice != nil || !d.suspended && d.toldAt > 0 && d.now < plus(d.toldAt, 3600) {
		return
	}
	d.told, d.toldAt = d.suspended, d.now
	what := "two weeks must pass before this suspends blocks"
	if d.suspended {
		what = "no new blocks until it comes in again"
	}
	out.Notice = &harvestwatch.Notice{Guard: rules.GuardGoodMail, At: when(d.now), Reason: fmt.Sprintf(
		"%d good deliveries in the last %d minutes, where %.0f are usual: something holds up good mail; %s", m.Seen, m.Over/60, m.Expected, what)}
}
