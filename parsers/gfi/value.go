package gfi

import (
	"bytes"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// Years that a row can be of. What a database holds for "no time" lies outside.
const (
	firstYear = 1990
	lastYear  = 2200
)

// parseAddr reads a field that holds an address and nothing else: alone, in brackets, or with a port behind it. It
// reports false for everything else.
func parseAddr(text []byte) (harvestwatch.Addr, bool) {
	text = bytes.TrimSpace(text)
	if len(text) > harvestwatch.MaxField {
		return harvestwatch.Addr{}, false
	}
	if len(text) > 0 && text[0] == '[' {
		end := bytes.IndexByte(text, ']')
		if end < 0 || end+1 < len(text) && !isPort(text[end+1:]) {
			return harvestwatch.Addr{}, false
		}
		text = text[1:end]
	} else if i := bytes.IndexByte(text, ':'); i >= 0 && bytes.IndexByte(text[i+1:], ':') < 0 {
		if !isPort(text[i:]) {
			return harvestwatch.Addr{}, false
		}
		text = text[:i]
	}
	a, err := netip.ParseAddr(string(text))
	return a.Unmap().WithZone(""), err == nil
}

// isPort reports whether a text is a colon and a port.
func isPort(text []byte) bool {
	if len(text) < 2 || text[0] != ':' {
		return false
	}
	_, err := strconv.ParseUint(string(text[1:]), 10, 16)
	return err == nil && text[1] != '+'
}

// when reads a time, in nanoseconds since 1970 UTC. It reports false for what is no time, and for times outside the
// years that a row can be of.
func (p *Parser) when(text []byte) (ns int64, naive, ok bool) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || len(text) > harvestwatch.MaxField {
		return 0, false, false
	}
	var t time.Time
	if p.fields.TimeLayout != "" {
		var err error
		if t, err = time.ParseInLocation(p.fields.TimeLayout, string(text), p.zone); err != nil {
			return 0, false, false
		}
		naive = p.naiveLayout()
	} else if t, naive, ok = parseTime(text, p.zone); !ok {
		return 0, false, false
	}
	if t.Year() < firstYear || t.Year() > lastYear {
		return 0, false, false
	}
	return t.UnixNano(), naive, true
}

// naiveLayout reports whether the layout names no zone.
func (p *Parser) naiveLayout() bool {
	l := p.fields.TimeLayout
	for _, zone := range []string{"MST", "-07", "Z07"} {
		if bytes.Contains([]byte(l), []byte(zone)) {
			return false
		}
	}
	return true
}

// parseTime reads what mdb-export writes with -T '%Y-%m-%d %H:%M:%S' and the extended form of ISO 8601 with at least
// the minutes: a date alone says too little to count by. naive reports that there was no zone, so zone was taken.
func parseTime(b []byte, zone *time.Location) (t time.Time, naive, ok bool) {
	n := number{b: b, ok: true}
	year := n.digits(4)
	n.one("-/")
	month := n.digits(2)
	n.one("-/")
	day := n.digits(2)
	n.one(" Tt")
	hour := n.digits(2)
	n.one(":")
	minute := n.digits(2)
	second, ns := 0, 0
	if n.next(":") {
		second = n.digits(2)
		if n.next(".,") {
			ns = n.fraction()
		}
	}
	loc, naive := n.zone(zone)
	if !n.ok || len(n.b) > 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 {
		return t, false, false
	}
	t = time.Date(year, time.Month(month), day, hour, minute, min(second, 59), ns, loc)
	return t, naive, time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Day() == day // no 30th of February
}

// number takes the parts of a time off.
type number struct {
	b  []byte
	ok bool
}

func (n *number) digits(count int) (v int) {
	if len(n.b) < count {
		n.ok = false
		return 0
	}
	for _, c := range n.b[:count] {
		if c < '0' || c > '9' {
			n.ok = false
			return 0
		}
		v = 10*v + int(c-'0')
	}
	n.b = n.b[count:]
	return v
}

func (n *number) next(any string) bool {
	if len(n.b) == 0 || bytes.IndexByte([]byte(any), n.b[0]) < 0 {
		return false
	}
	n.b = n.b[1:]
	return true
}

func (n *number) one(any string) { n.ok = n.next(any) && n.ok }

// fraction takes the digits of a second's fraction off, as nanoseconds; more than nine are read over.
func (n *number) fraction() int {
	v, digits := 0, 0
	for len(n.b) > 0 && n.b[0] >= '0' && n.b[0] <= '9' {
		if digits < 9 {
			v = 10*v + int(n.b[0]-'0')
		}
		digits++
		n.b = n.b[1:]
	}
	n.ok = n.ok && digits > 0
	return v * int(math.Pow10(9-min(digits, 9)))
}

// zone takes a zone off: Z, +hh:mm, +hhmm or +hh, with or without a blank before it.
func (n *number) zone(fallback *time.Location) (loc *time.Location, naive bool) {
	if len(n.b) == 0 {
		return fallback, true
	}
	n.next(" ")
	if n.next("Zz") {
		return time.UTC, false
	}
	sign := 1
	if len(n.b) > 0 && n.b[0] == '-' {
		sign = -1
	}
	n.one("+-")
	hours, minutes := n.digits(2), 0
	if n.next(":") || len(n.b) > 0 {
		minutes = n.digits(2)
	}
	n.ok = n.ok && hours < 24 && minutes < 60
	return time.FixedZone("", sign*(hours*3600+minutes*60)), false
}

// recipients cuts a list of recipients at semicolons, commas and line ends outside quotation marks and calls each for
// every one that is not empty, at most maxRecipients times.
func recipients(list []byte, each func(one []byte)) {
	told, start, quoted := 0, 0, false
	for i := 0; i <= len(list) && told < maxRecipients; i++ {
		if i < len(list) {
			switch c := list[i]; {
			case c == '"':
				quoted = !quoted
				continue
			case c == '\\' && quoted && i+1 < len(list):
				i++
				continue
			case quoted && c != '\n' && c != '\r' || c != ';' && c != ',' && c != '\n' && c != '\r':
				continue
			}
		}
		if one := bare(list[start:i]); len(one) > 0 {
			told++
			each(one)
		}
		start, quoted = i+1, false
	}
}

// bare takes an address out of its angle brackets, before which a name can stand.
func bare(text []byte) []byte {
	text = bytes.TrimSpace(text)
	if len(text) > 0 && text[len(text)-1] == '>' {
		if i := bytes.LastIndexByte(text, '<'); i >= 0 {
			text = bytes.TrimSpace(text[i+1 : len(text)-1])
		}
	}
	return text
}
