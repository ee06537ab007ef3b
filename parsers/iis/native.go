package iis

import "bytes"

// The Microsoft IIS format has fifteen values, each followed by a comma, and a blank behind each but the last:
//
//	192.0.2.1, NAME, 8/18/06, 13:17:37, SMTPSVC1, MAIL01, 192.0.2.10, 90, 42, 0, 250, 0, RCPT, -, TO:<a@b.example>,
const (
	nativeValues = 15
	maxValues    = 48 // of which a row may have more, where a client's text has commas; nativeAll reads rows with even more
)

// native lexes a row. The name and the last value are the client's text: where there are too many values, the place
// of the others is looked for.
func (x *lexer) native(off, end int) (keep bool) {
	b := x.data[off:end]
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	if len(b) == 0 || b[len(b)-1] != ',' {
		return true
	}
	b = b[:len(b)-1]
	var v [maxValues]span
	n := split(b, off, &v)
	if n < nativeValues {
		return true
	}
	at, several := 0, n == maxValues // where the date is; whether there is another
	for i := 2; i+13 <= n && !several; i++ {
		if middle(x.data, v[:n], i) {
			at, several = i, at > 0
		}
	}
	if several {
		return x.nativeAll(b, off)
	}
	if at == 0 {
		return true
	}
	r := x.nativeRow(v[:n], at)
	return x.command(&r)
}

// nativeRow returns a row's columns, and sets its time, where the date is the value at.
func (x *lexer) nativeRow(v []span, at int) row {
	x.tok.date, _ = date(v[at].of(x.data))
	x.tok.at, _ = clock(v[at+1].of(x.data))
	last := v[len(v)-1].off + v[len(v)-1].n
	return row{client: v[0], user: span{v[1].off, v[at].off - 2 - v[1].off}, service: v[at+2], status: v[at+8],
		verb: firstWord(x.data, v[at+10]), arg: span{v[at+12].off, last - v[at+12].off}}
}

// split finds the values of a row and returns how many there are, at most maxValues.
func split(b []byte, off int, v *[maxValues]span) (n int) {
	for n < maxValues {
		i := bytes.Index(b, []byte(", "))
		if i < 0 {
			v[n] = span{uint32(off), uint32(len(b))}
			return n + 1
		}
		v[n] = span{uint32(off), uint32(i)}
		n++
		off += i + 2
		b = b[i+2:]
	}
	return n
}

// middle reports whether the ten values from i on can be those from the date to the second code.
func middle(data []byte, v []span, i int) bool {
	if _, ok := clock(v[i+1].of(data)); !ok {
		return false
	}
	if _, ok := date(v[i].of(data)); !ok {
		return false
	}
	for _, s := range v[i+5 : i+10] {
		if _, ok := number(s.of(data)); !ok {
			return false
		}
	}
	return true
}

// firstWord cuts "MAIL FROM" to MAIL.
func firstWord(data []byte, s span) span {
	if i := bytes.IndexByte(s.of(data), ' '); i >= 0 {
		s.n = uint32(i)
	}
	return s
}

// date reads the three numbers of a date and the sign between them, without judging which is the day. They are packed
// as first<<20 | second<<12 | third<<2 | 1 for dots; a year of four digits is the years since 1900 plus longYear.
func date(b []byte) (packed uint32, ok bool) {
	var n, digits [3]uint32
	k, sign := 0, byte(0)
	for _, c := range b {
		switch {
		case c-'0' < 10 && digits[k] < 4:
			n[k] = n[k]*10 + uint32(c-'0')
			digits[k]++
		case c == '/' || c == '-' || c == '.':
			if k == 2 || digits[k] == 0 || sign != 0 && c != sign {
				return 0, false
			}
			k, sign = k+1, c
		default:
			return 0, false
		}
	}
	if k != 2 || digits[1] > 2 || digits[2] == 0 || digits[2] == 3 || digits[0] == 3 || digits[0] == 4 && digits[2] > 2 {
		return 0, false
	}
	for i := range n {
		if digits[i] == 4 {
			if n[i] < 1980 || n[i] > 2199 {
				return 0, false
			}
			n[i] -= 1900 - longYear
		}
	}
	dot := uint32(0)
	if sign == '.' {
		dot = 1
	}
	return n[0]<<20 | n[1]<<12 | n[2]<<2 | dot, true
}

// longYear marks a year of four digits.
const longYear = 512
