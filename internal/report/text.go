package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/harvestwatch/harvestwatch/rules"
)

// TextOptions says how much a person wants to see.
type TextOptions struct {
	Evidence int  // how many raw lines for each of them; 0 for none
	Spared   bool // list who was not blocked, and why
	Width    int  // columns of the terminal, 0 for no limit: raw lines are cut there
}

// Text writes the scan for a person to read: first what blocking can do here at all.
func (s *Scan) Text(w io.Writer, o TextOptions) error {
	p := &printer{w: w}
	if !s.Period.From.IsZero() {
		s.Concentration.text(p)
	}
	textInputs(p, s.Inputs)
	s.textTotals(p)
	s.textOffenders(p, o)
	s.textPrice(p)
	textAlerts(p, s.Alerts, s.AlertsAll, o)
	if o.Spared {
		s.textSpared(p)
	}
	s.Distributed.text(p)
	textNotices(p, "Guards that spoke for the whole site", s.Notices, s.NoticesAll)
	for _, n := range s.Notes {
		p.printf("\nNote: %s\n", n)
	}
	for _, e := range s.Errors {
		p.printf("\nNot read: %s\n", e)
	}
	if s.Interrupted {
		p.printf("\nInterrupted: this is what was known so far.\n")
	}
	return p.err
}

// plainInputs is how many inputs are listed one by one. Of more, only those are that have something to tell.
const plainInputs = 24

func textInputs(p *printer, inputs []Input) {
	tw := p.table()
	var unknown []string
	kinds := map[string]*formatSum{}
	for _, in := range inputs {
		if in.Unrecognised {
			unknown = append(unknown, Quote(in.Path))
		}
		note := in.Assumed
		if in.Error != "" {
			note = in.Error
		}
		if in.Format == "" {
			continue
		}
		kind := kinds[in.Format]
		if kind == nil {
			kind = &formatSum{note: note}
			kinds[in.Format] = kind
		}
		kind.add(in)
		if told := note == kind.note && kind.logs > 1; len(inputs) <= plainInputs || note != "" && !told || in.Unparsed*100 > in.Lines {
			if note != "" {
				note = "\t" + Quote(note)
			}
			tw.printf("%s\t%s\t%s\t%s understood%s\n", Quote(in.Path), in.Format, plural(in.Lines, "line", "lines"),
				understood(in.Lines, in.Unparsed), note)
		}
	}
	tw.flush()
	textFormats(p, kinds, len(inputs) > plainInputs)
	for _, in := range inputs {
		if in.Unrecognised && in.Why != "" && len(unknown) <= plainInputs {
			p.printf("%s: %s\n", Quote(in.Path), in.Why)
			unknown = slices.DeleteFunc(unknown, func(name string) bool { return name == Quote(in.Path) })
		}
	}
	switch n := len(unknown); {
	case n > 3:
		p.printf("Left out, because no format was recognised (--format names it): %s and %d more\n", strings.Join(unknown[:3], ", "), n-3)
	case n > 0:
		p.printf("Left out, because no format was recognised (--format names it): %s\n", strings.Join(unknown, ", "))
	}
}

// formatSum adds up the logs of one format.
type formatSum struct {
	logs, lines, unparsed int64
	note                  string // of the first
}

func (f *formatSum) add(in Input) {
	f.logs++
	f.lines += in.Lines
	f.unparsed += in.Unparsed
}

// textFormats prints the sum over all logs and, where they are too many to be listed, over those of each format.
func textFormats(p *printer, kinds map[string]*formatSum, each bool) {
	var all formatSum
	tw := p.table()
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		f := kinds[name]
		all.logs, all.lines, all.unparsed = all.logs+f.logs, all.lines+f.lines, all.unparsed+f.unparsed
		if each {
			tw.printf("%s\t%s\t%s\t%s understood\n", name, plural(f.logs, "log", "logs"), plural(f.lines, "line", "lines"), understood(f.lines, f.unparsed))
		}
	}
	tw.flush()
	if all.logs > 1 {
		p.printf("%s, %s, %s understood\n", plural(all.logs, "log", "logs"), plural(all.lines, "line", "lines"), understood(all.lines, all.unparsed))
	}
}

func understood(lines, unparsed int64) string {
	if lines == 0 {
		return percent(100)
	}
	return percent(100 * float64(lines-unparsed) / float64(lines))
}

func (s *Scan) textTotals(p *printer) {
	t := s.Totals
	if t.Void > 0 {
		p.printf("\n%s told by two logs, counted once.\n", plural(t.Void, "deed was", "deeds were"))
	}
	if t.Future > 0 {
		p.printf("\n%s left out, stamped later than now: wrong year or zone? See --year and --zone.\n", plural(t.Future, "event", "events"))
	}
	if s.Period.From.IsZero() {
		p.printf("\nNo events: nothing in these inputs tells what a client did.\n")
		return
	}
	p.printf("\nFrom %s to %s\n", s.Period.From.Format(stamp), s.Period.To.Format(stamp+" -07:00"))
	bounces := ""
	if t.Bounces > 0 {
		bounces = " (" + plural(t.Bounces, "bounce", "bounces") + ")"
	}
	p.printf("%s from %s, %s refused%s, %s, %s\n",
		plural(t.Connections, "connection", "connections"), plural(t.Sources, "source", "sources"),
		plural(t.UnknownRecipients, "unknown recipient", "unknown recipients"), bounces,
		plural(t.Deliveries, "delivery", "deliveries"),
		plural(t.AuthFailures, "failed authentication", "failed authentications"))
}

