// Package evaluate measures what rules are worth on labelled traffic: how much of an attack they keep out, and what that
// costs in good mail. It replays one generated stream of events to several contenders at once, our own rules and
// imitations of what others do, each in a world of its own in which the blocks that it asked for hold: what a blocked
// source had scheduled doesn't happen there. From the truth about every source it then adds up the figures, compares
// them with the gates and writes tables.
//
// It makes no traffic (internal/loggen does), decides nothing by itself and writes no file. Everything but the speeds is
// a function of the plan. The seeds of the gates are for the gates: nothing is chosen by looking at them; what is tried
// and compared (the sweep, the ablation) uses other seeds, and a plan that mixes them is refused.
//
// Evaluate starts as many goroutines as the plan has workers, each replays one world at a time, and all have ended when
// it returns. A Contender belongs to one world and so to one goroutine.
package evaluate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/loggen"
)

// Defaults of a Plan, and of what it takes to replay.
const (
	DefaultLag   = 3 * time.Second  // from a decision until the firewall has it
	DefaultRetry = 15 * time.Minute // how long an honest server waits before it tries again
)

// ErrPlan is the kind of error that a plan gets which can't be followed.
var ErrPlan = errors.New("evaluation plan")

// World gives the events of one world in the order of time, until yield returns false, and then the truth about them.
// An event and its bytes are borrowed until yield returns.
type World func(yield func(*harvestwatch.Event) bool) (loggen.Truth, error)

// Mix is an attack that is to be evaluated.
type Mix struct {
	Name string // A, B, C
	Mix  loggen.Mix
}

// Plan says what to evaluate.
type Plan struct {
	Seeds  []uint64 // of the gates: nothing is chosen by them
	Tuning []uint64 // of the sweep and the ablation; none of them may be among Seeds
	Mixes  []Mix    // of the gates. The sweep and the ablation take the one named B, or the last
	Days   int      // of the gates, at least 1
	Junk   int64    // hostile recipients and connections a day, for the gates
	Good   int64    // good messages a day, everywhere; 0: the generator's default

	TuningDays int   // of the sweep and the ablation; 0: as Days
	TuningJunk int64 // of the sweep and the ablation; 0: as Junk

	Entries  []Entry // who takes part in the gates' worlds; the first one is the one that the gates judge
	Sweep    []Entry // who takes part in the sweep
	Ablation []Entry // who takes part in the ablation
	Gates    []Gate  // nil: Gates()

	Restarted *Entry                                   // the first of Entries, stopped and started again now and then: it must decide alike; nil: not tried
	Footprint func(context.Context) (Footprint, error) // measures memory; nil: not measured

	Lag     time.Duration    // 0: DefaultLag
	Retry   time.Duration    // 0: DefaultRetry
	Workers int              // worlds at a time; 0: 1
	Clock   func() time.Time // for the speeds; nil: none are measured
	// Progress is told after each world how many of all are done; calls don't overlap. It may be nil.
	Progress func(done, all int, what string)
}

// Result is what an evaluation found.
type Result struct {
	Seeds     []uint64   `json:"seeds"`
	Tuning    []uint64   `json:"tuning_seeds"`
	Days      int        `json:"days"`
	Junk      int64      `json:"junk_per_day"`
	Mixes     []Found    `json:"mixes"`
	Sweep     *Found     `json:"sweep,omitempty"`    // nil where none was asked for
	Ablation  *Found     `json:"ablation,omitempty"` // nil where none was asked for
	Replays   []Restart  `json:"replays"`
	Footprint *Footprint `json:"footprint,omitempty"`
	Gates     []Verdict  `json:"gates"`
}

// Restart says whether a world was decided alike with restarts between.
type Restart struct {
	Mix   string `json:"mix"`
	Seed  uint64 `json:"seed"`
	Alike bool   `json:"alike"`
}

