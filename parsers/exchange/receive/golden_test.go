package receive

import (
	"path/filepath"
	"testing"

	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

func goldens(t *testing.T) []golden.Log {
	t.Helper()
	return golden.Load(t, filepath.Join("..", "..", "..", "testdata", "logs", "exchange-receive"))
}

func TestGolden(t *testing.T) {
	for _, l := range goldens(t) {
		t.Run(l.Name, func(t *testing.T) { golden.Check(t, &l, func() golden.Parser { return New(&l.Site) }) })
	}
}
