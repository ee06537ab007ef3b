package rules

import (
	"fmt"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// The guards that a Judge names.
const (
	GuardNever     = "never-list" // the source overlaps a network that is never blocked
	GuardBlockRate = "block-rate" // so many blocks at once look like our own mistake, and are more than an enforcer bears
)

// Policy is what the program's configuration says about judging.
type Policy struct {
	Enforce bool      // the program's mode: false is observe, and then no decision is a block
	Never   []Network // never blocked, besides what is built in
}

// Judge turns offences into decisions. Given the same offences in the same order it decides the same. It is not safe
// for concurrent use.
type Judge struct {
	set     *Set
	enforce bool
	never   *NeverList
	breaker breaker
}

// NewJudge makes a judge for the offences that a detector with the same set finds.
func NewJudge(set *Set, p Policy) *Judge {
	return &Judge{set: set, enforce: p.Enforce, never: Never(p.Never...)}
}

// Resume tells the judge, before the first offence, which blocks and would-be blocks were decided earlier: those still
// active and those of the last minute. Only their times are read. Without it a restart resets the breaker.
func (j *Judge) Resume(blocks []harvestwatch.Block) {
	for i := range blocks {
		j.breaker.add(blocks[i].From.Unix(), blocks[i].Until.Unix())
	}
}

// Judge decides about an offence that a detector with the judge's set returned. The decision holds a copy of the
// offence. Offences come in the order of their Fired times.
func (j *Judge) Judge(o *harvestwatch.Offence) harvestwatch.Decision {
	r := &j.set.Rules[o.RuleIndex]
	d := harvestwatch.Decision{Offence: *o}
	seen := seenText(r, o)
	if name, ok := j.never.Overlaps(o.Source.Prefix()); ok {
		return suppress(d, GuardNever, o.Window, seen+"; never blocked: "+name)
	}
	if r.Mode == Alert {
		d.Action, d.Reason = harvestwatch.ActAlert, seen
		return d
	}
	step := r.Step(o.Level)
	d.Until = o.Fired.Add(step)
	if r.Mode == Observe {
		d.Action, d.Reason = harvestwatch.ActObserve, fmt.Sprintf("%s; offence %d: on trial, would be blocked for %s", seen, o.Level, FormatDuration(step))
		return d
	}
	if why, wait, ok := j.breaker.full(o.Fired.Unix()); !ok {
		return suppress(d, GuardBlockRate, min(o.Window, wait), seen+"; not blocked: "+why)
	}
	j.breaker.add(o.Fired.Unix(), d.Until.Unix())
	if !j.enforce {
		d.Action, d.Reason = harvestwatch.ActObserve, fmt.Sprintf("%s; offence %d: would be blocked for %s", seen, o.Level, FormatDuration(step))
		return d
	}
	d.Action, d.Reason = harvestwatch.ActBlock, fmt.Sprintf("%s; offence %d: blocked for %s", seen, o.Level, FormatDuration(step))
	return d
}

func suppress(d harvestwatch.Decision, guard string, wait time.Duration, reason string) harvestwatch.Decision {
	d.Action, d.Guard, d.Reason, d.Until = harvestwatch.ActSuppress, guard, reason, d.Offence.Fired.Add(wait)
	return d
}

// seenText says what was seen: "10 unknown recipients within 1h and 0 deliveries: the rule harvest asks for 10".
func seenText(r *Rule, o *harvestwatch.Offence) string {
	text := fmt.Sprintf("%s within %s and %s: the rule %s asks for %d", count(o.Count, r.noun()), FormatDuration(o.Window),
		count(o.Deliveries, "delivery"), r.Name, o.Threshold)
	if o.Probation {
		text += ", on probation after a block"
	}
	return text
}

// The block-rate breaker: more is the signature of a wrong rule, a misread log or a parser's bug.
const (
	maxPerMinute = 120
	maxActive    = 20000
)

// breaker counts blocks, in the offences' own time.
type breaker struct {
	recent [maxPerMinute]int64 // the seconds of the latest blocks, a ring
	next   int                 // the oldest of them
	ends   []int64             // when the active blocks end: a heap, the earliest first
}

// full says that no block may be added at that second, why, and for how long a source that met the breaker is left
// alone. ok is true while there is room.
func (b *breaker) full(now int64) (why string, wait time.Duration, ok bool) {
	for len(b.ends) > 0 && b.ends[0] <= now {
		b.drop()
	}
	if len(b.ends) >= maxActive {
		return fmt.Sprintf("%d blocks are active", len(b.ends)), MaxWindow, false
	}
	if t := b.recent[b.next]; t != 0 && t > now-60 {
		return fmt.Sprintf("%d blocks within a minute", maxPerMinute), time.Minute, false
	}
	return "", 0, true
}

func (b *breaker) add(from, until int64) {
	b.recent[b.next] = from
	b.next = (b.next + 1) % maxPerMinute
	b.ends = append(b.ends, until)
	for i := len(b.ends) - 1; i > 0; {
		parent := (i - 1) / 2
		if b.ends[parent] <= b.ends[i] {
			break
		}
		b.ends[parent], b.ends[i] = b.ends[i], b.ends[parent]
		i = parent
	}
}

// drop removes the earliest end.
func (b *breaker) drop() {
	n := len(b.ends) - 1
	b.ends[0] = b.ends[n]
	b.ends = b.ends[:n]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < n; c++ {
			if b.ends[c] < b.ends[least] {
				least = c
			}
		}
		if least == i {
			return
		}
		b.ends[i], b.ends[least] = b.ends[least], b.ends[i]
		i = least
	}
}
