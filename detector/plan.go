package detector

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// sums says what of the events a counter adds up.
type sums uint8

const (
	sumEvents  sums = iota // themselves, or distinct things that they name
	sumSeconds             // how long the sessions lasted that they end
	sumOpen                // sessions that began and have not ended
	sumNoUser              // users that the site certainly doesn't have
	sumBlocks              // blocked sources; no event feeds them
	sumMembers             // tracked sources of an IPv6 prefix; no event feeds them
)

// counter is one thing that is counted for every source, or for every key of a kind. Rules that count the same share it.
type counter struct {
	key     rules.Key // whose: which table it lies in
	kinds   uint32    // of events, a bit each
	mode    rules.Distinct
	only    rules.Only
	sums    sums
	against bool   // it is the other share: of disconnects those that are not idle count
	unknown bool   // recipients of refusals count: an outage of the directory makes them worthless
	inline  bool   // its list lies in the record, not in the words that hang off the side record
	slot    int    // the word of its list, in the record, in these words or in the key's record
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

// What stands for or against a source, as it picks a threshold.
const (
	plain = iota
	withCredit
	withName
	listed
)

// condition is a rule's condition with its thresholds worked out.
type condition struct {
	window  uint32             // seconds
	good    uint32             // the window of deliveries, seconds
	events  bool               // it counts events, not seconds or open connections
	counted [rules.MaxKeys]int // the counter, for each key
	sources [rules.MaxKeys]int // the counter of distinct sources, -1: none
	against [rules.MaxKeys]int // the counter of the other share, -1: none
	least   int                // distinct sources that are asked for
	base    [2][2][2]uint32    // [IPv6][listed][probation]: the threshold where nothing speaks for the source
	need    [2][2][4][2]uint32 // [IPv6][after a success][standing][probation]: without deliveries
}

// rule is a rule of the set in the detector's own units.
type rule struct {
	name      string
	id        uint32 // names the rule in saved state
	keys      []rules.Key
	conds     []condition
	factor    int    // what a delivery adds, in hundredths
	unless    uint32 // seconds after a delivery in which the rule rests
	mail      uint32 // and after a MAIL command
	success   uint32 // and after a successful login
	uncredit  bool   // and for whom credit speaks
	within    uint32 // seconds for which a success speaks
	users     int    // that must be among the failures after a success
	share     uint64 // in millionths; 0: any
	shared    *rules.Shared
	verified  bool // a verified name changes the thresholds
	trial     bool // what it decides changes nothing for the rules in force
	alert     bool // it never leads to a block
	enforced  bool
	near      bool // its approaches are remembered as a source's standing
	unknown   bool // it counts unknown recipients
	exempting bool // events that a guard exempts would have counted
	blocks    bool // it counts blocked sources
	filtered  bool // it doesn't count every event of its kinds
}

func (r *rule) credit(good int) int { return r.factor * good / 100 }

// bySource says whether the rule counts for the source alone.
func (r *rule) bySource() bool { return len(r.keys) == 0 }

// ofPrefix says whether the rule's offences are those of prefixes.
func (r *rule) ofPrefix() bool { return len(r.keys) == 1 && r.keys[0] == rules.ByPrefix }

// plan says what an event of one kind does.
type plan struct {
	counters []uint16    // of the source, that count it
	rules    []uint8     // that may be satisfied by it, in the order of the set
	keyed    []uint16    // counters of keys that count it
	keys     []rules.Key // of these
}

// compiled is a rule set as the detector uses it.
type compiled struct {
	counters    []counter
	rules       []rule
	plans       [harvestwatch.Kinds]plan
	perKey      [numKeys][]uint16 // the counters of each kind of key
	ofSource    []uint16          // and of sources
	extraWords  int               // that hang off a side record: lists of counters, then that of exempt events
	longest     uint32            // of all counters of sources
	shortest    uint32            // of them
	good        counter           // deliveries; its longest is as long as any rule asks for
	quiet       counter           // rules that are not evaluated for a source or key: the rule's index, until when
	exempt      counter           // events that would have counted but for a guard
	served      counter           // blocks of the last day
	authKeep    uint32            // for how long a success is remembered
	mailKeep    uint32            // for how long a MAIL command is
	keyKeep     uint32            // for how long a delivery under a key is
	keyDelivers [numKeys]bool     // deliveries are noted for these keys
	guesses     int               // the counter of a source's unknown recipients, which the dictionary learns from; -1: none
	asks        *rules.Shared     // what the dictionary is asked, of the rule that asks for the least; nil: nothing
	blocksRules []uint8           // that count blocked sources
	keyRules    int               // how many rules add up by a key
}

const (
	numKeys    = int(rules.ByUser) + 1
	inlineMax  = 3
	exemptKept = 32
	servedKept = 24
	guardMark  = 64 // in the list of quiet rules: the rule is only not to be told as held back again; twice, by the whole site
)

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// compile works out what the set asks of the detector.
func compile(set *rules.Set) compiled {
	c := compiled{good: counter{mode: rules.Recipient, limit: rules.MaxGood}, quiet: counter{mode: rules.Recipient, limit: 3 * rules.MaxRules},
		exempt: counter{limit: exemptKept}, served: counter{limit: servedKept, longest: day}, shortest: math.MaxUint32, guesses: -1}
	c.members()
	for i := range set.Rules {
		c.rules = append(c.rules, c.rule(&set.Rules[i], i))
	}
	c.place()
	if len(c.ofSource) == 0 {
		c.shortest = 0
	}
	for i := range c.counters {
		ct := &c.counters[i]
		c.plan(i, ct)
		if ct.key == rules.BySource {
			c.longest, c.shortest = max(c.longest, ct.longest), min(c.shortest, ct.longest)
			if ct.unknown && ct.mode == rules.Recipient && ct.only == rules.AllEvents && ct.bucket == 0 && ct.kinds == 1<<harvestwatch.RcptUnknown {
				c.guesses = i
			}
		}
	}
	return c
}

// members makes the counters by which IPv6 rotation is noticed.
func (c *compiled) members() {
	for _, limit := range []int{maxPer48, maxPer32} {
		c.counters = append(c.counters, counter{key: rules.ByPrefix, mode: rules.Client, sums: sumMembers, longest: memberWindow, limit: limit,
			id: nameID(fmt.Sprint("members ", limit))})
	}
}

// counter returns the number of the counter of that kind, made if there is none.
func (c *compiled) counter(want counter) int {
	want.id = nameID(fmt.Sprint(want.key, want.kinds, want.mode, want.only, want.sums, want.against, want.bucket))
	for i := range c.counters {
		if c.counters[i].id == want.id {
			return i
		}
	}
	c.counters = append(c.counters, want)
	return len(c.counters) - 1
}

func mask(kinds []harvestwatch.Kind) uint32 {
	m := uint32(0)
	for _, k := range kinds {
		m |= 1 << k
	}
	return m
}

// rule works out one rule and what it asks of its counters.
func (c *compiled) rule(r *rules.Rule, index int) rule {
	out := rule{name: r.Name, id: nameID(r.Name), factor: int(math.Round(r.GoodFactor * 100)), unless: seconds(r.UnlessDeliveredWithin),
		mail: seconds(r.UnlessMailWithin), success: seconds(r.UnlessSuccessWithin), uncredit: r.UnlessCredited,
		within: seconds(r.AfterSuccess.Within), users: r.AfterSuccess.Users, share: uint64(math.Round(r.Share * 1e6)), verified: r.VerifiedFactor > 1,
		trial: r.Mode == rules.Observe, alert: r.Mode == rules.Alert, enforced: r.Mode == rules.Enforce, blocks: r.Blocks}
	if len(r.Keys) > 1 || len(r.Keys) == 1 && r.Keys[0] != rules.BySource {
		out.keys = r.Keys[:min(len(r.Keys), rules.MaxKeys)]
	}
	kinds := mask(r.Events)
	out.unknown = kinds&(1<<harvestwatch.RcptUnknown) != 0
	out.exempting = out.unknown && r.Only == rules.AllEvents
	out.filtered = r.Only != rules.AllEvents || r.Distinct == rules.User || r.Distinct == rules.Domain || !r.Blocks && slices.ContainsFunc(r.Conditions,
		func(c rules.Condition) bool { return c.AtLeast == 0 })
	out.near = out.bySource() && r.Distinct != rules.Each && r.Shared == rules.Shared{}
	if r.Shared != (rules.Shared{}) {
		s := r.Shared
		out.shared = &s
		if c.asks == nil || s.Sources < c.asks.Sources {
			c.asks = &s
		}
	}
	for i := range r.Conditions {
		out.conds = append(out.conds, c.condition(r, &out, &r.Conditions[i]))
		if r.Conditions[i].Open > 0 {
			kinds |= 1 << harvestwatch.Connect
		}
	}
	if r.Blocks {
		c.blocksRules = append(c.blocksRules, uint8(index))
	}
	for k := range harvestwatch.Kinds {
		if kinds&(1<<k) != 0 {
			c.plans[k].rules = append(c.plans[k].rules, uint8(index))
		}
	}
	c.keeps(&out)
	return out
}

// keeps works out for how long things must be remembered for a rule.
func (c *compiled) keeps(r *rule) {
	c.good.longest = max(c.good.longest, r.unless)
	c.authKeep = max(c.authKeep, r.within, r.success)
	c.mailKeep = max(c.mailKeep, r.mail)
	if !r.bySource() {
		c.keyRules++
	}
	for _, k := range r.keys {
		if r.unless > 0 || r.uncredit {
			c.keyDelivers[k] = true
			c.keyKeep = max(c.keyKeep, r.unless, keepDeliverer)
		}
	}
	for i := range r.conds {
		if r.bySource() {
			c.exempt.longest = max(c.exempt.longest, r.conds[i].window)
		}
	}
}

// condition works out a condition, and makes its counters.
func (c *compiled) condition(r *rules.Rule, ru *rule, w *rules.Condition) condition {
	out := condition{window: seconds(w.Window), good: max(seconds(w.Window), seconds(r.GoodWindow)), least: w.Sources, events: w.Seconds == 0 && w.Open == 0}
	out.thresholds(r, w)
	limit := 0
	for _, v6 := range out.need {
		for _, after := range v6 {
			for _, n := range after {
				limit = max(limit, int(n[0])+r.Credit(rules.MaxGood))
			}
		}
	}
	if ru.share > 0 {
		limit = max(limit, 4*w.AtLeast, 4*w.V6())
	}
	if w.Open > 0 { // a session that ends leaves room for none that was forgotten
		limit = max(4*limit, 64)
	}
	keys := ru.keys
	if len(keys) == 0 {
		keys = []rules.Key{rules.BySource}
	}
	for i, k := range keys {
		base := counter{key: k, kinds: mask(r.Events), mode: r.Distinct, only: r.Only, bucket: seconds(r.Bucket)}
		base.unknown = base.kinds&(1<<harvestwatch.RcptUnknown) != 0
		out.counted[i], out.sources[i], out.against[i] = c.ask(countedBy(base, r, w), out.window, limit), -1, -1
		if w.Sources > 0 {
			of := base
			of.mode, of.bucket = rules.Client, 0
			out.sources[i] = c.ask(of, out.window, w.Sources)
		}
		if ru.share > 0 && !r.Blocks {
			of := base
			of.kinds, of.against, of.unknown = mask(r.Against), true, false
			out.against[i] = c.ask(of, out.window, int(float64(limit)*(1-r.Share)/r.Share)+2)
		}
	}
	ct := &c.counters[out.counted[0]]
	if ru.users > 0 {
		ct.users = max(ct.users, ru.users)
	}
	c.good.longest = max(c.good.longest, out.good)
	return out
}

// countedBy returns what a condition counts.
func countedBy(base counter, r *rules.Rule, w *rules.Condition) counter {
	switch {
	case r.Blocks:
		base.sums, base.mode, base.bucket = sumBlocks, rules.Client, 0
	case w.Seconds > 0:
		base.sums, base.mode = sumSeconds, rules.Each
		base.bucket = max(base.bucket, 1)
	case w.Open > 0: // whatever else the rule counts
		base.kinds, base.sums, base.mode, base.only, base.bucket = 1<<harvestwatch.Connect, sumOpen, rules.User, rules.AllEvents, 0
	case w.NoUser:
		base.sums = sumNoUser
	}
	return base
}

// ask returns the number of a counter that keeps what a window asks of it.
func (c *compiled) ask(want counter, window uint32, limit int) int {
	n := c.counter(want)
	ct := &c.counters[n]
	ct.longest = max(ct.longest, window)
	ct.limit = min(max(ct.limit, limit), rules.MaxEntries)
	if ct.bucket > 0 {
		ct.limit = int(ct.longest / ct.bucket)
	}
	return n
}

// thresholds works out what a condition asks for, with all that moves it. Each factor rounds up.
func (c *condition) thresholds(r *rules.Rule, w *rules.Condition) {
	times := func(n int, factor float64) int { return int(math.Ceil(float64(n)*factor - 1e-9)) }
	for v6, n := range []int{w.AtLeast + w.Seconds + w.Open, w.V6() + w.Seconds + w.Open} {
		after := n
		if c.events {
			after = max(n, r.AfterSuccess.AtLeast)
		}
		for i, n := range []int{n, after} {
			for standing, factor := range []float64{plain: 1, withCredit: r.CreditFactor, withName: r.VerifiedFactor, listed: r.ListedFactor} {
				x := times(n, factor)
				trial := times(x, r.Probation)
				if standing == withCredit {
					trial = x
				}
				c.need[v6][i][standing] = [2]uint32{uint32(x), uint32(trial)}
			}
		}
		for i, standing := range []int{plain, listed} {
			c.base[v6][i] = c.need[v6][0][standing]
		}
	}
}

// place gives each counter its word: those of the most sources lie in the record.
func (c *compiled) place() {
	var list []int
	for i := range c.counters {
		if k := c.counters[i].key; k != rules.BySource {
			c.counters[i].slot = kLists + len(c.perKey[k])
			c.perKey[k] = append(c.perKey[k], uint16(i))
			continue
		}
		list = append(list, i)
		c.ofSource = append(c.ofSource, uint16(i))
	}
	rank := func(i int) int {
		switch ct := &c.counters[i]; {
		case ct.unknown && ct.only == rules.AllEvents:
			return 0
		case ct.kinds == 1<<harvestwatch.Connect && ct.sums == sumEvents:
			return 1
		case ct.sums == sumOpen:
			return 2
		}
		return 3
	}
	slices.SortStableFunc(list, func(a, b int) int { return rank(a) - rank(b) })
	for n, i := range list {
		if n < inlineMax {
			c.counters[i].inline, c.counters[i].slot = true, wLists+n
			continue
		}
		c.counters[i].slot = c.extraWords
		c.extraWords++
	}
	c.extraWords++ // exempt events
}

// plan says of each kind of event that a counter counts it.
func (c *compiled) plan(n int, ct *counter) {
	for k := range harvestwatch.Kinds {
		if ct.kinds&(1<<k) == 0 || ct.sums == sumBlocks || ct.sums == sumMembers {
			continue
		}
		p := &c.plans[k]
		if ct.key == rules.BySource {
			p.counters = append(p.counters, uint16(n))
			continue
		}
		p.keyed = append(p.keyed, uint16(n))
		if !slices.Contains(p.keys, ct.key) {
			p.keys = append(p.keys, ct.key)
		}
	}
}

// nameID makes a number of a name, for saved state. It is no secret and has no key.
func nameID(name string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return h.Sum32()
}
