package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/harvestwatch/harvestwatch"
)

// What a decision says for a person. No text of a log goes into it: who named itself is called by what it named.

// seenText says what was seen: "10 unknown recipients within 1h and 0 deliveries: the rule harvest asks for 10".
func seenText(r *Rule, o *harvestwatch.Offence) string {
	var b strings.Builder
	c := r.reached(o)
	b.WriteString(r.unit(c).count(o.Count) + " within " + FormatDuration(o.Window) + r.where(o))
	if r.weighsDeliveries() {
		b.WriteString(" and " + delivery.count(o.Deliveries))
	}
	held := o.Guard != "" // what else the rule asks for need not be reached then
	if c.Sources > 0 && !held {
		fmt.Fprintf(&b, ", from at least %s", source.count(c.Sources))
	}
	if r.Share > 0 && !held {
		fmt.Fprintf(&b, ", at least %s of all", percent(r.Share))
	}
	fmt.Fprintf(&b, ": the rule %s asks for %d", r.Name, o.Threshold)
	if o.Listed && r.ListedFactor < 1 {
		b.WriteString(", lowered because a block list has the source")
	}
	if o.Probation {
		b.WriteString(", on probation after a block")
	}
	return b.String()
}

// weighsDeliveries says whether a source's deliveries have anything to do with the rule's verdict on it.
func (r *Rule) weighsDeliveries() bool {
	return r.by(BySource) && (r.GoodFactor > 0 || r.UnlessDeliveredWithin > 0 || slices.Contains(r.Against, harvestwatch.Delivered))
}

// reached returns the condition that an offence reached: that of its window whose number, lowered as the offence's was,
// is the offence's base; the first one if none is.
func (r *Rule) reached(o *harvestwatch.Offence) *Condition {
	for i := range r.Conditions {
		c := &r.Conditions[i]
		for _, n := range []int{c.AtLeast, c.AtLeastV6, c.Seconds, c.Open} {
			if o.Listed {
				n = raised(n, r.ListedFactor)
			}
			if o.Probation {
				n = raised(n, r.Probation)
			}
			if n > 0 && n == o.Base && c.Window == o.Window {
				return c
			}
		}
	}
	return &r.Conditions[max(slices.IndexFunc(r.Conditions, func(c Condition) bool { return c.Window == o.Window }), 0)]
}

// where says by what the rule adds up.
func (r *Rule) where(o *harvestwatch.Offence) string {
	var names []string
	for _, k := range r.Keys {
		switch {
		case k == ByPrefix && o.Prefix.IsValid():
			names = append(names, "in "+o.Prefix.String())
		case k == ByPrefix:
			names = append(names, "in one prefix")
		case k == ByUser:
			names = append(names, "as one user")
		default:
			names = append(names, "under its "+k.words())
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return " " + names[0]
	}
	return " " + strings.Join(names, " and ") + " alike"
}

// guardText says in words why a detector's guard held an offence back.
func guardText(r *Rule, o *harvestwatch.Offence) string {
	raised := ""
	if o.Base > 0 && o.Threshold > o.Base {
		raised = fmt.Sprintf(", so it takes %d instead of %d", o.Threshold, o.Base)
	}
	switch o.Guard {
	case GuardCredit:
		if raised == "" || r.UnlessCredited {
			return "good mail came from there lately, and the rule rests then"
		}
		return "the source has delivered good mail lately, three messages or on two days" + raised
	case GuardDeliveries:
		return delivery.count(o.Deliveries) + " speak for the source" + raised
	case GuardRepeat:
		return "the same recipients were tried again, and each counts once"
	case GuardExUser:
		return "recipients that once received mail here are no guesses"
	case GuardNull:
		return "bounces come from honest servers, and are counted by themselves"
	case GuardLogin:
		return "the client had logged in"
	case GuardSuccess:
		return "somebody logged in with success from there" + within(max(r.UnlessSuccessWithin, r.AfterSuccess.Within)) + raised
	case GuardMail:
		return "mail came from there" + within(max(r.UnlessMailWithin, r.UnlessDeliveredWithin)) + ", and the rule rests then"
	case GuardCorroborate:
		return "a borderline case, whose verified name fits its HELO name" + raised
	case GuardShare:
		if r.Share == 0 {
			return "too much of it was good"
		}
		return "too much of it was good: the rule asks for " + percent(r.Share) + " of bad"
	}
	return siteText(o.Guard)
}

// siteText says in words what a guard of the whole site saw.
func siteText(guard string) string {
	switch guard {
	case GuardOutage:
		return "the server denies users who received mail this week, so that nothing it denies is evidence now"
	case GuardGoodMail:
		return "good mail stays away, so something is wrong with us or with the line"
	case GuardBudget:
		return "the good mail that all blocks together may hold up is spent"
	case GuardIPv6:
		return "so many /64 of one prefix are active that they are counted together, for the report only"
	}
	return "the detector held it back"
}

// percent writes a share from 0 to 1.
func percent(share float64) string {
	return trimFloat(math.Round(share*1000)/10) + " %"
}
