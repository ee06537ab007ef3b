package tracking2003

import (
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// Texts that differ only behind the bound are told apart.
func TestLongTexts(t *testing.T) {
	data := head
	for i := range 20 {
		long, id := fmt.Sprintf("%s%d@kontor.example", strings.Repeat("x", 300), i), fmt.Sprintf("<%d@x.example>", i)
		data += row(1019, "203.0.113.77", long, id, "0", long) + row(1030, "-", long, id, "550 5.1.1 unknown", long)
	}
	texts := map[string]bool{}
	events, _ := parse(golden.Ours(), data)
	for _, ev := range events {
		if len(ev.Recipient) > 0 {
			texts["to"+string(ev.Recipient)] = true
		}
		texts["from"+string(ev.Sender)] = true
		if len(ev.Recipient) > harvestwatch.MaxField || len(ev.Sender) != harvestwatch.MaxField {
			t.Errorf("%d and %d bytes", len(ev.Recipient), len(ev.Sender))
		}
	}
	if len(texts) != 2*20 || len(events) != 2*20 {
		t.Errorf("%d texts, %d events", len(texts), len(events))
	}
}