const stamp = "2006-01-02 15:04:05"

func (s *Scan) textOffenders(p *printer, o TextOptions) {
	if len(s.Offenders) == 0 {
		if s.Totals.Sources > 0 {
			p.printf("\nNo offenders: no source reached the threshold of a rule.\n")
		}
		return
	}
	shown := s.Offenders
	title := plural(int64(s.Found), "offender", "offenders")
	if len(shown) < s.Found {
		title += fmt.Sprintf(", the first %d", len(shown))
	}
	p.printf("\n%s\n", title)
	tw := p.table()
	tw.printf("  SOURCE\tRULE\tFIRST\tFIRED\tUNKNOWN\tLOGINS\tCONNECTS\tGOOD\tDECISION\tFOR\n")
	for i := range shown {
		f := &shown[i]
		rule, fired := f.Rule+group(f.Key, f.Group), "+"+seconds(f.Fired.Sub(f.First.Time))
		tw.printf("  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.about(), rule, f.First.Format(stamp), fired,
			thousands(f.Tries), thousands(f.AuthFailures), thousands(f.Connections), thousands(f.Deliveries), f.decision(), spans(f.Blocks))
	}
	tw.flush()
	p.printf("  UNKNOWN recipients tried, LOGINS that failed, CONNECTS, GOOD mail delivered: all in the whole period\n")
	for i := range shown {
		if f := &shown[i]; o.Evidence > 0 && len(f.Evidence) > 0 {
			p.printf("\n  %s: %s\n", f.about(), f.Reason)
			textEvidence(p, f.Evidence, 4, o)
		}
	}
}

// about names whom the offence is about.
func (f *Offender) about() string {
	if f.Target != "" {
		return f.Target
	}
	return f.Source
}

func (f *Offender) decision() string {
	if f.Guard != "" {
		return f.Decision + " (" + f.Guard + ")"
	}
	return f.Decision
}

// group says what a rule added up by, where it is neither the source nor a prefix of it.
func group(key, text string) string {
	if text == "" || key == "" || key == "source" || key == "prefix" {
		return ""
	}
	return " [" + strings.ReplaceAll(key, "_", " ") + " " + quoted(text) + "]"
}

// quoted writes a text from a log between quotation marks, cut to what a table has room for.
func quoted(text string) string { return `"` + cut(Quote(text), maxShown) + `"` }

const maxShown = 40 // characters of a text from a log in a table

// textEvidence prints raw lines, so many columns from the margin.
func textEvidence(p *printer, lines []string, margin int, o TextOptions) {
	for i, line := range lines {
		if i == o.Evidence {
			p.printf("%*s… and %s\n", margin, "", plural(int64(len(lines)-i), "line more", "lines more"))
			break
		}
		p.printf("%*s%s\n", margin, "", cut(Quote(line), o.Width-margin))
	}
}

// spans describes blocks in few words.
func spans(blocks []Span) string {
	switch len(blocks) {
	case 0:
		return "none"
	case 1:
		return seconds(blocks[0].Until.Sub(blocks[0].From.Time))
	}
	last := blocks[len(blocks)-1]
	return fmt.Sprintf("%d, the last %s", len(blocks), seconds(last.Until.Sub(last.From.Time)))
}

func (s *Scan) textPrice(p *printer) {
	if len(s.Offenders) == 0 {
		return
	}
	v := s.Prevented
	p.printf("\nHad these blocks been in force, they would have kept out %s, %s and %s,\n",
		plural(v.Connections, "connection", "connections"),
		plural(v.Recipients, "unknown recipient", "unknown recipients"),
		plural(v.AuthFailures, "failed authentication", "failed authentications"))
	if s.DeliveriesHit.Messages == 0 {
		p.printf("and no delivery: not one good message would have been hit.\n")
	} else {
		p.printf("and hit %s, from %s\n", plural(s.DeliveriesHit.Messages, "delivery", "deliveries"), strings.Join(s.DeliveriesHit.Sources, ", "))
	}
	if s.OnTrial > 0 {
		p.printf("%s by rules on trial only (observe): those blocks are not counted in this.\n",
			plural(int64(s.OnTrial), "offender is listed", "offenders are listed"))
	}
}

// Quote makes text from a log safe to print on a terminal: control and formatting characters (escape sequences,
// right-to-left overrides, line separators) and broken UTF-8 appear as escapes, everything else as it is.
func Quote(text string) string {
	if !strings.ContainsFunc(text, unprintable) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unprintable(r):
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteString(text[i : i+n])
		}
		i += n
	}
	return b.String()
}

func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

func cut(text string, width int) string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(width-1, 1)]) + "…"
}

// seconds writes a duration in the words of rule files, to the second.
func seconds(d time.Duration) string { return rules.FormatDuration(d.Round(time.Second)) }

func plural(n int64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + more
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// percent never rounds up to all of it, nor down to nothing.
func percent(p float64) string {
	switch {
	case p > 99.9 && p < 100:
		return "99.9 %"
	case p < 0.1 && p > 0:
		return "0.1 %"
	}
	return strconv.FormatFloat(p, 'f', 1, 64) + " %"
}

// printer writes until the first error and remembers it.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

type table struct {
	p  *printer
	tw *tabwriter.Writer
}

func (p *printer) table() *table {
	return &table{p, tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)}
}

func (t *table) printf(format string, args ...any) {
	if t.p.err == nil {
		_, t.p.err = fmt.Fprintf(t.tw, format, args...)
	}
}

func (t *table) flush() {
	if err := t.tw.Flush(); t.p.err == nil {
		t.p.err = err
	}
}
