package tracking2003

import (
	"bytes"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/tracking/reply"
	"github.com/harvestwatch/harvestwatch/parsers/lines"
)

// maxLine is the length in bytes above which a line is not read, and counted as unparsed.
const maxLine = 64 << 10

// The columns of a row, of which there are always 20.
const (
	colDate         = 0
	colTime         = 1
	colClient       = 2
	colRecipient    = 7
	colEvent        = 8
	colMessage      = 9
	colReport       = 11
	colBytes        = 12
	colRecipients   = 13
	colSender       = 19
	columnsInAll    = 20
	columnSeparator = '\t'
)

// op is what a row says.
type op uint8

const (
	opUnparsed op = iota
	opReceive     // 1019: SMTP submitted the message
	opDeliver     // 1023, 1028: it was delivered here
	opBounce      // 1030: a report of its failure was made
)

// token is what is kept of a row.
type token struct {
	off, end, line uint32
	op             op
	null           bool
	at             int64
	ip             address.IP
	code           uint16
	status         harvestwatch.Enhanced
	message        []byte
	recipient      []byte
	sender         []byte
}

// lexed is what Lex leaves in Lines.Lexed.
type lexed struct {
	lines, quiet int64
	header       bool
	tokens       []token
	scratch      []byte // texts of events that don't stand in the lines as they are
}

func lex(l *harvestwatch.Lines) *lexed {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		out = &lexed{}
		l.Lexed = out
	}
	clear(out.tokens)
	*out = lexed{tokens: out.tokens[:0], scratch: out.scratch[:0]}
	for off := 0; off < len(l.Data); {
		end, next := lines.Next(l.Data, off)
		out.line(l.Data[off:end], off)
		off = next
		out.lines++
	}
	return out
}

func (out *lexed) line(line []byte, off int) {
	line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	if len(line) == 0 || line[0] == '#' {
		out.header = out.header || bytes.HasPrefix(line, []byte("# Message Tracking Log File"))
		out.quiet++
		return
	}
	t := token{off: uint32(off), end: uint32(off + len(line)), line: uint32(out.lines)}
	if !t.read(line) {
		t = token{off: t.off, end: t.end, line: t.line}
	} else if t.op == opUnparsed {
		out.quiet++
		return
	}
	out.tokens = append(out.tokens, t)
}

// read reads a row. It reports whether it was understood; op stays opUnparsed for one that says nothing about a client.
// A row with more or less columns isn't read: nobody is known to take tabs out of what a client wrote, and one of his
// would shift all columns behind it.
func (t *token) read(line []byte) bool {
	var f [columnsInAll][]byte
	if len(line) > maxLine || !split(line, &f) {
		return false
	}
	at, ok := stamp(f[colDate], f[colTime])
	if event, numeric := decimal(f[colEvent], 5); !ok || !numeric || !number(f[colBytes]) || !number(f[colRecipients]) {
		return false
	} else if t.op = opOf(event); t.op == opUnparsed {
		return true
	}
	t.at = at
	t.message, t.recipient = value(f[colMessage]), bare(value(f[colRecipient]))
	t.null = string(f[colSender]) == "<>"
	t.sender = bare(value(f[colSender]))
	if len(t.message) == 0 {
		t.op = opUnparsed
		return true
	}
	if client := value(f[colClient]); t.op == opReceive && len(client) > 0 {
		if t.ip, ok = address.Parse(client); !ok {
			return false
		}
	}
	t.code, t.status = reply.Parse(value(f[colReport]))
	return true
}

func opOf(event int) op {
	switch event {
	case 1019:
		return opReceive
	case 1023, 1028:
		return opDeliver
	case 1030:
		return opBounce
	}
	return opUnparsed
}

// split takes a row apart. It reports whether it has the right number of columns.
func split(line []byte, f *[columnsInAll][]byte) bool {
	for i := range f {
		field, rest, more := bytes.Cut(line, []byte{columnSeparator})
		f[i], line = field, rest
		if more == (i == columnsInAll-1) {
			return false
		}
	}
	return true
}

// value returns a column's value; a dash stands for none.
func value(b []byte) []byte {
	if len(b) == 1 && b[0] == '-' {
		return nil
	}
	return b
}

// bare takes the angle brackets off a path.
func bare(b []byte) []byte {
	if n := len(b); n >= 2 && b[0] == '<' && b[n-1] == '>' {
		return b[1 : n-1]
	}
	return b
}

// number reports whether a column holds a number, or none.
func number(b []byte) bool {
	b = value(b)
	_, ok := decimal(b, 18)
	return ok || len(b) == 0
}

// decimal reads a number of one to width digits.
func decimal(b []byte, width int) (n int, ok bool) {
	for _, c := range b {
		if c-'0' >= 10 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, len(b) > 0 && len(b) <= width
}

// stamp reads "2004-1-31" and "7:5:12 GMT"; the numbers have no leading zeros.
func stamp(date, clock []byte) (int64, bool) {
	y, m, d, ok := three(date, '-')
	rest, zoned := bytes.CutSuffix(clock, []byte(" GMT"))
	hour, minute, second, timed := three(rest, ':')
	if !ok || !zoned || !timed || y < 1990 || y > 2200 || m < 1 || m > 12 || d < 1 || hour > 23 || minute > 59 || second > 60 {
		return 0, false
	}
	at := time.Date(y, time.Month(m), d, hour, minute, second, 0, time.UTC)
	return at.UnixNano(), at.Day() == d || second == 60
}

// three reads three numbers with a mark between them.
func three(b []byte, mark byte) (x, y, z int, ok bool) {
	one, rest, _ := bytes.Cut(b, []byte{mark})
	two, three, _ := bytes.Cut(rest, []byte{mark})
	x, ok1 := decimal(one, 4)
	y, ok2 := decimal(two, 2)
	z, ok3 := decimal(three, 2)
	return x, y, z, ok1 && ok2 && ok3
}
