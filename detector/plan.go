package detector

import (
	"fmt"
	"hash/fnv"
	"math"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// counter is one thing that is counted for every source. Rules that count the same share it.
type counter struct {
	mode    rules.Distinct
	bucket  uint32 // seconds; 0: times are exact
	longest uint32 // the longest window that is asked of it, in seconds
	limit   int    // so many of the latest entries tell every rule all that it can ask
	users   int    // and the latest entry of each of so many users
	id      uint32 // names what is counted, in saved state
}

// cutoff returns the second such that entries count when they are later, for a window at a time.
func (c *counter) cutoff(now, window uint32) uint32 {
	if c.bucket == 0 {
		return before(now, window)
	}
	first := int64(now/c.bucket) - int64(window/c.bucket) + 1 // the first bucket that counts
	return uint32(max(first*int64(c.bucket)-1, 0))
}

// before returns now-d, and 0 where that is before the beginning of time.
func before(now, d uint32) uint32 {
	if d >= now {
		return 0
	}
	return now - d
}

// condition is a rule's condition with its thresholds worked out.
type condition struct {
	window uint32       // seconds
	good   uint32       // the window of deliveries, seconds
	base   [2][2]uint16 // the threshold without deliveries: [1] after a success, [][1] on probation
}

// rule is a rule of the set in the detector's own units.
type rule struct {
	name    string
	id      uint32 // names the rule in saved state
	counter int
	conds   []condition
	factor  int    // what a delivery adds, in hundredths
	unless  uint32 // seconds after a delivery in which the rule rests
	within  uint32 // seconds for which a success speaks
	users   int    // that must be among the failures after a success
	trial   bool   // on trial: what it decides changes nothing for the rules in force
	near    bool   // its approaches are remembered as a source's standing
}

func (r *rule) credit(good int) int { return r.factor * good / 100 }

// plan says what an event of one kind does.
type plan struct {
	counters []uint8 // that count it
	rules    []uint8 // that may be satisfied by it, in the order of the set
}

// compiled is a rule set as the detector uses it.
type compiled struct {
	counters []counter
	rules    []rule
	plans    [harvestwatch.Kinds]plan
	longest  uint32  // of all counters
	good     counter // deliveries; its longest is as long as any rule asks for
	quiet    counter // rules that are not evaluated for a source: the rule's index, until when
	authKeep uint32  // for how long a success is remembered
}

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// compile works out what the set asks of the detector.
func compile(set *rules.Set) compiled {
	c := compiled{good: counter{mode: rules.Recipient, limit: rules.MaxGood}, quiet: counter{mode: rules.Recipient, limit: rules.MaxRules}}
	byWhat := map[string]int{}
	for i := range set.Rules {
		r := &set.Rules[i]
		what := fmt.Sprint(r.Events, r.Distinct, r.Bucket)
		n, known := byWhat[what]
		if !known {
			n = len(c.counters)
			byWhat[what] = n
			c.counters = append(c.counters, counter{mode: r.Distinct, bucket: seconds(r.Bucket), id: nameID(what)})
			for _, k := range r.Events {
				c.plans[k].counters = append(c.plans[k].counters, uint8(n))
			}
		}
		for _, k := range r.Events {
			c.plans[k].rules = append(c.plans[k].rules, uint8(i))
		}
		c.rules = append(c.rules, c.rule(r, n))
	}
	for i := range c.counters {
		c.longest = max(c.longest, c.counters[i].longest)
	}
	return c
}

// rule works out one rule and what it asks of its counter.
func (c *compiled) rule(r *rules.Rule, n int) rule {
	out := rule{name: r.Name, id: nameID(r.Name), counter: n, factor: int(math.Round(r.GoodFactor * 100)),
		unless: seconds(r.UnlessDeliveredWithin), within: seconds(r.AfterSuccess.Within), users: r.AfterSuccess.Users,
		trial: r.Mode == rules.Observe, near: r.Distinct != rules.Each}
	ct := &c.counters[n]
	for _, w := range r.Conditions {
		cond := condition{window: seconds(w.Window), good: max(seconds(w.Window), seconds(r.GoodWindow))}
		for i, base := range []int{w.AtLeast, max(w.AtLeast, r.AfterSuccess.AtLeast)} {
			cond.base[i] = [2]uint16{uint16(base), uint16(math.Ceil(float64(base)*r.Probation - 1e-9))}
		}
		out.conds = append(out.conds, cond)
		ct.longest = max(ct.longest, cond.window)
		ct.limit = max(ct.limit, int(cond.base[1][0])+r.Credit(rules.MaxGood))
		c.good.longest = max(c.good.longest, cond.good)
	}
	ct.users = max(ct.users, out.users)
	if ct.bucket > 0 {
		ct.limit = int(ct.longest / ct.bucket)
	}
	c.good.longest = max(c.good.longest, out.unless)
	c.authKeep = max(c.authKeep, out.within)
	return out
}

// nameID makes a number of a name, for saved state. It is no secret and has no key.
func nameID(name string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return h.Sum32()
}
