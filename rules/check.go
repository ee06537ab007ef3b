package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/harvestwatch/harvestwatch"
)

// problem is what is wrong with one rule, before anybody knows where in a file that stands.
type problem struct {
	rule            int    // its index; -1 for the set
	path            string // the key below the rule, as place.go writes it: "when.0.window"
	problem, remedy string
}

// key names what is wrong for a person: rule "harvest", when.0.window.
func (p *problem) key(s *Set) string {
	if p.rule < 0 {
		return "rule"
	}
	name := s.Rules[p.rule].Name
	if !validName(name) {
		return fmt.Sprintf("rule %d, %s", p.rule+1, p.path)
	}
	return fmt.Sprintf("rule %s, %s", name, p.path)
}

// check returns the first problem of a set, or nil.
func check(s *Set) *problem {
	if len(s.Rules) == 0 {
		return &problem{-1, "", "there is no rule", "add at least one [[rule]]"}
	}
	if len(s.Rules) > MaxRules {
		return &problem{-1, "", fmt.Sprintf("%d rules", len(s.Rules)), fmt.Sprintf("keep at most %d", MaxRules)}
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		for _, f := range []func(*Rule) *problem{checkNames, checkEvents, checkConditions, checkGood, checkSuccess, checkLadder} {
			if p := f(r); p != nil {
				p.rule = i
				return p
			}
		}
		for j := range i {
			if s.Rules[j].Name == r.Name {
				return &problem{i, "name", "the name is taken by an earlier rule", "give each rule a name of its own"}
			}
		}
	}
	return nil
}

