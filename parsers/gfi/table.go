package gfi

import (
	"bytes"
	"strings"
)

// tableLine takes one line of a table; raw is the same with its line end. A record that goes on in the next line is
// kept until it is whole. Of the lines of a record that was understood the last one counts for it, the others as
// ignored. A record beyond the bounds is unparsed, and so is each further line of it: the lines within a quoted text
// are never read as records, because whoever wrote the text could forge them.
func (p *Parser) tableLine(text, raw []byte) {
	if p.open == 0 {
		p.firstLine(text, raw)
		return
	}
	r := record{delim: p.delim, state: inQuotes}
	more := r.goOn(text)
	switch {
	case p.skip:
		p.reject(text[:min(len(text), maxRecord)])
		if !more {
			p.forget()
		}
	case len(p.pending)+len(text) > maxRecord || p.open >= maxLines:
		p.rewind()
		p.reject(p.keep(p.pending))
		p.skip, p.pending = true, p.pending[:0]
		p.touch(kindPending)
		if !more {
			p.forget()
		}
	case more:
		p.pending = append(p.pending, raw...)
		p.open++
		p.touch(kindPending)
		p.counts.Ignored++
	default:
		p.rewind()
		whole := p.keep(p.pending)
		p.out.arena = append(p.out.arena, text...)
		whole = p.out.arena[len(p.out.arena)-len(whole)-len(text):]
		p.forget()
		p.record(whole)
	}
}

// rewind sets the position to that of the first pending line.
func (p *Parser) rewind() {
	p.pos.Offset = max(p.pos.Offset-int64(len(p.pending)), 0)
	if p.pos.Line > 0 {
		p.pos.Line = max(p.pos.Line-int64(p.open), 1)
	}
}

// forget drops the pending record.
func (p *Parser) forget() {
	p.pending, p.open, p.skip = p.pending[:0], 0, false
	p.touch(kindPending)
}

// firstLine takes a line that begins a record.
func (p *Parser) firstLine(text, raw []byte) {
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		p.counts.Ignored++
		return
	case p.delim == 0:
		p.beforeHeader(text)
		return
	}
	r := record{delim: p.delim}
	if !r.goOn(text) {
		if len(text) > maxRecord {
			p.reject(text[:maxRecord])
			return
		}
		p.record(text)
		return
	}
	p.open = 1
	p.touch(kindPending)
	if len(raw) > maxRecord {
		p.skip = true
		p.reject(text[:maxRecord])
		return
	}
	p.pending = append(p.pending[:0], raw...)
	p.counts.Ignored++
}

// beforeHeader takes a line while the columns are not known: the header, a comment, or what Excel writes about the
// delimiter.
func (p *Parser) beforeHeader(text []byte) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	switch {
	case len(text) > maxRecord:
		p.reject(text[:maxRecord])
	case p.readHeader(text):
		p.counts.Ignored++
	case len(text) == 0 || text[0] == '#' || len(text) == 5 && strings.EqualFold(string(text[:4]), "sep="):
		p.counts.Ignored++
	default:
		p.reject(text)
	}
}

// readHeader makes a line the header if it names every column of the mapping, with one of the delimiters.
func (p *Parser) readHeader(text []byte) bool {
	for _, delim := range []byte{',', ';', '\t'} {
		var ok bool
		if p.spans, ok = split(text, delim, p.spans); !ok {
			continue
		}
		if column, ok := p.locate(text); ok {
			p.delim, p.column, p.columns = delim, column, len(p.spans)
			p.header = append(p.header[:0], text...)
			p.touch(kindHeader)
			return true
		}
	}
	return false
}

// locate finds the mapping's columns among the fields of a record. A name that stands there twice is found nowhere.
func (p *Parser) locate(text []byte) (column [roles]int, ok bool) {
	for r, name := range p.names {
		column[r] = -1
		if name == "" {
			continue
		}
		for i := range p.spans {
			if !strings.EqualFold(string(bytes.TrimSpace(plain(text, &p.spans[i]))), name) {
				continue
			}
			if column[r] >= 0 {
				return column, false
			}
			column[r] = i
		}
		if column[r] < 0 {
			return column, false
		}
	}
	return column, true
}

// record takes a whole record.
func (p *Parser) record(text []byte) {
	var ok bool
	if p.spans, ok = split(text, p.delim, p.spans); !ok {
		p.reject(text)
		return
	}
	var v [roles][]byte
	if len(p.spans) == p.columns {
		for r, c := range p.column {
			if c >= 0 {
				v[r] = p.value(text, &p.spans[c])
			}
		}
		if at, naive, ok := p.when(v[roleTime]); ok {
			p.naive = p.naive || naive
			p.row(text, at, &v)
			return
		}
	}
	if p.again(text) {
		p.counts.Ignored++
		return
	}
	p.reject(text)
}

// value returns a field's text, which holds as long as the lines do.
func (p *Parser) value(text []byte, f *span) []byte {
	if f.quoted {
		return p.keep(plain(text, f))
	}
	return text[f.start:f.end:f.end]
}

// again makes a record the header if it is one once more: one export stands behind another, perhaps with the columns
// in another order. Who fills the other columns of a row can't make it a header, because the fields in the columns that
// held the time and the address must be names of the header so far.
func (p *Parser) again(text []byte) bool {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if bytes.Equal(text, p.header) {
		return true
	}
	var ok bool
	if p.spans, ok = split(text, p.delim, p.spans); !ok || len(p.spans) <= max(p.column[roleTime], p.column[roleSource]) {
		return false
	}
	for _, r := range []role{roleTime, roleSource} {
		if !p.isName(plain(text, &p.spans[p.column[r]])) {
			return false
		}
	}
	column, ok := p.locate(text)
	if !ok {
		return false
	}
	p.column, p.columns = column, len(p.spans)
	p.header = append(p.header[:0], text...)
	p.touch(kindHeader)
	return true
}

// isName reports whether a text is the name of a column of the header so far.
func (p *Parser) isName(text []byte) bool {
	spans, _ := split(p.header, p.delim, nil)
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return false
	}
	for i := range spans {
		if strings.EqualFold(string(bytes.TrimSpace(plain(p.header, &spans[i]))), string(text)) {
			return true
		}
	}
	return false
}

// plain returns a field's text without doubled quotation marks.
func plain(text []byte, f *span) []byte {
	b := text[f.start:f.end]
	if !f.quoted {
		return b
	}
	return bytes.ReplaceAll(b, []byte(`""`), []byte(`"`))
}
