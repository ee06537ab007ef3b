package rules

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// What is checked here is whether the parts of a rule make sense together.

// The kinds that name something, as far as any log tells it.
var (
	withRecipient = []harvestwatch.Kind{harvestwatch.RcptUnknown, harvestwatch.RcptRelayDenied, harvestwatch.RcptRefused, harvestwatch.RcptOK,
		harvestwatch.SpamRefused, harvestwatch.Delivered}
	withSender = []harvestwatch.Kind{harvestwatch.RcptUnknown, harvestwatch.RcptRelayDenied, harvestwatch.RcptRefused, harvestwatch.RcptOK,
		harvestwatch.Accepted, harvestwatch.Delivered, harvestwatch.SpamRefused}
	withUser = []harvestwatch.Kind{harvestwatch.AuthFail, harvestwatch.AuthOK, harvestwatch.RcptRelayDenied, harvestwatch.RcptRefused,
		harvestwatch.RcptOK, harvestwatch.Accepted, harvestwatch.Delivered, harvestwatch.SpamRefused}
)

// by says whether the key is among those of the rule.
func (r *Rule) by(k Key) bool {
	return slices.Contains(r.Keys, k) || k == BySource && len(r.Keys) == 0
}

// lacking returns the first kind of the rule that is not among those that name something.
func (r *Rule) lacking(kinds []harvestwatch.Kind) (harvestwatch.Kind, bool) {
	for _, k := range r.Events {
		if !slices.Contains(kinds, k) {
			return k, true
		}
	}
	return 0, false
}

// counts says whether the rule counts that kind and nothing else.
func (r *Rule) counts(k harvestwatch.Kind) bool { return len(r.Events) == 1 && r.Events[0] == k }

func checkKeys(r *Rule) *problem {
	if r.Blocks && !(len(r.Keys) == 1 && r.by(ByPrefix)) {
		return &problem{0, "key", "blocked sources are counted for a prefix only", `write key = "prefix"`}
	}
	if len(r.Keys) > MaxKeys {
		return &problem{0, "key", fmt.Sprintf("%d keys", len(r.Keys)), fmt.Sprintf("keep at most %d", MaxKeys)}
	}
	for i, k := range r.Keys {
		at := "key"
		if len(r.Keys) > 1 {
			at = fmt.Sprintf("key.%d", i)
		}
		lack, lacks := harvestwatch.Kind(0), false
		what := ""
		switch {
		case k.String() == "":
			return &problem{0, at, fmt.Sprintf("%d is no key", k), wants["key"]}
		case slices.Contains(r.Keys[:i], k):
			return &problem{0, at, fmt.Sprintf("%s is named twice", k), "name each key once"}
		case len(r.Keys) > 1 && (k == BySource || k == ByPrefix):
			return &problem{0, at, fmt.Sprintf("%s goes with no other key", k), "make a rule of its own for it, or leave it out"}
		case k == ByUser:
			what = "user"
			lack, lacks = r.lacking(withUser)
		case k == BySenderDomain:
			what = "sender"
			lack, lacks = r.lacking(withSender)
		case k == ByHelo && slices.Contains(r.Events, harvestwatch.Connect):
			what, lack, lacks = "HELO name", harvestwatch.Connect, true
		}
		if lacks {
			return &problem{0, at, fmt.Sprintf("an event of kind %s has no %s", lack, what), "count other events, or use another key"}
		}
	}
	return nil
}

func checkDistinct(r *Rule) *problem {
	if int(r.Distinct) >= len(distinctNames) {
		return &problem{0, "distinct", "no such way to count", wants["distinct"]}
	}
	if r.Blocks && r.Distinct != Each {
		return &problem{0, "distinct", "each blocked source counts once as it is", `leave distinct out, or use distinct = "none"`}
	}
	lack, lacks := harvestwatch.Kind(0), false
	what := "recipient"
	switch r.Distinct {
	case Recipient, Domain:
		lack, lacks = r.lacking(withRecipient)
	case User, UserMinute:
		what = "user"
		lack, lacks = r.lacking(withUser)
	case Client:
		if r.by(BySource) {
			return &problem{0, "distinct", "a source is always one source", `name a key, as in key = "user", or count something else`}
		}
	}
	if lacks {
		return &problem{0, "distinct", fmt.Sprintf("an event of kind %s has no %s", lack, what), `use distinct = "none", or count other events`}
	}
	if r.Distinct == User && slices.Equal(r.Keys, []Key{ByUser}) {
		return &problem{0, "distinct", "a user is always one user", `use another key, or count something else, as in distinct = "source"`}
	}
	return nil
}

