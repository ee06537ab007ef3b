package recipients

import (
	"fmt"
	"maps"
	"slices"
)

// Guard decides whether a fresh list may take the place of the old one. It fails open: a directory that is half there
// after an outage, or a filter that finds too little, would make users unknown, and who writes to them an offender.
// The zero value has the defaults.
type Guard struct {
	Share float64 // of the old addresses that may be missing from the fresh list, 0 to 1; 0: a fifth
	Few   int     // this many may always be missing, as long as half of the old ones are there; 0: nine
}

// Next returns the list to use from now on. Where that is the old one, why says so, with what to do; else why is "".
//
// A fresh list is not taken if it is empty and the old one was not; if more than Share of the old addresses are missing
// from it, and more than Few; or if more than half are missing, and more than two. The same holds for each domain by
// itself, unless the fresh list has nothing of the domain: then it has no opinion on it, which harms nobody. An address
// that has become covered by a wildcard is not missing. Wildcards aren't counted: people write them.
func (g Guard) Next(old, fresh *List) (use *List, why string) {
	if old.Len() == 0 {
		return fresh, ""
	}
	if fresh.Len() == 0 {
		return old, "the new list of recipients is empty, the old one stays: " + guardAdvice
	}
	var all tally
	domains := map[string]tally{}
	buf := make([]byte, 0, maxCanonical)
	for i := range old.ends {
		text := old.entry(i)
		d := cutDomain(text)
		verdict := fresh.judge(address{text: append(buf, text...), at: len(text) - len(d) - 1})
		all.count(verdict)
		t := domains[d]
		t.count(verdict)
		domains[d] = t
	}
	if g.tooMany(all) {
		return old, fmt.Sprintf("%d of %d recipients are missing from the new list, the old one stays: %s", all.missing, all.total, guardAdvice)
	}
	for _, d := range slices.Sorted(maps.Keys(domains)) {
		if t := domains[d]; t.listed && g.tooMany(t) {
			return old, fmt.Sprintf("%d of %d recipients of %s are missing from the new list, the old one stays: %s", t.missing, t.total, d, guardAdvice)
		}
	}
	return fresh, ""
}

const guardAdvice = "check the file or the directory; if so many are gone for good, delete the saved list and start harvestwatch anew"

// tally counts the old addresses that a fresh list doesn't have.
type tally struct {
	total, missing int
	listed         bool // the fresh list speaks for the domain
}

func (t *tally) count(v Verdict) {
	t.total++
	t.listed = t.listed || v != NoOpinion
	if v != Valid {
		t.missing++
	}
}

func (g Guard) tooMany(t tally) bool {
	share, few := g.Share, g.Few
	if share <= 0 {
		share = 0.2
	}
	if few <= 0 {
		few = 9
	}
	return t.missing > few && float64(t.missing) > share*float64(t.total) || t.missing > 2 && 2*t.missing > t.total
}
