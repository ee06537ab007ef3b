package evaluate

import (
	"context"

	"github.com/harvestwatch/harvestwatch/detector"
	"github.com/harvestwatch/harvestwatch/internal/loggen"
	"github.com/harvestwatch/harvestwatch/rules"
)

// restartEvery is after how many events a world is stopped and started again that is decided with restarts between.
const restartEvery = 1_500_007

// Standard completes a plan that has seeds, days and volumes: the three mixes, the rules that the program comes with
// beside all imitations, the same rules with restarts between, and their memory at so many sources (0: not measured).
// With tuning the sweep and the ablation come too; the sweep is done without credit as well if both is set.
func Standard(p Plan, sources int, tuning, both bool) Plan {
	set, setup := rules.Default(), siteSetup()
	p.Mixes = []Mix{{"A", loggen.MixA()}, {"B", loggen.MixB()}, {"C", loggen.MixC()}}
	p.Entries = append([]Entry{OurEntry("harvestwatch", "the rules that the program comes with", set, setup)}, Emulations(loggen.Own()...)...)
	restarts := setup
	restarts.Restart = restartEvery
	again := OurEntry("restarted", "the same, stopped and started again now and then", set, restarts)
	p.Restarted = &again
	if sources > 0 {
		p.Footprint = func(ctx context.Context) (Footprint, error) { return MeasureFootprint(ctx, set, setup, sources) }
	}
	if tuning {
		p.Sweep, p.Ablation = Sweep(setup, both), Ablation(set, setup)
	}
	return p
}

// siteSetup is what the administrator of the site would have configured: his own hosts are never blocked.
func siteSetup() Setup {
	s := Setup{Options: detector.Options{Key: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}}}
	for _, p := range loggen.Own() {
		s.Policy.Never = append(s.Policy.Never, rules.Network{Prefix: p, Name: "own"})
	}
	return s
}
