package report

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// BacktestSchema is the name and version of the JSON that Backtest is written as. Fields are added freely; none is
// renamed or removed without a new version.
const BacktestSchema = "harvestwatch.backtest/1"

// Backtest compares what two rule sets make of the same logs.
type Backtest struct {
	Schema        string         `json:"schema"`
	Verdict       string         `json:"verdict"` // one sentence for a person
	Inputs        []Input        `json:"inputs"`
	Period        Period         `json:"period"`
	Totals        BacktestTotals `json:"totals"`
	Against       LaneResult     `json:"against"`
	Candidate     LaneResult     `json:"candidate"`
	OnlyCandidate Difference     `json:"only_candidate"` // what the candidate blocks and the other set never does
	OnlyAgainst   Difference     `json:"only_against"`
	Notes         []string       `json:"notes,omitempty"`
	Errors        []string       `json:"errors,omitempty"`
	Interrupted   bool           `json:"interrupted,omitempty"`
}

// BacktestTotals counts what happened in the period, whatever the rules.
type BacktestTotals struct {
	Connections       int64   `json:"connections"`
	ConnectionSeconds float64 `json:"connection_seconds"` // of ended connections whose beginning is in the log
	Ended             int64   `json:"ended"`              // connections whose end is in the log
	Unmeasured        int64   `json:"unmeasured"`         // those of them whose beginning is not
	Guesses           int64   `json:"guesses"`            // unknown recipients asked for, without the null sender's
	Bounces           int64   `json:"bounces"`            // the null sender's
	Deliveries        int64   `json:"deliveries"`
	AuthFailures      int64   `json:"auth_failures"`
}

// LaneResult is what one rule set makes of the logs.
type LaneResult struct {
	Name       string       `json:"name"`
	InForce    Effect       `json:"in_force"` // what its blocks prevent and hit
	OnTrial    Effect       `json:"on_trial"` // what those of its rules in mode observe would, besides
	Rules      []RuleResult `json:"rules"`
	HeldBack   []GuardCount `json:"held_back"` // offences that a guard kept from becoming blocks
	Notices    []Notice     `json:"notices"`   // the first 100
	NoticesAll int64        `json:"notices_all"`
	NoticesBy  []GuardCount `json:"notices_by_guard"`
	Price      Price        `json:"price"`
}

// Effect is what blocks prevent, and what they hit.
type Effect struct {
	Blocks            int64   `json:"blocks"`
	Blocked           int64   `json:"blocked"` // sources, or prefixes
	Guesses           int64   `json:"guesses"`
	GuessShare        float64 `json:"guess_share"` // of all guesses, 0 to 1
	Connections       int64   `json:"connections"`
	ConnectionSeconds float64 `json:"connection_seconds"` // at least: how long connections lasted within a block of their source
	Unmeasured        int64   `json:"unmeasured"`         // connections that ended within a block and whose beginning is unknown
	AuthFailures      int64   `json:"auth_failures"`
	Deliveries        int64   `json:"deliveries"` // hit
	LongestDelay      float64 `json:"longest_delay_seconds"`
}

// RuleResult is what came of a rule.
type RuleResult struct {
	Rule       string `json:"rule"`
	Blocks     int64  `json:"blocks"`
	OnTrial    int64  `json:"on_trial"`
	Alerts     int64  `json:"alerts"`
	HeldBack   int64  `json:"held_back"`
	Guesses    int64  `json:"guesses"`    // that its blocks prevent
	Deliveries int64  `json:"deliveries"` // that its blocks hit
}

// GuardCount is how many offences a guard held back.
type GuardCount struct {
	Guard    string `json:"guard"`
	Offences int64  `json:"offences"` // or notices
}

