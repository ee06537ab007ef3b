package csvlog

import "bytes"

// MaxColumns is how many fields a row may have; one with more is not understood.
const MaxColumns = 48

// Row is a row taken apart. The fields are borrowed from the line, or from the scratch buffer where a field had to be
// rewritten.
type Row struct {
	n      int
	fields [MaxColumns][]byte
}

// Len returns the number of fields.
func (r *Row) Len() int { return r.n }

// Split takes a row apart at its commas. A field that begins with a quotation mark ends at the next one that isn't
// doubled (RFC 4180 section 2); doubled ones are made single, in scratch. It reports false for a row with too many
// fields, or whose quotes don't match.
func (r *Row) Split(line []byte, scratch *[]byte) bool {
	r.n = 0
	for {
		if r.n == MaxColumns {
			return false
		}
		if len(line) > 0 && line[0] == '"' {
			field, rest, ok := unquote(line[1:], scratch)
			if !ok {
				return false
			}
			r.fields[r.n] = field
			r.n++
			if len(rest) == 0 {
				return true
			}
			line = rest[1:]
			continue
		}
		i := bytes.IndexByte(line, ',')
		if i < 0 {
			r.fields[r.n] = line
			r.n++
			return true
		}
		r.fields[r.n] = line[:i]
		r.n++
		line = line[i+1:]
	}
}

// unquote reads a quoted field whose opening mark was taken off. rest is empty or begins with a comma.
func unquote(b []byte, scratch *[]byte) (field, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '"')
	if i < 0 {
		return nil, nil, false
	}
	if i+1 == len(b) || b[i+1] == ',' {
		return b[:i], b[i+1:], true
	}
	start := len(*scratch)
	for b[i+1] == '"' {
		*scratch = append(*scratch, b[:i+1]...)
		b = b[i+2:]
		if i = bytes.IndexByte(b, '"'); i < 0 {
			return nil, nil, false
		}
		if i+1 == len(b) {
			break
		}
	}
	if i+1 < len(b) && b[i+1] != ',' {
		return nil, nil, false
	}
	*scratch = append(*scratch, b[:i]...)
	return (*scratch)[start:len(*scratch):len(*scratch)], b[i+1:], true
}

// List takes the members of a list apart that are joined by semicolons. A member with a semicolon or an apostrophe in
// it stands between apostrophes, with its own doubled. each is called for every member until it returns false; a member
// holds as long as b and scratch.
func List(b []byte, scratch *[]byte, each func(member []byte) bool) {
	for len(b) > 0 {
		var member []byte
		if b[0] == '\'' {
			member, b = quotedMember(b[1:], scratch)
		} else {
			i := bytes.IndexByte(b, ';')
			if i < 0 {
				i = len(b)
			}
			member, b = b[:i], b[i:]
		}
		if len(b) > 0 {
			b = b[1:]
		}
		if !each(member) {
			return
		}
	}
}

// quotedMember reads up to the apostrophe that ends the member; rest begins with the semicolon, or is empty. What
// stands between the two, which no writer leaves there, is dropped.
func quotedMember(b []byte, scratch *[]byte) (member, rest []byte) {
	start := len(*scratch)
	for {
		i := bytes.IndexByte(b, '\'')
		if i < 0 {
			*scratch = append(*scratch, b...)
			b = nil
			break
		}
		*scratch = append(*scratch, b[:i]...)
		if b = b[i+1:]; len(b) == 0 || b[0] != '\'' {
			break
		}
		*scratch = append(*scratch, '\'')
		b = b[1:]
	}
	if i := bytes.IndexByte(b, ';'); i >= 0 {
		return (*scratch)[start:len(*scratch):len(*scratch)], b[i:]
	}
	return (*scratch)[start:len(*scratch):len(*scratch)], nil
}
