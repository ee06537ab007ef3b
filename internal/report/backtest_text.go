package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// Text writes the comparison for a person to read: the numbers side by side, what only one of the sets blocks, the price in
// legitimate mail, and at last the verdict in a sentence.
func (b *Backtest) Text(w io.Writer, o TextOptions) error {
	p := &printer{w: w}
	p.printf("Two rule sets over the same logs\n  A  %s\n  B  %s\n\n", Quote(b.Against.Name), Quote(b.Candidate.Name))
	textInputs(p, b.Inputs)
	if b.Period.From.IsZero() {
		p.printf("\nNo events: nothing in these inputs tells what a client did.\n")
	} else {
		b.textTotals(p)
		b.textSides(p)
		b.textRules(p)
		b.textGuards(p)
		b.OnlyCandidate.text(p, "B", "A")
		b.OnlyAgainst.text(p, "A", "B")
		b.Against.text(p, "A", o)
		b.Candidate.text(p, "B", o)
		p.printf("\nIn short: %s\n", b.Verdict)
	}
	for _, n := range b.Notes {
		p.printf("\nNote: %s\n", n)
	}
	for _, e := range b.Errors {
		p.printf("\nNot read: %s\n", e)
	}
	if b.Interrupted {
		p.printf("\nInterrupted: this is what was known so far.\n")
	}
	return p.err
}

func (b *Backtest) textTotals(p *printer) {
	t := b.Totals
	p.printf("\nFrom %s to %s\n%s, %s at recipients, %s, %s\n", b.Period.From.Format(stamp), b.Period.To.Format(stamp+" -07:00"),
		plural(t.Connections, "connection", "connections"), plural(t.Guesses, "guess", "guesses"),
		plural(t.Deliveries, "delivery", "deliveries"), plural(t.AuthFailures, "failed login", "failed logins"))
}

// textSides sets the numbers side by side.
func (b *Backtest) textSides(p *printer) {
	g := grid{left: 1}
	g.add("", "A", "B", "CHANGE")
	b.rows(&g, &b.Against.InForce, &b.Candidate.InForce, false)
	if b.Against.OnTrial.Blocks+b.Candidate.OnTrial.Blocks > 0 {
		g.add()
		g.add("Rules on trial would add")
		b.rows(&g, &b.Against.OnTrial, &b.Candidate.OnTrial, true)
	}
	p.printf("\n")
	g.print(p)
	switch t := b.Totals; {
	case t.Connections > 0 && t.Ended == 0:
		p.printf("  How long connections lasted is not in these logs.\n")
	case t.Unmeasured > 0:
		p.printf("  How long %s of %s lasted is not in these logs: the time is that of the others.\n", thousands(t.Unmeasured),
			plural(t.Ended, "ended connection", "ended connections"))
	}
}

// rows adds the rows of an effect; of one that is less important only those that say something.
func (b *Backtest) rows(g *grid, x, y *Effect, short bool) {
	row := func(name string, a, c int64) {
		if !short || a+c > 0 {
			g.add(name, thousands(a), thousands(c), change(a, c))
		}
	}
	row("Blocks", x.Blocks, y.Blocks)
	row("Blocked sources", x.Blocked, y.Blocked)
	row("Guesses prevented", x.Guesses, y.Guesses)
	if b.Totals.Guesses > 0 && (!short || x.Guesses+y.Guesses > 0) {
		g.add("  of all", share(x.GuessShare), share(y.GuessShare), fmt.Sprintf("%+.1f points", 100*(y.GuessShare-x.GuessShare)))
	}
	row("Connections prevented", x.Connections, y.Connections)
	if b.Totals.Ended > b.Totals.Unmeasured && (!short || x.ConnectionSeconds+y.ConnectionSeconds > 0) {
		more := "="
		if d := y.ConnectionSeconds - x.ConnectionSeconds; d < 0 {
			more = "-" + longTime(-d)
		} else if d > 0 {
			more = "+" + longTime(d)
		}
		g.add("Connection time prevented", longTime(x.ConnectionSeconds), longTime(y.ConnectionSeconds), more)
	}
	row("Failed logins prevented", x.AuthFailures, y.AuthFailures)
	row("Deliveries held up", x.Deliveries, y.Deliveries)
	if x.Deliveries+y.Deliveries > 0 {
		g.add("  the longest for", delay(x), delay(y))
	}
}

func delay(e *Effect) string {
	if e.Deliveries == 0 {
		return "–"
	}
	return longTime(e.LongestDelay)
}

// change writes a difference, and how much it is of what was before.
func change(before, after int64) string {
	switch d := after - before; {
	case d == 0:
		return "="
	case before == 0:
		return signed(d)
	default:
		return fmt.Sprintf("%s (%+.1f %%)", signed(d), 100*float64(d)/float64(before))
	}
}

func signed(n int64) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	return "+" + thousands(n)
}

