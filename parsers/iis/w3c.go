package iis

import (
	"bytes"
	"time"
)

// maxColumns is how many columns a layout can have; IIS has 22 at most.
const maxColumns = 48

// column says what a column of the W3C format is.
type column uint8

const (
	colOther column = iota
	colDate
	colTime
	colClient
	colUser
	colSite
	colPort
	colMethod
	colQuery
	colStatus
	colVersion
	columnEnd
)

// layout is the columns of a W3C log. The zero layout is not known: then the row decides between the service's two
// usual ones.
type layout struct {
	n      uint8 // how many; 255 for columns that nothing can be seen from
	last   uint8 // the last one that matters, from 1
	dated  bool
	column [maxColumns]column
}

const unreadable = 255

// usual are the columns that come with all fields logged, and short those that the service logs when nobody chose any.
const (
	usual = "date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem cs-uri-query sc-status " +
		"sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer)"
	short = "time c-ip cs-method cs-uri-stem sc-status"
)

var usualLayout, shortLayout = layoutOf([]byte(usual)), layoutOf([]byte(short))

func columnOf(name []byte) column {
	switch string(name) {
	case "date":
		return colDate
	case "time":
		return colTime
	case "c-ip":
		return colClient
	case "cs-username":
		return colUser
	case "s-sitename":
		return colSite
	case "s-port":
		return colPort
	case "cs-method":
		return colMethod
	case "cs-uri-query":
		return colQuery
	case "sc-status":
		return colStatus
	case "cs-version":
		return colVersion
	}
	return colOther
}

// layoutOf reads the names of a #Fields line.
func layoutOf(names []byte) (l layout) {
	var has [columnEnd]bool
	for name := range bytes.FieldsSeq(names) {
		if int(l.n) == maxColumns {
			return layout{n: unreadable}
		}
		c := columnOf(name)
		if c != colOther && has[c] {
			return layout{n: unreadable}
		}
		l.column[l.n] = c
		has[c] = true
		l.n++
		if c != colOther {
			l.last = l.n
		}
	}
	if !has[colTime] || !has[colClient] || !has[colMethod] || !has[colStatus] {
		return layout{n: unreadable}
	}
	l.dated = has[colDate]
	return l
}

// directive reads a line that begins with #, and reports whether Fold must see it.
func (x *lexer) directive(off, end int) bool {
	line := x.data[off:end]
	switch {
	case x.format != formatW3C:
	case bytes.HasPrefix(line, []byte("#Software:")):
		x.out.iis = x.out.iis || bytes.Contains(line, []byte("Internet Information Services"))
	case bytes.HasPrefix(line, []byte("#Fields:")):
		x.layout, x.first = layoutOf(line[len("#Fields:"):]), false
		x.tok.deed, x.tok.date = deedLayout, uint32(len(x.out.layouts))
		x.out.layouts = append(x.out.layouts, x.layout)
		return true
	case bytes.HasPrefix(line, []byte("#Date:")):
		text := bytes.TrimSpace(line[len("#Date:"):])
		if len(text) != len("2006-01-02 15:04:05") || text[10] != ' ' {
			return true
		}
		days, ok := x.isoDays(text[:10])
		second, ok2 := clock(text[11:])
		if ok && ok2 {
			x.tok.deed, x.tok.at = deedDate, days*daySeconds+second
		}
		return true
	}
	return false
}

// w3c lexes a row by the columns in force.
func (x *lexer) w3c(off, end int) (keep bool) {
	l := &x.layout
	if l.n == 0 {
		l = &shortLayout
		if end-off > 4 && x.data[off+4] == '-' {
			l = &usualLayout
		}
	}
	for end > off && x.data[end-1] == ' ' {
		end--
	}
	var v [columnEnd]span
	if l.n == unreadable || !x.columns(l, off, end, &v) {
		return true
	}
	second, ok := clock(v[colTime].of(x.data))
	if !ok {
		return true
	}
	x.tok.at, x.tok.flags = second, flagUndated
	if l.dated {
		days, ok := x.isoDays(v[colDate].of(x.data))
		if !ok {
			x.tok.flags = 0
			return true
		}
		x.tok.at, x.tok.flags = days*daySeconds+second, 0
	}
	return x.command(&row{client: v[colClient], user: v[colUser], verb: v[colMethod], arg: v[colQuery], status: v[colStatus],
		service: v[colSite], version: v[colVersion], port: v[colPort]})
}

// columns finds the columns that matter. It reports false where a row has more or fewer than it should.
func (x *lexer) columns(l *layout, off, end int, v *[columnEnd]span) bool {
	b := x.data[off:end]
	for c := 0; c < int(l.last); c++ {
		i := bytes.IndexByte(b, ' ')
		if i < 0 {
			i = len(b)
		}
		if i == 0 {
			return false
		}
		col := l.column[c]
		v[col] = span{uint32(off), uint32(i)}
		if i == len(b) {
			return c+1 == int(l.n)
		}
		i++
		if col == colMethod && i == 5 {
			i += twoWords(b)
		}
		off += i
		b = b[i:]
	}
	return bytes.Count(b, []byte{' '})+1 == int(l.n-l.last)
}

// twoWords returns the length of the second word of MAIL FROM and RCPT TO, as Microsoft's example has the method, and
// of the blank behind it.
func twoWords(b []byte) int {
	switch {
	case hasFold(b, "MAIL FROM "):
		return len("FROM ")
	case hasFold(b, "RCPT TO "):
		return len("TO ")
	}
	return 0
}

const daySeconds = 24 * 60 * 60

// clock reads hh:mm:ss as the second of the day, a leap second as the one before.
func clock(b []byte) (second int64, ok bool) {
	if len(b) == 7 && b[1] == ':' { // the hour without its zero
		return clockOf('0', b[0], b[1:])
	}
	if len(b) != 8 {
		return 0, false
	}
	return clockOf(b[0], b[1], b[2:])
}

func clockOf(h1, h0 byte, rest []byte) (int64, bool) {
	h, ok := two(h1, h0)
	m, ok2 := two(rest[1], rest[2])
	s, ok3 := two(rest[4], rest[5])
	if !ok || !ok2 || !ok3 || rest[0] != ':' || rest[3] != ':' || h > 23 || m > 59 || s > 60 {
		return 0, false
	}
	return h*3600 + m*60 + min(s, 59), true
}

func two(a, b byte) (int64, bool) {
	return int64(a-'0')*10 + int64(b-'0'), a-'0' < 10 && b-'0' < 10
}

// isoDays reads 2006-01-02 as days since 1970.
func (x *lexer) isoDays(b []byte) (int64, bool) {
	if len(b) == x.dateLen && string(b) == string(x.dateText[:x.dateLen]) {
		return x.days, true
	}
	if len(b) != 10 || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	y, ok := number(b[:4])
	m, ok2 := number(b[5:7])
	d, ok3 := number(b[8:])
	if !ok || !ok2 || !ok3 {
		return 0, false
	}
	return x.remember(b, int(y), int(m), int(d))
}

// remember keeps the days of a date, for the next row.
func (x *lexer) remember(text []byte, y, m, d int) (int64, bool) {
	days, ok := daysOf(y, m, d)
	if ok {
		x.dateLen = copy(x.dateText[:], text)
		x.days = days
	}
	return days, ok
}

// daysOf returns the days since 1970 of a date from 1980 to 2199.
func daysOf(y, m, d int) (int64, bool) {
	if y < 1980 || y > 2199 || m < 1 || m > 12 || d < 1 || d > 31 {
		return 0, false
	}
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	return t.Unix() / daySeconds, t.Day() == d
}
