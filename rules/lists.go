package rules

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
)

// Bounds of a list file. One within them needs at most some 50 MB while it is read, and half of that afterwards.
const (
	MaxListFile = 16 << 20 // bytes
	MaxList     = 100_000  // entries
	maxListLine = 1000     // bytes of a line
	maxWhy      = 100      // bytes of a comment that are kept
)

// List is what an accept or deny list file holds. It is read only and may be shared.
type List struct {
	nets  prefixSet
	names domainSet
}

// Lists are the administrator's static lists. The zero value, and a nil one, has nobody. It is read only once made, and
// may be shared: to change the lists make new ones (Judge.SetLists).
type Lists struct {
	Allow *List // who is never blocked, but is counted and reported; nil for nobody
	Deny  *List // who is blocked without having done anything; nil for nobody
}

// ParseList reads an accept or deny list: on each line an address, a network or a domain, and after a '#' or ';' the
// reason, which decisions cite. "example.org" is that one name, ".example.org" the domain and all names below it. Empty
// lines, a carriage return at a line's end and a byte order mark at the file's beginning are passed over. The name is
// only said in errors, which are of type *Error and tell of the first mistake. The data is not kept.
//
// A network is at least an IPv4 /8 or an IPv6 /19 long: nobody who sends mail holds more, with few exceptions, and what is
// wider is a slip of the pen that would deny, or excuse, a good part of the Internet.
func ParseList(name string, data []byte) (*List, error) {
	if len(data) > MaxListFile {
		return nil, &Error{File: name, Problem: fmt.Sprintf("%d bytes are too many for a list", len(data)),
			Remedy: fmt.Sprintf("keep it at %d MiB", MaxListFile>>20)}
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, &Error{File: name, Line: 1, Column: 1, Problem: "the file is in UTF-16", Remedy: "save it as UTF-8"}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	l := &List{}
	entries := 0
	for line := 1; len(data) > 0; line++ {
		row, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		column, p := l.row(row, &entries)
		if p != nil {
			return nil, &Error{File: name, Line: line, Column: column, Problem: p.problem, Remedy: p.remedy}
		}
	}
	l.nets.sort()
	return l, nil
}

// row takes a line in. It returns where in the line the entry stands, from 1, for the problem that it may have.
func (l *List) row(row []byte, entries *int) (column int, p *problem) {
	if len(row) > maxListLine {
		return 1, &problem{problem: fmt.Sprintf("the line has %d bytes", len(row)), remedy: "write one entry on a line, and a short comment"}
	}
	entry, why := row, []byte(nil)
	if i := bytes.IndexAny(row, "#;"); i >= 0 {
		entry, why = row[:i], row[i+1:]
	}
	left := bytes.TrimLeft(entry, " \t\r")
	column = len(entry) - len(left) + 1
	text := string(bytes.TrimRight(left, " \t\r"))
	if text == "" {
		return column, nil
	}
	if *entries++; *entries > MaxList {
		return column, &problem{problem: fmt.Sprintf("more than %d entries", MaxList), remedy: "write networks instead of single addresses"}
	}
	if strings.ContainsAny(text, " \t") {
		return column, &problem{problem: fmt.Sprintf("%.60q is more than one entry", text), remedy: "write one entry on a line, a comment behind '#'"}
	}
	return column, l.entry(text, label(text, why))
}

// label is what is said of an entry: what stands in the file and, in parentheses, why.
func label(text string, why []byte) string {
	s := strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, strings.ToValidUTF8(string(why), "?"))
	s = strings.Trim(s, " #;")
	if len(s) > maxWhy {
		s = strings.ToValidUTF8(s[:maxWhy], "") + "…"
	}
	if s == "" {
		return text
	}
	return text + " (" + s + ")"
}

// entry takes an entry in.
func (l *List) entry(text, label string) *problem {
	if !looksLikeAddress(text) {
		return l.names.parse(text, label)
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		l.nets.add(netip.PrefixFrom(a, a.BitLen()), label)
		return nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() && p.Bits() < 96 {
		return &problem{problem: fmt.Sprintf("%.60q is no address and no network", text), remedy: "write 192.0.2.7, 192.0.2.0/24, 2001:db8::7 or 2001:db8::/32"}
	}
	q := plain(p)
	if least := narrowest(q); q.Bits() < least {
		return &problem{problem: fmt.Sprintf("%s is a large part of the Internet", q), remedy: fmt.Sprintf("write networks of /%d or longer", least)}
	}
	if p.Addr() != p.Masked().Addr() {
		return &problem{problem: fmt.Sprintf("%s is not where a network of /%d begins", p.Addr(), p.Bits()),
			remedy: fmt.Sprintf("write %s for the network, or %s for the one address", p.Masked(), p.Addr())}
	}
	l.nets.add(q, label)
	return nil
}

// globalV6 is what of IPv6 is given out (RFC 4291 section 2.4).
var globalV6 = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20}), 3)

// narrowest returns the shortest length that a network of that family may have. Outside of what is given out the
// ranges are larger by design, as fc00::/7.
func narrowest(p netip.Prefix) int {
	switch {
	case p.Addr().Is4():
		return 8
	case p.Overlaps(globalV6):
		return 19
	}
	return 7
}

// looksLikeAddress says whether a text is meant as an address or a network, and no domain: no top-level domain begins
// with a digit (RFC 1123 section 2.1).
func looksLikeAddress(text string) bool {
	if strings.ContainsAny(text, ":/") {
		return true
	}
	last := text[strings.LastIndexByte(strings.TrimSuffix(text, "."), '.')+1:]
	return last != "" && last[0] >= '0' && last[0] <= '9'
}

// Allowed says whether the prefix and an entry of the accept list have an address in common, whichever is the wider, or
// the name is in one of its domains; and it returns that entry with its reason. The name counts only if it is verified:
// the caller gives "" for one that is not.
func (l *Lists) Allowed(p netip.Prefix, name string) (entry string, ok bool) {
	if l == nil || l.Allow == nil {
		return "", false
	}
	if entry, ok = l.Allow.nets.overlaps(p); ok {
		return entry, true
	}
	return l.Allow.names.match(name)
}

// Denied says whether the address lies in a network of the deny list, or the name in one of its domains; and it returns
// that entry with its reason. The name counts only if it is verified: the caller gives "" for one that is not. Who is
// allowed is denied all the same here: Judge.Deny decides.
func (l *Lists) Denied(a netip.Addr, name string) (entry string, ok bool) {
	if l == nil || l.Deny == nil {
		return "", false
	}
	if a.IsValid() {
		if entry, ok = l.Deny.nets.covers(netip.PrefixFrom(a, a.BitLen())); ok {
			return entry, true
		}
	}
	return l.Deny.names.match(name)
}

// DeniedNetworks returns the addresses and networks of the deny list, in the order of their addresses, without those
// that overlap what the accept list has. Some may lie within others. Whoever puts them into effect asks the never-list
// about each before.
func (l *Lists) DeniedNetworks() []Network {
	if l == nil || l.Deny == nil {
		return nil
	}
	var list []Network
	for _, p := range l.Deny.nets.sorted {
		if _, ok := l.Allowed(p, ""); !ok {
			list = append(list, Network{p, l.Deny.nets.what[p]})
		}
	}
	return list
}

// Len returns the number of different entries.
func (l *List) Len() int {
	if l == nil {
		return 0
	}
	return len(l.nets.sorted) + len(l.names.exact) + len(l.names.below)
}
