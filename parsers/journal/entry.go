package journal

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// entry is one entry of the journal: what of it goes into a line. The slices are the entry's own memory, reused.
type entry struct {
	micros  int64 // since 1970 UTC, when the journal took it in
	host    []byte
	tag     []byte
	pid     []byte
	comm    []byte
	message []byte

	seen    field // the fields that were there: of one that comes twice the first counts
	second  int64 // the second that stamp tells
	stamp   []byte
	scratch []byte
}

// field is one of the fields that are read.
type field uint8

const (
	fieldOther field = 0
	fieldTime  field = 1 << iota
	fieldHost
	fieldTag
	fieldPid
	fieldOwnPid
	fieldMessage
)

func fieldOf(name []byte) field {
	switch string(name) {
	case "__REALTIME_TIMESTAMP":
		return fieldTime
	case "_HOSTNAME":
		return fieldHost
	case "SYSLOG_IDENTIFIER":
		return fieldTag
	case "SYSLOG_PID":
		return fieldPid
	case "_PID":
		return fieldOwnPid
	case "MESSAGE":
		return fieldMessage
	}
	return fieldOther
}

// maxTime is the year 9999 in microseconds: stamps have four digits for the year.
const maxTime = 253_402_300_800_000_000

// read takes a line apart. It reports false for what is no entry: no JSON object, or one that doesn't say when.
func (e *entry) read(line []byte) bool {
	e.seen, e.micros = 0, 0
	e.host, e.tag, e.pid, e.message = e.host[:0], e.tag[:0], e.pid[:0], e.message[:0]
	s := scanner{b: line}
	for s.next() {
		f := fieldOf(s.name)
		if f == fieldOther || e.seen&f != 0 {
			s.skip()
			continue
		}
		e.seen |= f
		switch f {
		case fieldTime:
			e.scratch = s.text(e.scratch[:0])
			if e.micros = number(e.scratch); e.micros <= 0 || e.micros >= maxTime {
				return false
			}
		case fieldHost:
			e.host = s.text(e.host)
		case fieldTag:
			e.tag = s.text(e.tag)
		case fieldPid:
			e.pid = s.text(e.pid[:0])
		case fieldOwnPid:
			if e.seen&fieldPid != 0 {
				s.skip()
			} else {
				e.pid = s.text(e.pid)
			}
		case fieldMessage:
			e.message = s.text(e.message)
		}
	}
	return s.ended && e.seen&fieldTime != 0
}

