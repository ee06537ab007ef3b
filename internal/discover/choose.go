package discover

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/harvestwatch/harvestwatch"
)

// Scores of a table. What is mapped counts by its share of the values; sureScore is a time, an address and a recipient.
const (
	scoreTime      = 3
	scoreSource    = 3
	scoreRecipient = 2
	scoreVerdict   = 1
	sureScore      = 7.5
)

// half is the share of the values that must look like something for a column to be proposed for it.
const half = 0.5

// hints are parts of columns' names, in lower case, that speak for a meaning or against it.
var hints = struct{ time, source, notSource, recipient, sender, user, helo, verdict, notVerdict, key []string }{
	time:       []string{"time", "date", "received", "zeit", "datum", "stamp"},
	source:     []string{"client", "remote", "source", "src", "sender", "from", "peer", "ip"},
	notSource:  []string{"server", "local", "dest", "dst", "relay", "target", "host", "next"},
	recipient:  []string{"rcpt", "recip", "empf", "dest", "to"},
	sender:     []string{"sender", "from", "absender", "return"},
	user:       []string{"user", "account", "login", "benutzer"},
	helo:       []string{"helo", "ehlo"},
	verdict:    []string{"verdict", "filter", "rule", "reason", "action", "result", "status", "event", "module", "spam", "type"},
	notVerdict: []string{"subject", "betreff", "body", "message", "text"},
	key:        []string{"id", "key", "nr", "no", "num", "seq"},
}

// hinted counts the hints in a name.
func hinted(name string, parts []string) (n float64) {
	name = strings.ToLower(name)
	for _, p := range parts {
		if strings.Contains(name, p) {
			n++
		}
	}
	return n
}

// propose makes a mapping of what the columns look like.
func (t *Table) propose() {
	for i := range t.Columns {
		t.Columns[i].settle(t.Rows)
	}
	taken := map[*Column]bool{}
	at := t.pick(taken, func(c *Column) float64 {
		return weigh(c.share(c.Times), hinted(c.Name, hints.time)) - float64(c.midnight)/float64(max(c.Times, 1))/4
	})
	if at != nil {
		t.Fields.Time, t.Fields.TimeLayout = at.Name, at.Layout
		t.because(scoreTime*at.share(at.Times), "%s is the time: %d of %d values are one.", at.Name, at.Times, at.Values)
		if at.Ambiguous {
			t.because(-1, "%s: all its dates could have day and month the other way round, so look which it is and set time_layout.", at.Name)
		}
		if at.midnight == at.Times {
			t.because(-1, "%s: all its times are midnight; it is perhaps a date only, and of no use.", at.Name)
		}
	}
	source := t.pick(taken, func(c *Column) float64 {
		return weigh(c.share(c.Addresses), hinted(c.Name, hints.source)-3*hinted(c.Name, hints.notSource))
	})
	if source != nil {
		t.Fields.Source = source.Name
		t.because(scoreSource*source.share(source.Addresses), "%s is the client's address: %d of %d values are one.",
			source.Name, source.Addresses, source.Values)
		if c := t.other(source); c != "" {
			t.because(-0.5, "%s holds addresses too: make sure that the clients' are in %s.", c, source.Name)
		}
	}
	t.mails(taken)
	t.others(taken)
	t.Usable = at != nil && source != nil
	if !t.Usable {
		t.because(0, "A table without a time and a client's address in one row can't be used.")
	}
}

// weigh makes a rank out of the share of values that fit, which decides, and the hints in the name, which break ties.
func weigh(share, hints float64) float64 {
	if share < half {
		return 0
	}
	return share + max(min(hints, 3), -6)/10
}

// pick returns the column with the highest rank above 0, the first of equals, and takes it.
func (t *Table) pick(taken map[*Column]bool, rank func(*Column) float64) (best *Column) {
	highest := 0.0
	for i := range t.Columns {
		c := &t.Columns[i]
		if taken[c] || c.Values == 0 || c.Name == "" {
			continue
		}
		if r := rank(c); r > highest {
			best, highest = c, r
		}
	}
	if best != nil {
		taken[best] = true
	}
	return best
}

func (t *Table) because(score float64, format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = quote(s)
		}
	}
	t.score += score
	t.Reasons = append(t.Reasons, fmt.Sprintf(format, args...))
}

// other returns the name of another column that holds addresses, "" for none.
func (t *Table) other(source *Column) string {
	for i := range t.Columns {
		if c := &t.Columns[i]; c != source && c.share(c.Addresses) >= half {
			return c.Name
		}
	}
	return ""
}

