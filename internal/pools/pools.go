package pools

import (
	"cmp"
	_ "embed"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

//go:embed pools.txt
var shipped string

// MaxAge is the age at which a provider's networks are stale: kept, but to be warned of.
const MaxAge = 14 * 24 * time.Hour

// The shortest prefixes that are believed to be one provider's: what is wider is a mistake, or a trap.
const (
	minBits4 = 12
	minBits6 = 32
)

// Provider is a mail provider and the networks that it sends from.
type Provider struct {
	Name     string         // lower case letters, digits and hyphens, unique in a Pools
	Domain   string         // whose SPF record names the networks; "" where there is none to ask, so that they stay as they are
	Date     time.Time      // the day at which the networks were so, midnight UTC
	Notes    []string       // where the networks come from, a line each, without the comment sign
	Networks []netip.Prefix // masked, sorted, none within another, IPv4 first
}

// Pools are the providers by name. They never change once made, so they may be used from several goroutines.
type Pools struct {
	providers []Provider
	at        map[netip.Prefix]int // the provider of each network, as an index; the first by name where several have it
	bits4     []int                // the lengths that occur, longest first
	bits6     []int
	sorted    []netip.Prefix // all networks by address
}

// Shipped returns the pools that come with the program.
func Shipped() (*Pools, error) { return Parse("the shipped pools.txt", []byte(shipped)) }

// build makes the index. The providers are sorted by name; their networks are collapsed.
func build(list []Provider) *Pools {
	p := &Pools{providers: slices.Clone(list), at: map[netip.Prefix]int{}}
	slices.SortFunc(p.providers, func(a, b Provider) int { return strings.Compare(a.Name, b.Name) })
	lengths4, lengths6 := map[int]bool{}, map[int]bool{}
	for i := range p.providers {
		for _, n := range p.providers[i].Networks {
			if _, taken := p.at[n]; !taken {
				p.at[n] = i
				p.sorted = append(p.sorted, n)
			}
			if n.Addr().Is4() {
				lengths4[n.Bits()] = true
			} else {
				lengths6[n.Bits()] = true
			}
		}
	}
	slices.SortFunc(p.sorted, compare)
	p.bits4, p.bits6 = descending(lengths4), descending(lengths6)
	return p
}

func descending(set map[int]bool) []int {
	var list []int
	for b := range set {
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b int) int { return b - a })
	return list
}

// Name returns the name of a provider that has addresses in the prefix: the one with the longest network around it, or
// else the first one within. It reports false where the prefix shares no address with any pool.
func (p *Pools) Name(prefix netip.Prefix) (string, bool) {
	if prefix.Addr().Is4In6() {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	if !prefix.IsValid() {
		return "", false
	}
	prefix = netip.PrefixFrom(prefix.Addr().WithZone(""), prefix.Bits()).Masked()
	lengths := p.bits6
	if prefix.Addr().Is4() {
		lengths = p.bits4
	}
	for _, bits := range lengths {
		if bits > prefix.Bits() {
			continue
		}
		if i, ok := p.at[netip.PrefixFrom(prefix.Addr(), bits).Masked()]; ok {
			return p.providers[i].Name, true
		}
	}
	i, _ := slices.BinarySearchFunc(p.sorted, prefix, compare)
	if i < len(p.sorted) && prefix.Overlaps(p.sorted[i]) {
		return p.providers[p.at[p.sorted[i]]].Name, true
	}
	return "", false
}

// Providers returns the providers, sorted by name. Their slices are the Pools' own and must not be changed.
func (p *Pools) Providers() []Provider { return slices.Clone(p.providers) }

// Stale returns the names of the providers whose networks are older than MaxAge at that time and could be asked for anew.
func (p *Pools) Stale(now time.Time) []string {
	var names []string
	for i := range p.providers {
		if pr := &p.providers[i]; pr.Domain != "" && now.Sub(pr.Date) > MaxAge {
			names = append(names, pr.Name)
		}
	}
	return names
}

// Warning says in a sentence that networks are stale and what to do; "" where none are.
func (p *Pools) Warning(now time.Time) string {
	names := p.Stale(now)
	if len(names) == 0 {
		return ""
	}
	oldest := now
	for i := range p.providers {
		if pr := &p.providers[i]; slices.Contains(names, pr.Name) && pr.Date.Before(oldest) {
			oldest = pr.Date
		}
	}
	return fmt.Sprintf("the networks of %d mail providers (%s) are older than %d days, the oldest from %s: they are kept; have them refreshed",
		len(names), strings.Join(names, ", "), int(MaxAge/(24*time.Hour)), oldest.Format(time.DateOnly))
}

// Merge returns the providers of both, and of those that both have the one with the later date; a's where the dates agree.
func Merge(a, b *Pools) *Pools {
	byName := map[string]Provider{}
	for _, pr := range b.providers {
		byName[pr.Name] = pr
	}
	for _, pr := range a.providers {
		if other, ok := byName[pr.Name]; !ok || !pr.Date.Before(other.Date) {
			byName[pr.Name] = pr
		}
	}
	var list []Provider
	for _, pr := range byName {
		list = append(list, pr)
	}
	return build(list)
}

// compare sorts by address, IPv4 first, and the wider one first where the address is the same.
func compare(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits())
}

// Collapse returns the fewest prefixes that hold the same addresses, sorted, IPv4 first. None becomes wider than a
// provider's network may be, and none of a given length is changed otherwise.
func Collapse(list []netip.Prefix) []netip.Prefix {
	list = slices.Clone(list)
	for i := range list {
		list[i] = list[i].Masked()
	}
	slices.SortFunc(list, compare)
	var out []netip.Prefix
	for _, p := range list {
		if n := len(out); n > 0 && out[n-1].Overlaps(p) {
			continue // the earlier one is the wider one
		}
		out = append(out, p)
		for len(out) >= 2 {
			parent, ok := siblings(out[len(out)-2], out[len(out)-1])
			if !ok {
				break
			}
			out = append(out[:len(out)-2], parent)
		}
	}
	return out
}

// siblings returns what two halves of one network make, unless that were too wide.
func siblings(low, high netip.Prefix) (netip.Prefix, bool) {
	bits := low.Bits() - 1
	if high.Bits() != low.Bits() || low.Addr().Is4() != high.Addr().Is4() || bits < widest(low.Addr()) {
		return netip.Prefix{}, false
	}
	parent := netip.PrefixFrom(low.Addr(), bits).Masked()
	return parent, parent.Contains(high.Addr())
}

func widest(a netip.Addr) int {
	if a.Is4() {
		return minBits4
	}
	return minBits6
}
