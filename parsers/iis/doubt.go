package iis

import (
	"bytes"
	"cmp"
)

// A client that puts a whole row into its HELO name, or into an argument, makes a row that can be read in several ways;
// all of them name the same client, since its address stands before anything that it wrote. Such a row is told by the
// reading that speaks most against its client, of equal ones the last, because a HELO name stands in front of the
// service's own columns; where none does, the row is not understood. So nobody hides behind such a name, and nobody
// gains by it.

// against returns how much a command with its reply's code speaks against a client, 0 for nothing.
func (v verb) against(code uint32) int {
	switch v {
	case verbHelo, verbMail, verbRcpt, verbData, verbBdat, verbVrfy:
		if code/100 == 5 && !syntax(uint16(code)) {
			return 3
		}
	case verbAuth:
		if code == 535 {
			return 3
		}
	case verbOther:
	default:
		return 0
	}
	switch {
	case code < 600 && syntax(uint16(code)):
		return 2
	case v == verbHelo && code/100 == 2:
		return 1 // a connection
	}
	return 0
}

// doubtful makes the token a row's command without what its name in HELO would say.
func (x *lexer) doubtful(r *row) (keep bool) {
	r.user = span{}
	keep = x.command(r)
	x.tok.helo = span{}
	x.tok.flags |= flagDoubt
	return keep
}

// nativeAll lexes a row of the Microsoft IIS format whose values are many, or can be read in several ways.
func (x *lexer) nativeAll(b []byte, off int) (keep bool) {
	x.out.values = splitAll(b, off, x.out.values[:0])
	v := x.out.values
	best, most, readings := 0, 0, 0
	for i := 2; i+13 <= len(v); i++ {
		if !middle(x.data, v, i) {
			continue
		}
		readings++
		w := 0
		if verb := verbOf(firstWord(x.data, v[i+10]).of(x.data)); hasFold(v[i+2].of(x.data), "SMTPSVC") {
			code, _ := number(v[i+8].of(x.data))
			w = verb.against(code)
		}
		if w >= most {
			best, most = i, w
		}
	}
	if readings == 0 || readings > 1 && most == 0 {
		return true
	}
	r := x.nativeRow(v, best)
	if readings == 1 {
		return x.command(&r)
	}
	return x.doubtful(&r)
}

// splitAll is split without a bound: a line has one.
func splitAll(b []byte, off int, v []span) []span {
	for {
		i := bytes.Index(b, []byte(", "))
		if i < 0 {
			return append(v, span{uint32(off), uint32(len(b))})
		}
		v = append(v, span{uint32(off), uint32(i)})
		off += i + 2
		b = b[i+2:]
	}
}

// ncsaAll lexes a row of the NCSA common format with several stamps, of which the first is looked for from a place on.
// The code is the same in all readings.
func (x *lexer) ncsaAll(b []byte, off, from int, r *row) (keep bool) {
	best, most := 0, 0
	for _, rest, ok := x.bracket(b, from); ok; _, rest, ok = x.bracket(b, rest) {
		_, code, fits := x.codes(b, rest)
		if !fits {
			continue
		}
		n, _ := number(b[code.off : code.off+code.n])
		name, _, _ := bytes.Cut(b[rest:], []byte{' '})
		if w := verbOf(name).against(n); w > 0 && w >= most {
			best, most = rest, w
		}
	}
	if most == 0 {
		return true
	}
	request, code, _ := x.codes(b, best)
	r.status = span{uint32(off) + code.off, code.n}
	x.request(request, off+best, r)
	return x.doubtful(r)
}

// doubted sets p.now to the time of a row that can be read in several ways. One of its stamps is the service's, who
// writes row after row: so it is the earliest that doesn't lie before the rows that were seen, or else their latest.
// Where none was seen, it is the latest that doesn't lie after the reference, or else the earliest of all.
func (p *Parser) doubted(t *token) (ok bool) {
	last, best, first := p.stream.last, int64(0), int64(0)
	consider := func(at int64) {
		if first == 0 || at < first {
			first = at
		}
		switch {
		case last != 0:
			if at >= last-lateSeconds && (best == 0 || at < best) {
				best = at
			}
		case at > best && !p.site.Reference.IsZero() && at <= p.site.Reference.Unix():
			best = at
		}
	}
	line := p.data[t.off:t.end]
	if p.format == formatNative {
		p.doubtedDates(line, int(t.off), consider)
	} else {
		x := lexer{data: p.data}
		for open, rest, ok := x.bracket(line, 0); ok; open, rest, ok = x.bracket(line, rest) {
			at, _, _ := x.stamp(line, open)
			consider(at)
		}
	}
	p.now = cmp.Or(best, last, first)
	return p.now != 0
}

// doubtedDates calls each for the moment of each reading of a row of the Microsoft IIS format. The row decides nothing
// about how dates are read.
func (p *Parser) doubtedDates(line []byte, off int, each func(at int64)) {
	p.out.values = splitAll(line, off, p.out.values[:0])
	v, before := p.out.values, p.stream
	for i := 2; i+13 <= len(v); i++ {
		if !middle(p.data, v, i) {
			continue
		}
		var t token
		t.date, _ = date(v[i].of(p.data))
		t.at, _ = clock(v[i+1].of(p.data))
		at, ok := p.local(&t)
		if p.stream = before; ok {
			each(at)
		}
	}
}
