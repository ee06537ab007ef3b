package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// The guards, by the names that decisions have. The first group is what a Judge knows, the second what a detector knows
// and names in Offence.Guard.
const (
	GuardNever     = "never-list"    // the target overlaps a network that is never blocked
	GuardAllow     = "allow-list"    // the administrator's list of addresses, networks and verified domains has the source
	GuardPool      = "provider-pool" // the target overlaps the outgoing servers of a large provider
	GuardVerified  = "verified-name" // the client's verified name belongs to a provider that is never blocked
	GuardBlockRate = "block-rate"    // so many blocks at once look like our own mistake, and are more than an enforcer bears
	GuardRollout   = "roll-out"      // the daemon is new here, and the rule's turn has not come
	GuardServed    = "credit-limit"  // a source with credit was blocked for four hours within a day already

	GuardCredit      = "credit"            // the source delivered good mail lately, three messages or on two days: it takes more
	GuardDeliveries  = "deliveries"        // each recipient that the source delivered to raised the threshold
	GuardRepeat      = "first-contact"     // the same recipients were tried again: each counts once
	GuardExUser      = "ex-user"           // recipients that once received mail are no guesses
	GuardNull        = "null-sender"       // bounces come from honest servers
	GuardLogin       = "logged-in"         // the client had authenticated
	GuardSuccess     = "login-success"     // somebody logged in with success from the source
	GuardMail        = "mail-seen"         // the source delivers, or gives MAIL commands: the rule rests
	GuardCorroborate = "corroboration"     // a borderline case, and the client's verified name fits its HELO
	GuardShare       = "good-share"        // too much of what the source or the key did was good
	GuardOutage      = "directory-outage"  // the server denies users who received mail this week
	GuardGoodMail    = "good-mail"         // good mail stays away: something is wrong with us, or with the line
	GuardBudget      = "collateral-budget" // the good mail that all blocks together may hold up is spent
	GuardIPv6        = "ipv6-aggregate"    // so many /64 of one prefix are active that they are counted together, for the report only
)

// DenyRule is the rule's name in decisions about the deny list.
const DenyRule = "deny-list"

// DenyBlock is how long a source is blocked for being on the deny list; whoever comes back is blocked again.
const DenyBlock = 24 * time.Hour

// Policy is what the program's configuration says about judging.
type Policy struct {
	Enforce  bool      // the program's mode: false is observe, and then no decision is a block
	Never    []Network // never blocked, besides what is built in
	Lists    *Lists    // the administrator's static lists; nil for none
	Pools    []Network // the outgoing servers of large providers: never blocked, but counted and reported
	Verified []string  // domains; whose verified name is one or lies below one is never blocked. What is no domain matches nothing
	Rollout  Rollout   // the steps in which a new installation begins to block; the zero Rollout: at once
}

// Rollout lets a new installation begin carefully: first it only watches, then one rule blocks for a short time, then
// all block for as long as they say. The times are those of the offences.
type Rollout struct {
	Since      time.Time     // when the installation was first told to block
	Observe    time.Duration // for so long nothing is blocked
	Short      time.Duration // and then for so long only First blocks
	ShortBlock time.Duration // and for no longer than this; 0: as its ladder says
	First      string        // a rule's name; "" lets none block
}

// Judge turns offences into decisions. Given the same offences in the same order it decides the same. It is not safe
// for concurrent use.
type Judge struct {
	set      *Set
	enforce  bool
	never    *NeverList
	lists    *Lists
	pools    prefixSet
	verified domainSet
	rollout  Rollout
	breaker  breaker
}

// NewJudge makes a judge for the offences that a detector with the same set finds.
func NewJudge(set *Set, p Policy) *Judge {
	j := &Judge{set: set, enforce: p.Enforce, never: Never(p.Never...), lists: p.Lists, pools: setOf(p.Pools), rollout: p.Rollout}
	for _, d := range p.Verified {
		d = strings.TrimPrefix(d, ".")
		_ = j.verified.parse("."+d, d) // what is no domain matches nothing: who reads the configuration refuses it
	}
	return j
}

// SetLists changes the static lists, from the next offence on.
func (j *Judge) SetLists(l *Lists) { j.lists = l }

// SetPools changes the provider pools, from the next offence on.
func (j *Judge) SetPools(pools []Network) { j.pools = setOf(pools) }

// Resume tells the judge, before the first offence, which blocks and would-be blocks were decided earlier: those still
// active and those of the last minute. Only their times are read. Without it a restart resets the breaker.
func (j *Judge) Resume(blocks []harvestwatch.Block) {
	for i := range blocks {
		j.breaker.add(blocks[i].From.Unix(), blocks[i].Until.Unix())
	}
}

