package firewall

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// MinRemaining is the shortest time for which an entry is put into effect. A kernel timeout of less than a
// millisecond would be read as none at all, and block for ever.
const MinRemaining = time.Second

// How far the end that is in effect may lie from the wanted one before it is moved: a tenth of what remains, but at
// least minSlack, which the rounding of timeouts and the time that reading back takes stay well below, and at most
// maxSlack.
const (
	minSlack = time.Second
	maxSlack = 3 * time.Second
)

// Plan returns what must change so that have becomes want at the time now. It is pure, and its result doesn't depend
// on the order of want or have.
//
// Of several blocks of one prefix the latest end counts. Blocks that have run out or not begun are not wanted. No
// wanted end lies less than MinRemaining after now. An entry whose end is earlier than wanted by more than the slack
// (a tenth of what remains, within one to three seconds) is extended. An entry that ends later than wanted by more
// than the slack is shortened, because the database is the truth: the longer of two blocks was ended by an unblock,
// or somebody else lengthened the entry, and nobody stays blocked for longer than the database says. Entries without
// an end are given one. Entries that nobody wants are removed. A prefix that is not valid is passed on, for Apply to
// name in its error: nothing is dropped in silence.
func Plan(want []harvestwatch.Block, have []Entry, now time.Time) Diff {
	w, h := wanted(want, now), normal(have)
	var d Diff
	j := 0
	for i := range w {
		for j < len(h) && order(h[j].Prefix, w[i].Prefix) < 0 {
			d.Remove = append(d.Remove, h[j].Prefix)
			j++
		}
		if j == len(h) || h[j].Prefix != w[i].Prefix {
			d.Add = append(d.Add, w[i])
			continue
		}
		if apart(h[j].Until, w[i].Until, now) {
			d.Extend = append(d.Extend, w[i])
		}
		j++
	}
	for ; j < len(h); j++ {
		d.Remove = append(d.Remove, h[j].Prefix)
	}
	return d
}

// apart reports whether the end in effect is too far from the wanted one.
func apart(have, want, now time.Time) bool {
	if have.IsZero() {
		return true
	}
	slack := min(max(want.Sub(now)/10, minSlack), maxSlack)
	return want.Sub(have).Abs() > slack
}

// wanted returns the entries that the blocks ask for, sorted, each prefix once with its latest end.
func wanted(blocks []harvestwatch.Block, now time.Time) []Entry {
	out := make([]Entry, 0, len(blocks))
	soonest := now.Add(MinRemaining)
	for i := range blocks {
		b := &blocks[i]
		if !b.Active(now) {
			continue
		}
		until := b.Until
		if until.Before(soonest) {
			until = soonest
		}
		out = append(out, Entry{Prefix: Canonical(b.Prefix), Until: until})
	}
	return tidy(out)
}

// normal returns the entries in canonical form, sorted, each prefix once. What is so already is returned as it is.
func normal(have []Entry) []Entry {
	for i := range have {
		if have[i].Prefix != Canonical(have[i].Prefix) || i > 0 && order(have[i-1].Prefix, have[i].Prefix) >= 0 {
			return normalise(have)
		}
	}
	return have
}

func normalise(have []Entry) []Entry {
	out := make([]Entry, len(have))
	for i, e := range have {
		e.Prefix = Canonical(e.Prefix)
		out[i] = e
	}
	return tidy(out)
}

// order is Prefix.Compare for canonical prefixes, which need not be masked again for each comparison.
func order(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return cmp.Compare(a.Bits(), b.Bits())
}

// tidy sorts by prefix and keeps the latest end of each. It works in place.
func tidy(es []Entry) []Entry {
	byPrefix := func(a, b Entry) int {
		if c := order(a.Prefix, b.Prefix); c != 0 {
			return c
		}
		return b.Until.Compare(a.Until)
	}
	if !slices.IsSortedFunc(es, byPrefix) {
		slices.SortFunc(es, byPrefix)
	}
	return slices.CompactFunc(es, func(a, b Entry) bool { return a.Prefix == b.Prefix })
}

// after returns what is in effect once the difference has been applied. Have must be sorted; it is not changed.
func after(have []Entry, d Diff) []Entry {
	out := make([]Entry, 0, len(have)+len(d.Add))
	remove, extend := d.Remove, d.Extend
	for _, e := range have {
		for len(remove) > 0 && order(remove[0], e.Prefix) < 0 {
			remove = remove[1:]
		}
		if len(remove) > 0 && remove[0] == e.Prefix {
			continue
		}
		for len(extend) > 0 && order(extend[0].Prefix, e.Prefix) < 0 {
			extend = extend[1:]
		}
		if len(extend) > 0 && extend[0].Prefix == e.Prefix {
			e.Until = extend[0].Until
		}
		out = append(out, e)
	}
	return tidy(append(out, d.Add...))
}

// live returns the entries that have not run out, in the same order.
func live(have []Entry, now time.Time) []Entry {
	return slices.DeleteFunc(have, func(e Entry) bool { return !e.Until.IsZero() && !e.Until.After(now) })
}