// Passed reports whether every gate holds.
func (r *Result) Passed() bool {
	for i := range r.Gates {
		if !r.Gates[i].Pass {
			return false
		}
	}
	return true
}

// Safe reports whether every gate of safety holds.
func (r *Result) Safe() bool {
	for i := range r.Gates {
		if g := &r.Gates[i]; g.Safety && !g.Pass {
			return false
		}
	}
	return true
}

// Found is what came of all contenders in all worlds of one mix.
type Found struct {
	Mix        string    `json:"mix"`
	World      Stats     `json:"world"` // of all seeds together
	Contenders []Metrics `json:"contenders"`
}

// Of returns the figures of a contender, or nil.
func (f *Found) Of(name string) *Metrics {
	for i := range f.Contenders {
		if f.Contenders[i].Contender == name {
			return &f.Contenders[i]
		}
	}
	return nil
}

// job is one world to be replayed.
type job struct {
	found   *Found
	what    string
	cfg     loggen.Config
	entries []Entry
	metrics []Metrics
	stats   Stats
	digest  uint64 // of the first contender
	again   *job   // the world that this one repeats, or nil
	err     error
}

// Evaluate replays all worlds of the plan and judges the gates. The error wraps ErrPlan for a plan that can't be
// followed, ctx's error when it ended, or the generator's.
func Evaluate(ctx context.Context, p Plan) (*Result, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	r := &Result{Seeds: p.Seeds, Tuning: p.Tuning, Days: p.Days, Junk: p.Junk, Mixes: make([]Found, len(p.Mixes))}
	jobs := p.jobs(r)
	if err := p.work(ctx, jobs); err != nil {
		return nil, err
	}
	for _, j := range jobs { // in the plan's order, whoever finished first
		if j.again != nil {
			r.Replays = append(r.Replays, Restart{j.found.Mix, j.cfg.Seed, j.digest == j.again.digest})
			continue
		}
		j.found.add(j)
	}
	if p.Footprint != nil {
		f, err := p.Footprint(ctx)
		if err != nil {
			return nil, fmt.Errorf("measure memory: %w", err)
		}
		r.Footprint = &f
	}
	for _, f := range r.all() {
		f.settle()
	}
	gates := p.Gates
	if gates == nil {
		gates = Gates()
	}
	for _, g := range gates {
		r.Gates = append(r.Gates, g.judge(r))
	}
	return r, nil
}

func (r *Result) all() []*Found {
	var list []*Found
	for i := range r.Mixes {
		list = append(list, &r.Mixes[i])
	}
	for _, f := range []*Found{r.Sweep, r.Ablation} {
		if f != nil {
			list = append(list, f)
		}
	}
	return list
}

func (p *Plan) check() error {
	gate := map[uint64]bool{}
	for _, s := range p.Seeds {
		gate[s] = true
	}
	for _, s := range p.Tuning {
		if gate[s] {
			return fmt.Errorf("%w: seed %d is for the gates and for tuning; take others for one of them", ErrPlan, s)
		}
	}
	switch {
	case len(p.Mixes) == 0 || len(p.Entries) == 0 || len(p.Seeds) == 0:
		return fmt.Errorf("%w: no mixes, contenders or seeds; name at least one of each", ErrPlan)
	case p.Days < 1 || p.Junk < 1:
		return fmt.Errorf("%w: %d days of %d junk messages; take at least one of each", ErrPlan, p.Days, p.Junk)
	case len(p.Sweep)+len(p.Ablation) > 0 && len(p.Tuning) == 0:
		return fmt.Errorf("%w: a sweep or an ablation has no seeds; name some for tuning", ErrPlan)
	}
	return nil
}

