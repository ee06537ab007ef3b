package discover

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxDistinct = 20 // different texts of a column that are listed
	maxText     = 80 // bytes of a text that is listed
	maxDomains  = 200
)

// Column is a column with what its values look like.
type Column struct {
	Name      string
	Values    int     // that are not empty
	Times     int     // that are times
	Layout    string  // of the times, as Go's package time writes it; "" for ISO 8601 and what mdb-export writes
	Ambiguous bool    // the times could have day and month the other way round
	Addresses int     // that are an address and nothing else
	Mails     int     // that are one or several mail addresses
	Numbers   int     // that are whole numbers
	Unique    bool    // every row has another whole number
	Texts     []Count // the different values, the most frequent first, if there are at most 20

	layouts  [len(layouts)]int
	midnight int
	distinct map[string]int
	many     bool
	seen     map[int64]bool
	domains  map[string]bool
}

// Count is a value and how many rows have it.
type Count struct {
	Text string // cut at 80 bytes
	Rows int
}

func newColumn(name string) Column {
	return Column{Name: name, distinct: map[string]int{}, seen: map[int64]bool{}, domains: map[string]bool{}}
}

// layout is a form of times that is tried.
type layout struct {
	form  string
	given string // what the mapping needs, "" where the reader of tables knows the form
}

// layouts are tried in this order; of two that read equally many values the first is taken.
var layouts = [...]layout{
	{"2006-01-02 15:04:05", ""}, {"2006-01-02T15:04:05", ""}, {time.RFC3339, ""}, {"2006-01-02 15:04:05Z07:00", ""},
	{"2006-01-02 15:04:05 -0700", ""}, {"2006-01-02 15:04", ""}, {"2006/01/02 15:04:05", ""},
	{"02.01.2006 15:04:05", "02.01.2006 15:04:05"}, {"02.01.2006 15:04", "02.01.2006 15:04"}, {"2.1.2006 15:04:05", "2.1.2006 15:04:05"},
	{"1/2/2006 3:04:05 PM", "1/2/2006 3:04:05 PM"}, {"2/1/2006 3:04:05 PM", "2/1/2006 3:04:05 PM"},
	{"1/2/2006 15:04:05", "1/2/2006 15:04:05"}, {"2/1/2006 15:04:05", "2/1/2006 15:04:05"}, {"1/2/2006 15:04", "1/2/2006 15:04"},
	{"2/1/2006 15:04", "2/1/2006 15:04"}, {time.RFC1123Z, time.RFC1123Z}, {time.RFC1123, time.RFC1123}, {time.ANSIC, time.ANSIC},
	{"02/Jan/2006:15:04:05 -0700", "02/Jan/2006:15:04:05 -0700"}, {"02-Jan-2006 15:04:05", "02-Jan-2006 15:04:05"},
}

// twins are the pairs of layouts with day and month exchanged.
var twins = [...][2]string{{"1/2/2006 3:04:05 PM", "2/1/2006 3:04:05 PM"}, {"1/2/2006 15:04:05", "2/1/2006 15:04:05"}, {"1/2/2006 15:04", "2/1/2006 15:04"}}

func isTime(text string) bool {
	for _, l := range layouts {
		if _, err := time.Parse(l.form, text); err == nil {
			return true
		}
	}
	return false
}

// isAddr reports whether a text is an address and nothing else: alone, in brackets, or with a port.
func isAddr(text string) bool {
	if p, err := netip.ParseAddrPort(text); err == nil {
		return p.IsValid()
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok {
			return false
		}
	}
	_, err := netip.ParseAddr(text)
	return err == nil
}

// mailDomains returns the domains of a mail address or a list of them; ok is false for anything else.
func mailDomains(text string) (domains []string, ok bool) {
	for _, one := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == ',' || r == '\n' }) {
		one = strings.TrimSpace(one)
		if strings.HasSuffix(one, ">") {
			one = strings.TrimSuffix(one[strings.LastIndexByte(one, '<')+1:], ">")
		}
		local, domain, found := strings.Cut(one, "@")
		if !found || local == "" || domain == "" || strings.ContainsAny(one, " \t<>") || strings.Contains(domain, "@") {
			return nil, false
		}
		domains = append(domains, strings.ToLower(domain))
	}
	return domains, len(domains) > 0
}

// add takes a value in.
func (c *Column) add(text string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	c.Values++
	c.time(text)
	if isAddr(text) {
		c.Addresses++
	}
	if domains, ok := mailDomains(text); ok || text == "<>" {
		c.Mails++
		for _, d := range domains {
			if len(c.domains) < maxDomains {
				c.domains[d] = true
			}
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		c.Numbers++
		c.seen[n] = true
	}
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "\ufffd")
	if _, known := c.distinct[text]; known || len(c.distinct) < maxDistinct {
		c.distinct[text]++
	} else {
		c.many = true
	}
}

func (c *Column) time(text string) {
	if len(text) > 40 {
		return
	}
	found := false
	for i, l := range layouts {
		t, err := time.Parse(l.form, text)
		if err != nil || t.Year() < 1990 || t.Year() > 2200 {
			continue
		}
		c.layouts[i]++
		if !found && t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0 {
			c.midnight++
		}
		found = true
	}
}

// settle sums up what the values of rows rows were.
func (c *Column) settle(rows int) {
	given := map[string]int{}
	for i, n := range c.layouts {
		given[layouts[i].given] += n
	}
	for i := range layouts {
		if n := given[layouts[i].given]; n > c.Times {
			c.Times, c.Layout = min(n, c.Values), layouts[i].given
		}
	}
	for _, twin := range twins {
		c.Ambiguous = c.Ambiguous || c.Times > 0 && (c.Layout == twin[0] || c.Layout == twin[1]) && given[twin[0]] == given[twin[1]]
	}
	c.Unique = rows > 1 && c.Numbers == rows && len(c.seen) == rows
	if c.many || len(c.distinct) == 0 {
		return
	}
	for text, n := range c.distinct {
		c.Texts = append(c.Texts, Count{text, n})
	}
	slices.SortFunc(c.Texts, func(a, b Count) int { return cmp.Or(b.Rows-a.Rows, strings.Compare(a.Text, b.Text)) })
}

// share returns which part of the values a count is, from 0 to 1.
func (c *Column) share(n int) float64 {
	if c.Values == 0 {
		return 0
	}
	return float64(n) / float64(c.Values)
}

// looks says in a phrase what the values are.
func (c *Column) looks() string {
	var list []string
	for _, l := range []struct {
		n    int
		what string
	}{{c.Times, "times"}, {c.Addresses, "addresses"}, {c.Mails, "mail addresses"}} {
		switch {
		case l.n > 0 && l.n == c.Values:
			list = append(list, l.what)
		case c.share(l.n) >= 0.01:
			list = append(list, strconv.Itoa(int(100*c.share(l.n)))+" % "+l.what)
		}
	}
	switch {
	case c.Values == 0:
		return "empty"
	case c.Unique:
		list = append(list, "whole numbers, each different")
	case len(list) == 0 && c.Numbers == c.Values:
		list = append(list, "whole numbers")
	}
	if len(c.Texts) > 0 && len(list) == 0 {
		list = append(list, strconv.Itoa(len(c.Texts))+" different texts")
	}
	if len(list) == 0 {
		return "text"
	}
	return strings.Join(list, ", ")
}
