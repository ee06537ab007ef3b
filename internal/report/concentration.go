package report

import "fmt"

// many is the number of tries from which a source counts as one that a block can stop: N0 of the rule harvest.
const many = 10

// Concentration says how much of the harvesting comes from few sources: the ceiling of what blocking can prevent. A try
// is an unknown recipient asked for, tried twice counted twice, without those of the null sender.
type Concentration struct {
	Tries      int64     `json:"tries"`       // by sources with 10 tries or more
	Sources    int64     `json:"sources"`     // how many those sources are
	Share      float64   `json:"share"`       // of their tries in all, 0 to 1
	AllTries   int64     `json:"all_tries"`   // by all sources
	AllSources int64     `json:"all_sources"` // that made any
	Ceilings   []Ceiling `json:"ceilings"`    // for 10, 5 and 1
	Classes    []Class   `json:"histogram"`   // the sources by how many tries each made
}

// Ceiling is the most that blocks of addresses can prevent when each source is stopped, for good, at its At-th try: with
// N tries of a source, the sum of what exceeds At over the sum of N.
type Ceiling struct {
	At    int     `json:"at"`
	Share float64 `json:"share"` // 0 to 1
}

// Class is the sources that made From to To tries each.
type Class struct {
	From    int64 `json:"from"`
	To      int64 `json:"to"` // 0: no bound
	Sources int64 `json:"sources"`
	Tries   int64 `json:"tries"`
}

// concentrate computes the concentration from the tallies.
func (c *Collector) concentrate() Concentration {
	k := Concentration{Ceilings: []Ceiling{{At: many}, {At: 5}, {At: 1}},
		Classes: []Class{{From: 1, To: 1}, {From: 2, To: 4}, {From: 5, To: 9}, {From: 10, To: 99}, {From: 100, To: 999}, {From: 1000}}}
	over := make([]int64, len(k.Ceilings))
	for n := range uint32(len(c.numbers)) {
		tries := int64(c.at(n).tries)
		if tries == 0 {
			continue
		}
		k.AllTries += tries
		k.AllSources++
		if tries >= many {
			k.Tries += tries
			k.Sources++
		}
		for i := range k.Ceilings {
			over[i] += max(0, tries-int64(k.Ceilings[i].At))
		}
		for i := len(k.Classes) - 1; i >= 0; i-- {
			if tries >= k.Classes[i].From {
				k.Classes[i].Tries += tries
				k.Classes[i].Sources++
				break
			}
		}
	}
	if k.AllTries > 0 {
		k.Share = float64(k.Tries) / float64(k.AllTries)
		for i := range k.Ceilings {
			k.Ceilings[i].Share = float64(over[i]) / float64(k.AllTries)
		}
	}
	return k
}

// fewTries is the number of tries below which there is no attack to speak of.
const fewTries = 100

// text says in words how concentrated the attack is, and what follows.
func (k *Concentration) text(p *printer) {
	if k.AllTries == 0 {
		p.printf("Nobody guessed at recipients: no addresses were harvested here.\n\n")
		return
	}
	p.printf("How concentrated the attack is\n")
	guesses := plural(k.AllTries, "guess", "guesses")
	if k.Sources == 0 {
		p.printf("  None of the %s at recipients came from a source that made %d or more.\n", guesses, many)
	} else {
		p.printf("  %s of %s at recipients came from %s that made %d or more each.\n", percent(100*k.Share), guesses,
			plural(k.Sources, "source", "sources"), many)
	}
	p.printf("  Blocks of addresses can prevent at best %s of them: that is if each source is stopped at its %dth guess, for good.\n"+
		"  Stopped at the 5th it would be %s, at the 1st %s.\n", share(k.Ceilings[0].Share), k.Ceilings[0].At,
		share(k.Ceilings[1].Share), share(k.Ceilings[2].Share))
	p.printf("  %s\n\n", k.verdict())
	k.textClasses(p)
}

// verdict says what the ceiling means. What no block prevents is what sources do that never make many guesses, and what
// the others do before they have.
func (k *Concentration) verdict() string {
	best := k.Ceilings[0].Share
	spread := 1-k.Share >= k.Share-best
	switch {
	case k.AllTries < fewTries:
		return "That is too little to call it an attack."
	case best >= 0.8:
		return "Few sources do nearly all of it: blocking addresses works here."
	case best >= 0.4 && spread:
		return "Blocking addresses helps here and does not end it: the rest comes from many sources that make a few guesses each."
	case best >= 0.4:
		return "Blocking addresses helps here and does not end it: much of it is done before a source has made ten guesses."
	case spread:
		return "The attack is spread over many sources that make a few guesses each: blocking addresses can do little here, whatever the rules."
	default:
		return "Most sources stop soon after their tenth guess: blocking addresses can do little here, whatever the rules."
	}
}

func (k *Concentration) textClasses(p *printer) {
	g := grid{left: 1}
	g.add("GUESSES EACH", "SOURCES", "GUESSES", "SHARE")
	for _, c := range k.Classes {
		name := thousands(c.From)
		switch {
		case c.To == 0:
			name += " and more"
		case c.To > c.From:
			name += fmt.Sprintf("–%d", c.To)
		}
		g.add(name, thousands(c.Sources), thousands(c.Tries), share(float64(c.Tries)/float64(k.AllTries)))
	}
	g.print(p)
	p.printf("\n")
}

// share writes a part of the whole, from 0 to 1, as a percentage.
func share(of float64) string { return percent(100 * of) }
