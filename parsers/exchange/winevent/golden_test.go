package winevent

import (
	"testing"

	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// goldenDir holds the golden logs of the format.
const goldenDir = "../../../testdata/logs/exchange-1035"

func TestGolden(t *testing.T) {
	for _, l := range golden.Load(t, goldenDir) {
		t.Run(l.Name, func(t *testing.T) { golden.Check(t, &l, func() golden.Parser { return New(&l.Site) }) })
	}
}
