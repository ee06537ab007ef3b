package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/harvestwatch/harvestwatch"
)

// Explain says the rule in one paragraph of plain words.
func (r *Rule) Explain() string {
	parts := []string{r.explainWhat(), r.explainCounting(), r.explainShare(), r.explainGood(), r.explainRests(), r.explainSuccess(),
		r.explainShared(), r.explainFactors(), r.explainLadder(), r.explainWarning(), "Why: " + r.Text}
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
	return strings.Join(parts, " ")
}

// explainWhat says what the rule asks for.
func (r *Rule) explainWhat() string {
	var b strings.Builder
	b.WriteString(map[Mode]string{Enforce: "Blocks", Observe: "Would block, but only records (mode observe),", Alert: "Tells of, but never blocks,"}[r.Mode])
	b.WriteString(" " + r.explainWho() + " ")
	for i := range r.Conditions {
		c := &r.Conditions[i]
		if i > 0 {
			b.WriteString(", or ")
		}
		fmt.Fprintf(&b, "%d or more", max(c.AtLeast, c.Seconds, c.Open))
		if c.AtLeastV6 > 0 {
			fmt.Fprintf(&b, " (IPv6: %d)", c.AtLeastV6)
		}
		if i == 0 || r.unit(c) != r.unit(&r.Conditions[i-1]) {
			b.WriteString(" " + r.unit(c).many)
		}
		if c.Sources > 0 {
			fmt.Fprintf(&b, " from %d or more sources", c.Sources)
		}
		b.WriteString(" within " + FormatDuration(c.Window))
	}
	return b.String() + "."
}

// explainWho says who is blocked.
func (r *Rule) explainWho() string {
	if r.by(BySource) {
		return "a source that had"
	}
	if r.by(ByPrefix) {
		return "a whole prefix (an IPv4 /24, an IPv6 /48) whose sources together had"
	}
	var names []string
	for _, k := range r.Keys {
		names = append(names, "whose "+k.words())
	}
	each := ""
	if len(names) > 1 {
		each = " each"
	}
	return fmt.Sprintf("a source %s%s had, over all sources that use it,", joined(names, " and "), each)
}

func (r *Rule) explainCounting() string {
	if r.Blocks {
		return "Counted: sources that are blocked, or would be, by rules that are not on trial."
	}
	names := make([]string, len(r.Events))
	for i, k := range r.Events {
		names[i] = k.String()
	}
	text := "Counted: " + strings.Join(names, ", ")
	switch r.Only {
	case NullSender:
		text += ", with the null sender only"
	case IdleOnly:
		text += ", of sessions without a MAIL command only"
	}
	switch r.Distinct {
	case Recipient:
		text += ", each recipient once"
	case UserMinute:
		text += ", each user once a minute"
	case User:
		text += ", each user once"
	case Domain:
		text += ", each domain once"
	case Client:
		text += ", each source once"
	}
	if r.Bucket > 0 {
		text += ", in steps of " + FormatDuration(r.Bucket)
	}
	return text + "."
}

func (r *Rule) explainShare() string {
	switch {
	case r.Share <= 0:
		return ""
	case r.Blocks:
		return fmt.Sprintf("They must be %s or more of the active sources of the prefix.", percent(r.Share))
	}
	names := make([]string, len(r.Against))
	for i, k := range r.Against {
		names[i] = k.String()
	}
	return fmt.Sprintf("What was counted must be %s or more of it and of %s together.", percent(r.Share), joined(names, " and "))
}

func (r *Rule) explainGood() string {
	if r.GoodFactor <= 0 {
		return ""
	}
	return fmt.Sprintf("Each recipient that it delivered to within %s buys %s more.", FormatDuration(r.GoodWindow), trimFloat(r.GoodFactor))
}

// explainRests says when the rule rests.
func (r *Rule) explainRests() string {
	var after []string
	if d := r.UnlessDeliveredWithin; d > 0 {
		after = append(after, FormatDuration(d)+" after each delivery")
	}
	if d := r.UnlessMailWithin; d > 0 {
		after = append(after, FormatDuration(d)+" after each session with a MAIL command")
	}
	if d := r.UnlessSuccessWithin; d > 0 {
		after = append(after, FormatDuration(d)+" after each successful login")
	}
	text := ""
	if len(after) > 0 {
		text = "It rests for " + joined(after, " and ") + "."
	}
	if r.UnlessCredited {
		text += " It rests for who has credit (good mail delivered for a while)"
		if !r.by(BySource) {
			text += ", and one such source speaks for all"
		}
		text += "."
	}
	return strings.TrimSpace(text)
}

func (r *Rule) explainSuccess() string {
	a := r.AfterSuccess
	if a.Within <= 0 {
		return ""
	}
	text := fmt.Sprintf("If the source authenticated with success within %s, it takes %d", FormatDuration(a.Within), a.AtLeast)
	if a.Users > 0 {
		text += ", of at least " + user.count(a.Users)
	}
	return text + "."
}

func (r *Rule) explainShared() string {
	s := r.Shared
	if s.Within <= 0 {
		return ""
	}
	return fmt.Sprintf("Of the counted recipients, %d or more must be such as %d or more blocked sources tried within %s, role names apart; "+
		"each of these counts twice.",
		s.Names, s.Sources, FormatDuration(s.Within))
}

// explainFactors says who needs more and who less.
func (r *Rule) explainFactors() string {
	var list []string
	for _, f := range []struct {
		factor float64
		holds  bool
		who    string
	}{
		{r.CreditFactor, !r.UnlessCredited, "from a source with credit (good mail delivered for a while)"},
		{r.VerifiedFactor, true, "from one with a verified name that fits its HELO name"},
		{r.ListedFactor, true, "from one that a block list has and nothing speaks for"},
		{r.Probation, len(r.Ladder) > 0, "for 24h after a block"},
	} {
		if f.factor == 1 || !f.holds {
			continue
		}
		times := " times "
		if len(list) == 0 {
			times = " times as much "
		}
		list = append(list, trimFloat(f.factor)+times+f.who)
	}
	if len(list) == 0 {
		return ""
	}
	return "It takes " + joined(list, ", and ") + "."
}

func (r *Rule) explainLadder() string {
	if len(r.Ladder) == 0 {
		return ""
	}
	steps := make([]string, len(r.Ladder))
	for i, d := range r.Ladder {
		steps[i] = FormatDuration(d)
	}
	if len(steps) == 1 {
		return "Each block " + steps[0] + "."
	}
	return "First block " + steps[0] + ", then " + strings.Join(steps[1:], ", ") + "."
}

// speakFor are the kinds that a source is not to blame for.
var speakFor = []harvestwatch.Kind{harvestwatch.RcptOK, harvestwatch.Accepted, harvestwatch.Delivered, harvestwatch.AuthOK, harvestwatch.ServerError}

// explainWarning says what in the rule may hit the wrong ones. A user may count what he likes, but he should know.
func (r *Rule) explainWarning() string {
	if r.Mode == Alert {
		return ""
	}
	text := ""
	for _, k := range r.Events {
		switch {
		case k == harvestwatch.ServerError:
			text += "Careful: server_error is the server's own trouble, not the source's doing. "
		case slices.Contains(speakFor, k):
			text += fmt.Sprintf("Careful: %s speaks for a source, not against it; this rule hits those who send mail. ", k)
		}
	}
	if r.by(ByUser) {
		text += "Careful: what strangers do under a user's name can block that user too. "
	}
	return strings.TrimSpace(text)
}
