package discover

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"github.com/harvestwatch/harvestwatch"
)

const maxShown = 120 // bytes of a text from the file that are shown

// quote makes text from a file safe to print: control and formatting characters and broken UTF-8 appear as escapes,
// and long texts are cut.
func quote(text string) string { return quoteUpTo(text, maxShown) }

func quoteUpTo(text string, limit int) string {
	long := len(text) > limit
	if long {
		text = strings.ToValidUTF8(text[:limit], "")
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case !unicode.IsPrint(r):
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteString(text[i : i+n])
		}
		i += n
	}
	b.WriteByte('"')
	if long {
		b.WriteString("…")
	}
	return b.String()
}

// basic is a text as a TOML basic string.
func basic(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(text, "\ufffd") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08X`, r)
		default:
			fmt.Fprintf(&b, `\u%04X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// literal is a text as a TOML string without escapes where that is possible: patterns are read better so.
func literal(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r == '\'' || !unicode.IsPrint(r) }) {
		return basic(text)
	}
	return "'" + text + "'"
}

// TOML returns the proposed mapping of the most promising table as a configuration with comments, for a person to
// confirm. Where no table can be used it is comments only. It ends with a line feed.
func (f *Finding) TOML() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# unverified: guessed from the values in %s. Nobody has confirmed it.\n", quote(f.Path))
	b.WriteString("# Read each line, compare it with the rows themselves, and delete this comment when it is right.\n")
	t := f.Best()
	if t == nil {
		b.WriteString("# Nothing in it can be used: there is no time beside an address. What was found:\n")
		for i := range f.Tables {
			fmt.Fprintf(&b, "# %s: %s\n", quote(f.Tables[i].Name), f.Tables[i].Confidence())
		}
		return b.String()
	}
	fmt.Fprintf(&b, "# %s, %s, %s looked at: %s\n", f.Kind, quote(t.Name), plural(t.Rows, "row"), t.Confidence())
	for _, r := range t.Reasons {
		fmt.Fprintf(&b, "# - %s\n", r)
	}
	b.WriteString("# Times without a zone are read in the zone that is set for the input: that of the computer that wrote them.\n\n")
	t.keys(&b)
	t.verdicts(&b)
	return b.String()
}

// keys writes what is mapped.
func (t *Table) keys(b *strings.Builder) {
	fl := &t.Fields
	if fl.Pattern != "" {
		fmt.Fprintf(b, "pattern = %s\n", literal(fl.Pattern))
	}
	for _, k := range []struct{ name, value, missing string }{
		{"table", fl.Table, ""},
		{"key", fl.Key, "a column that grows with every row, for following the table"},
		{"time", fl.Time, ""},
		{"time_layout", fl.TimeLayout, ""},
		{"source", fl.Source, ""},
		{"recipient", fl.Recipient, "the recipient: without it nobody can tell how many different ones were tried"},
		{"sender", fl.Sender, ""},
		{"helo", fl.Helo, ""},
		{"user", fl.User, ""},
		{"verdict", fl.Verdict, ""},
	} {
		switch {
		case k.value != "":
			fmt.Fprintf(b, "%s = %s\n", k.name, basic(k.value))
		case k.missing != "" && fl.Pattern == "":
			fmt.Fprintf(b, "# %s = \"\" # %s\n", k.name, k.missing)
		}
	}
}

