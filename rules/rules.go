// Package rules holds what is held against a source, as data, and judges what follows from an offence. It reads rule
// files (TOML, strict), carries the default ones, says each rule in plain words, and turns an offence into a decision:
// the ladder of block times, the lists of who is never and who is always blocked, the steps of a roll-out, the breaker
// against too many blocks. It counts nothing and remembers no source, that is the detector's job; it asks neither a
// clock nor the network, and it starts no goroutine. A Set and Lists are read only once made and may be shared; a Judge
// belongs to one goroutine.
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
	MaxSeconds = 1 << 20             // connection-seconds that a condition may ask for
	MaxKeys    = 2                   // keys of a rule
	MaxEntries = 4096                // entries of any list that is kept of a source or key (Rule.Entries)
)

// DefaultGoodWindow is the window of deliveries for a rule that names none: a day, so that last night's mail speaks
// for a source in the morning.
const DefaultGoodWindow = 24 * time.Hour

// DefaultCreditFactor is how much more it takes for a source that has delivered good mail for a while.
const DefaultCreditFactor = 4.0

// CreditedBlock and CreditedDay bound the blocks of a source with credit: each, and together within 24 hours.
const (
	CreditedBlock = time.Hour
	CreditedDay   = 4 * time.Hour
)

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

// Distinct says which events count as one.
type Distinct uint8

// The ways to count.
const (
	Each       Distinct = iota // every event counts
	Recipient                  // one for each recipient, however often it was tried; an event without one counts by itself
	UserMinute                 // one for each pair of user name and minute; all events without a name are of one user
	User                       // one for each user name; an event without a name doesn't count
	Domain                     // one for each domain of a recipient; an event without one doesn't count
	Client                     // one for each source
)

var distinctNames = [...]string{"none", "recipient", "user/minute", "user", "domain", "source"}

// String returns the name in a rule file.
func (d Distinct) String() string {
	if int(d) >= len(distinctNames) {
		return ""
	}
	return distinctNames[d]
}

// Key says whose events a rule adds up.
type Key uint8

// The keys. For all but BySource and ByPrefix the offence is that of the source whose event reached, or stands above,
// the threshold: the key's members are answerable one by one.
const (
	BySource       Key = iota // the source: an IPv4 address, an IPv6 /64
	ByPrefix                  // the IPv4 /24 or IPv6 /48 around it; the offence and its block are the prefix's
	ByHelo                    // the HELO name in a normal form: lower case, runs of digits as one; no address literals
	BySenderDomain            // the domain of the envelope sender; neither the null sender nor a free mail provider's domain
	ByUser                    // the name given for authentication
)

var keyNames = [...]string{"source", "prefix", "helo", "sender_domain", "user"}

// String returns the name in a rule file.
func (k Key) String() string {
	if int(k) >= len(keyNames) {
		return ""
	}
	return keyNames[k]
}

// Only narrows down which events of the named kinds count.
type Only uint8

// The restrictions.
const (
	AllEvents  Only = iota
	NullSender      // only events with the null sender; without this, none of RcptUnknown with the null sender counts
	IdleOnly        // only disconnects of sessions without MAIL
)

var onlyNames = [...]string{"", "null_sender", "idle"}

// String returns the name in a rule file.
func (o Only) String() string {
	if int(o) >= len(onlyNames) {
		return ""
	}
	return onlyNames[o]
}

// Condition is reached when at least AtLeast were counted in the Window, what speaks for the source not yet added, and
// the other bounds that are set are reached too. Of AtLeast, Seconds and Open exactly one is set.
type Condition struct {
	Window    time.Duration // whole seconds, 1 s to MaxWindow; half open: what is exactly Window old no longer counts
	AtLeast   int           // events, or distinct ones; 1 to MaxAtLeast
	AtLeastV6 int           // the same for an IPv6 source or prefix; 0: as AtLeast
	Seconds   int           // connection-seconds: how long the counted disconnects had been connected, added up; 1 to MaxSeconds
	Open      int           // simultaneous connections: begun in the Window and not ended; 1 to MaxAtLeast
	Sources   int           // for a rule with a Key: and from so many distinct sources; 0 to MaxAtLeast
	NoUser    bool          // with distinct users: only those that the site certainly doesn't have count, role names excepted
}

