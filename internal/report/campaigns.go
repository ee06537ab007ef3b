package report

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Distributed says what the sources that stayed below 10 tries have in common. Nothing follows from it: a name that many
// share can be that of a provider's servers, or of a program.
type Distributed struct {
	Sources    int64      `json:"sources"` // that made 1 to 9 tries
	Tries      int64      `json:"tries"`   // theirs
	Sample     int64      `json:"sample"`  // one source in so many was looked at, all else below is an estimate from it; 1: all were
	Helos      []Campaign `json:"helo"`    // in their normal form: lower case, digits as 0; the five with the most sources
	Domains    []Campaign `json:"sender_domain"`
	Dictionary Dictionary `json:"dictionary"`
}

// Campaign is what sources did that have something in common.
type Campaign struct {
	Shared     string  `json:"shared"` // text from a log, at most 64 bytes of it
	Sources    int64   `json:"sources"`
	Tries      int64   `json:"tries"`
	Deliveries int64   `json:"deliveries"` // of these sources
	Unknown    float64 `json:"unknown"`    // the share of tries among tries and deliveries, 0 to 1
	First      Time    `json:"first"`
	Last       Time    `json:"last"`
	Good       string  `json:"on_deliveries"` // whether a delivery of any source carried it too: "yes", "no", "perhaps"; "unknown" where the log doesn't say
	Margin     float64 `json:"margin"`        // how far the numbers can be off, as a share of them, in 19 of 20 cases; 0: exact
}

// Dictionary is the word list that sources share. Role names, such as postmaster, which everybody can guess, are no part
// of it.
type Dictionary struct {
	Names    int        `json:"names"`    // recipients that at least By sources tried
	By       int64      `json:"by"`       // so many sources make a recipient a shared one
	Each     int        `json:"each"`     // so many shared recipients make a source one that has the list
	Campaign Campaign   `json:"campaign"` // of the sources that have the list; its text is empty
	Top      []Campaign `json:"top"`      // the five recipients that the most sources tried
}

// Bounds of what is told.
const (
	topShared   = 5 // texts of each kind
	fewSources  = 5 // fewer in the sample have nothing in common
	sharedNames = 3 // so many names in common are no accident
)

// sum adds up what the sources did that share something. Only its numbers are kept while it is counted.
type sum struct {
	sources, tries uint32
	deliveries     int64
	first, last    uint32
	recent         uint32 // the source counted last, plus 1
}

func (s *sum) add(t *try, deliveries uint32) {
	if s.recent != t.source+1 {
		s.recent = t.source + 1
		s.sources++
		s.deliveries += int64(deliveries)
	}
	if s.tries == 0 || t.at < s.first {
		s.first = t.at
	}
	s.last = max(s.last, t.at)
	s.tries++
}

// distributed computes what the sources below many have in common.
func (c *Collector) distributed(k *Concentration) Distributed {
	r := c.remainder
	d := Distributed{Sources: k.AllSources - k.Sources, Tries: k.AllTries - k.Tries, Sample: 1 << r.shift}
	tries := make([]try, 0, len(r.tries))
	for _, t := range r.tries {
		if c.at(t.source).tries < many {
			tries = append(tries, t)
		}
	}
	slices.SortFunc(tries, func(a, b try) int { return cmp.Compare(a.source, b.source) })
	var sums [shareds][]sum
	for by := range sums {
		sums[by] = make([]sum, len(r.texts[by].hashes)+1)
		for i := range tries {
			if n := tries[i].has[by]; n != 0 {
				sums[by][n].add(&tries[i], c.at(tries[i].source).deliveries)
			}
		}
	}
	for n := range sums[byName][1:] {
		if roleName(string(r.texts[byName].text(uint32(n + 1)))) {
			sums[byName][n+1] = sum{}
		}
	}
	d.Helos, d.Domains = c.campaigns(byHelo, sums[byHelo]), c.campaigns(byDomain, sums[byDomain])
	d.Dictionary = c.dictionary(tries, sums[byName])
	return d
}

// campaigns returns those that have the most sources.
func (c *Collector) campaigns(by int, sums []sum) []Campaign {
	var top []int
	for n := range sums {
		if sums[n].sources >= fewSources {
			top = append(top, n)
		}
	}
	slices.SortFunc(top, func(a, b int) int {
		return cmp.Or(cmp.Compare(sums[b].sources, sums[a].sources), cmp.Compare(sums[b].tries, sums[a].tries), cmp.Compare(a, b))
	})
	list := make([]Campaign, 0, topShared)
	for _, n := range top[:min(len(top), topShared)] {
		k := c.campaign(&sums[n])
		t := &c.remainder.texts[by]
		k.Shared = strings.ToValidUTF8(string(t.text(uint32(n))), "\ufffd")
		k.Good = c.remainder.onDeliveries(by, t.hashes[n-1])
		list = append(list, k)
	}
	return list
}