func validName(name string) bool {
	if len(name) < 1 || len(name) > 32 || name[0] == '-' {
		return false
	}
	return strings.IndexFunc(name, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' }) < 0
}

func checkNames(r *Rule) *problem {
	if !validName(r.Name) {
		return &problem{0, "name", fmt.Sprintf("%.40q is no name for a rule", r.Name),
			"use 1 to 32 lower case letters, digits and hyphens, beginning with a letter or digit"}
	}
	if r.Text == "" || len(r.Text) > 400 || !utf8.ValidString(r.Text) || strings.IndexFunc(r.Text, unicode.IsControl) >= 0 {
		return &problem{0, "text", "the reason is missing, longer than 400 bytes or not one line of plain text",
			"say in one sentence why the rule is right"}
	}
	if r.Mode < Enforce || r.Mode > Alert {
		return &problem{0, "mode", "no such mode", `use "enforce", "observe" or "alert"`}
	}
	return nil
}

// The kinds that speak for a source, or are not its doing, count in no rule.
var never = []harvestwatch.Kind{harvestwatch.Delivered, harvestwatch.AuthOK, harvestwatch.ServerError}

// withRecipient are the kinds that name a recipient.
var withRecipient = []harvestwatch.Kind{harvestwatch.RcptUnknown, harvestwatch.RcptRelayDenied, harvestwatch.RcptRefused, harvestwatch.RcptOK,
	harvestwatch.SpamRefused}

func checkEvents(r *Rule) *problem {
	if len(r.Events) == 0 {
		return &problem{0, "events", "no kind of event is named", `name what counts, as in events = ["rcpt_unknown"]`}
	}
	for i, k := range r.Events {
		at := fmt.Sprintf("events.%d", i)
		switch {
		case k.String() == "" || slices.Contains(never, k):
			return &problem{0, at, fmt.Sprintf("%q can't be held against a source", k), "name a kind that a source is to blame for, as rcpt_unknown"}
		case slices.Contains(r.Events[:i], k):
			return &problem{0, at, fmt.Sprintf("%s is named twice", k), "name each kind once"}
		case r.Distinct == Recipient && !slices.Contains(withRecipient, k):
			return &problem{0, "distinct", fmt.Sprintf("an event of kind %s has no recipient", k), `use distinct = "none", or events that begin with rcpt_`}
		case r.Distinct == UserMinute && k != harvestwatch.AuthFail:
			return &problem{0, "distinct", fmt.Sprintf("an event of kind %s has no user", k), `use distinct = "none", or events = ["auth_fail"]`}
		}
	}
	if int(r.Distinct) >= len(distinctNames) {
		return &problem{0, "distinct", "no such way to count", `use "none", "recipient" or "user/minute"`}
	}
	return nil
}

// period checks a duration: whole seconds, at least one, at most limit.
func period(path string, d, limit time.Duration) *problem {
	if d < time.Second || d > limit || d%time.Second != 0 {
		return &problem{0, path, FormatDuration(d) + " is out of bounds", "use whole seconds, from 1s to " + FormatDuration(limit)}
	}
	return nil
}

func checkConditions(r *Rule) *problem {
	if len(r.Conditions) < 1 || len(r.Conditions) > 8 {
		return &problem{0, "when", fmt.Sprintf("%d conditions", len(r.Conditions)), `give 1 to 8, as in when = [{ window = "1h", at_least = 10 }]`}
	}
	for i, c := range r.Conditions {
		at := fmt.Sprintf("when.%d.", i)
		if p := period(at+"window", c.Window, MaxWindow); p != nil {
			return p
		}
		if c.AtLeast < 1 || c.AtLeast > MaxAtLeast {
			return &problem{0, at + "at_least", fmt.Sprintf("%d is out of bounds", c.AtLeast), fmt.Sprintf("use 1 to %d", MaxAtLeast)}
		}
		if r.Bucket != 0 && r.Bucket > 0 && (c.Window%r.Bucket != 0 || c.Window/r.Bucket > MaxBuckets) {
			return &problem{0, at + "window", fmt.Sprintf("%s is not made of whole buckets of %s", FormatDuration(c.Window), FormatDuration(r.Bucket)),
				fmt.Sprintf("use a multiple of the bucket, at most %d of them", MaxBuckets)}
		}
	}
	if r.Bucket == 0 {
		return nil
	}
	if r.Distinct != Each {
		return &problem{0, "bucket", "buckets count events, not distinct ones", `leave bucket out, or use distinct = "none"`}
	}
	return period("bucket", r.Bucket, MaxWindow)
}

func checkGood(r *Rule) *problem {
	hundred := r.GoodFactor * 100
	if !(r.GoodFactor >= 0 && r.GoodFactor <= MaxFactor) || math.Abs(hundred-math.Round(hundred)) > 1e-6 {
		return &problem{0, "good_factor", fmt.Sprintf("%v is out of bounds", r.GoodFactor), fmt.Sprintf("use 0 to %v, with two decimals at most", MaxFactor)}
	}
	if p := period("good_window", r.GoodWindow, MaxWindow); p != nil {
		return p
	}
	if r.UnlessDeliveredWithin != 0 {
		return period("unless_delivered_within", r.UnlessDeliveredWithin, MaxWindow)
	}
	return nil
}

func checkSuccess(r *Rule) *problem {
	a := r.AfterSuccess
	if a == (AfterSuccess{}) {
		return nil
	}
	if p := period("after_success.within", a.Within, MaxWindow); p != nil {
		return p
	}
	if a.AtLeast < 1 || a.AtLeast > MaxAtLeast {
		return &problem{0, "after_success.at_least", fmt.Sprintf("%d is out of bounds", a.AtLeast), fmt.Sprintf("use 1 to %d", MaxAtLeast)}
	}
	if a.Users < 0 || a.Users > MaxUsers {
		return &problem{0, "after_success.users", fmt.Sprintf("%d is out of bounds", a.Users), fmt.Sprintf("use 0 to %d", MaxUsers)}
	}
	if a.Users > 0 && r.Distinct != UserMinute {
		return &problem{0, "after_success.users", "users are only known where they are counted", `use distinct = "user/minute", or leave users out`}
	}
	return nil
}

func checkLadder(r *Rule) *problem {
	if !(r.Probation > 0 && r.Probation <= 1) {
		return &problem{0, "probation", fmt.Sprintf("%v is out of bounds", r.Probation), "use a factor above 0 and up to 1; 1 means no probation"}
	}
	if r.Mode == Alert && len(r.Ladder) == 0 {
		return nil
	}
	if len(r.Ladder) < 1 || len(r.Ladder) > MaxSteps {
		return &problem{0, "ladder", fmt.Sprintf("%d steps", len(r.Ladder)), fmt.Sprintf(`give 1 to %d, as in ladder = ["1h", "4h"]`, MaxSteps)}
	}
	for i, d := range r.Ladder {
		at := fmt.Sprintf("ladder.%d", i)
		if p := period(at, d, MaxBlock); p != nil {
			return p
		}
		if i > 0 && d < r.Ladder[i-1] {
			return &problem{0, at, fmt.Sprintf("%s is shorter than the step before it", FormatDuration(d)), "let the steps grow"}
		}
	}
	return nil
}
