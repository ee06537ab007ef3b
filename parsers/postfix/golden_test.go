package postfix

import (
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

func TestGolden(t *testing.T) {
	golden.Run(t, "postfix", func(l *golden.Log) golden.Parser { return New(l.Site.Reference, l.Site.Year, l.Site.Location) })
}

func goldens(t *testing.T) []golden.Log {
	t.Helper()
	return golden.Load(t, "../../testdata/logs/postfix")
}

func addrText(ev *harvestwatch.Event) string {
	if !ev.Addr.IsValid() {
		return "-"
	}
	return ev.Addr.String()
}