// mails proposes the recipient and the sender: by their names, else the recipients are those in fewer domains, because
// a site serves few.
func (t *Table) mails(taken map[*Column]bool) {
	rank := func(by []string, against []string, few float64) func(c *Column) float64 {
		return func(c *Column) float64 {
			r := weigh(c.share(c.Mails), 2*hinted(c.Name, by)-2*hinted(c.Name, against))
			if r > 0 {
				r += few / float64(1+len(c.domains)) / 10
			}
			return r
		}
	}
	if c := t.pick(taken, rank(hints.recipient, hints.sender, 1)); c != nil {
		t.Fields.Recipient = c.Name
		t.because(scoreRecipient*c.share(c.Mails), "%s is the recipient: %d of %d values are mail addresses, in %d domains.",
			c.Name, c.Mails, c.Values, len(c.domains))
	}
	if c := t.pick(taken, rank(hints.sender, hints.recipient, -1)); c != nil {
		t.Fields.Sender = c.Name
		t.because(0, "%s is the sender: %d of %d values are mail addresses, in %d domains.", c.Name, c.Mails, c.Values, len(c.domains))
	}
}

// others proposes the key, the verdict with its kinds, the HELO name and the user.
func (t *Table) others(taken map[*Column]bool) {
	if c := t.pick(taken, func(c *Column) float64 {
		if !c.Unique {
			return 0
		}
		return 1 + hinted(c.Name, hints.key)
	}); c != nil {
		t.Fields.Key = c.Name
		t.because(0, "%s is the key: every row has another whole number. Make sure that it grows with each new row.", c.Name)
	}
	for _, w := range []struct {
		hints []string
		to    *string
		what  string
	}{{hints.helo, &t.Fields.Helo, "HELO name"}, {hints.user, &t.Fields.User, "user"}} {
		if c := t.pick(taken, func(c *Column) float64 { return hinted(c.Name, w.hints) }); c != nil {
			*w.to = c.Name
			t.because(0, "%s is the "+w.what+", by its name.", c.Name)
		}
	}
	if c := t.pick(taken, func(c *Column) float64 {
		if len(c.Texts) < 2 || c.Numbers == c.Values || c.share(c.Times+c.Addresses+c.Mails) > 0.1 {
			return 0
		}
		named := hinted(c.Name, hints.verdict)
		telling := slices.ContainsFunc(c.Texts, func(text Count) bool { return guess(text.Text) != 0 })
		if hinted(c.Name, hints.notVerdict) > 0 || named == 0 && !telling {
			return 0 // a column that a client fills must not judge him
		}
		return float64(c.Values)/float64(max(t.Rows, 1)) + named
	}); c != nil {
		t.Fields.Verdict, t.Fields.Verdicts = c.Name, map[string]harvestwatch.Kind{}
		for _, text := range c.Texts {
			if k := guess(text.Text); k != 0 && len(text.Text) < maxText {
				t.Fields.Verdicts[text.Text] = k
			}
		}
		t.because(scoreVerdict, "%s is the verdict: it has %d different texts, %d of which say something known.", c.Name, len(c.Texts), len(t.Fields.Verdicts))
	}
}

// words are what verdicts say, the more telling first.
var words = []struct {
	kind  harvestwatch.Kind
	parts []string
}{
	{harvestwatch.RcptRelayDenied, []string{"relay"}},
	{harvestwatch.RcptUnknown, []string{"harvest", "unknown recipient", "recipient unknown", "user unknown", "unknown user", "no such user",
		"invalid recipient", "does not exist", "non-existent"}},
	{harvestwatch.RcptRefused, []string{"blocklist", "blacklist", "block list", "dnsbl", "rbl", "greylist", "spf", "refused"}},
	{harvestwatch.SpamRefused, []string{"spam", "phish", "virus", "malware", "bayes", "keyword"}},
	{harvestwatch.Delivered, []string{"delivered", "passed", "zugestellt"}},
}

// guess returns the kind that a verdict's words speak of, 0 for none.
func guess(text string) harvestwatch.Kind {
	text = strings.ToLower(text)
	if strings.HasPrefix(text, "not ") || strings.Contains(text, " not ") {
		return 0
	}
	for _, w := range words {
		for _, part := range w.parts {
			if strings.Contains(text, part) {
				return w.kind
			}
		}
	}
	return 0
}

// rank puts the most promising table first.
func (f *Finding) rank() {
	slices.SortStableFunc(f.Tables, func(a, b Table) int {
		if a.Usable != b.Usable {
			return map[bool]int{true: -1, false: 1}[a.Usable]
		}
		return cmp.Compare(b.score, a.score)
	})
}
