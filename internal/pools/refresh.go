package pools

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Verdict is what became of a provider in a refresh.
type Verdict uint8

// The verdicts.
const (
	Fixed     Verdict = iota + 1 // it has no SPF record to ask
	Unchanged                    // the record says what is known already
	Updated                      // the networks were replaced
	Refused                      // the record was read but is not plausible; the old networks are kept
	Failed                       // the record could not be read; the old networks are kept
)

var verdictNames = [...]string{"", "fixed", "unchanged", "updated", "refused", "failed"}

// String returns the verdict's name.
func (v Verdict) String() string {
	if int(v) >= len(verdictNames) {
		return ""
	}
	return verdictNames[v]
}

// How far a provider's networks may shrink or grow in one refresh unless it is forced.
const (
	maxShrink = 2 // half of the addresses are left at least
	maxGrowth = 4 // at most four times as many
)

// ErrImplausible is wrapped by the error of a change that was refused because it is too large.
var ErrImplausible = errors.New("not plausible")

// Change tells what a refresh did to one provider.
type Change struct {
	Name    string
	Verdict Verdict
	Added   []netip.Prefix // that hold addresses which no network had before
	Removed []netip.Prefix // that held addresses which no network has any more
	Err     error          // why, where it was refused or failed
	Skipped []string       // terms of the record that could not be taken in, as Expansion has them
}

// String tells the change in a sentence. It may hold quoted text from the DNS.
func (c *Change) String() string {
	var s string
	switch c.Verdict {
	case Fixed:
		return c.Name + ": has no SPF record to ask, and stays as it is"
	case Unchanged:
		s = c.Name + ": unchanged"
	case Updated:
		s = fmt.Sprintf("%s: %s", c.Name, differences(c.Added, c.Removed))
	default:
		return fmt.Sprintf("%s: %s, the old networks are kept: %v", c.Name, c.Verdict, c.Err)
	}
	if len(c.Skipped) > 0 {
		s += fmt.Sprintf("; %d terms were left out: %s", len(c.Skipped), strings.Join(c.Skipped, "; "))
	}
	return s
}

// differences names networks, a few of many.
func differences(added, removed []netip.Prefix) string {
	var parts []string
	for _, d := range []struct {
		what string
		list []netip.Prefix
	}{{"new", added}, {"gone", removed}} {
		if len(d.list) == 0 {
			continue
		}
		var names []string
		for _, n := range d.list[:min(len(d.list), 5)] {
			names = append(names, n.String())
		}
		more := ""
		if len(d.list) > 5 {
			more = fmt.Sprintf(" and %d more", len(d.list)-5)
		}
		parts = append(parts, fmt.Sprintf("%s %s%s", d.what, strings.Join(names, ", "), more))
	}
	return strings.Join(parts, "; ")
}

// Refresh asks for the providers' SPF records, one after the other, and returns the pools as they are at that time, with
// what changed, by provider in the order of their names. What cannot be read, and what is not plausible, stays as it was,
// with its old date. It returns the context's error when that ends before all were asked; then nothing is to be kept.
// Force takes in changes of any size, but never an empty or too wide network.
func Refresh(ctx context.Context, r Resolver, old *Pools, now time.Time, force bool) (*Pools, []Change, error) {
	var list []Provider
	var changes []Change
	for _, pr := range old.providers {
		next, c := refreshOne(ctx, r, pr, now, force)
		if err := ctx.Err(); err != nil {
			return nil, nil, fmt.Errorf("refresh the networks of mail providers: %w", err)
		}
		list, changes = append(list, next), append(changes, c)
	}
	return build(list), changes, nil
}

func refreshOne(ctx context.Context, r Resolver, pr Provider, now time.Time, force bool) (Provider, Change) {
	c := Change{Name: pr.Name, Verdict: Fixed}
	if pr.Domain == "" {
		return pr, c
	}
	e, err := Expand(ctx, r, pr.Domain)
	c.Skipped = e.Skipped
	if err != nil {
		c.Verdict, c.Err = Failed, err
		if errors.Is(err, ErrSPF) {
			c.Verdict = Refused
		}
		return pr, c
	}
	if err := plausible(pr.Networks, e.Networks, force); err != nil {
		c.Verdict, c.Err = Refused, fmt.Errorf("the SPF record of %s: %w", pr.Domain, err)
		return pr, c
	}
	c.Verdict = Unchanged
	day := now.UTC().Truncate(24 * time.Hour)
	next := pr
	next.Date = day
	if !slices.Equal(e.Networks, pr.Networks) {
		c.Verdict = Updated
		c.Added, c.Removed = without(e.Networks, pr.Networks), without(pr.Networks, e.Networks)
		next.Networks = e.Networks
		next.Notes = []string{fmt.Sprintf("From the SPF record of %s, asked on %s.", pr.Domain, day.Format(time.DateOnly))}
	}
	return next, c
}

// without returns the networks of list that are not wholly within those of other. Both are collapsed.
func without(list, other []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, n := range list {
		i, found := slices.BinarySearchFunc(other, n, compare)
		inside := found || i > 0 && other[i-1].Bits() <= n.Bits() && other[i-1].Overlaps(n)
		if !inside {
			out = append(out, n)
		}
	}
	return out
}

// plausible tells whether the new networks of a provider can be taken for the old ones.
func plausible(old, next []netip.Prefix, force bool) error {
	if len(next) == 0 {
		return fmt.Errorf("%w: it names no network", ErrImplausible)
	}
	if force {
		return nil
	}
	for _, family := range []struct {
		name string
		v4   bool
	}{{"IPv4 addresses", true}, {"IPv6 networks of length 64", false}} {
		before, after := size(old, family.v4), size(next, family.v4)
		switch {
		case before == 0:
		case after*maxShrink < before:
			return fmt.Errorf("%w: of %d %s %d are left; if that is right, force the refresh", ErrImplausible, before, family.name, after)
		case after > before*maxGrowth:
			return fmt.Errorf("%w: %d %s became %d; if that is right, force the refresh", ErrImplausible, before, family.name, after)
		}
	}
	return nil
}

// size counts the addresses of IPv4 networks, or the /64 of IPv6 ones. It can't overflow: 2000 networks of 2^32 /64.
func size(list []netip.Prefix, v4 bool) uint64 {
	var n uint64
	for _, p := range list {
		switch {
		case p.Addr().Is4() != v4:
		case v4:
			n += 1 << (32 - p.Bits())
		default:
			n += 1 << max(64-p.Bits(), 0)
		}
	}
	return n
}