// campaign describes a sum, as if all sources had been looked at.
func (c *Collector) campaign(s *sum) Campaign {
	scale := int64(1) << c.remainder.shift
	k := Campaign{Sources: int64(s.sources) * scale, Tries: int64(s.tries) * scale, Deliveries: s.deliveries * scale}
	if s.tries > 0 {
		k.Unknown = float64(s.tries) / (float64(s.tries) + float64(s.deliveries))
		k.First, k.Last = c.time(int64(s.first)), c.time(int64(s.last))
	}
	if scale > 1 && s.sources > 0 { // the sources in the sample are binomial: each is in it with the probability 1/scale
		k.Margin = 2 * math.Sqrt((1-1/float64(scale))/float64(s.sources))
	}
	return k
}

// onDeliveries says whether a delivery carried the text with that hash.
func (r *remainder) onDeliveries(by int, hash uint64) string {
	switch {
	case by == byName:
		return ""
	case r.goodSeen[by] == 0:
		return "unknown"
	case !r.good[by].has(hash):
		return "no"
	case r.good[by].full():
		return "perhaps"
	}
	return "yes"
}

// dictionary looks for the word list: the tries are in the order of their sources.
func (c *Collector) dictionary(tries []try, sums []sum) Dictionary {
	d := Dictionary{By: fewSources << c.remainder.shift, Each: sharedNames, Top: c.campaigns(byName, sums)}
	for n := range sums {
		if sums[n].sources >= fewSources {
			d.Names++
		}
	}
	var all sum
	for i := 0; i < len(tries); {
		next, names := i, []uint32{}
		for ; next < len(tries) && tries[next].source == tries[i].source; next++ {
			if n := tries[next].has[byName]; sums[n].sources >= fewSources && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
		if len(names) >= sharedNames {
			for ; i < next; i++ {
				all.add(&tries[i], c.at(tries[i].source).deliveries)
			}
		}
		i = next
	}
	d.Campaign = c.campaign(&all)
	return d
}

// roleName reports whether an address in lower case is one that needs no word list to be guessed: the names of RFC 2142
// and a few that are as common.
func roleName(address string) bool {
	local, _, _ := strings.Cut(address, "@")
	switch local {
	case "info", "marketing", "sales", "support", "abuse", "noc", "security", "postmaster", "hostmaster", "usenet", "news",
		"webmaster", "www", "uucp", "ftp", "admin", "administrator", "root", "contact", "office", "mail", "hr", "jobs", "test":
		return true
	}
	return false
}

// text says what the remainder has in common.
func (d *Distributed) text(p *printer) {
	if d.Tries == 0 {
		return
	}
	p.printf("\nWhat the rest has in common: %s from %s that made fewer than %d each. For your information: nobody is blocked for this.\n",
		plural(d.Tries, "guess", "guesses"), plural(d.Sources, "source", "sources"), many)
	if len(d.Helos)+len(d.Domains)+len(d.Dictionary.Top) == 0 {
		p.printf("  No HELO name, sender domain or recipient is shared by %d of them or more: no campaign can be seen.\n", fewSources*d.Sample)
		return
	}
	if d.Sample > 1 {
		p.printf("  Estimated from one source in %s; in 19 of 20 cases a number is not further off than it says.\n", thousands(d.Sample))
	}
	g := grid{left: 1}
	g.add("SHARED", "SOURCES", "GUESSES", "INVALID", "FIRST", "LAST", "ON GOOD MAIL?")
	d.rows(&g, "HELO ", d.Helos)
	d.rows(&g, "sender domain ", d.Domains)
	d.rows(&g, "recipient ", d.Dictionary.Top)
	g.print(p)
	p.printf("  INVALID: the share of guesses in all that these sources brought, deliveries included. What good mail has too marks no campaign.\n")
	if k := &d.Dictionary; k.Names > 0 {
		p.printf("  Word list: %s tried by %d or more of these sources each", plural(int64(k.Names), "recipient was", "recipients were"), k.By)
		if k.Campaign.Sources > 0 {
			p.printf("; %s (%s) tried %d of them or more", plural(k.Campaign.Sources, "source", "sources"),
				plural(k.Campaign.Tries, "guess", "guesses"), k.Each)
		}
		p.printf(".\n")
	}
}

func (d *Distributed) rows(g *grid, what string, list []Campaign) {
	good := map[string]string{"yes": "yes: no mark", "no": "never", "perhaps": "perhaps", "unknown": "not logged"}
	for i := range list {
		k := &list[i]
		sources := thousands(k.Sources)
		if k.Margin > 0 {
			sources += " ± " + strings.TrimSuffix(percent(math.Ceil(100*k.Margin)), ".0 %") + " %"
		}
		g.add(what+quoted(k.Shared), sources, thousands(k.Tries), share(k.Unknown),
			k.First.Format(shortStamp), k.Last.Format(shortStamp), good[k.Good])
	}
}

const shortStamp = "2006-01-02 15:04"