// Price is the legitimate mail that blocks would have held up: a server that is blocked tries again, so each message
// comes when the block has ended, unless the server has given up by then.
type Price struct {
	Deliveries int64         `json:"deliveries"` // hit by blocks in force
	Domains    []DomainPrice `json:"domains"`    // by sender domain, the most hit first, at most 1,000
	Others     int64         `json:"others"`     // deliveries from further domains
	Hits       []Hit         `json:"hits"`       // one by one, the first 1,000, those by blocks on trial included
}

// DomainPrice is the mail of one sender domain.
type DomainPrice struct {
	Domain       string     `json:"domain"` // text from a log; "<>" for the null sender, "" where the log names none
	Deliveries   int64      `json:"deliveries"`
	OnTrial      int64      `json:"on_trial"` // that only blocks on trial would have hit
	LongestDelay float64    `json:"longest_delay_seconds"`
	Blocks       []HitBlock `json:"blocks"` // at most 10, those that hit the most first; from the first 1,000 hits
}

// HitBlock is a block that hit deliveries of a domain.
type HitBlock struct {
	BlockInfo
	Deliveries int64    `json:"deliveries"` // of this domain
	First      Time     `json:"first"`      // when they came in
	Last       Time     `json:"last"`
	Evidence   []string `json:"evidence"`
}

// BlockInfo describes a block.
type BlockInfo struct {
	Blocked  string `json:"blocked"` // a source or a prefix
	Decision string `json:"decision"`
	Rule     string `json:"rule"`
	From     Time   `json:"from"`
	Until    Time   `json:"until"`
	Level    int    `json:"level"`
	Reason   string `json:"reason"`
	Key      string `json:"key,omitempty"`   // by what the rule adds up, where that is not the source
	Group    string `json:"group,omitempty"` // which one; may be text from a log
}

// Hit is a delivery that a block would have held up.
type Hit struct {
	Time         Time      `json:"time"` // when the message came in
	Source       string    `json:"source"`
	SenderDomain string    `json:"sender_domain"`
	Delay        float64   `json:"delay_seconds"` // until the block's end
	Block        BlockInfo `json:"block"`
}

// Difference is what one rule set blocks and the other doesn't.
type Difference struct {
	Blocked int64         `json:"blocked"` // sources, or prefixes
	Top     []DiffBlocked `json:"top"`     // the ten from whom most was prevented
}

// DiffBlocked is one that only one of the rule sets blocks.
type DiffBlocked struct {
	BlockInfo          // the first block
	Blocks       int64 `json:"blocks"`
	Guesses      int64 `json:"guesses"` // prevented, as the others
	Connections  int64 `json:"connections"`
	AuthFailures int64 `json:"auth_failures"`
	Deliveries   int64 `json:"deliveries"` // hit
}

// BacktestOptions say what of a comparison is wanted.
type BacktestOptions struct {
	Evidence Evidence // gives the raw lines; nil for a result without
}

// Bounds of what a result tells.
const (
	topDiff      = 10
	domainBlocks = 10
)

// Compare says what changes when the rule set of candidate takes the place of that of against. Both lanes have seen the
// same events.
func Compare(against, candidate *Lane, o BacktestOptions) *Backtest {
	b := &Backtest{Schema: BacktestSchema, Inputs: []Input{}, Against: against.result(), Candidate: candidate.result(),
		OnlyCandidate: candidate.without(against), OnlyAgainst: against.without(candidate)}
	if against.first != 0 {
		b.Period = Period{against.time(floorSeconds(against.first)), against.time(floorSeconds(against.last))}
	}
	t := &against.totals
	b.Totals = BacktestTotals{Connections: t.connections, ConnectionSeconds: math.Round(t.seconds), Ended: t.ended, Unmeasured: t.endless,
		Guesses: t.guesses, Bounces: t.bounces, Deliveries: t.deliveries, AuthFailures: t.authFails}
	if o.Evidence != nil {
		against.prove(&b.Against.Price, o.Evidence)
		candidate.prove(&b.Candidate.Price, o.Evidence)
	}
	b.Verdict = b.verdict()
	return b
}