// verdicts writes which kind of event each verdict is, or asks for it.
func (t *Table) verdicts(b *strings.Builder) {
	b.WriteString("\n# Kinds of events: rcpt_unknown (no such user), rcpt_refused, rcpt_relay_denied, spam_refused, auth_fail, rcpt_ok,\n")
	b.WriteString("# delivered. Beware of delivered: it speaks for a source, and is right only for mail that reached a person.\n")
	if t.Fields.Verdict == "" {
		b.WriteString("# No column tells what was done. If every row is the same, say what; nothing is read until you do.\n# kind = \"rcpt_unknown\"\n")
		return
	}
	b.WriteString("# Rows with a verdict that is not listed are ignored. A * at the end stands for anything.\n[verdicts]\n")
	for i := range t.Columns {
		if t.Columns[i].Name != t.Fields.Verdict {
			continue
		}
		for _, text := range t.Columns[i].Texts {
			k, ok := t.Fields.Verdicts[text.Text]
			if ok && k == harvestwatch.Delivered {
				fmt.Fprintf(b, "# %s = %s # %s; guessed, so take the first # off only if it is so\n",
					basic(text.Text), basic(k.String()), plural(text.Rows, "row"))
				continue
			}
			if ok {
				fmt.Fprintf(b, "%s = %s # %s; guessed from the words\n", basic(text.Text), basic(k.String()), plural(text.Rows, "row"))
				continue
			}
			key := text.Text
			if len(key) >= maxText-4 { // cut where it was counted
				key = strings.TrimRight(key, "\ufffd") + "*"
			}
			fmt.Fprintf(b, "# %s = \"\" # %s\n", basic(key), plural(text.Rows, "row"))
		}
		return
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// Text writes what was found for a person: the tables with their columns, what those look like, and why the mapping is
// proposed.
func (f *Finding) Text(w io.Writer) error {
	p := &printer{w: w}
	p.printf("%s: %s\n", quote(f.Path), f.Kind)
	for i := range f.Tables {
		t := &f.Tables[i]
		p.table(f.Kind, t)
	}
	if f.Left > 0 {
		p.printf("\n%s more not looked at\n", plural(f.Left, "table"))
	}
	if p.err != nil {
		return fmt.Errorf("write what was found: %w", p.err)
	}
	return nil
}

// printer writes until the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) table(kind string, t *Table) {
	p.printf("\n")
	if kind == KindAccess {
		p.printf("table %s: ", quote(t.Name))
	}
	p.printf("%s\n", t.Confidence())
	if t.Err != nil {
		p.printf("  %s\n", quoteUpTo(t.Err.Error(), 1000))
		return
	}
	unit := "row"
	if kind == KindText {
		unit = "line"
	}
	p.printf("  %s looked at", plural(t.Rows, unit))
	if t.More {
		p.printf(", there are more")
	}
	if t.Bad > 0 {
		p.printf(", %d that could not be taken apart", t.Bad)
	}
	p.printf("\n")
	if len(t.Columns) > 0 {
		p.columns(t)
	}
	for _, r := range t.Reasons {
		p.printf("  - %s\n", r)
	}
	if t.Fields.Pattern != "" {
		p.printf("  pattern: %s\n", t.Fields.Pattern)
	}
}

func (p *printer) columns(t *Table) {
	tw := &printer{w: tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)}
	tw.printf("  COLUMN\tFILLED\tLOOKS LIKE\tUSED AS\tVALUES\n")
	for i := range t.Columns {
		c := &t.Columns[i]
		tw.printf("  %s\t%d\t%s\t%s\t%s\n", quote(c.Name), c.Values, c.looks(), t.use(c.Name), examples(c))
	}
	if err := tw.w.(*tabwriter.Writer).Flush(); p.err == nil {
		p.err = err
	}
}

// use says what a column is proposed for.
func (t *Table) use(name string) string {
	fl := &t.Fields
	uses := []struct{ name, what string }{{fl.Key, "key"}, {fl.Time, "time"}, {fl.Source, "source"}, {fl.Recipient, "recipient"}, {fl.Sender, "sender"},
		{fl.Helo, "helo"}, {fl.User, "user"}, {fl.Verdict, "verdict"}}
	if i := slices.IndexFunc(uses, func(u struct{ name, what string }) bool { return name != "" && u.name == name }); i >= 0 {
		return uses[i].what
	}
	return ""
}

// examples lists the values of a column that has few.
func examples(c *Column) string {
	if c.Times+c.Addresses+c.Mails > 0 && c.looks() != "text" || c.Unique {
		return ""
	}
	var list []string
	for _, t := range c.Texts {
		list = append(list, quote(t.Text)+" "+strconv.Itoa(t.Rows))
	}
	return strings.Join(list, ", ")
}
