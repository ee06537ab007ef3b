package rules

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// prefixSet finds the networks that a prefix overlaps, among many. It must be sorted after the last add. The zero value
// is empty.
type prefixSet struct {
	what    map[netip.Prefix]string // what is said of each
	sorted  []netip.Prefix          // by address, the wider first
	lengths [2][]int                // that occur, of IPv4 and IPv6, rising
}

// setOf returns the set of those networks; invalid ones are left out.
func setOf(list []Network) prefixSet {
	var s prefixSet
	for _, n := range list {
		if n.Prefix.IsValid() {
			s.add(n.Prefix, n.Name)
		}
	}
	s.sort()
	return s
}

// add adds a prefix. What is said first of the same prefix stays.
func (s *prefixSet) add(p netip.Prefix, what string) {
	p = plain(p)
	if _, known := s.what[p]; known {
		return
	}
	if s.what == nil {
		s.what = map[netip.Prefix]string{}
	}
	s.what[p] = what
	s.sorted = append(s.sorted, p)
	family := &s.lengths[p.Addr().BitLen()/128]
	if i, known := slices.BinarySearch(*family, p.Bits()); !known {
		*family = slices.Insert(*family, i, p.Bits())
	}
}

func (s *prefixSet) sort() {
	slices.SortFunc(s.sorted, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
}

// covers says whether the prefix lies within one of the set, the widest of them.
func (s *prefixSet) covers(p netip.Prefix) (what string, ok bool) {
	p = plain(p)
	if !p.IsValid() {
		return "", false
	}
	for _, n := range s.lengths[p.Addr().BitLen()/128] {
		if n > p.Bits() {
			break
		}
		if what, ok = s.what[netip.PrefixFrom(p.Addr(), n).Masked()]; ok {
			return what, true
		}
	}
	return "", false
}

// overlaps says whether the prefix lies within one of the set, or one of the set within it.
func (s *prefixSet) overlaps(p netip.Prefix) (what string, ok bool) {
	if what, ok = s.covers(p); ok {
		return what, true
	}
	p = plain(p)
	if !p.IsValid() {
		return "", false
	}
	i, _ := slices.BinarySearchFunc(s.sorted, p.Addr(), func(q netip.Prefix, a netip.Addr) int { return q.Addr().Compare(a) })
	if i < len(s.sorted) && p.Contains(s.sorted[i].Addr()) {
		return s.what[s.sorted[i]], true
	}
	return "", false
}

// domainSet finds the domain that a name belongs to, among many. The zero value is empty.
type domainSet struct {
	exact map[string]string // single names, lower case, and what is said of each
	below map[string]string // domains: they and all names below them
}

// maxDomain is the length of the longest name (RFC 1035 section 2.3.4), in its textual form.
const maxDomain = 253

// parse adds a domain as a list has it.
func (s *domainSet) parse(text, what string) *problem {
	name, below := strings.CutPrefix(text, ".")
	name = lower(strings.TrimSuffix(name, "."))
	if remedy := domainProblem(name); remedy != "" {
		return &problem{problem: fmt.Sprintf("%.60q is no domain", text), remedy: remedy}
	}
	to := &s.exact
	if below {
		to = &s.below
	}
	if *to == nil {
		*to = map[string]string{}
	}
	if _, known := (*to)[name]; !known {
		(*to)[name] = what
	}
	return nil
}

// domainProblem returns what to do about a text that is no domain in lower case, "" for one that is.
func domainProblem(name string) string {
	if strings.HasPrefix(name, "*") {
		return "write .example.org for a domain and all names below it"
	}
	if len(name) > maxDomain {
		return fmt.Sprintf("a name has %d bytes at most", maxDomain)
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.IndexFunc(l, notInName) >= 0 {
			return "write letters, digits and hyphens between dots, other letters as DNS has them (xn--…)"
		}
	}
	if last := labels[len(labels)-1]; len(last) < 2 || strings.Trim(last, "0123456789") == "" {
		return "write an address, a network like 192.0.2.0/24, or a domain that ends as domains do, as in example.org"
	}
	if len(labels) < 2 {
		return "a single label is a whole top-level domain: write at least two, as in example.org"
	}
	return ""
}

func notInName(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
}

// match returns what is said of the name or the nearest domain above it. Letters count as equal whatever their case.
func (s *domainSet) match(name string) (what string, ok bool) {
	if len(name) > maxDomain+1 || len(s.exact) == 0 && len(s.below) == 0 {
		return "", false
	}
	name = lower(strings.TrimSuffix(name, "."))
	if name == "" {
		return "", false
	}
	if what, ok = s.exact[name]; ok {
		return what, true
	}
	for more := true; more; {
		if what, ok = s.below[name]; ok {
			return what, true
		}
		_, name, more = strings.Cut(name, ".")
	}
	return "", false
}

// lower makes ASCII letters small, and leaves alone what Unicode would make one of: no name may become another's.
func lower(name string) string {
	if strings.IndexFunc(name, func(c rune) bool { return c >= 'A' && c <= 'Z' }) < 0 {
		return name
	}
	b := []byte(name)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