// HitsAny reports whether the candidate's blocks in force would have held up a delivery.
func (b *Backtest) HitsAny() bool { return b.Candidate.InForce.Deliveries > 0 }

func floorSeconds(ns int64) int64 { return time.Unix(0, ns).Unix() }

func (l *Lane) time(sec int64) Time { return Time{time.Unix(sec, 0).In(l.zone)} }

func (l *Lane) result() LaneResult {
	r := LaneResult{Name: l.name, InForce: l.effect(inForce), OnTrial: l.effect(onTrial), Rules: []RuleResult{}, HeldBack: []GuardCount{},
		Notices: l.notices.told(l.zone), NoticesAll: l.notices.all}
	for i := range l.rules {
		k := &l.rules[i]
		r.Rules = append(r.Rules, RuleResult{Rule: k.name, Blocks: k.decisions[harvestwatch.ActBlock], OnTrial: k.decisions[harvestwatch.ActObserve],
			Alerts: k.decisions[harvestwatch.ActAlert], HeldBack: k.decisions[harvestwatch.ActSuppress], Guesses: k.guesses, Deliveries: k.hits})
	}
	slices.SortFunc(r.Rules, func(a, b RuleResult) int { return cmp.Or(cmp.Compare(b.Blocks, a.Blocks), cmp.Compare(a.Rule, b.Rule)) })
	r.HeldBack, r.NoticesBy = guardCounts(l.guards), guardCounts(l.noticesBy)
	r.Price = l.price()
	return r
}

// guardCounts lists the guards, the one that counts most first.
func guardCounts(by map[string]int64) []GuardCount {
	list := make([]GuardCount, 0, len(by))
	for _, guard := range slices.Sorted(maps.Keys(by)) {
		list = append(list, GuardCount{guard, by[guard]})
	}
	slices.SortStableFunc(list, func(a, b GuardCount) int { return cmp.Compare(b.Offences, a.Offences) })
	return list
}

func (l *Lane) effect(standing int) Effect {
	e := &l.effects[standing]
	r := Effect{Blocks: e.blocks, Blocked: e.targets, Guesses: e.guesses, Connections: e.connections, ConnectionSeconds: math.Round(e.seconds),
		Unmeasured: e.endless, AuthFailures: e.authFails, Deliveries: e.deliveries, LongestDelay: e.longest.Seconds()}
	if l.totals.guesses > 0 {
		r.GuessShare = float64(e.guesses) / float64(l.totals.guesses)
	}
	return r
}

// info describes a block; the zero BlockInfo where it is not known.
func (l *Lane) info(b *laneBlock) BlockInfo {
	if b == nil {
		return BlockInfo{}
	}
	decision := harvestwatch.ActBlock
	if b.standing == onTrial {
		decision = harvestwatch.ActObserve
	}
	return BlockInfo{Blocked: b.target.String(), Decision: decision.String(), Rule: l.rules[b.rule].name, From: l.time(b.from), Until: l.time(b.until),
		Level: b.level, Reason: b.reason, Key: b.key, Group: b.group}
}

// price returns the deliveries that were hit, by sender domain.
func (l *Lane) price() Price {
	p := Price{Deliveries: l.effects[inForce].deliveries, Domains: []DomainPrice{}, Others: l.others.deliveries[inForce], Hits: []Hit{}}
	for domain, sum := range l.domains {
		p.Domains = append(p.Domains, DomainPrice{Domain: domain, Deliveries: sum.deliveries[inForce], OnTrial: sum.deliveries[onTrial],
			LongestDelay: max(sum.longest[inForce], sum.longest[onTrial]).Seconds(), Blocks: []HitBlock{}})
	}
	slices.SortFunc(p.Domains, func(a, b DomainPrice) int {
		return cmp.Or(cmp.Compare(b.Deliveries, a.Deliveries), cmp.Compare(b.OnTrial, a.OnTrial), cmp.Compare(a.Domain, b.Domain))
	})
	for i := range l.hits {
		h := &l.hits[i]
		entry := Hit{Time: l.time(h.at), Source: h.source.String(), SenderDomain: h.domain, Block: l.info(h.block)}
		if h.block != nil {
			entry.Delay = float64(h.block.until - h.at)
		}
		p.Hits = append(p.Hits, entry)
	}
	blocks := l.hitBlocks()
	for i := range p.Domains {
		for _, hb := range blocks[p.Domains[i].Domain] {
			p.Domains[i].Blocks = append(p.Domains[i].Blocks, hb.told)
		}
	}
	return p
}

