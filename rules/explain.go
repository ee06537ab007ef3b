package rules

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/harvestwatch/harvestwatch"
)

// noun names one of what the rule counts.
func (r *Rule) noun() string {
	only := len(r.Events) == 1
	switch {
	case r.Distinct == Recipient && only && r.Events[0] == harvestwatch.RcptUnknown:
		return "unknown recipient"
	case r.Distinct == Recipient:
		return "distinct recipient"
	case only && r.Events[0] == harvestwatch.AuthFail:
		return "failed login"
	case only && r.Events[0] == harvestwatch.Connect:
		return "connection"
	}
	return "event"
}

// count writes a number and what it is of.
func count(n int, noun string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "y"):
		noun = strings.TrimSuffix(noun, "y") + "ies"
	default:
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

// Explain says the rule in one paragraph of plain words.
func (r *Rule) Explain() string {
	var b strings.Builder
	b.WriteString(map[Mode]string{Enforce: "Blocks", Observe: "Would block, but only records (mode observe),", Alert: "Tells of, but never blocks,"}[r.Mode])
	b.WriteString(" a source that had ")
	for i, c := range r.Conditions {
		if i > 0 {
			b.WriteString(", or ")
		}
		fmt.Fprintf(&b, "%d or more", c.AtLeast)
		if i == 0 {
			b.WriteString(" " + r.noun() + "s")
		}
		fmt.Fprintf(&b, " within %s", FormatDuration(c.Window))
	}
	b.WriteString(". ")
	b.WriteString(r.explainCounting())
	b.WriteString(r.explainFor())
	b.WriteString(r.explainLadder())
	return b.String()
}

func (r *Rule) explainCounting() string {
	names := make([]string, len(r.Events))
	for i, k := range r.Events {
		names[i] = k.String()
	}
	text := "Counted: " + strings.Join(names, ", ")
	switch {
	case r.Distinct == Recipient:
		text += ", each recipient once"
	case r.Distinct == UserMinute:
		text += ", each user once a minute"
	case r.Bucket > 0:
		text += ", in steps of " + FormatDuration(r.Bucket)
	}
	return text + ". "
}

// explainFor says what speaks for a source.
func (r *Rule) explainFor() string {
	text := ""
	if r.GoodFactor > 0 {
		text += fmt.Sprintf("Each recipient that it delivered to within %s buys %s more. ", FormatDuration(r.GoodWindow),
			strconv.FormatFloat(math.Round(r.GoodFactor*100)/100, 'f', -1, 64))
	}
	if r.UnlessDeliveredWithin > 0 {
		text += fmt.Sprintf("It rests for %s after each delivery. ", FormatDuration(r.UnlessDeliveredWithin))
	}
	if a := r.AfterSuccess; a.Within > 0 {
		text += fmt.Sprintf("If the source authenticated with success within %s, it takes %d", FormatDuration(a.Within), a.AtLeast)
		if a.Users > 0 {
			text += fmt.Sprintf(", of at least %s", count(a.Users, "user"))
		}
		text += ". "
	}
	return text
}

func (r *Rule) explainLadder() string {
	if len(r.Ladder) == 0 {
		return strings.TrimSpace(r.Text)
	}
	steps := make([]string, len(r.Ladder))
	for i, d := range r.Ladder {
		steps[i] = FormatDuration(d)
	}
	text := "First block " + steps[0]
	if len(steps) > 1 {
		text += ", then " + strings.Join(steps[1:], ", ")
	}
	text += ". "
	if r.Probation < 1 {
		text += fmt.Sprintf("For 24h after a block the thresholds are multiplied by %s. ", strconv.FormatFloat(r.Probation, 'f', -1, 64))
	}
	return text + "Why: " + r.Text
}
