package evaluate

import (
	"fmt"
	"time"
)

// Gate is a bound that the first entry of the plan must keep. A gate about what the plan doesn't measure (a mix that is
// not in it, speeds without a clock) fails: what was not looked at was not shown.
type Gate struct {
	Name    string
	Bound   string
	Measure func(r *Result) (measured string, pass bool)
	// Safety marks a bound that must hold in a run of any size: nobody harmless is blocked, and restarts change nothing.
	// The others are shares and percentiles, which say little of a few days with little traffic.
	Safety bool
}

// Verdict is what became of a gate.
type Verdict struct {
	Name     string `json:"name"`
	Bound    string `json:"bound"`
	Measured string `json:"measured"`
	Pass     bool   `json:"pass"`
	Safety   bool   `json:"safety"`
}

func (g *Gate) judge(r *Result) Verdict {
	v := Verdict{Name: g.Name, Bound: g.Bound, Safety: g.Safety}
	v.Measured, v.Pass = g.Measure(r)
	return v
}

// The bounds.
const (
	leastA      = .92        // of the probes prevented, in mix A, over all seeds
	leastAWorst = .90        // the same in the worst seed
	leastB      = .60        // in mix B
	mostHit     = 1. / 10000 // of the good deliveries
	mostDelay   = 4 * time.Hour
	mostTries   = 15  // attempts until a fast harvester is blocked, 95th percentile
	mostLeak    = .10 // of an evader's attempts
	leastSpeed  = 100_000
	mostBytes   = 120
)

// Gates returns the gates for a plan with the mixes A and B and a clock.
func Gates() []Gate {
	return []Gate{
		{"mix A: probes prevented, all seeds", atLeast(leastA), shareGate("A", leastA, (*Metrics).Share), false},
		{"mix A: probes prevented, worst seed", atLeast(leastAWorst), shareGate("A", leastAWorst, func(m *Metrics) float64 { return m.Worst }), false},
		{"mix B: probes prevented, all seeds", atLeast(leastB), shareGate("B", leastB, (*Metrics).Share), false},
		{"scenarios 19 to 30: sources blocked that must not be", "0", wrongGate(19, 30), true},
		{"elsewhere: sources blocked that must not be", "0", wrongGate(0, 18), true},
		{"good deliveries delayed, worst mix", "<= 1 in 10,000", hitGate, true},
		{"longest delay of a good delivery", "<= " + mostDelay.String(), delayGate, true},
		{"mix A: attempts until a fast one is blocked, p95", fmt.Sprintf("<= %d", mostTries), triesGate, false},
		{"evaders: attempts leaked, worst mix", fmt.Sprintf("<= %.0f %%", 100*mostLeak), leakGate, false},
		{"worlds decided alike with restarts between", "all", replayGate, true},
		{"bytes a source, at the most sources", fmt.Sprintf("<= %d", mostBytes), bytesGate, false},
		{"events a second and core, slowest mix", fmt.Sprintf(">= %d", leastSpeed), speedGate, false},
	}
}

func atLeast(share float64) string { return fmt.Sprintf(">= %.0f %%", 100*share) }

const unmeasured = "not measured"

// judged returns the figures of the contender that the gates judge, in a mix, or nil.
func (r *Result) judged(mix string) *Metrics {
	for i := range r.Mixes {
		if r.Mixes[i].Mix == mix && len(r.Mixes[i].Contenders) > 0 {
			return &r.Mixes[i].Contenders[0]
		}
	}
	return nil
}

// each returns the same for all mixes that have any.
func (r *Result) each() []*Metrics {
	var list []*Metrics
	for i := range r.Mixes {
		if len(r.Mixes[i].Contenders) > 0 {
			list = append(list, &r.Mixes[i].Contenders[0])
		}
	}
	return list
}

func shareGate(mix string, least float64, share func(*Metrics) float64) func(*Result) (string, bool) {
	return func(r *Result) (string, bool) {
		m := r.judged(mix)
		if m == nil || m.Probes == 0 {
			return unmeasured, false
		}
		return fmt.Sprintf("%.2f %%", 100*share(m)), share(m) >= least
	}
}

// wrongGate counts those of some scenarios; what belongs to none, or to a later one, is counted with those from 0.
func wrongGate(from, to int) func(*Result) (string, bool) {
	return func(r *Result) (string, bool) {
		n, list := 0, r.each()
		for _, m := range list {
			for _, x := range m.Wrong {
				if x.Scenario >= from && x.Scenario <= to || from == 0 && x.Scenario > 30 {
					n++
				}
			}
		}
		return fmt.Sprint(n), n == 0 && len(list) > 0
	}
}

func hitGate(r *Result) (string, bool) {
	worst, text, seen := -1., unmeasured, true
	for _, m := range r.each() {
		if seen = seen && m.Good > 0; m.HitShare() > worst {
			worst, text = m.HitShare(), fmt.Sprintf("%d of %d", m.GoodHit, m.Good)
		}
	}
	return text, seen && worst >= 0 && worst <= mostHit
}

func delayGate(r *Result) (string, bool) {
	most, list := time.Duration(0), r.each()
	for _, m := range list {
		most = max(most, time.Duration(m.MaxDelay)*time.Second)
	}
	return most.String(), most <= mostDelay && len(list) > 0
}

func triesGate(r *Result) (string, bool) {
	m := r.judged("A")
	if m == nil || m.Of("fast") == nil {
		return unmeasured, false
	}
	n := m.Of("fast").AttemptsP95
	if n < 0 {
		return "never", false
	}
	return fmt.Sprint(n), n <= mostTries
}

func leakGate(r *Result) (string, bool) {
	worst := -1.
	for _, m := range r.each() {
		if c := m.Of("evader"); c != nil {
			worst = max(worst, c.Leak())
		}
	}
	if worst < 0 {
		return unmeasured, false
	}
	return fmt.Sprintf("%.2f %%", 100*worst), worst <= mostLeak
}

func speedGate(r *Result) (string, bool) {
	least := -1.
	for _, m := range r.each() {
		if least < 0 || m.Speed() < least {
			least = m.Speed()
		}
	}
	if least <= 0 {
		return unmeasured, false
	}
	return fmt.Sprintf("%.0f", least), least >= leastSpeed
}

func replayGate(r *Result) (string, bool) {
	alike := 0
	for _, x := range r.Replays {
		if x.Alike {
			alike++
		}
	}
	return fmt.Sprintf("%d of %d", alike, len(r.Replays)), alike == len(r.Replays) && alike > 0
}

func bytesGate(r *Result) (string, bool) {
	if r.Footprint == nil || r.Footprint.Sources == 0 {
		return unmeasured, false
	}
	each := float64(r.Footprint.Bytes) / float64(r.Footprint.Sources)
	return fmt.Sprintf("%.1f at %d", each, r.Footprint.Sources), each <= mostBytes
}
