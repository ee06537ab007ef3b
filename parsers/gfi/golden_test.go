package gfi

import (
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// mapping reads the mapping out of a golden log's header lines.
func mapping(t testing.TB, l *golden.Log) *site.Site {
	t.Helper()
	h := func(word string) string { return l.Header["map-"+word] }
	s := l.Site
	s.Fields = &site.Fields{Pattern: h("pattern"), Time: h("time"), TimeLayout: h("time-layout"), Source: h("source"), Recipient: h("recipient"),
		Sender: h("sender"), Helo: h("helo"), User: h("user"), Verdict: h("verdict"), Verdicts: map[string]harvestwatch.Kind{}}
	s.Fields.Kind, _ = harvestwatch.KindOf(h("kind"))
	for _, pair := range strings.Split(h("verdicts"), ";") {
		if text, kind, ok := strings.Cut(strings.TrimSpace(pair), "="); ok {
			s.Fields.Verdicts[text], _ = harvestwatch.KindOf(kind)
		}
	}
	return &s
}

func TestGolden(t *testing.T) {
	golden.Run(t, "table", func(l *golden.Log) golden.Parser {
		p, err := New(mapping(t, l))
		if err != nil {
			t.Fatal(err)
		}
		return p
	})
}
