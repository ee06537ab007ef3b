package postfix

import (
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

func TestGolden(t *testing.T) {
	golden.Run(t, "postfix", func(l *golden.Log) golden.Parser { return New(l.Site.Reference, l.Site.Year, l.Site.Location) })
}

type namedLog struct {
	name string
	data []byte
}

// goldens returns the golden logs, for tests that don't ask what is expected of them.
func goldens(t *testing.T) (logs []namedLog) {
	t.Helper()
	for _, l := range golden.Load(t, "../../testdata/logs/postfix") {
		logs = append(logs, namedLog{l.Name, l.Data})
	}
	return logs
}

func addrText(ev *harvestwatch.Event) string {
	if !ev.Addr.IsValid() {
		return "-"
	}
	return ev.Addr.String()
}
