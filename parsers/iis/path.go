package iis

import "bytes"

// path takes the address out of a command's argument, "+FROM:+<a@b.example>" with parameters behind it or not, and
// reports the null path <>. Blanks are written as +, and so is a true +, so inside the address nothing is put back.
func path(data []byte, arg span) (a span, null bool) {
	arg = trim(data, arg)
	for _, name := range []string{"TO:", "FROM:"} {
		if hasFold(arg.of(data), name) {
			arg.off += uint32(len(name))
			arg.n -= uint32(len(name))
			break
		}
	}
	arg = trim(data, arg)
	b := arg.of(data)
	if len(b) == 0 {
		return span{}, false
	}
	if b[0] != '<' {
		arg.n = uint32(bare(b))
		return arg, false
	}
	n := closing(b[1:])
	return span{arg.off + 1, uint32(n)}, n == 0 && len(b) > 1 && b[1] == '>'
}

// trim takes what stands for blanks off the beginning.
func trim(data []byte, s span) span {
	for s.n > 0 && (data[s.off] == '+' || data[s.off] == ' ') {
		s.off++
		s.n--
	}
	return s
}

// closing returns the length of a path up to its closing bracket, which doesn't count within a quoted local part.
func closing(b []byte) int {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '"':
			quoted = !quoted
		case b[i] == '\\' && quoted:
			i++
		case b[i] == '>' && !quoted:
			return i
		}
	}
	if i := bytes.IndexByte(b, '>'); i >= 0 {
		return i // a quotation mark that nobody closed
	}
	return len(b)
}

// bare returns the length of an address without brackets: up to a blank behind its domain.
func bare(b []byte) int {
	at := max(bytes.IndexByte(b, '@'), 0)
	for i := at; i < len(b); i++ {
		if b[i] == ' ' || b[i] == '+' && at > 0 {
			return i
		}
	}
	return len(b)
}

// unfinished reports whether BDAT's argument is the size of a chunk that isn't the last (RFC 3030 section 2).
func unfinished(b []byte) bool {
	for _, c := range b {
		if c-'0' >= 10 && c != '+' && c != ' ' {
			return false
		}
	}
	return true
}

// hasFold reports whether b begins with a text in capitals, whatever the case of its own letters.
func hasFold(b []byte, capitals string) bool {
	if len(b) < len(capitals) {
		return false
	}
	for i := range len(capitals) {
		c, want := b[i], capitals[i]
		if want-'a' < 26 {
			want -= 'a' - 'A'
		}
		if c-'a' < 26 {
			c -= 'a' - 'A'
		}
		if c != want {
			return false
		}
	}
	return true
}
