package evaluate

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch/internal/loggen"
)

// concentrated is how many tries a source must make for its share to count as one that blocks by address can reach.
const concentrated = 10

// Stats says what worlds were like, without anybody's blocks.
type Stats struct {
	Worlds       int   `json:"worlds"`
	Events       int64 `json:"events"`
	Sources      int64 `json:"sources"`
	Probes       int64 `json:"probes"`       // recipients that harvesters asked for, whether they exist or not
	Concentrated int64 `json:"concentrated"` // those of them by sources that asked for ten or more
	Learned      int64 `json:"learned"`      // those of them that exist
	Junk         int64 `json:"junk"`         // connections of hostile sources
	Good         int64 `json:"good"`         // deliveries by sources that must not be blocked
	Delivered    int64 `json:"delivered"`    // deliveries by anybody
}

func (s *Stats) add(o *Stats) {
	s.Worlds += o.Worlds
	s.Events += o.Events
	s.Sources += o.Sources
	s.Probes += o.Probes
	s.Concentrated += o.Concentrated
	s.Learned += o.Learned
	s.Junk += o.Junk
	s.Good += o.Good
	s.Delivered += o.Delivered
}

// Reach returns the share of the probes, from 0 to 1, that came from sources with ten or more: what blocks by address
// can prevent at best, and a little more.
func (s *Stats) Reach() float64 { return part(s.Concentrated, s.Probes) }

// Metrics are one contender's figures, in one world or in several.
type Metrics struct {
	Contender string `json:"contender"`
	Note      string `json:"note"`
	Cell      *Cell  `json:"cell,omitempty"`

	Probes         int64   `json:"probes"`          // recipients that harvesters had scheduled to ask for
	Prevented      int64   `json:"prevented"`       // those of them that fell into a block: the attacker comes back after each
	Worst          float64 `json:"worst"`           // the smallest share prevented in one world, from 0 to 1
	Best           float64 `json:"best"`            // the greatest
	LeaveProbes    int64   `json:"leave_probes"`    // the attacker leaves at its first block and takes along what it had scheduled after it: what remains
	LeavePrevented int64   `json:"leave_prevented"` // those of LeaveProbes that fell into the first block
	Learned        int64   `json:"learned"`         // recipients that exist and that harvesters had scheduled to ask for
	Leaked         int64   `json:"leaked"`          // those of them that they did learn of
	Junk           int64   `json:"junk"`            // connections of hostile sources
	JunkPrevented  int64   `json:"junk_prevented"`
	Good           int64   `json:"good"`         // deliveries by sources that must not be blocked
	GoodHit        int64   `json:"good_hit"`     // those of them that a block delayed
	OtherHit       int64   `json:"other_hit"`    // deliveries by all other sources that a block delayed
	MaxDelay       int64   `json:"max_delay"`    // seconds, of GoodHit: until the end of the block, or of blocks that follow one another
	Blocks         int64   `json:"blocks"`       // blocks issued
	HungUp         int64   `json:"hung_up"`      // sessions ended instead
	Released       int64   `json:"released"`     // blocks taken back
	Peak           int     `json:"peak"`         // most blocks active at a time, in one world
	Events         int64   `json:"events"`       // events that reached it
	Seconds        float64 `json:"seconds"`      // time it took for them; 0 where no clock was given
	BytesASource   float64 `json:"source_bytes"` // of our own detector, at the end of the world with the most sources
	Known          int     `json:"known"`        // the sources that it knew there
	Notices        int     `json:"notices"`      // how often a guard of ours spoke for the whole site
	Held           int64   `json:"held"`         // for how many seconds it held back what the rules found
	Digest         uint64  `json:"digest"`       // of all blocks, in their order

	Classes []Class `json:"classes"` // of hostile sources, by name
	Wrong   []Wrong `json:"wrong"`   // sources that must not be blocked and were
}

// Class says how a contender dealt with the hostile sources of one class.
type Class struct {
	Class     string `json:"class"`
	Deed      string `json:"deed"`    // what counts as its attempts
	Sources   int64  `json:"sources"` // hostile ones that made an attempt
	Blocked   int64  `json:"blocked"`
	Must      int64  `json:"must"` // sources that do harm and show it plainly
	MustLeft  int64  `json:"must_left"`
	Attempts  int64  `json:"attempts"`
	Prevented int64  `json:"prevented"`
	// Percentiles over the sources that were blocked or must be; one that never was is slower than all others. -1 stands
	// for never.
	AttemptsP50 int64 `json:"attempts_p50"` // attempts up to and including the one that brought the block
	AttemptsP95 int64 `json:"attempts_p95"`
	DetectP50   int64 `json:"detect_p50"` // seconds from the first attempt until then
	DetectP95   int64 `json:"detect_p95"`

	attempts, detect []int64
}

// Leak returns the share of the attempts, from 0 to 1, that were not prevented.
func (c *Class) Leak() float64 { return 1 - part(c.Prevented, c.Attempts) }