// number returns the number that b writes in decimal digits, -1 where it is none or too long.
func number(b []byte) (n int64) {
	if len(b) == 0 || len(b) > 18 {
		return -1
	}
	for _, c := range b {
		if c-'0' > 9 {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// write appends the entry as a line of n bytes in the form of RFC 5424. What it is shorter than n is filled up in the
// message id, which no mail program uses. It reports false, having written nothing, where n bytes are too few.
func (e *entry) write(b []byte, n int) ([]byte, bool) {
	start := len(b)
	b = append(b, "<22>1 "...)
	b = e.time(b)
	b = append(b, ' ')
	for _, w := range [...][]byte{e.host, e.tag, e.pid} {
		b = word(b, w)
		b = append(b, ' ')
	}
	pad := n - (len(b) - start) - len(" - ") - len(e.message)
	if pad < 1 {
		return b[:start], false
	}
	b = fill(b, dashes, pad)
	b = append(b, " - "...)
	b = append(b, e.message...)
	for i, c := range b[len(b)-len(e.message):] {
		if c < ' ' || c == 0x7f {
			b[len(b)-len(e.message)+i] = ' '
		}
	}
	return b, true
}

// time appends the stamp. Neighbours are mostly of the same second.
func (e *entry) time(b []byte) []byte {
	second, micros := e.micros/1_000_000, e.micros%1_000_000
	if second != e.second || len(e.stamp) == 0 {
		e.second = second
		e.stamp = time.Unix(second, 0).UTC().AppendFormat(e.stamp[:0], "2006-01-02T15:04:05.")
	}
	b = append(b, e.stamp...)
	for div := int64(100_000); div > 0; div /= 10 {
		b = append(b, byte('0'+micros/div%10))
	}
	return append(b, 'Z')
}

// word appends one word, "-" for none. A byte that can't stand in a word becomes a question mark.
func word(b, w []byte) []byte {
	if len(w) == 0 {
		return append(b, '-')
	}
	for _, c := range w {
		if c <= ' ' || c >= 0x7f {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

// scanner reads one JSON object (RFC 8259). It allows what the standard forbids inside of values nobody asked for, as
// long as it finds their end.
type scanner struct {
	b     []byte
	i     int
	name  []byte // of the field whose value comes next, as written
	begun bool
	ended bool // the object's end was found, and nothing but blanks behind it
}

func (s *scanner) blanks() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

// is takes c, and the blanks around it, off.
func (s *scanner) is(c byte) bool {
	s.blanks()
	if s.i == len(s.b) || s.b[s.i] != c {
		return false
	}
	s.i++
	s.blanks()
	return true
}

// next goes to the next field. It reports false at the object's end and where the text is no object.
func (s *scanner) next() bool {
	if !s.begun {
		s.begun = true
		if s.i == 0 && len(s.b) > 0 && s.b[0] == 0x1e { // a record separator, which -o json-seq writes
			s.i++
		}
		if !s.is('{') {
			return false
		}
	} else if !s.is(',') {
		s.ended = s.is('}') && s.i == len(s.b)
		return false
	}
	if s.i < len(s.b) && s.b[s.i] == '}' && s.b[s.i-1] == '{' {
		s.ended = s.i+1 == len(s.b)
		return false
	}
	name, ok := s.quoted()
	s.name = name
	return ok && s.is(':')
}

// quoted takes a string off and returns what stands between its quotation marks, as written.
func (s *scanner) quoted() ([]byte, bool) {
	if s.i == len(s.b) || s.b[s.i] != '"' {
		return nil, false
	}
	for from := s.i + 1; ; {
		i := bytes.IndexByte(s.b[from:], '"')
		if i < 0 {
			return nil, false
		}
		i += from
		escapes := 0
		for s.b[i-1-escapes] == '\\' {
			escapes++ // the opening quotation mark ends the count at the latest
		}
		if from = i + 1; escapes%2 == 0 {
			text := s.b[s.i+1 : i]
			s.i = from
			return text, true
		}
	}
}

// skip passes a value. Where it has no end the scanner stands at the end of the text.
func (s *scanner) skip() {
	depth := 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			if _, ok := s.quoted(); !ok {
				s.i = len(s.b)
				return
			}
			if depth == 0 {
				return
			}
			continue
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return
			}
			if depth--; depth == 0 {
				s.i++
				return
			}
		case ',':
			if depth == 0 {
				return
			}
		}
		s.i++
	}
}

// text appends the value as a text: of a string what it says, of an array of numbers the bytes, of an array of several
// values the first, of null and everything else nothing.
func (s *scanner) text(to []byte) []byte {
	whole := s.i
	if s.i < len(s.b) && s.b[s.i] == '[' && s.is('[') && s.i < len(s.b) && s.b[s.i] == '[' {
		s.is('[') // several values that are no text
	}
	if s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			if raw, ok := s.quoted(); ok {
				to = unquote(to, raw)
			}
		case c-'0' < 10 && s.i > whole:
			to = s.bytes(to)
		}
	}
	s.i = whole
	s.skip()
	return to
}

// bytes appends the numbers of an array, of which each is a byte.
func (s *scanner) bytes(to []byte) []byte {
	for {
		n, from := 0, s.i
		for s.i < len(s.b) && s.b[s.i]-'0' < 10 {
			n = min(n*10+int(s.b[s.i]-'0'), 1000)
			s.i++
		}
		if s.i == from || n > 255 {
			return to
		}
		to = append(to, byte(n))
		if !s.is(',') {
			return to
		}
	}
}

// unquote appends what a string says.
func unquote(to, raw []byte) []byte {
	plain := bytes.IndexByte(raw, '\\')
	if plain < 0 {
		return append(to, raw...)
	}
	to = append(to, raw[:plain]...)
	for i := plain; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' || i+1 == len(raw) {
			to = append(to, c)
			continue
		}
		i++
		switch raw[i] {
		case 'n', 'r', 't', 'b', 'f':
			to = append(to, ' ')
		case 'u':
			r, n := point(raw[i+1:])
			i += n
			to = utf8.AppendRune(to, r)
		default:
			to = append(to, raw[i])
		}
	}
	return to
}

// point reads the digits of "\u00e4", and of the second half of a pair, and returns how many bytes they were. Half a
// pair is the replacement character.
func point(b []byte) (rune, int) {
	r, ok := four(b)
	if !ok {
		return utf8.RuneError, 0
	}
	if r < 0xd800 || r > 0xdfff {
		return r, 4
	}
	if low, ok := four(b[min(len(b), 6):]); r < 0xdc00 && ok && b[4] == '\\' && b[5] == 'u' && low >= 0xdc00 && low <= 0xdfff {
		return (r-0xd800)<<10 + (low - 0xdc00) + 0x10000, 10
	}
	return utf8.RuneError, 4
}

// four reads four hexadecimal digits.
func four(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c-'0' < 10:
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
