// Package syslog takes a line of a mail log apart into stamp, host, tag and text, and turns stamps into times. It knows
// the forms that syslog daemons and Postfix's own postlogd write: the old BSD form (RFC 3164), ISO 8601 stamps
// (RFC 3339) in its place, and the form of RFC 5424.
//
// Parse is pure and allocates nothing. A Clock remembers the previous time and belongs to one goroutine. The package
// knows nothing of any program's messages, does no I/O and starts no goroutine.
package syslog

import "bytes"

// Line is a log line, taken apart. The slices are borrowed from the line that was parsed, which must not change as long
// as the Line is used, for the next line too.
type Line struct {
	Stamp Stamp
	Host  []byte // the host that logged, as written
	Tag   []byte // the program's name before its process id, "postfix/smtpd"; empty where the line has none
	Pid   uint32 // the process id; 0 where the line has none
	Text  []byte // what the program said: always the end of the line

	stampText []byte // the text that gave Stamp: the next line often has the same
}

// Parse takes line, without its line feed, apart. It reports false where the line has no stamp that is understood, or
// nothing after it. A line with stamp and host but without a tag ("last message repeated 2 times") has an empty Tag.
func Parse(line []byte, l *Line) bool {
	b := line
	l.Tag, l.Pid = nil, 0
	if len(b) > 2 && b[0] == 0xef && b[1] == 0xbb && b[2] == 0xbf { // a byte order mark, which editors leave at the start
		b = b[3:]
	}
	if len(b) > 0 && b[0] == '<' {
		rest, ok := priority(b)
		if !ok {
			return false
		}
		if len(rest) > 2 && rest[0] == '1' && rest[1] == ' ' {
			return parse5424(rest[2:], l)
		}
		b = rest
	}
	b, ok := l.stamp(b)
	if !ok {
		return false
	}
	if l.Host, b, ok = word(b); !ok {
		return false
	}
	l.tag(b)
	return true
}

// stamp takes the stamp off.
func (l *Line) stamp(b []byte) ([]byte, bool) {
	if n := len(l.stampText); n > 0 && len(b) >= n && string(b[:n]) == string(l.stampText) {
		return b[n:], true
	}
	rest, ok := parseStamp(b, &l.Stamp)
	if ok {
		l.stampText = b[:len(b)-len(rest)]
	}
	return rest, ok
}

// priority skips "<22>".
func priority(b []byte) ([]byte, bool) {
	for i := 1; i < len(b) && i < 6; i++ {
		if b[i] == '>' {
			return b[i+1:], i > 1
		}
		if b[i] < '0' || b[i] > '9' {
			return nil, false
		}
	}
	return nil, false
}

// word cuts the first word and the one space behind it off.
func word(b []byte) (first, rest []byte, ok bool) {
	i := bytes.IndexByte(b, ' ')
	if i <= 0 {
		return nil, nil, false
	}
	return b[:i], b[i+1:], true
}

// tag reads "name[pid]: text" or "name: text"; b is all text where there is neither.
func (l *Line) tag(b []byte) {
	l.Text = b
	i := 0
	for i < len(b) && tagByte[b[i]] {
		i++
	}
	if i == 0 || i == len(b) {
		return
	}
	pid, j := uint32(0), i
	if b[j] == '[' {
		for j++; j < len(b) && b[j]-'0' < 10; j++ {
			pid = pid*10 + uint32(b[j]-'0')
		}
		if j == len(b) || b[j] != ']' {
			return
		}
		j++
	}
	if j == len(b) || b[j] != ':' {
		return
	}
	j++
	if j < len(b) && b[j] == ' ' {
		j++
	}
	l.Tag, l.Pid, l.Text = b[:i], pid, message(b[j:])
}

// message skips the message id that Solaris puts before the text: "[ID 197553 mail.info] ".
func message(b []byte) []byte {
	if len(b) < 4 || b[0] != '[' || string(b[:4]) != "[ID " {
		return b
	}
	if i := bytes.IndexByte(b, ']'); i > 0 && i+1 < len(b) && b[i+1] == ' ' {
		return b[i+2:]
	}
	return b
}

// tagByte holds the bytes that a tag is made of: everything printable but space, ':', '[' and ']'.
var tagByte = func() (t [256]bool) {
	for c := '!'; c < 0x7f; c++ {
		t[c] = c != ':' && c != '[' && c != ']'
	}
	return t
}()

// parse5424 reads what follows the version: STAMP HOST APP PROCID MSGID SD [TEXT].
func parse5424(b []byte, l *Line) bool {
	b, ok := l.stamp(b)
	if !ok {
		return false
	}
	var proc []byte
	if l.Host, b, ok = word(b); !ok {
		return false
	}
	if l.Tag, b, ok = word(b); !ok {
		return false
	}
	if proc, b, ok = word(b); !ok {
		return false
	}
	for _, c := range proc {
		if c-'0' >= 10 {
			l.Pid = 0
			break
		}
		l.Pid = l.Pid*10 + uint32(c-'0')
	}
	if _, b, ok = word(b); !ok {
		return false
	}
	if b, ok = structured(b); !ok {
		return false
	}
	if len(b) >= 3 && string(b[:3]) == "\xef\xbb\xbf" {
		b = b[3:]
	}
	l.Text = b
	return true
}

// structured skips the structured data (RFC 5424 section 6.3) and the space behind it.
func structured(b []byte) ([]byte, bool) {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	} else {
		for len(b) > 0 && b[0] == '[' {
			n := element(b)
			if n == 0 {
				return nil, false
			}
			b = b[n:]
		}
	}
	if len(b) == 0 || b[0] != ' ' {
		return b, len(b) == 0
	}
	return b[1:], true
}

// element returns the length of the SD-ELEMENT at the beginning of b, or 0.
func element(b []byte) int {
	quoted := false
	for i := 1; i < len(b); i++ {
		switch {
		case quoted && b[i] == '\\':
			i++
		case b[i] == '"':
			quoted = !quoted
		case !quoted && b[i] == ']':
			return i + 1
		}
	}
	return 0
}
