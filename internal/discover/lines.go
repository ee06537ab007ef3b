package discover

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

// stamps are the forms of a time at the start of a line.
var stamps = []struct{ pattern, layout string }{
	{`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|[+-]\d\d:?\d\d))?`, ""},
	{`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:[.,]\d+)?`, ""},
	{`\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d`, "02.01.2006 15:04:05"},
	{`\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d [AP]M`, "1/2/2006 3:04:05 PM"},
	{`\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d`, "1/2/2006 15:04:05"},
	{`\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}`, "02/Jan/2006:15:04:05 -0700"},
	{`[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}`, "Mon Jan _2 15:04:05 2006"},
}

// lead is what can stand before the time.
const lead = `[\["]?`

// address finds what could be an address; isAddr judges it.
const address = `[0-9A-Fa-f:.]{3,45}`

// opening is how a line goes on behind its time up to the client's address.
type opening struct {
	before string // the pattern between the time and the address
	after  string // the pattern behind the address, "" for none
	what   string // for people
}

// lines looks at a text log and proposes a pattern.
func (t *Table) lines(data []byte) {
	var list []string
	for line := range bytes.Lines(data) {
		line = bytes.TrimRight(line, "\r\n")
		if len(bytes.TrimSpace(line)) == 0 || line[0] == '#' {
			continue
		}
		if len(list) == maxRows {
			t.More = true
			break
		}
		list = append(list, string(line[:min(len(line), maxLine)]))
	}
	t.Rows = len(list)
	stamp, re := bestStamp(list)
	if stamp < 0 {
		t.because(0, "No form of time that is known stands at the start of the lines.")
		return
	}
	t.Fields.TimeLayout = stamps[stamp].layout
	open, n := bestOpening(list, re)
	if n == 0 {
		t.because(0, "Behind the time there is no address at a place that is the same in the lines.")
		return
	}
	pattern := `^` + lead + `(?P<time>` + stamps[stamp].pattern + `)` + open.before + `(?P<source>` + address + `)` + open.after
	pattern += t.recipient(list, pattern)
	t.Fields.Pattern, t.Lines = pattern, n
	t.because(scoreTime, "Lines start with a time.")
	t.because(scoreSource*float64(n)/float64(t.Rows), "The first address behind it, %s, is taken for the client's, in %d of %d lines.", open.what, n, t.Rows)
	t.Usable = true
}

// bestStamp returns the form of time that most lines start with, -1 for none.
func bestStamp(list []string) (best int, re *regexp.Regexp) {
	best, most := -1, 0
	for i, s := range stamps {
		try := regexp.MustCompile(`^` + lead + `(` + s.pattern + `)`)
		n := 0
		for _, line := range list {
			if try.MatchString(line) {
				n++
			}
		}
		if n > most {
			best, most, re = i, n, try
		}
	}
	return best, re
}

// bestOpening returns the way from the time to the address that fits the most lines: the first brackets, a word that
// announces the address, or a number of words between the two.
func bestOpening(list []string, stamp *regexp.Regexp) (best opening, most int) {
	found := regexp.MustCompile(address)
	tries := map[opening]int{}
	for _, line := range list {
		at := stamp.FindStringIndex(line)
		if at == nil {
			continue
		}
		rest := line[at[1]:]
		for _, ip := range found.FindAllStringIndex(rest, -1) {
			if isAddr(rest[ip[0]:ip[1]]) && strings.ContainsAny(rest[ip[0]:ip[1]], ".:") {
				for _, o := range openings(rest[:ip[0]], rest[ip[1]:]) {
					tries[o]++
				}
				break
			}
		}
		if len(tries) > 1000 {
			break
		}
	}
	for o, n := range tries {
		if n > most || n == most && o.before < best.before {
			best, most = o, n
		}
	}
	if most == 0 {
		return best, 0
	}
	n := 0
	whole := regexp.MustCompile(stamp.String() + best.before + `(` + address + `)` + best.after)
	for _, line := range list {
		if m := whole.FindStringSubmatch(line); m != nil && isAddr(m[2]) {
			n++
		}
	}
	return best, n
}

// announced is a word before an address, with what joins them.
var announced = regexp.MustCompile(`([A-Za-z][A-Za-z_-]{0,20}[=:]\s?["\[(]?)$`)

// openings returns the ways to describe what stands between the time and an address. Each can only lead to the first
// place of its sort: what a client wrote further on in the line is out of its reach.
func openings(before, after string) (list []opening) {
	if before == "" {
		return nil
	}
	if strings.HasSuffix(before, "[") && strings.HasPrefix(after, "]") && strings.Count(before, "[") == 1 {
		list = append(list, opening{`[^\[]*\[`, `\]`, "in the first brackets"})
	}
	if m := announced.FindString(before); m != "" && len(before) < 60 {
		quoted := regexp.QuoteMeta(m)
		if words := strings.Count(strings.TrimSpace(strings.TrimSuffix(before, m)), " "); words < 8 {
			list = append(list, opening{`(?:\S*\s+){0,8}?` + quoted, ``, "behind " + m})
		}
	}
	if words := strings.Fields(before); len(words) < 12 && (strings.HasSuffix(before, " ") || strings.HasSuffix(before, "\t")) {
		list = append(list, opening{`["\]]?\s+(?:\S+\s+){` + strconv.Itoa(len(words)) + `}`, `(?:\s|$)`, "as word " + strconv.Itoa(len(words)+1)})
	}
	for _, delim := range []string{",", ";"} {
		if fields := strings.Split(before, delim); len(fields) > 1 && strings.Trim(fields[len(fields)-1], ` "`) == "" {
			list = append(list, opening{`["\]]?` + strings.Repeat(`[^`+delim+`]*`+delim, len(fields)-1) + `\s*"?`, `(?:["` + delim + `\s]|$)`,
				"as field " + strconv.Itoa(len(fields))})
		}
	}
	return list
}

// mailPattern takes a recipient.
const mailPattern = `<?(?P<recipient>[^\s<>,;"]+@[^\s<>,;"]+)`

// recipient proposes how the recipient is found behind the address: by a word before it if there is one, else the first
// mail address.
func (t *Table) recipient(list []string, pattern string) string {
	best, most := "", 0
	for _, way := range []string{`(?:.*?\b(?i:to|rcpt|rcpt to|recipient|recipients)\b["=: ]*` + mailPattern + `)?`, `(?:.*?` + mailPattern + `)?`} {
		re, err := regexp.Compile(pattern + way)
		if err != nil {
			return ""
		}
		n := 0
		for _, line := range list {
			if m := re.FindStringSubmatch(line); m != nil && m[len(m)-1] != "" {
				n++
			}
		}
		if n > most {
			best, most = way, n
		}
	}
	if most*2 < t.Rows {
		return ""
	}
	t.because(scoreRecipient*float64(most)/float64(t.Rows), "A recipient is found in %d of %d lines; look whether it is one, and not the sender.", most, t.Rows)
	return best
}