// jobs lists the worlds, the greatest first, so that no worker has the longest one left at the end.
func (p *Plan) jobs(r *Result) []*job {
	var list []*job
	tuning := &p.Mixes[len(p.Mixes)-1]
	for i := range p.Mixes {
		m := &p.Mixes[i]
		if m.Name == "B" {
			tuning = m
		}
		r.Mixes[i].Mix = m.Name
		for _, s := range p.Seeds {
			list = append(list, p.job(&r.Mixes[i], m, "mix "+m.Name, s, p.Days, p.Junk, p.Entries))
		}
		if p.Restarted != nil {
			j := p.job(&r.Mixes[i], m, "restarts, mix "+m.Name, p.Seeds[0], p.Days, p.Junk, []Entry{*p.Restarted})
			j.again = list[len(list)-len(p.Seeds)]
			list = append(list, j)
		}
	}
	days, junk := p.Days, p.Junk
	if p.TuningDays > 0 {
		days = p.TuningDays
	}
	if p.TuningJunk > 0 {
		junk = p.TuningJunk
	}
	for _, s := range p.Tuning {
		if len(p.Sweep) > 0 {
			if r.Sweep == nil {
				r.Sweep = &Found{Mix: tuning.Name}
			}
			list = append(list, p.job(r.Sweep, tuning, "sweep", s, days, junk, p.Sweep))
		}
		if len(p.Ablation) > 0 {
			if r.Ablation == nil {
				r.Ablation = &Found{Mix: tuning.Name}
			}
			list = append(list, p.job(r.Ablation, tuning, "ablation", s, days, junk, p.Ablation))
		}
	}
	return list
}

func (p *Plan) job(f *Found, m *Mix, what string, seed uint64, days int, junk int64, entries []Entry) *job {
	return &job{found: f, what: fmt.Sprintf("%s, seed %d", what, seed), entries: entries,
		cfg: loggen.Config{Seed: seed, Duration: time.Duration(days) * 24 * time.Hour, JunkPerDay: junk, GoodPerDay: p.Good, Mix: m.Mix}}
}

// work replays the jobs' worlds, some at a time.
func (p *Plan) work(ctx context.Context, jobs []*job) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	next := make(chan *job)
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range max(p.Workers, 1) {
		wg.Go(func() {
			for j := range next {
				if j.err = p.replay(ctx, j); j.err != nil {
					stop()
				}
				mu.Lock()
				done++
				if p.Progress != nil {
					p.Progress(done, len(jobs), j.what)
				}
				mu.Unlock()
			}
		})
	}
	fed := 0
	for _, j := range jobs {
		select {
		case next <- j:
			fed++
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
	return outcome(ctx, jobs[:fed], len(jobs))
}

// outcome returns the error that ended the work, not one of those that followed from it.
func outcome(ctx context.Context, fed []*job, all int) error {
	var first error
	for _, j := range fed {
		if j.err != nil && (first == nil || errors.Is(first, context.Canceled)) {
			first = j.err
		}
	}
	if first == nil && len(fed) < all {
		first = ctx.Err()
	}
	return first
}

func (p *Plan) replay(ctx context.Context, j *job) error {
	world := func(yield func(*harvestwatch.Event) bool) (loggen.Truth, error) { return loggen.Events(j.cfg, yield) }
	var err error
	j.metrics, j.stats, err = Replay(ctx, world, j.entries, ReplayOptions{Lag: p.Lag, Retry: p.Retry, Clock: p.Clock})
	if err != nil {
		return fmt.Errorf("replay %s: %w", j.what, err)
	}
	j.digest = j.metrics[0].Digest
	for i := range j.metrics {
		for k := range j.metrics[i].Wrong {
			j.metrics[i].Wrong[k].Seed = j.cfg.Seed
		}
	}
	return nil
}

// add takes in what came of one world.
func (f *Found) add(j *job) {
	f.World.add(&j.stats)
	if f.Contenders == nil {
		f.Contenders = j.metrics
		for i := range f.Contenders {
			f.Contenders[i].first()
		}
		return
	}
	for i := range j.metrics {
		f.Contenders[i].add(&j.metrics[i])
	}
}