func checkOnly(r *Rule) *problem {
	switch r.Only {
	case AllEvents:
		return nil
	case NullSender:
		if lack, lacks := r.lacking(withSender); lacks || r.Blocks {
			return &problem{0, "only", fmt.Sprintf("%s has no sender", r.said(lack)), "leave only out, or count recipients or messages"}
		}
		if r.by(BySenderDomain) {
			return &problem{0, "only", "the null sender has no domain", "leave only out, or use another key"}
		}
		return nil
	case IdleOnly:
		if !r.counts(harvestwatch.Disconnect) {
			return &problem{0, "only", "idle is said of the end of a connection", `use events = ["disconnect"], or leave only out`}
		}
		return nil
	}
	return &problem{0, "only", "no such restriction", wants["only"]}
}

// said names a kind of the rule's events for a problem.
func (r *Rule) said(k harvestwatch.Kind) string {
	if r.Blocks {
		return "a blocked source"
	}
	return "an event of kind " + k.String()
}

func checkConditions(r *Rule) *problem {
	if len(r.Conditions) < 1 || len(r.Conditions) > 8 {
		return &problem{0, "when", fmt.Sprintf("%d conditions", len(r.Conditions)), `give 1 to 8, as in when = [{ window = "1h", at_least = 10 }]`}
	}
	for i := range r.Conditions {
		at := fmt.Sprintf("when.%d.", i)
		if p := period(at+"window", r.Conditions[i].Window, MaxWindow); p != nil {
			return p
		}
		for _, f := range []func(*Rule, *Condition, string) *problem{checkAmount, checkSeconds, checkOpen, checkV6, checkSources, checkNoUser} {
			if p := f(r, &r.Conditions[i], at); p != nil {
				return p
			}
		}
	}
	return nil
}

// checkAmount holds that a condition asks for one thing, within its bounds.
func checkAmount(r *Rule, c *Condition, at string) *problem {
	if r.Blocks && c.AtLeast == 0 {
		return &problem{0, at + "at_least", "blocked sources are counted one by one", fmt.Sprintf("use at_least, 1 to %d", MaxAtLeast)}
	}
	set := 0
	for _, x := range []struct {
		key        string
		value, top int
	}{{"at_least", c.AtLeast, MaxAtLeast}, {"seconds", c.Seconds, MaxSeconds}, {"open", c.Open, MaxAtLeast}} {
		if x.value == 0 {
			continue
		}
		if set++; set > 1 {
			return &problem{0, at + x.key, "a condition asks for one of at_least, seconds and open", "give each a condition of its own; one of them is enough"}
		}
		if x.value < 1 || x.value > x.top {
			return &problem{0, at + x.key, fmt.Sprintf("%d is out of bounds", x.value), fmt.Sprintf("use 1 to %d", x.top)}
		}
	}
	if set == 0 {
		return &problem{0, at + "at_least", "0 is out of bounds", fmt.Sprintf("use 1 to %d, or ask for seconds or open instead", MaxAtLeast)}
	}
	return nil
}

func checkSeconds(r *Rule, c *Condition, at string) *problem {
	switch {
	case c.Seconds == 0:
		return nil
	case !r.counts(harvestwatch.Disconnect):
		return &problem{0, at + "seconds", "how long a connection lasted is known at its end", `use events = ["disconnect"], or at_least`}
	case r.Bucket == 0:
		return &problem{0, at + "seconds", "connection-seconds are added up in buckets", `add bucket = "30s" to the rule`}
	}
	return nil
}

func checkOpen(r *Rule, c *Condition, at string) *problem {
	switch {
	case c.Open == 0:
		return nil
	case !r.by(BySource):
		return &problem{0, at + "open", "open connections are counted for a source only", `use at_least, or key = "source"`}
	case slices.ContainsFunc(r.Events, func(k harvestwatch.Kind) bool { return k != harvestwatch.Connect && k != harvestwatch.Disconnect }):
		return &problem{0, at + "open", "open connections are no events of the kinds named", `use events = ["connect"] or ["disconnect"], or at_least`}
	}
	return nil
}

