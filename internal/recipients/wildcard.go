package recipients

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// maxElements bounds the characters of a wildcard before the @, stars apart: one bit each, and one for the end.
const maxElements = 63

// anyOne stands for ? in a wildcard's elements.
const anyOne rune = -1

// wildcard is a local part with * and ?. Matching keeps the set of places in the pattern where the text may be, one bit
// each, and goes through the text once: there is nothing to go back to, whatever the text is.
type wildcard struct {
	elements []rune
	stars    uint64 // bit i: any number of characters may stand before element i
}

// newWildcard reads a local part in canonical form; ok is false for one with too many characters.
func newWildcard(local string) (w wildcard, ok bool) {
	for _, r := range local {
		if r == '*' {
			w.stars |= 1 << len(w.elements)
			continue
		}
		if len(w.elements) == maxElements {
			return w, false
		}
		if r == '?' {
			r = anyOne
		}
		w.elements = append(w.elements, r)
	}
	return w, true
}

// match reports whether the wildcard stands for a local part in canonical form, or for what is before one of the
// delimiters in it. A byte that is no UTF-8 is one character.
func (w *wildcard) match(local []byte, delims string) bool {
	end := uint64(1) << len(w.elements)
	at := uint64(1)
	for i := 0; i < len(local); {
		r, n := rune(local[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(local[i:])
		}
		if i > 0 && at&end != 0 && n == 1 && strings.IndexByte(delims, local[i]) >= 0 {
			return true
		}
		at = w.step(at, r)
		if at == 0 {
			return false
		}
		i += n
	}
	return at&end != 0
}

// step returns the places after one more character.
func (w *wildcard) step(at uint64, r rune) uint64 {
	next := at & w.stars
	for b := at &^ (1 << len(w.elements)); b != 0; b &= b - 1 {
		i := bits.TrailingZeros64(b)
		if e := w.elements[i]; e == r || e == anyOne {
			next |= 1 << (i + 1)
		}
	}
	return next
}