// AfterSuccess asks for more from a source that lately authenticated with success. The zero value asks for nothing.
type AfterSuccess struct {
	Within  time.Duration // how long a success speaks for the source; 0: never
	AtLeast int           // what every condition asks for then, unless it asks for more by itself
	Users   int           // and so many distinct named users must be among what was counted
}

// Shared lets a recipient that others guessed before count more, and demands some of them: harvesters share their word
// lists. The zero value doesn't.
type Shared struct {
	Within  time.Duration // how far back blocked sources are asked; whole days, at most 7 d
	Sources int           // so many different blocked sources must have tried the recipient; 2 to 1000
	Names   int           // a source must have tried so many such recipients for the rule to fire; each of them counts double
}

// Rule says what to count, over which window, up to which threshold, and what follows.
type Rule struct {
	Name       string              // lower case letters, digits and hyphens, at most 32
	Text       string              // the reason in a sentence, for people
	Mode       Mode                //
	Events     []harvestwatch.Kind // the kinds that count; of RcptUnknown only lasting refusals, none of an event with a User
	Blocks     bool                // instead of Events: sources that are blocked, or would be, by a rule that is not on trial count, one for each source
	Only       Only                //
	Keys       []Key               // whose events are added up; none is BySource alone. Of several each must reach the threshold
	Distinct   Distinct            //
	Bucket     time.Duration       // if not 0, time is counted in steps of so much (only with Each): coarser, smaller
	Conditions []Condition         // one of them is enough
	Share      float64             // if not 0, what was counted must be at least this share of it and of Against together, in the same window
	Against    []harvestwatch.Kind // what counts as the other share; with Blocks it is the active sources of the prefix, and left empty
	GoodFactor float64             // what each distinct recipient that the source delivered to adds to the threshold; two decimals
	GoodWindow time.Duration       // in which deliveries are counted; at least the condition's window is taken

	UnlessDeliveredWithin time.Duration // the rule rests so long after a delivery of the source, and of the key; 0: never
	UnlessMailWithin      time.Duration // and so long after the source gave a MAIL command, as far as the log shows; 0: never
	UnlessSuccessWithin   time.Duration // and so long after a successful login from the source; 0: never
	UnlessCredited        bool          // the rule rests for a source with credit, and for a key with a credited member
	AfterSuccess          AfterSuccess
	Shared                Shared

	CreditFactor   float64 // what the thresholds are multiplied by for a source with credit; 1 to 10
	VerifiedFactor float64 // … with a verified name that fits its HELO and looks like no access line; 1 to 10
	ListedFactor   float64 // … that a block list has, and that neither credit nor a verified name speaks for; above 0, up to 1

	Ladder    []time.Duration // how long the first, second, … offence is blocked; the last step repeats; empty for Alert
	Probation float64         // what the thresholds are multiplied by for a day after a block's end, rounded up; 1: nothing
}

// V6 returns the condition's number of events for an IPv6 source or prefix.
func (c *Condition) V6() int {
	if c.AtLeastV6 > 0 {
		return c.AtLeastV6
	}
	return c.AtLeast
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
	if len(r.Keys) == 0 || len(r.Keys) == 1 && r.Keys[0] == BySource {
		r.Keys = nil
	}
	if r.GoodWindow == 0 {
		r.GoodWindow = DefaultGoodWindow
	}
	if r.Probation == 0 {
		r.Probation = 0.5
	}
	if r.CreditFactor == 0 {
		r.CreditFactor = DefaultCreditFactor
	}
	if r.VerifiedFactor == 0 {
		r.VerifiedFactor = 1
	}
	if r.ListedFactor == 0 {
		r.ListedFactor = 1
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