func checkV6(r *Rule, c *Condition, at string) *problem {
	switch {
	case c.AtLeastV6 == 0:
		return nil
	case c.AtLeastV6 < 1 || c.AtLeastV6 > MaxAtLeast:
		return &problem{0, at + "at_least_v6", fmt.Sprintf("%d is out of bounds", c.AtLeastV6), fmt.Sprintf("use 1 to %d", MaxAtLeast)}
	case c.AtLeast == 0:
		return &problem{0, at + "at_least_v6", "there is no at_least that it could stand for", "give at_least too, for IPv4"}
	case !r.by(BySource) && !r.by(ByPrefix):
		return &problem{0, at + "at_least_v6", fmt.Sprintf("a %s is neither IPv4 nor IPv6", r.Keys[0].words()),
			`leave it out, or use key = "source" or "prefix"`}
	}
	return nil
}

func checkSources(r *Rule, c *Condition, at string) *problem {
	switch {
	case c.Sources == 0:
		return nil
	case c.Sources < 1 || c.Sources > MaxAtLeast:
		return &problem{0, at + "sources", fmt.Sprintf("%d is out of bounds", c.Sources), fmt.Sprintf("use 1 to %d", MaxAtLeast)}
	case r.by(BySource):
		return &problem{0, at + "sources", "a source is always one source", `leave it out, or name a key, as in key = "helo"`}
	case r.Blocks || r.Distinct == Client:
		return &problem{0, at + "sources", "what is counted are sources already", "leave it out; at_least says how many"}
	case c.AtLeast > 0 && c.Sources > c.AtLeast:
		return &problem{0, at + "sources", fmt.Sprintf("%d events can't come from %d sources", c.AtLeast, c.Sources),
			"ask for at most as many sources as at_least"}
	}
	return nil
}

func checkNoUser(r *Rule, c *Condition, at string) *problem {
	if c.NoUser && (r.Distinct != User || !r.counts(harvestwatch.AuthFail) || c.AtLeast == 0) {
		return &problem{0, at + "no_user", "only distinct users of failed logins are known not to exist",
			`use events = ["auth_fail"], distinct = "user" and at_least`}
	}
	return nil
}

func checkBucket(r *Rule) *problem {
	if r.Bucket == 0 {
		return nil
	}
	for i, c := range r.Conditions {
		if r.Bucket > 0 && (c.Window%r.Bucket != 0 || c.Window/r.Bucket > MaxBuckets) {
			return &problem{0, fmt.Sprintf("when.%d.window", i),
				fmt.Sprintf("%s is not made of whole buckets of %s", FormatDuration(c.Window), FormatDuration(r.Bucket)),
				fmt.Sprintf("use a multiple of the bucket, at most %d of them", MaxBuckets)}
		}
	}
	if r.Distinct != Each || r.Blocks {
		return &problem{0, "bucket", "buckets count events, not distinct ones", `leave bucket out, or use distinct = "none"`}
	}
	return period("bucket", r.Bucket, MaxWindow)
}

func checkShare(r *Rule) *problem {
	if r.Share == 0 && r.Against == nil {
		return nil
	}
	switch {
	case r.Share == 0:
		return &problem{0, "against", "there is no share that it could be weighed in", "add share = 0.9, or leave against out"}
	case !(r.Share > 0 && r.Share <= 1):
		return shareProblem(r.Share)
	case r.Blocks && r.Against != nil:
		return &problem{0, "against", "blocked sources are weighed against the active sources of the prefix", "leave against out"}
	case !r.Blocks && len(r.Against) == 0:
		return &problem{0, "share", "nothing is named that it is weighed against", `add against = ["delivered"], or leave share out`}
	}
	for i, k := range r.Against {
		at := fmt.Sprintf("against.%d", i)
		switch {
		case k.String() == "":
			return &problem{0, at, "that is no kind of event", wants["against"]}
		case slices.Contains(r.Against[:i], k):
			return &problem{0, at, fmt.Sprintf("%s is named twice", k), "name each kind once"}
		case slices.Contains(r.Events, k):
			return &problem{0, at, fmt.Sprintf("%s is what the rule counts", k), "name what speaks against the rule, as delivered"}
		}
	}
	for i, c := range r.Conditions {
		if c.AtLeast == 0 {
			return &problem{0, fmt.Sprintf("when.%d", i), "a share is one of counted events", "use at_least, or leave share out"}
		}
	}
	return nil
}

