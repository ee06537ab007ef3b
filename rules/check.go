package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
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
		for _, f := range []func(*Rule) *problem{checkNames, checkEvents, checkKeys, checkDistinct, checkOnly, checkConditions, checkBucket,
			checkShare, checkGood, checkUnless, checkSuccess, checkShared, checkFactors, checkLadder, checkBounds} {
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

func checkEvents(r *Rule) *problem {
	if r.Blocks && len(r.Events) > 0 {
		return &problem{0, "events", "blocked sources are counted, and kinds of event too", "make two rules of it"}
	}
	if len(r.Events) == 0 && !r.Blocks {
		return &problem{0, "events", "no kind of event is named", `name what counts, as in events = ["rcpt_unknown"]`}
	}
	for i, k := range r.Events {
		at := fmt.Sprintf("events.%d", i)
		switch {
		case kind(k) == blocked:
			return &problem{0, at, `"blocked" is counted alone`, `write events = ["blocked"], or leave it out`}
		case k.String() == "":
			return &problem{0, at, fmt.Sprintf("%d is no kind of event", k), "name kinds of event: " + strings.Join(kinds(), ", ")}
		case slices.Contains(r.Events[:i], k):
			return &problem{0, at, fmt.Sprintf("%s is named twice", k), "name each kind once"}
		}
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

func checkGood(r *Rule) *problem {
	hundred := r.GoodFactor * 100
	if !(r.GoodFactor >= 0 && r.GoodFactor <= MaxFactor) || math.Abs(hundred-math.Round(hundred)) > 1e-6 {
		return &problem{0, "good_factor", fmt.Sprintf("%v is out of bounds", r.GoodFactor), fmt.Sprintf("use 0 to %v, with two decimals at most", MaxFactor)}
	}
	if r.GoodFactor > 0 && r.by(ByPrefix) {
		return &problem{0, "good_factor", "recipients are counted for a source, not for a prefix", "use unless_delivered_within, unless_credited or share"}
	}
	if p := period("good_window", r.GoodWindow, MaxWindow); p != nil {
		return p
	}
	return nil
}

// checkUnless checks for how long a rule rests.
func checkUnless(r *Rule) *problem {
	for _, u := range []struct {
		path   string
		d      time.Duration
		prefix bool // it can be asked about a whole prefix
	}{{"unless_delivered_within", r.UnlessDeliveredWithin, true}, {"unless_mail_within", r.UnlessMailWithin, false},
		{"unless_success_within", r.UnlessSuccessWithin, false}} {
		if u.d == 0 {
			continue
		}
		if p := period(u.path, u.d, MaxWindow); p != nil {
			return p
		}
		if !u.prefix && r.by(ByPrefix) {
			return &problem{0, u.path, "that is known of a source, not of a prefix", "use unless_delivered_within or unless_credited"}
		}
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
	if a.Users > 0 && r.Distinct != UserMinute && r.Distinct != User {
		return &problem{0, "after_success.users", "users are only known where they are counted",
			`use distinct = "user/minute" or "user", or leave users out`}
	}
	if r.by(ByPrefix) {
		return &problem{0, "after_success", "a login is known of a source, not of a prefix", `leave it out, or use key = "source"`}
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