// Wrong is a source that must not be blocked and was.
type Wrong struct {
	Seed     uint64    `json:"seed"`     // of its world
	Scenario int       `json:"scenario"` // its number in the list of scenarios, 0 for none
	Class    string    `json:"class"`
	Entity   string    `json:"entity"`
	Source   string    `json:"source"`
	Rule     string    `json:"rule"`
	At       time.Time `json:"at"`
	Tries    uint32    `json:"tries"` // recipients it had asked for until then
	Hit      uint32    `json:"hit"`   // its deliveries that were delayed
}

const never int64 = math.MaxInt64

// part returns n/all, and 0 for nothing of nothing.
func part(n, all int64) float64 {
	if all == 0 {
		return 0
	}
	return float64(n) / float64(all)
}

// Share returns the share of the probes that was prevented, from 0 to 1.
func (m *Metrics) Share() float64 { return part(m.Prevented, m.Probes) }

// LeaveShare returns the same where attackers leave at their first block.
func (m *Metrics) LeaveShare() float64 { return part(m.LeavePrevented, m.LeaveProbes) }

// JunkShare returns the share of the hostile connections that was prevented, from 0 to 1.
func (m *Metrics) JunkShare() float64 { return part(m.JunkPrevented, m.Junk) }

// HitShare returns the share of the good deliveries that was delayed, from 0 to 1.
func (m *Metrics) HitShare() float64 { return part(m.GoodHit, m.Good) }

// PerBlock returns how many probes a block prevented on average.
func (m *Metrics) PerBlock() float64 { return part(m.Prevented, m.Blocks) }

// Speed returns events a second; 0 where no time was measured.
func (m *Metrics) Speed() float64 {
	if m.Seconds == 0 {
		return 0
	}
	return float64(m.Events) / m.Seconds
}

// Of returns the figures about a class, or nil.
func (m *Metrics) Of(class string) *Class {
	for i := range m.Classes {
		if m.Classes[i].Class == class {
			return &m.Classes[i]
		}
	}
	return nil
}

// aims says what a class of hostile sources is after, by the name that the generator gives it. A class that is not
// named is after recipients.
func aims(class string) deed {
	switch class {
	case "guesser", "spray":
		return logins
	case "spammer", "msgflood":
		return messages
	case "flooder", "hog":
		return connects
	}
	return tries
}

func (d deed) String() string {
	return [...]string{"recipients", "logins", "messages", "connections", "deliveries", "learned", ""}[d]
}

func hostile(s *loggen.Source) bool { return s.Label == loggen.MustBlock || s.Label == loggen.MayBlock }

// reckon adds up what every lane and the world itself have to say.
func reckon(entries []Entry, lanes []*lane, k *known, truth []*loggen.Source) ([]Metrics, Stats) {
	stats := Stats{Sources: int64(len(k.sources))}
	for id := range k.sources {
		stats.take(&k.sources[id], truth[id])
	}
	list := make([]Metrics, len(lanes))
	for i, l := range lanes {
		m := &list[i]
		*m = Metrics{Contender: entries[i].Name, Note: entries[i].Note, Cell: entries[i].Cell, Probes: stats.Probes, LeaveProbes: stats.Probes,
			Learned: stats.Learned, Leaked: stats.Learned, Junk: stats.Junk, Good: stats.Good, Blocks: int64(len(l.spans)), HungUp: l.cuts,
			Released: l.freed, Peak: l.peak(), Events: l.seen, Seconds: l.spent.Seconds(), Digest: l.digest}
		if o, ok := l.c.(*Ours); ok {
			s := o.Stats()
			told, held := o.Notices()
			m.Notices, m.Held = told, int64(held.Seconds())
			m.Known, m.BytesASource = s.Sources, part(int64(s.Bytes), int64(s.Sources))
		}
		byClass := map[string]*Class{}
		for id := range k.sources {
			m.take(l.known(int32(id)), &k.sources[id], truth[id], byClass)
		}
		for _, c := range byClass {
			m.Classes = append(m.Classes, *c)
		}
		m.Worst, m.Best = m.Share(), m.Share()
	}
	return list, stats
}

func (s *Stats) take(d *did, truth *loggen.Source) {
	s.Delivered += int64(d.counts[good])
	if truth.Label == loggen.MustNotBlock {
		s.Good += int64(d.counts[good])
	}
	if !hostile(truth) {
		return
	}
	s.Junk += int64(d.counts[connects])
	if aims(truth.Class) == tries {
		s.Probes += int64(d.counts[tries])
		s.Learned += int64(d.counts[learned])
		if d.counts[tries] >= concentrated {
			s.Concentrated += int64(d.counts[tries])
		}
	}
}

