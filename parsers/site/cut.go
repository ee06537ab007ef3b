package site

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/harvestwatch/harvestwatch"
)

const (
	hashLen = 8                                     // bytes of the hash that stands for a long text's end
	headLen = harvestwatch.MaxField - 1 - 2*hashLen // bytes that are left of its beginning
	hashGap = '~'                                   // stands between the two
)

// Cut returns a text of an event: b itself up to MaxField bytes, without its spare room. Of a longer one it is the
// first MaxField-17 bytes, a tilde and 16 hexadecimal digits of a hash of the whole, MaxField bytes in all, appended to
// scratch, where it holds as long as scratch isn't reused. A text that was cut once isn't cut again.
//
// Nobody may make many texts one by what he puts in front of them: a thousand recipients behind the same long source
// route (RFC 5321 section 4.1.1.3), or below the same long local part, are a thousand. So the hash is one for which
// nobody finds two texts, and it takes the letters of ASCII without regard to case, as those who compare texts do.
func Cut(b []byte, scratch *[]byte) []byte {
	if len(b) <= harvestwatch.MaxField {
		return b[:len(b):len(b)]
	}
	return cutLong(b, scratch)
}

func cutLong(b []byte, scratch *[]byte) []byte {
	s := *scratch
	start := len(s)
	for _, c := range b {
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		s = append(s, c)
	}
	sum := sha256.Sum256(s[start:])
	s = append(append(s[:start], b[:headLen]...), hashGap)
	s = hex.AppendEncode(s, sum[:hashLen])
	*scratch = s
	return s[start:len(s):len(s)]
}