// Judge decides about an offence that a detector with the judge's set returned. The decision holds a copy of the
// offence. Offences come in the order of their Fired times. One without a rule (RuleIndex below 0) is the deny list's.
func (j *Judge) Judge(o *harvestwatch.Offence) harvestwatch.Decision {
	if o.RuleIndex < 0 {
		return j.Deny(o, "")
	}
	r := &j.set.Rules[o.RuleIndex]
	d := harvestwatch.Decision{Offence: *o}
	seen := seenText(r, o)
	if guard, why, ok := j.spared(o); ok {
		return suppress(d, guard, o.Window, seen+why)
	}
	if why, ok := j.verified.match(o.Name); ok {
		return suppress(d, GuardVerified, o.Window, seen+notBlocked(GuardVerified, "its verified name belongs to "+why))
	}
	if o.Guard != "" {
		return suppress(d, o.Guard, o.Window, seen+notBlocked(o.Guard, guardText(r, o)))
	}
	if r.Mode == Alert {
		d.Action, d.Reason = harvestwatch.ActAlert, seen
		return d
	}
	step := r.Step(o.Level)
	short := ""
	if o.Credited && step > CreditedBlock {
		short = fmt.Sprintf(" instead of %s, as the source has credit", FormatDuration(step))
		step = CreditedBlock
	}
	seen = fmt.Sprintf("%s; offence %d", seen, o.Level)
	if r.Mode == Observe {
		return observe(d, "", step, seen+": on trial, would be blocked for ", short)
	}
	allowed, until, ok := j.rollout.step(r.Name, o.Fired, step)
	if !ok {
		begin := until.UTC().Format(time.RFC3339)
		return observe(d, GuardRollout, step, fmt.Sprintf("%s: not before %s (%s), would be blocked for ", seen, begin, GuardRollout), short)
	}
	if allowed < step {
		short = fmt.Sprintf(" instead of %s, for the time of the %s", FormatDuration(step), GuardRollout)
		step = allowed
	}
	if o.Credited && o.Served+step > CreditedDay {
		why := fmt.Sprintf("a source with credit is blocked for at most %s a day, and was for %s", FormatDuration(CreditedDay), FormatDuration(o.Served))
		return suppress(d, GuardServed, o.Window, seen+notBlocked(GuardServed, why))
	}
	return j.block(d, step, o.Window, seen+": ", short)
}

// Deny decides about a source that the deny list has, as Lists.Denied says it; the entry is cited. Of the offence the
// source, the times, the address, the name and the session are read. The never-list, the accept list and the provider
// pools win over the deny list; no other guard does, but the breaker against too many blocks.
func (j *Judge) Deny(o *harvestwatch.Offence, entry string) harvestwatch.Decision {
	d := harvestwatch.Decision{Offence: *o}
	d.Offence.Rule, d.Offence.RuleIndex = DenyRule, -1
	seen := "on the deny list"
	if entry != "" {
		seen += ": " + entry
	}
	if guard, why, ok := j.spared(o); ok {
		return suppress(d, guard, DenyBlock, seen+why)
	}
	return j.block(d, DenyBlock, DenyBlock, seen+"; ", "")
}

// spared says whether the target of an offence is one that nothing may block, by which guard, and what to add to the
// reason.
func (j *Judge) spared(o *harvestwatch.Offence) (guard, why string, ok bool) {
	target := o.Target()
	if name, ok := j.never.Overlaps(target); ok {
		return GuardNever, "; never blocked: " + name, true
	}
	if entry, ok := j.lists.Allowed(target, o.Name); ok {
		return GuardAllow, notBlocked(GuardAllow, entry), true
	}
	if name, ok := j.pools.overlaps(target); ok {
		return GuardPool, notBlocked(GuardPool, "an outgoing server of "+name), true
	}
	return "", "", false
}

// block blocks, or says that it would, unless that is one too many.
func (j *Judge) block(d harvestwatch.Decision, step, longest time.Duration, reason, short string) harvestwatch.Decision {
	fired := d.Offence.Fired
	if why, wait, ok := j.breaker.full(fired.Unix()); !ok {
		return suppress(d, GuardBlockRate, min(longest, wait), strings.TrimRight(reason, ":; ")+"; not blocked: "+why)
	}
	d.Until = fired.Add(step)
	j.breaker.add(fired.Unix(), d.Until.Unix())
	if !j.enforce {
		return observe(d, "", step, reason+"would be blocked for ", short)
	}
	d.Action, d.Reason = harvestwatch.ActBlock, reason+"blocked for "+FormatDuration(step)+short
	return d
}

// step returns the step that the roll-out allows a rule, and until when it allows none if ok is false.
func (ro *Rollout) step(rule string, at time.Time, step time.Duration) (_ time.Duration, until time.Time, ok bool) {
	begin := ro.Since.Add(ro.Observe)
	full := begin.Add(ro.Short)
	switch {
	case *ro == Rollout{} || !at.Before(full):
		return step, time.Time{}, true
	case ro.First == "" || rule != ro.First:
		return step, full, false
	case at.Before(begin):
		return step, begin, false
	case ro.ShortBlock > 0:
		step = min(step, ro.ShortBlock)
	}
	return step, time.Time{}, true
}

// observe records what would be blocked, and for how long.
func observe(d harvestwatch.Decision, guard string, step time.Duration, reason, short string) harvestwatch.Decision {
	d.Action, d.Guard, d.Reason, d.Until = harvestwatch.ActObserve, guard, reason+FormatDuration(step)+short, d.Offence.Fired.Add(step)
	return d
}

func suppress(d harvestwatch.Decision, guard string, wait time.Duration, reason string) harvestwatch.Decision {
	d.Action, d.Guard, d.Reason, d.Until = harvestwatch.ActSuppress, guard, reason, d.Offence.Fired.Add(wait)
	return d
}

// notBlocked is how a reason goes on when a guard spoke.
func notBlocked(guard, why string) string { return "; not blocked (" + guard + "): " + why }
