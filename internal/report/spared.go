package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// held is who reached a threshold and was held back by a guard.
type held struct {
	guard, reason    string
	rule             uint8 // index into rules
	count, threshold int32
}

// spares reports whether a guard speaks for the source, or against the evidence. The others name what keeps an offender
// from being blocked: that the administrator wants it so, that the rule's turn has not come, or that too many are.
func spares(guard string) bool {
	switch guard {
	case "", rules.GuardNever, rules.GuardBlockRate, rules.GuardRollout:
		return false
	}
	return true
}

// maxHeld is how many of those are remembered whom a guard held back; the others are told as if they had only come near.
const maxHeld = 1 << 16

// hold notes down who was held back: the time that came nearest to the raised threshold.
func (c *Collector) hold(key offenderKey, dec *harvestwatch.Decision) {
	o := &dec.Offence
	h := c.held[key.target]
	if h == nil && len(c.held) == maxHeld || h != nil && int64(h.count)*int64(o.Threshold) >= int64(o.Count)*int64(h.threshold) {
		return
	}
	c.held[key.target] = &held{guard: dec.Guard, reason: dec.Reason, rule: key.rule, count: int32(o.Count), threshold: int32(o.Threshold)}
}

// Held is how many sources or prefixes a guard held back that were not blocked, of the first 65,536.
type Held struct {
	Guard   string `json:"guard"`
	Sources int64  `json:"sources"`
}

// heldBack counts by guard who was held back, the guard with the most first.
func (c *Collector) heldBack() []Held {
	blocked, by := c.blocked(), map[string]int64{}
	for t, h := range c.held {
		if !blocked.cover(t) {
			by[h.guard]++
		}
	}
	list := make([]Held, 0, len(by))
	for _, guard := range slices.Sorted(maps.Keys(by)) {
		list = append(list, Held{guard, by[guard]})
	}
	slices.SortStableFunc(list, func(a, b Held) int { return cmp.Compare(b.Sources, a.Sources) })
	return list
}

// targets is a set of them.
type targets struct {
	has     map[target]bool
	lengths []int // of the prefixes in it
}

// blocked returns who is blocked, or would be, and who is an offender for another reason.
func (c *Collector) blocked() targets {
	set := targets{has: map[target]bool{}}
	for key := range c.offenders {
		set.has[key.target] = true
		if bits := key.prefix.Bits(); key.prefix.IsValid() && !slices.Contains(set.lengths, bits) {
			set.lengths = append(set.lengths, bits)
		}
	}
	return set
}

// cover reports whether the set has the target or a prefix around it.
func (s *targets) cover(t target) bool {
	if s.has[t] {
		return true
	}
	for _, bits := range s.lengths {
		if wide, ok := around(t.source, bits); ok && (!t.prefix.IsValid() || bits <= t.prefix.Bits()) && s.has[wide] {
			return true
		}
	}
	return false
}

// Bounds of the list of spared sources: of those that look like offenders, and, where none does, of all that did
// anything at all.
const (
	sparedMost = 20
	sparedFew  = 5
)

// spared returns those whom a guard held back, and then the sources that tried at least half as many unknown recipients as
// a harvester needs, or failed to log in as often, or bounced, and were not blocked: the most suspicious first, each with
// the reason. Where nobody comes so far the few that came nearest are told, so that a quiet log answers too why nobody was
// blocked.
func (c *Collector) spared(st Standings) []Spared {
	if st == nil {
		return []Spared{}
	}
	blocked := c.blocked()
	list := c.heldList(blocked)
	list = append(list, c.suspects(st, blocked, func(t *tally) bool { return t.tries >= many/2 || t.bounces >= many || t.authFails >= many })...)
	if len(list) == 0 {
		list = c.suspects(st, blocked, func(t *tally) bool { return t.tries > 0 || t.authFails > 0 })
		return list[:min(len(list), sparedFew)]
	}
	return list[:min(len(list), sparedMost)]
}

