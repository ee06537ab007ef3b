package popimap

import (
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

func kit() *golden.Kit {
	return &golden.Kit{Open: func(o *site.Site) golden.Stateful { return New(o) }, Share: Share, Dir: goldenDir}
}

func parse(o *site.Site, data string) ([]harvestwatch.Event, harvestwatch.Counts) {
	return kit().Parse(o, data)
}

func expect(t *testing.T, data string, want ...string) harvestwatch.Counts {
	t.Helper()
	return kit().Expect(t, data, want...)
}

func TestGoldensHold(t *testing.T)  { kit().Goldens(t) }
func TestForeignState(t *testing.T) { kit().ForeignState(t) }
func FuzzHold(f *testing.F)         { kit().Fuzz(f, seeds...) }