// take adds one source; st is nil for one that no block concerned.
func (m *Metrics) take(st *state, d *did, truth *loggen.Source, byClass map[string]*Class) {
	if hostile(truth) {
		m.takeClass(st, d, truth, byClass)
	}
	if st == nil {
		return
	}
	st.delivered()
	if truth.Label == loggen.MustNotBlock {
		m.GoodHit += int64(st.kept[good])
		m.MaxDelay = max(m.MaxDelay, (st.delay+second-1)/second)
		m.Wrong = append(m.Wrong, Wrong{Scenario: truth.Scenario, Class: truth.Class, Entity: truth.Entity, Source: d.source.String(), Rule: st.rule,
			At: time.Unix(0, st.fired).UTC(), Tries: st.so[tries], Hit: st.kept[good]})
		return
	}
	m.OtherHit += int64(st.kept[good])
	if !hostile(truth) {
		return
	}
	m.JunkPrevented += int64(st.kept[connects])
	if aims(truth.Class) == tries {
		m.Prevented += int64(st.kept[tries])
		m.Leaked -= int64(st.kept[learned])
		m.LeavePrevented += int64(st.first)
		m.LeaveProbes -= int64(st.away)
	}
}

func (m *Metrics) takeClass(st *state, d *did, truth *loggen.Source, byClass map[string]*Class) {
	aim := aims(truth.Class)
	if d.counts[aim] == 0 {
		return
	}
	c := byClass[truth.Class]
	if c == nil {
		c = &Class{Class: truth.Class, Deed: aim.String()}
		byClass[truth.Class] = c
	}
	c.Sources++
	c.Attempts += int64(d.counts[aim])
	must := truth.Label == loggen.MustBlock
	if must {
		c.Must++
	}
	if st == nil {
		if must {
			c.MustLeft++
			c.attempts, c.detect = append(c.attempts, never), append(c.detect, never)
		}
		return
	}
	c.Blocked++
	c.Prevented += int64(st.kept[aim])
	c.attempts = append(c.attempts, int64(st.so[aim]))
	c.detect = append(c.detect, max(st.fired-d.first[aim], 0)/second)
}

// first prepares the figures of the first world for those of others.
func (m *Metrics) first() {
	slices.SortFunc(m.Classes, func(a, b Class) int { return cmp.Compare(a.Class, b.Class) })
}

// add takes in what the same contender did in another world.
func (m *Metrics) add(o *Metrics) {
	m.Probes += o.Probes
	m.Prevented += o.Prevented
	m.LeaveProbes += o.LeaveProbes
	m.LeavePrevented += o.LeavePrevented
	m.Learned += o.Learned
	m.Leaked += o.Leaked
	m.Junk += o.Junk
	m.JunkPrevented += o.JunkPrevented
	m.Good += o.Good
	m.GoodHit += o.GoodHit
	m.OtherHit += o.OtherHit
	m.Blocks += o.Blocks
	m.HungUp += o.HungUp
	m.Released += o.Released
	m.Notices += o.Notices
	m.Held += o.Held
	m.Events += o.Events
	m.Seconds += o.Seconds
	m.Digest = mix(m.Digest, o.Digest)
	m.Worst, m.Best = min(m.Worst, o.Worst), max(m.Best, o.Best)
	m.MaxDelay, m.Peak = max(m.MaxDelay, o.MaxDelay), max(m.Peak, o.Peak)
	if o.Known > m.Known {
		m.Known, m.BytesASource = o.Known, o.BytesASource
	}
	m.Wrong = append(m.Wrong, o.Wrong...)
	for i := range o.Classes {
		c := m.Of(o.Classes[i].Class)
		if c == nil {
			m.Classes = append(m.Classes, o.Classes[i])
			continue
		}
		c.add(&o.Classes[i])
	}
}

func (c *Class) add(o *Class) {
	c.Sources += o.Sources
	c.Blocked += o.Blocked
	c.Must += o.Must
	c.MustLeft += o.MustLeft
	c.Attempts += o.Attempts
	c.Prevented += o.Prevented
	c.attempts, c.detect = append(c.attempts, o.attempts...), append(c.detect, o.detect...)
}

// settle works out what can only be said once all worlds are added up.
func (f *Found) settle() {
	for i := range f.Contenders {
		m := &f.Contenders[i]
		m.first()
		for j := range m.Classes {
			m.Classes[j].settle()
		}
	}
}

func (c *Class) settle() {
	slices.Sort(c.attempts)
	slices.Sort(c.detect)
	c.AttemptsP50, c.AttemptsP95 = percentile(c.attempts, 50), percentile(c.attempts, 95)
	c.DetectP50, c.DetectP95 = percentile(c.detect, 50), percentile(c.detect, 95)
	c.attempts, c.detect = nil, nil
}

// percentile returns the smallest of the sorted values that at least so many per cent of them don't exceed; -1 for never
// and for the percentile of nothing.
func percentile(sorted []int64, percent int) int64 {
	if len(sorted) == 0 {
		return -1
	}
	v := sorted[(len(sorted)*percent+99)/100-1]
	if v == never {
		return -1
	}
	return v
}
