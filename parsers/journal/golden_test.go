package journal

import (
	"testing"

	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

func TestGolden(t *testing.T) {
	golden.Run(t, "journal", func(l *golden.Log) golden.Parser { return New(&l.Site) })
}
