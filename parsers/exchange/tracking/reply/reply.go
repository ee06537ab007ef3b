// Package reply reads the beginning of a server's answer, as Exchange's logs quote it: "550 5.1.1 User unknown". What
// follows the codes is left to the caller, because anybody may have written it. It knows no log.
package reply

import "github.com/harvestwatch/harvestwatch"

// Parse returns the reply code (RFC 5321 section 4.2) and the enhanced status code (RFC 3463) that an answer begins
// with. Either may be missing, and is zero then; an answer that begins with the status alone is read too.
func Parse(b []byte) (code uint16, status harvestwatch.Enhanced) {
	if n, width := number(b); width == 3 && n >= 200 && n < 600 && (len(b) == 3 || b[3] == ' ' || b[3] == '-') {
		code = n
		b = b[min(len(b), 4):]
	}
	return code, enhanced(b)
}

// enhanced reads a status such as 5.1.10, ended by a blank, a semicolon, a colon, a comma or the end.
func enhanced(b []byte) (e harvestwatch.Enhanced) {
	var got harvestwatch.Enhanced
	for i := range got {
		n, width := number(b)
		if width == 0 {
			return e
		}
		got[i] = n
		b = b[width:]
		if i < 2 {
			if len(b) == 0 || b[0] != '.' {
				return e
			}
			b = b[1:]
		}
	}
	if ended := len(b) == 0 || b[0] == ' ' || b[0] == ';' || b[0] == ':' || b[0] == ','; !ended || got[0] < 2 || got[0] > 5 {
		return e
	}
	return got
}

// number reads one to three digits.
func number(b []byte) (n uint16, width int) {
	for width < len(b) && width < 3 && b[width]-'0' < 10 {
		n = n*10 + uint16(b[width]-'0')
		width++
	}
	return n, width
}

// Unknown reports whether a status says that there is no such user. Servers up to 2013 say 5.1.1, later ones 5.1.10.
func Unknown(status harvestwatch.Enhanced) bool {
	return status == harvestwatch.Enhanced{5, 1, 1} || status == harvestwatch.Enhanced{5, 1, 10}
}
