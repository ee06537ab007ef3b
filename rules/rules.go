// Package rules holds what is held against a source, as data, and judges what follows from an offence. It reads rule
// files (TOML, strict), carries the default ones, says each rule in plain words, and turns an offence into a decision:
// the ladder of block times, the networks that are never blocked, the breaker against too many blocks. It counts
// nothing and remembers no source, that is the detector's job; it asks neither a clock nor the network, and it starts
// no goroutine. A Set is read only once made and may be shared; a Judge belongs to one goroutine.
package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// Limits of a rule. Every list that the detector keeps for a source is bounded through them.
const (
	MaxRules   = 32                  // rules in a set
	MaxAtLeast = 1000                // the largest threshold of a condition, deliveries not added
	MaxGood    = 256                 // distinct recipients delivered to beyond which a source earns no further credit
	MaxFactor  = 10.0                // the largest good_factor
	MaxWindow  = 30 * 24 * time.Hour // the longest window, memory or period of a rule
	MaxBlock   = 7 * 24 * time.Hour  // the longest step of a ladder
	MaxSteps   = 8                   // steps of a ladder
	MaxBuckets = 120                 // buckets in a window
	MaxUsers   = 100                 // distinct users that after_success may demand
)

// DefaultGoodWindow is the window of deliveries for a rule that names none: a day, so that last night's mail speaks
// for a source in the morning.
const DefaultGoodWindow = 24 * time.Hour

// Mode says how far a rule may go. The program's own mode bounds it further.
type Mode uint8

// The modes of a rule.
const (
	Enforce Mode = iota + 1 // blocks, if the program's mode is enforce too
	Observe                 // decides and records, never touches anything: a rule on trial
	Alert                   // tells somebody, never blocks
)

var modeNames = [...]string{"", "enforce", "observe", "alert"}

// String returns the mode's name in a rule file.
func (m Mode) String() string {
	if int(m) >= len(modeNames) {
		return ""
	}
	return modeNames[m]
}

// Distinct says which events of a source count as one.
type Distinct uint8

// The ways to count.
const (
	Each       Distinct = iota // every event counts
	Recipient                  // one for each recipient, however often it was tried; an event without one counts by itself
	UserMinute                 // one for each pair of user name and minute; all events without a name are of one user
)

var distinctNames = [...]string{"none", "recipient", "user/minute"}

// String returns the name in a rule file.
func (d Distinct) String() string {
	if int(d) >= len(distinctNames) {
		return ""
	}
	return distinctNames[d]
}

// Condition is reached when at least AtLeast were counted in the Window, what speaks for the source not yet added.
type Condition struct {
	Window  time.Duration // whole seconds, 1 s to MaxWindow; half open: what is exactly Window old no longer counts
	AtLeast int           // 1 to MaxAtLeast
}

// AfterSuccess asks for more from a source that lately authenticated with success. The zero value asks for nothing.
type AfterSuccess struct {
	Within  time.Duration // how long a success speaks for the source; 0: never
	AtLeast int           // what every condition asks for then, unless it asks for more by itself
	Users   int           // and so many distinct named users must be among what was counted
}

// Rule says what to count, over which window, up to which threshold, and what follows.
type Rule struct {
	Name       string              // lower case letters, digits and hyphens, at most 32
	Text       string              // the reason in a sentence, for people
	Mode       Mode                //
	Events     []harvestwatch.Kind // the kinds that count; of RcptUnknown only lasting refusals, none of the null sender or of an event with a User
	Distinct   Distinct            //
	Bucket     time.Duration       // if not 0, time is counted in steps of so much (only with Each): coarser, smaller
	Conditions []Condition         // one of them is enough
	GoodFactor float64             // what each distinct recipient that the source delivered to adds to the threshold; two decimals
	GoodWindow time.Duration       // in which deliveries are counted; at least the condition's window is taken

	UnlessDeliveredWithin time.Duration // the rule rests so long after a delivery of the source; 0: never
	AfterSuccess          AfterSuccess

	Ladder    []time.Duration // how long the first, second, … offence is blocked; the last step repeats; empty for Alert
	Probation float64         // what the thresholds are multiplied by for a day after a block's end, rounded up; 1: nothing
}

// Credit returns what deliveries to so many distinct recipients add to the thresholds of the rule: the good factor
// times g, rounded down. Beyond MaxGood nothing is added.
func (r *Rule) Credit(g int) int {
	return int(math.Round(r.GoodFactor*100)) * min(max(g, 0), MaxGood) / 100
}

// Step returns the block time of a source's level-th offence, from 1. It is 0 for a rule without a ladder.
func (r *Rule) Step(level int) time.Duration {
	if len(r.Ladder) == 0 {
		return 0
	}
	return r.Ladder[min(max(level, 1), len(r.Ladder))-1]
}

// Set is a checked list of rules. Their order matters: of two rules that one event satisfies, the first wins.
type Set struct {
	Rules []Rule // not to be changed
}

// New checks the rules and makes a set of them. What a rule leaves out is filled in as Parse does it. The error is an
// *Error without file and position.
func New(list ...Rule) (*Set, error) {
	s := &Set{Rules: append([]Rule(nil), list...)}
	for i := range s.Rules {
		fill(&s.Rules[i])
	}
	if p := check(s); p != nil {
		return nil, &Error{Key: p.key(s), Problem: p.problem, Remedy: p.remedy}
	}
	return s, nil
}

// fill sets what a rule leaves out.
func fill(r *Rule) {
	if r.GoodWindow == 0 {
		r.GoodWindow = DefaultGoodWindow
	}
	if r.Probation == 0 {
		r.Probation = 0.5
	}
}

// Fingerprint returns 16 hexadecimal digits that differ between sets that decide differently. The sentence for people
// is no part of it.
func (s *Set) Fingerprint() string {
	var b strings.Builder
	for i := range s.Rules {
		r := s.Rules[i]
		r.Text = ""
		fmt.Fprintf(&b, "%+v\n", r)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}

// Rule returns the rule with that name.
func (s *Set) Rule(name string) (*Rule, bool) {
	for i := range s.Rules {
		if s.Rules[i].Name == name {
			return &s.Rules[i], true
		}
	}
	return nil, false
}