// hitBlock is a block that hit deliveries of a domain, and how it is told.
type hitBlock struct {
	block *laneBlock
	told  HitBlock
}

// hitBlocks returns the blocks that hit each domain, those that hit the most first.
func (l *Lane) hitBlocks() map[string][]hitBlock {
	by := map[string][]hitBlock{}
	for i := range l.hits {
		h := &l.hits[i]
		if h.block == nil {
			continue
		}
		list := by[h.domain]
		k := slices.IndexFunc(list, func(x hitBlock) bool { return x.block == h.block })
		if k < 0 {
			k = len(list)
			list = append(list, hitBlock{h.block, HitBlock{BlockInfo: l.info(h.block), First: l.time(h.at), Last: l.time(h.at), Evidence: []string{}}})
			by[h.domain] = list
		}
		told := &list[k].told
		told.Deliveries++
		if at := l.time(h.at); at.Before(told.First.Time) {
			told.First = at
		} else if at.After(told.Last.Time) {
			told.Last = at
		}
	}
	for domain, list := range by {
		slices.SortStableFunc(list, func(a, b hitBlock) int {
			return cmp.Or(cmp.Compare(a.block.standing, b.block.standing), cmp.Compare(b.told.Deliveries, a.told.Deliveries))
		})
		by[domain] = list[:min(len(list), domainBlocks)]
	}
	return by
}

// prove adds the raw lines that the blocks rest on.
func (l *Lane) prove(p *Price, ev Evidence) {
	blocks := l.hitBlocks()
	var wants []Want
	var into []*HitBlock
	for i := range p.Domains {
		for k, hb := range blocks[p.Domains[i].Domain] {
			wants = append(wants, wanted(hb.block.target, hb.block.source, hb.block.group, hb.block.refs))
			into = append(into, &p.Domains[i].Blocks[k])
		}
	}
	if len(wants) == 0 {
		return
	}
	for i, lines := range ev.Lines(wants) {
		into[i].Evidence = append(into[i].Evidence, lines...)
	}
}

// without returns what l blocks and o never does.
func (l *Lane) without(o *Lane) Difference {
	others := o.blocked()
	var only []target
	for t, lt := range l.targets {
		if lt.blocks > 0 && !others.cover(t) {
			only = append(only, t)
		}
	}
	weight := func(t target) int64 {
		lt := l.targets[t]
		return int64(lt.guesses) + int64(lt.authFails) + int64(lt.connections)
	}
	slices.SortFunc(only, func(a, b target) int { return cmp.Or(cmp.Compare(weight(b), weight(a)), a.compare(b)) })
	d := Difference{Blocked: int64(len(only)), Top: []DiffBlocked{}}
	for _, t := range only[:min(len(only), topDiff)] {
		lt := l.targets[t]
		d.Top = append(d.Top, DiffBlocked{BlockInfo: l.info(lt.first[inForce]), Blocks: int64(lt.blocks), Guesses: int64(lt.guesses),
			Connections: int64(lt.connections), AuthFailures: int64(lt.authFails), Deliveries: int64(lt.deliveries)})
	}
	return d
}

// blocked returns who was ever blocked in force.
func (l *Lane) blocked() targets {
	set := targets{has: map[target]bool{}, lengths: l.lengths}
	for t, lt := range l.targets {
		if lt.blocks > 0 {
			set.has[t] = true
		}
	}
	return set
}
