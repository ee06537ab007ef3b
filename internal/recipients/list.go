// Package recipients knows which recipients are valid: from a file, from Active Directory or another LDAP directory, or
// from both. A List answers whether a recipient is one of them, and is written out as text or as tables for Postfix; a
// Source keeps the last good list and doesn't let a broken directory turn every user into an unknown one. The package
// blocks nobody, reads no log and has no clock: its caller says when to refresh, and what an answer means. It starts no
// goroutine that outlives a call; a List never changes, a Source may be used by several goroutines.
package recipients

import (
	"bytes"
	"hash/maphash"
	"iter"
	"slices"
	"strings"
)

// Limits of a list. What goes beyond is an error, never a list that is quietly too short.
const (
	MaxEntries   = 10_000_000 // addresses in a list
	MaxWildcards = 1000       // entries with * or ? before the @, entries for a whole domain apart
	MaxAddress   = 320        // bytes in an address: 64 before the @ and 255 after it (RFC 5321 section 4.5.3.1)
	maxText      = 1 << 30    // bytes in all addresses together
)

// Verdict is what a list says of a recipient.
type Verdict uint8

// The verdicts. The zero value is the harmless one.
const (
	NoOpinion Verdict = iota // the list has no say: a domain that it has no address of, or what is no plain address
	Valid                    // the recipient is in the list, by itself or through a wildcard
	Unknown                  // the domain is in the list, the recipient is not
)

// String returns the verdict in words.
func (v Verdict) String() string {
	return [...]string{"no opinion", "valid", "unknown"}[min(v, Unknown)]
}

// List is a set of valid recipients. It never changes, so it may be shared. Its addresses are kept as text, sorted, in
// one string, with a hash table of places beside it; a hit is compared byte for byte, so a collision of hashes can't
// make an answer wrong. A million addresses of 33 bytes take 45 MB.
type List struct {
	text    string   // the addresses in canonical form, sorted, back to back
	ends    []uint32 // where each one ends in text
	slots   []uint32 // hash table: the number of an address plus one, 0 is free; a power of two
	seed    maphash.Seed
	domains map[string]*domain // every domain that has an entry; nil for one that has neither wildcard nor catch-all
	wild    []string           // the wildcards and catch-alls in canonical form, sorted
	delims  string             // characters that divide a user from his extension
	leftOut int
}

// domain is what a domain has besides addresses.
type domain struct {
	all  bool // every recipient is valid
	wild []wildcard
}

// Len is the number of entries: addresses, wildcards and catch-alls.
func (l *List) Len() int {
	if l == nil {
		return 0
	}
	return len(l.ends) + len(l.wild)
}

// Domains is the number of domains that the list speaks for.
func (l *List) Domains() int {
	if l == nil {
		return 0
	}
	return len(l.domains)
}

// LeftOut is the number of values of a directory that looked like mail addresses and were none, or were addresses of
// domains that aren't the site's. It is 0 for a list from a file.
func (l *List) LeftOut() int {
	if l == nil {
		return 0
	}
	return l.leftOut
}

// WithDelimiter returns the same list with other delimiters, as Postfix's recipient_delimiter: with "+", user+anything
// is valid where user is. Each byte is a delimiter; "" means none.
func (l *List) WithDelimiter(delims string) *List {
	if l == nil {
		return nil
	}
	c := *l
	c.delims = delims
	return &c
}

// Has says whether a recipient is valid. Letters count the same in both cases, before the @ too, as Exchange and
// Postfix's tables have it; angle brackets around the address, a dot at its end and quotes before the @ change nothing.
// It allocates nothing for addresses up to MaxAddress bytes; about what is longer it has no opinion.
//
// Where a wrong "unknown" could come from the writing alone it has no opinion either: on addresses with bytes beyond
// ASCII that aren't in the list (the log and the list may spell them in different codes), on those that a mail system
// rewrote for itself (SRS, BATV, Exchange's IMCEA), and on source routes with % and !. The postmaster of a listed domain
// is always valid (RFC 5321 section 4.5.1). A nil List has no opinion on anything.
func (l *List) Has(recipient []byte) Verdict {
	if l == nil {
		return NoOpinion
	}
	var room [maxCanonical]byte
	a, ok := canonical(room[:0], recipient, asAddress)
	if !ok || a.at == 0 {
		return NoOpinion
	}
	return l.judge(a)
}

// judge says whether an address is valid. It may write over the address's text.
func (l *List) judge(a address) Verdict {
	local, dom := a.text[:a.at], a.text[a.at+1:]
	d, listed := l.domains[string(dom)]
	switch {
	case !listed:
		return NoOpinion
	case d != nil && d.all, l.exact(a.text), string(local) == "postmaster":
		return Valid
	}
	if d != nil {
		for i := range d.wild {
			if d.wild[i].match(local, l.delims) {
				return Valid
			}
		}
	}
	unsure := a.foreign || rewritten(local)
	switch {
	case l.delims != "" && l.extended(a):
		return Valid
	case unsure:
		return NoOpinion
	}
	return Unknown
}

// extended reports whether an address is valid without an extension: every delimiter may be the one that divides.
func (l *List) extended(a address) bool {
	tail := a.text[a.at:]
	for i := a.at - 1; i > 0; i-- {
		if strings.IndexByte(l.delims, a.text[i]) < 0 {
			continue
		}
		n := copy(a.text[i:], tail)
		tail = a.text[i : i+n]
		if l.exact(a.text[:i+n]) || string(a.text[:i]) == "postmaster" {
			return true
		}
	}
	return false
}

// exact reports whether an address in canonical form is in the list as it is.
func (l *List) exact(text []byte) bool {
	if len(l.slots) == 0 {
		return false
	}
	mask := uint64(len(l.slots) - 1)
	for i := maphash.Bytes(l.seed, text) & mask; l.slots[i] != 0; i = (i + 1) & mask {
		if l.entry(int(l.slots[i]-1)) == string(text) {
			return true
		}
	}
	return false
}

// entry returns the address of a number, in canonical form.
func (l *List) entry(i int) string {
	from := uint32(0)
	if i > 0 {
		from = l.ends[i-1]
	}
	return l.text[from:l.ends[i]]
}

// Addresses yields the addresses in canonical form, sorted; wildcards and catch-alls are left out.
func (l *List) Addresses() iter.Seq[string] {
	return func(yield func(string) bool) {
		if l == nil {
			return
		}
		for i := range l.ends {
			if !yield(l.entry(i)) {
				return
			}
		}
	}
}

// equal reports whether two lists have the same entries.
func (l *List) equal(o *List) bool {
	return l != nil && o != nil && l.text == o.text && slices.Equal(l.ends, o.ends) && slices.Equal(l.wild, o.wild)
}

// rewritten reports whether a local part is one that a mail system made from another address, so that it can be valid
// without being in any directory: Exchange's encapsulated addresses, return paths signed by BATV, forwarders' SRS, and
// routes through % and !.
func rewritten(local []byte) bool {
	for _, made := range [...]string{"imcea", "prvs=", "msprvs1=", "btv1==", "srs0", "srs1"} {
		if len(local) > len(made) && string(local[:len(made)]) == made {
			return true
		}
	}
	return bytes.IndexByte(local, '%') >= 0 || bytes.IndexByte(local, '!') >= 0 || bytes.Contains(local, []byte("+srs="))
}

// cutDomain returns the domain of an entry in canonical form.
func cutDomain(text string) string {
	return text[strings.LastIndexByte(text, '@')+1:]
}
