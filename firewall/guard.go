package firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// Guard is the last door before an enforcer: whatever asks for a block, these are refused.
type Guard struct {
	// Never names the entry of the never-list that a prefix overlaps, if there is one. Nil refuses nothing.
	Never func(netip.Prefix) (name string, ok bool)
	// Caps are the enforcer's: prefixes that it can't take are refused, never widened.
	Caps Caps
	// Max is how many prefixes may be in effect at once; 0 leaves it to Caps.MaxEntries, and where that is 0 too
	// there is no bound.
	Max int
}

// Refusal is a wanted block that the guard refused, and why: the error is one of ErrNever, ErrUnsupported, ErrFull.
type Refusal struct {
	Block harvestwatch.Block
	Err   error
}

// Admit returns the blocks that may go to the enforcer, in the order given, and those that may not; blocks that are
// not active are nobody's concern and pass. The caller's slice is not changed, and returned as it is when nothing was
// refused. When more prefixes are wanted than may be in effect, those are kept whose blocks end last: they are the
// repeated offenders.
func (g Guard) Admit(want []harvestwatch.Block, now time.Time) ([]harvestwatch.Block, []Refusal) {
	var refused []Refusal
	errs := g.judge(want, now)
	if errs == nil {
		return want, nil
	}
	kept := make([]harvestwatch.Block, 0, len(want))
	for i, err := range errs {
		if err != nil {
			refused = append(refused, Refusal{Block: want[i], Err: err})
		} else {
			kept = append(kept, want[i])
		}
	}
	return kept, refused
}

// judge returns an error per block, or nil when every block may pass.
func (g Guard) judge(want []harvestwatch.Block, now time.Time) []error {
	var errs []error
	refuse := func(i int, err error) {
		if errs == nil {
			errs = make([]error, len(want))
		}
		errs[i] = err
	}
	for i := range want {
		if !want[i].Active(now) {
			continue
		}
		p := Canonical(want[i].Prefix)
		if !g.Caps.Supports(p) {
			refuse(i, fmt.Errorf("block %s: %w", want[i].Prefix, ErrUnsupported))
		} else if name, ok := g.never(p); ok {
			refuse(i, fmt.Errorf("block %s: %w: %s", want[i].Prefix, ErrNever, name))
		}
	}
	limit := g.Max
	if limit <= 0 || g.Caps.MaxEntries > 0 && g.Caps.MaxEntries < limit {
		limit = g.Caps.MaxEntries
	}
	if limit > 0 && len(want) > limit {
		g.overflow(want, errs, limit, now, refuse)
	}
	return errs
}

func (g Guard) never(p netip.Prefix) (string, bool) {
	if g.Never == nil {
		return "", false
	}
	return g.Never(p)
}

// overflow refuses the blocks of those prefixes that are one too many.
func (g Guard) overflow(want []harvestwatch.Block, errs []error, limit int, now time.Time, refuse func(int, error)) {
	var passed []harvestwatch.Block
	for i := range want {
		if errs == nil || errs[i] == nil {
			passed = append(passed, want[i])
		}
	}
	es := wanted(passed, now)
	if len(es) <= limit {
		return
	}
	slices.SortStableFunc(es, func(a, b Entry) int { return b.Until.Compare(a.Until) })
	over := make(map[netip.Prefix]bool, len(es)-limit)
	for _, e := range es[limit:] {
		over[e.Prefix] = true
	}
	for i := range want {
		if over[Canonical(want[i].Prefix)] && (errs == nil || errs[i] == nil) {
			refuse(i, fmt.Errorf("block %s: %w: the limit is %d; raise it, or block wider prefixes", want[i].Prefix, ErrFull, limit))
		}
	}
}
