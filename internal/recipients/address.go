package recipients

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxCanonical is the room for an address in canonical form: two bytes can become three when letters change their case.
const maxCanonical = MaxAddress + MaxAddress/2

// address is a recipient in canonical form: the local part without quotes, an @, the domain without a final dot, all
// letters small. The last @ of the text is the one that divides, since a domain has none.
type address struct {
	text    []byte
	at      int  // the place of the @; 0 means that there is no local part: a whole domain
	wild    bool // * or ? stand in the local part, outside quotes
	foreign bool // bytes beyond ASCII were in it
}

// reading says what canonical reads.
type reading uint8

const (
	asAddress reading = iota // from a log: every byte comes from a stranger
	asEntry                  // from a file or a directory: it is written out again, so only printable characters
)

// canonical appends the canonical form of an address to buf. ok is false for what is no address.
func canonical(buf, text []byte, r reading) (a address, ok bool) {
	text = bytes.Trim(text, " \t")
	if n := len(text); n > 1 && text[0] == '<' && text[n-1] == '>' {
		text = text[1 : n-1]
	}
	if len(text) == 0 || len(text) > MaxAddress {
		return a, false
	}
	buf, rest, ok := local(buf, text)
	if !ok {
		return a, false
	}
	a.at = len(buf)
	a.wild = text[0] != '"' && bytes.ContainsAny(buf, "*?")
	buf = append(buf, '@')
	rest = bytes.TrimSuffix(rest, []byte("."))
	if !validDomain(rest) {
		return a, false
	}
	a.text = fold(buf, rest)
	for _, c := range text {
		a.foreign = a.foreign || c >= utf8.RuneSelf
	}
	if r == asEntry && a.foreign && !printable(a.text) {
		return a, false
	}
	return a, true
}

// local appends the local part to buf, and returns what follows the @ behind it.
func local(buf, text []byte) (_, rest []byte, ok bool) {
	if text[0] == '"' {
		return quoted(buf, text)
	}
	at := bytes.IndexByte(text, '@')
	if at < 0 {
		return buf, nil, false
	}
	for _, c := range text[:at] {
		if c <= ' ' || c == 0x7f || strings.IndexByte(special, c) >= 0 {
			return buf, nil, false
		}
	}
	return fold(buf, text[:at]), text[at+1:], true
}

// special are the characters that a local part has between quotes only (RFC 5322 section 3.2.3), the dot apart.
const special = `()<>[]:;@\,"`

// quoted is local for a local part between quotes (RFC 5321 section 4.1.2). One without anything in it is refused.
func quoted(buf, text []byte) (_, rest []byte, ok bool) {
	start := len(buf)
	for i := 1; i < len(text); i++ {
		c := text[i]
		if c == '"' {
			rest, ok = bytes.CutPrefix(text[i+1:], []byte("@"))
			inner := buf[start:]
			return fold(buf[:start], inner), rest, ok && len(inner) > 0
		}
		if c == '\\' && i+1 < len(text) {
			i++
			c = text[i]
		}
		if c < ' ' || c == 0x7f {
			return buf, nil, false
		}
		buf = append(buf, c)
	}
	return buf, nil, false
}

// validDomain checks a domain by its characters. Address literals in brackets are none: no list has them.
func validDomain(d []byte) bool {
	if len(d) == 0 || len(d) > 255 || d[0] == '.' || d[len(d)-1] == '.' {
		return false
	}
	for i, c := range d {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c >= utf8.RuneSelf
		if !letter && (c != '.' || d[i-1] == '.') {
			return false
		}
	}
	return true
}

// fold appends text with its letters made small; letters that differ in case only become the same. Bytes that are no
// UTF-8 stay as they are. text may be what stands in dst's array right behind dst: it is folded in its place.
func fold(dst, text []byte) []byte {
	for i, c := range text {
		if c >= utf8.RuneSelf {
			return foldForeign(dst, text[i:])
		}
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// foldForeign is fold for text with bytes beyond ASCII.
func foldForeign(dst, text []byte) []byte {
	var room [maxCanonical]byte
	text = append(room[:0], text...)
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, text[0])
		} else {
			dst = utf8.AppendRune(dst, foldRune(r))
		}
		text = text[n:]
	}
	return dst
}

// foldRune gives one letter for all that differ from it in case only.
func foldRune(r rune) rune {
	return unicode.ToLower(unicode.ToUpper(r))
}

// printable reports whether text is UTF-8 without control and format characters and without line ends of any kind.
func printable(text []byte) bool {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) {
			return false
		}
		text = text[n:]
	}
	return true
}