// heldList returns those whom a guard held back and nothing blocked.
func (c *Collector) heldList(blocked targets) []Spared {
	list := make([]Spared, 0, len(c.held))
	for t, h := range c.held {
		if blocked.cover(t) {
			continue
		}
		sp := Spared{Source: t.String(), Rule: c.rules[h.rule], Guard: h.guard, Count: int(h.count), Threshold: int(h.threshold), Why: h.reason}
		if n, ok := c.numbers[t.source]; ok && !t.prefix.IsValid() {
			sp.did(c.at(n))
		}
		list = append(list, sp)
	}
	sortSpared(list)
	return list
}

func (s *Spared) did(t *tally) {
	s.Tries, s.Bounces, s.Deliveries, s.AuthFailures = int64(t.tries), int64(t.bounces), int64(t.deliveries), int64(t.authFails)
}

func sortSpared(list []Spared) {
	slices.SortFunc(list, func(a, b Spared) int {
		return cmp.Or(cmp.Compare(b.Tries+b.AuthFailures, a.Tries+a.AuthFailures), cmp.Compare(b.Bounces, a.Bounces), cmp.Compare(a.Source, b.Source))
	})
}

// suspects returns the sources that were neither blocked nor held back and did what did tells.
func (c *Collector) suspects(st Standings, blocked targets, did func(*tally) bool) []Spared {
	list := []Spared{}
	for src, n := range c.numbers {
		t, is := c.at(n), target{source: src}
		if !did(t) || c.held[is] != nil || blocked.cover(is) {
			continue
		}
		near := c.nearest(src, t, st)
		sp := Spared{Source: src.String(), Rule: near.Rule, Count: near.Count, Threshold: near.Threshold, Why: c.why(t, near)}
		sp.did(t)
		list = append(list, sp)
	}
	sortSpared(list)
	return list
}

// nearest returns how near a source came to a threshold, by what the detector knows or has forgotten meanwhile.
func (c *Collector) nearest(src harvestwatch.Source, t *tally, st Standings) harvestwatch.Standing {
	near := st.Standing(src)
	if near.Rule == "" && t.rule != 0 {
		near = harvestwatch.Standing{Source: src, Rule: c.rules[t.rule-1], Count: int(t.count), Threshold: int(t.threshold),
			Deliveries: int(t.good)}
	}
	return near
}

func (c *Collector) why(t *tally, near harvestwatch.Standing) string {
	came := fmt.Sprintf("came to %d of %d for %s", near.Count, near.Threshold, near.Rule)
	switch recipients := c.distinct(near.Rule); {
	case near.Threshold == 0 && t.bounces > 0:
		return "bounces (null sender) are no evidence: a forged sender brings them from honest servers"
	case near.Threshold == 0:
		return "none of it is evidence: temporary refusals, or the server's own trouble"
	case recipients && near.Deliveries > 0:
		return fmt.Sprintf("%s: %s raised what it takes", came, plural(int64(near.Deliveries), "delivery", "deliveries"))
	case recipients && int64(t.tries) > 2*int64(near.Count):
		return came + " within its window: a recipient tried again counts once"
	default:
		return came + " within its window"
	}
}

func (s *Scan) textSpared(p *printer) {
	if len(s.Spared) == 0 {
		return
	}
	p.printf("\nNot blocked, and why\n")
	tw := p.table()
	head, guards := "", len(s.HeldBack) > 0
	if guards {
		head = "HELD BACK BY\t"
	}
	tw.printf("  SOURCE\tUNKNOWN\tLOGINS\tGOOD\t%sWHY\n", head)
	for _, sp := range s.Spared {
		guard := ""
		if guards {
			guard = cmp.Or(sp.Guard, "–") + "\t"
		}
		tw.printf("  %s\t%s\t%s\t%s\t%s%s\n", sp.Source, thousands(sp.Tries+sp.Bounces), thousands(sp.AuthFailures),
			thousands(sp.Deliveries), guard, sp.Why)
	}
	tw.flush()
	if guards {
		var parts []string
		for _, h := range s.HeldBack {
			parts = append(parts, fmt.Sprintf("%s %s", h.Guard, thousands(h.Sources)))
		}
		p.printf("  Reached a threshold and held back, sources by guard: %s\n", strings.Join(parts, ", "))
	}
}