// longTime writes seconds as a duration, the longer the rougher.
func longTime(sec float64) string {
	d := time.Duration(sec * float64(time.Second))
	switch {
	case d < time.Hour:
		d = d.Round(time.Second)
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
	default:
		d = d.Round(time.Hour)
	}
	if d == 0 {
		return "0"
	}
	return rules.FormatDuration(d)
}

// textRules says which rule does what.
func (b *Backtest) textRules(p *printer) {
	by := map[string]*[2]RuleResult{}
	var names []string
	for side, l := range []*LaneResult{&b.Candidate, &b.Against} {
		for _, r := range l.Rules {
			if by[r.Rule] == nil {
				by[r.Rule] = &[2]RuleResult{}
				names = append(names, r.Rule)
			}
			by[r.Rule][1-side] = r
		}
	}
	if len(names) == 0 {
		p.printf("\nNo rule of either set was reached.\n")
		return
	}
	g := grid{left: 2}
	g.add("RULE", "", "A", "B", "CHANGE")
	for _, name := range names {
		x, y := &by[name][0], &by[name][1]
		label := name
		for _, row := range []struct {
			what string
			a, b int64
		}{{"blocks", x.Blocks, y.Blocks}, {"on trial", x.OnTrial, y.OnTrial}, {"alerts", x.Alerts, y.Alerts}, {"held back", x.HeldBack, y.HeldBack},
			{"guesses prevented", x.Guesses, y.Guesses}, {"deliveries held up", x.Deliveries, y.Deliveries}} {
			if row.a+row.b > 0 {
				g.add(label, row.what, thousands(row.a), thousands(row.b), change(row.a, row.b))
				label = ""
			}
		}
	}
	p.printf("\n")
	g.print(p)
}

// textGuards says what held back offences.
func (b *Backtest) textGuards(p *printer) {
	by := map[string]*[2]int64{}
	var names []string
	for side, l := range []*LaneResult{&b.Candidate, &b.Against} {
		for _, c := range l.HeldBack {
			if by[c.Guard] == nil {
				by[c.Guard] = &[2]int64{}
				names = append(names, c.Guard)
			}
			by[c.Guard][1-side] = c.Offences
		}
	}
	if len(names) > 0 {
		g := grid{left: 1}
		g.add("OFFENCES HELD BACK BY", "A", "B", "CHANGE")
		for _, name := range names {
			g.add(name, thousands(by[name][0]), thousands(by[name][1]), change(by[name][0], by[name][1]))
		}
		p.printf("\n")
		g.print(p)
	}
}

// text lists what only one of the sets blocks.
func (d *Difference) text(p *printer, name, other string) {
	if d.Blocked == 0 {
		p.printf("\nWhat %s blocks, %s blocks too.\n", name, other)
		return
	}
	more := ""
	if n := int64(len(d.Top)); n < d.Blocked {
		more = fmt.Sprintf(", the first %d", n)
	}
	p.printf("\nBlocked by %s and never by %s: %s%s\n", name, other, plural(d.Blocked, "source", "sources"), more)
	tw := p.table()
	tw.printf("  SOURCE\tBLOCKS\tGUESSES\tLOGINS\tCONNECTS\tGOOD\tWHY\n")
	for i := range d.Top {
		k := &d.Top[i]
		tw.printf("  %s\t%s\t%s\t%s\t%s\t%s\t%s%s\n", k.Blocked, thousands(k.Blocks), thousands(k.Guesses), thousands(k.AuthFailures),
			thousands(k.Connections), thousands(k.Deliveries), k.Reason, group(k.Key, k.Group))
	}
	tw.flush()
	p.printf("  GUESSES, LOGINS that failed, CONNECTS that the blocks prevent, and GOOD mail that they hold up\n")
}

// Bounds of the price in a text.
const (
	shownDomains = 10
	shownBlocks  = 3
)

// text tells the price of a rule set in legitimate mail.
func (l *LaneResult) text(p *printer, name string, o TextOptions) {
	textNotices(p, "Guards that spoke for the whole site under "+name, l.Notices, l.NoticesAll)
	if len(l.Price.Domains) == 0 {
		p.printf("\nThe price of %s in legitimate mail: none. Not one delivery would have been held up.\n", name)
		return
	}
	p.printf("\nThe price of %s in legitimate mail: %s held up", name, plural(l.InForce.Deliveries, "delivery", "deliveries"))
	if l.OnTrial.Deliveries > 0 {
		p.printf(", and %s more if the rules on trial were in force", thousands(l.OnTrial.Deliveries))
	}
	p.printf("\n")
	shown := l.Price.Domains[:min(len(l.Price.Domains), shownDomains)]
	for i := range shown {
		shown[i].text(p, o)
	}
	if n := len(l.Price.Domains) - len(shown); n > 0 {
		p.printf("  … and %s\n", plural(int64(n), "sender domain more", "sender domains more"))
	}
	p.printf("  A server that is blocked tries again, so this mail comes after the block's end. Most servers tell their user of a delay\n" +
		"  after 4 hours, and give up after 2 to 5 days.\n")
}