func shareProblem(share float64) *problem {
	return &problem{0, "share", fmt.Sprintf("%v is out of bounds", share), "use a number above 0 and up to 1, as in share = 0.9"}
}

func checkShared(r *Rule) *problem {
	s, day := r.Shared, 24*time.Hour
	switch {
	case s == Shared{}:
		return nil
	case r.Distinct != Recipient || !r.counts(harvestwatch.RcptUnknown) || !r.by(BySource):
		return &problem{0, "shared", "only unknown recipients of a source can be shared with others",
			`use events = ["rcpt_unknown"] and distinct = "recipient", without a key`}
	case s.Within < day || s.Within > 7*day || s.Within%day != 0:
		return &problem{0, "shared.within", FormatDuration(s.Within) + " is out of bounds", "use whole days, from 1d to 7d"}
	case s.Sources < 2 || s.Sources > 1000:
		return &problem{0, "shared.sources", fmt.Sprintf("%d is out of bounds", s.Sources), "use 2 to 1000"}
	case s.Names < 1 || s.Names > 100:
		return &problem{0, "shared.names", fmt.Sprintf("%d is out of bounds", s.Names), "use 1 to 100"}
	}
	return nil
}

func checkFactors(r *Rule) *problem {
	if !(r.CreditFactor >= 1 && r.CreditFactor <= 10) {
		return &problem{0, "credit_factor", fmt.Sprintf("%v is out of bounds", r.CreditFactor), "use 1 to 10; 1 means that credit changes nothing"}
	}
	if !(r.VerifiedFactor >= 1 && r.VerifiedFactor <= 10) {
		return &problem{0, "verified_factor", fmt.Sprintf("%v is out of bounds", r.VerifiedFactor), "use 1 to 10; 1 means that the name changes nothing"}
	}
	if !(r.ListedFactor > 0 && r.ListedFactor <= 1) {
		return &problem{0, "listed_factor", fmt.Sprintf("%v is out of bounds", r.ListedFactor),
			"use a factor above 0 and up to 1; 1 means that block lists change nothing"}
	}
	return nil
}

// Entries returns how many of the latest entries of a source's or key's list tell the rule everything that it can ask,
// with all that can raise its thresholds: at most MaxEntries in a checked rule. Of a rule with buckets it is their
// number.
func (r *Rule) Entries() int {
	n := 0
	for i := range r.Conditions {
		c := &r.Conditions[i]
		if r.Bucket > 0 {
			n = max(n, int(c.Window/r.Bucket), raised(c.Open, r.CreditFactor))
			continue
		}
		base := max(c.AtLeast, c.V6(), c.Open, r.AfterSuccess.AtLeast)
		n = max(n, raised(base, max(r.CreditFactor, r.VerifiedFactor))+r.Credit(MaxGood))
		if r.Share > 0 {
			n = max(n, shareEntries*base)
		}
		if r.Share > 0 && r.Share < 1 {
			n = max(n, int(min(float64(n)*(1-r.Share)/r.Share, 1e6))+1) // as many of the other share make it too large
		}
	}
	return n
}

// shareEntries is how many times its threshold a rule with a share looks back: a share is one of the latest entries.
const shareEntries = 4

// raised multiplies a threshold by a factor, rounded up.
func raised(base int, factor float64) int { return int(math.Ceil(float64(base)*factor - 1e-9)) }

func checkBounds(r *Rule) *problem {
	if n := r.Entries(); n > MaxEntries {
		return &problem{0, "when", fmt.Sprintf("the rule asks for up to %d entries of a source, credit and the other share included", n),
			fmt.Sprintf("lower at_least, good_factor or credit_factor, or raise share, until it is %d at most", MaxEntries)}
	}
	return nil
}
