package iis

import "bytes"

// stampLen is the length of "11/Oct/2006:13:16:41".
const stampLen = 20

// ncsa lexes a row of the form
//
//	192.0.2.1 - NAME [11/Oct/2006:13:16:41 -0600] "RCPT -?+TO:<a@b.example> SMTP" 250 32
//
// The name and the query are the client's text. The service writes their blanks as +; where a client's text looks like
// a stamp all the same, ncsaAll reads the row. The code is taken from the end.
func (x *lexer) ncsa(off, end int) (keep bool) {
	b := x.data[off:end]
	i := bytes.IndexByte(b, ' ')
	if i < 0 || !bytes.HasPrefix(b[i:], []byte(" - ")) {
		return true
	}
	r := row{client: span{uint32(off), uint32(i)}}
	name := i + 3
	open, rest, ok := x.bracket(b, name)
	if !ok {
		return true
	}
	if _, _, again := x.bracket(b, rest); again {
		return x.ncsaAll(b, off, name, &r)
	}
	r.user = span{uint32(off + name), uint32(open - name)}
	x.tok.at, rest, _ = x.stamp(b, open)
	request, codes, ok := x.codes(b, rest)
	if !ok {
		return true
	}
	r.status = span{uint32(off) + codes.off, codes.n}
	x.request(request, off+rest, &r)
	return x.command(&r)
}

// bracket finds the first stamp in b from a place on, and returns where the blank before it is and where the request
// behind it begins.
func (x *lexer) bracket(b []byte, from int) (open, rest int, ok bool) {
	for from < len(b) {
		i := bytes.Index(b[from:], []byte(" ["))
		if i < 0 {
			return 0, 0, false
		}
		from += i
		if _, rest, ok := x.stamp(b, from); ok {
			return from, rest, true
		}
		from++
	}
	return 0, 0, false
}

// stamp reads ` [11/Oct/2006:13:16:41 -0600] "` at a place of b. Microsoft's example has a blank behind the sign.
func (x *lexer) stamp(b []byte, i int) (at int64, rest int, ok bool) {
	i += 2
	if len(b) < i+stampLen+len(` -0600] "`) || b[i+11] != ':' || b[i+stampLen] != ' ' {
		return 0, 0, false
	}
	days, ok := x.namedDays(b[i : i+11])
	second, ok2 := clock(b[i+12 : i+stampLen])
	if !ok || !ok2 {
		return 0, 0, false
	}
	sign := b[i+stampLen+1]
	i += stampLen + 2
	if b[i] == ' ' {
		i++
	}
	if len(b) < i+len(`0600] "`) || sign != '+' && sign != '-' || string(b[i+4:i+7]) != `] "` {
		return 0, 0, false
	}
	h, ok := two(b[i], b[i+1])
	m, ok2 := two(b[i+2], b[i+3])
	if !ok || !ok2 || h > 14 || m > 59 {
		return 0, 0, false
	}
	offset := h*3600 + m*60
	if sign == '-' {
		offset = -offset
	}
	return days*daySeconds + second - offset, i + 7, true
}

// namedDays reads 11/Oct/2006 as days since 1970.
func (x *lexer) namedDays(b []byte) (int64, bool) {
	if len(b) == x.dateLen && string(b) == string(x.dateText[:x.dateLen]) {
		return x.days, true
	}
	d, ok := number(b[:2])
	y, ok2 := number(b[7:11])
	if !ok || !ok2 || b[2] != '/' || b[6] != '/' {
		return 0, false
	}
	m := bytes.Index([]byte("JanFebMarAprMayJunJulAugSepOctNovDec"), b[3:6])
	if m < 0 || m%3 != 0 {
		return 0, false
	}
	return x.remember(b, int(y), m/3+1, int(d))
}

// codes splits what follows the opening quotation mark at from into the request, without its closing one, and the
// place of the code; behind it stands the number of bytes only.
func (x *lexer) codes(b []byte, from int) (request []byte, code span, ok bool) {
	end := len(b)
	for end > from && b[end-1] == ' ' {
		end--
	}
	tail := bytes.LastIndexByte(b[from:end], ' ')
	if tail <= 0 {
		return nil, span{}, false
	}
	tail += from
	if _, ok = number(b[tail+1 : end]); !ok && string(b[tail+1:end]) != "-" {
		return nil, span{}, false
	}
	i := bytes.LastIndexByte(b[from:tail], ' ')
	if i <= 0 {
		return nil, span{}, false
	}
	i += from
	code = span{uint32(i + 1), uint32(tail - i - 1)}
	request, closed := bytes.CutSuffix(b[from:i], []byte{'"'})
	return request, code, closed || version(request) > 0
}

// version returns the length of the protocol's version that a request ends with, or 0.
func version(request []byte) int {
	b := request[bytes.LastIndexByte(request, ' ')+1:]
	if len(b) < len(request) && (hasFold(b, "SMTP") || hasFold(b, "HTTP/")) {
		return len(b)
	}
	return 0
}

// request takes `RCPT -?+TO:<a@b.example> SMTP` apart, which begins at off in the data.
func (x *lexer) request(b []byte, off int, r *row) {
	if n := version(b); n > 0 {
		r.version = span{uint32(off + len(b) - n), uint32(n)}
		b = b[:len(b)-n-1]
	}
	n := bytes.IndexByte(b, ' ')
	if n < 0 {
		n = len(b)
	}
	r.verb = span{uint32(off), uint32(n)}
	if n == len(b) {
		return
	}
	n++
	if n == 5 {
		n += twoWords(b)
	}
	for n < len(b) && b[n] != '?' {
		n++
	}
	if n++; n < len(b) {
		r.arg = span{uint32(off + n), uint32(len(b) - n)}
	}
}