// text tells of the mail of one domain.
func (d *DomainPrice) text(p *printer, o TextOptions) {
	p.printf("  %s: %s", d.name(), plural(d.Deliveries+d.OnTrial, "delivery", "deliveries"))
	if d.OnTrial > 0 && d.Deliveries > 0 {
		p.printf(", %s of them on trial only", thousands(d.OnTrial))
	} else if d.OnTrial > 0 {
		p.printf(", on trial only")
	}
	if d.LongestDelay > 0 {
		p.printf(", held up for at most %s", longTime(d.LongestDelay))
	}
	p.printf("\n")
	for i := range d.Blocks {
		if i == shownBlocks {
			p.printf("    … and %s\n", plural(int64(len(d.Blocks)-i), "block more", "blocks more"))
			break
		}
		d.Blocks[i].text(p, o)
	}
}

func (k *HitBlock) text(p *printer, o TextOptions) {
	verb := "blocked"
	if k.Decision == harvestwatch.ActObserve.String() {
		verb = "would be blocked (on trial)"
	}
	p.printf("    %s %s from %s until %s; %s from %s to %s\n", k.Blocked, verb, k.From.Format(stamp), k.Until.Format(stamp),
		plural(k.Deliveries, "delivery", "deliveries"), k.First.Format(stamp), k.Last.Format(stamp))
	if k.Reason != "" {
		p.printf("      because: %s%s\n", k.Reason, group(k.Key, k.Group))
	}
	if o.Evidence > 0 {
		textEvidence(p, k.Evidence, 8, o)
	}
}

// name names the domain for a person.
func (d *DomainPrice) name() string {
	switch d.Domain {
	case "":
		return "senders that the log does not name"
	case "<>":
		return "bounces (null sender)"
	}
	return quoted(d.Domain)
}

// verdict says in a sentence what the candidate changes.
func (b *Backtest) verdict() string {
	what, all := "guesses", b.Totals.Guesses
	a, c := b.Against.InForce.Guesses, b.Candidate.InForce.Guesses
	if all == 0 {
		what, all = "failed logins", b.Totals.AuthFailures
		a, c = b.Against.InForce.AuthFailures, b.Candidate.InForce.AuthFailures
	}
	of := func(n int64) string { return share(float64(n) / float64(max(all, 1))) }
	var text string
	switch {
	case all == 0:
		text = "There were neither guesses nor failed logins in these logs: B prevents nothing that A lets pass"
	case a == c:
		text = fmt.Sprintf("B prevents as many %s as A does (%s of all)", what, of(c))
	case a == 0:
		text = fmt.Sprintf("B prevents %s %s (%s of all), A none", thousands(c), what, of(c))
	case c > a:
		text = fmt.Sprintf("B prevents %s more %s than A (%s of all instead of %s)", percent(100*float64(c-a)/float64(a)), what, of(c), of(a))
	default:
		text = fmt.Sprintf("B prevents %s fewer %s than A (%s of all instead of %s)", percent(100*float64(a-c)/float64(a)), what, of(c), of(a))
	}
	return text + b.verdictPrice()
}

// verdictPrice says what the candidate costs.
func (b *Backtest) verdictPrice() string {
	a, c := b.Against.InForce.Deliveries, b.Candidate.InForce.Deliveries
	switch {
	case a == 0 && c == 0:
		return ", and neither would have held up a single delivery."
	case c == 0:
		return fmt.Sprintf(", and would have held up no delivery, where A holds up %s.", thousands(a))
	case a == c:
		return fmt.Sprintf(", and would have held up as many deliveries: %s.", thousands(c))
	case c < a:
		return fmt.Sprintf(", and would have held up %s fewer (%s instead of %s).", plural(a-c, "delivery", "deliveries"), thousands(c), thousands(a))
	}
	more := fmt.Sprintf("%s more (%s instead of %s)", plural(c-a, "delivery", "deliveries"), thousands(c), thousands(a))
	if a == 0 {
		more = plural(c, "delivery", "deliveries") + ", where A holds up none"
	}
	return fmt.Sprintf(", and would have held up %s%s, the longest for %s.", more, b.moreOf(), longTime(b.Candidate.InForce.LongestDelay))
}

// moreOf names the sender domains of which the candidate hits more.
func (b *Backtest) moreOf() string {
	before := map[string]int64{}
	for _, d := range b.Against.Price.Domains {
		before[d.Domain] = d.Deliveries
	}
	var names []string
	for i := range b.Candidate.Price.Domains {
		if d := &b.Candidate.Price.Domains[i]; d.Deliveries > before[d.Domain] {
			names = append(names, d.name())
		}
	}
	const named = 3
	switch n := len(names); {
	case n == 0:
		return ""
	case n > named:
		return ": " + strings.Join(names[:named], ", ") + fmt.Sprintf(" and %d more", n-named)
	case n == 1:
		return ": " + names[0]
	default:
		return ": " + strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}
