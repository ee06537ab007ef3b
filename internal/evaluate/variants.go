package evaluate

import (
	"fmt"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// Cell is a place in the sweep: one rule against harvesters, and nothing else.
type Cell struct {
	N0     int     `json:"n0"`     // unknown recipients that it takes
	Rho    float64 `json:"rho"`    // how many more each recipient delivered to buys
	Window string  `json:"window"` // in which they are counted
	Credit bool    `json:"credit"` // whether a source that delivered good mail for a while needs more
}

// The values that the sweep tries.
func sweepN0() []int      { return []int{3, 5, 7, 10, 15, 25} }
func sweepRho() []float64 { return []float64{0, 1.4, 2} }
func sweepWindows() []time.Duration {
	return []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour}
}
func sweepLadder() []time.Duration {
	return []time.Duration{time.Hour, 4 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}
}

// Sweep returns an entry for each N0, rho and window, with what credit buys and, if both is set, without it.
func Sweep(s Setup, both bool) []Entry {
	var list []Entry
	for _, w := range sweepWindows() {
		for _, rho := range sweepRho() {
			for _, n := range sweepN0() {
				list = append(list, cell(Cell{n, rho, rules.FormatDuration(w), true}, w, s))
				if both {
					list = append(list, cell(Cell{n, rho, rules.FormatDuration(w), false}, w, s))
				}
			}
		}
	}
	return list
}

func cell(c Cell, window time.Duration, s Setup) Entry {
	r := rules.Rule{Name: "harvest", Text: "One rule of the sweep.", Mode: rules.Enforce,
		Events: []harvestwatch.Kind{harvestwatch.RcptUnknown}, Distinct: rules.Recipient,
		Conditions: []rules.Condition{{Window: window, AtLeast: c.N0}}, GoodFactor: c.Rho, GoodWindow: max(window, rules.DefaultGoodWindow),
		Ladder: sweepLadder()}
	name := fmt.Sprintf("%d+%gG/%s", c.N0, c.Rho, c.Window)
	if !c.Credit {
		r.CreditFactor, name = 1, name+" no credit"
	}
	return Entry{Name: name, Cell: &c, New: func() (Contender, error) {
		set, err := rules.New(r)
		if err != nil {
			return nil, err
		}
		return NewOurs(set, s), nil
	}}
}

// Ablation returns an entry for the rules as they are, and one for each thing that speaks for a source taken away.
func Ablation(set *rules.Set, s Setup) []Entry {
	without := func(name, note string, edit func(*harvestwatch.Event), change ...func(*rules.Rule)) Entry {
		own := s
		own.Edit = edit
		return Entry{Name: name, Note: note, New: func() (Contender, error) {
			changed, err := changed(set, change...)
			if err != nil {
				return nil, err
			}
			return NewOurs(changed, own), nil
		}}
	}
	return []Entry{
		without("all", "the rules as they are", nil),
		without("no credit", "good mail of earlier days counts nothing", nil, noCredit),
		without("rho = 0", "deliveries raise no threshold; credit is kept", nil, noGood),
		without("no verified", "a verified name counts nothing", nil, noVerified),
		without("null senders", "bounces count like guesses", namedSender),
		without("repeats", "a recipient that is tried again counts again", nil, repeats),
		without("nothing", "all of these together", namedSender, noCredit, noGood, noVerified, repeats),
	}
}

// changed returns a copy of the set with every rule changed.
func changed(set *rules.Set, change ...func(*rules.Rule)) (*rules.Set, error) {
	list := slices.Clone(set.Rules)
	for i := range list {
		for _, c := range change {
			c(&list[i])
		}
	}
	s, err := rules.New(list...)
	if err != nil {
		return nil, fmt.Errorf("change rules: %w", err)
	}
	return s, nil
}

func noCredit(r *rules.Rule)   { r.CreditFactor, r.UnlessCredited = 1, false }
func noGood(r *rules.Rule)     { r.GoodFactor = 0 }
func noVerified(r *rules.Rule) { r.VerifiedFactor = 1 }

func repeats(r *rules.Rule) {
	if r.Distinct == rules.Recipient {
		r.Distinct, r.Shared = rules.Each, rules.Shared{}
	}
}

// namedSender makes a bounce look like any other mail.
func namedSender(ev *harvestwatch.Event) {
	if ev.Null && ev.Kind == harvestwatch.RcptUnknown {
		ev.Null = false
	}
}
