package tracking

import (
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// Texts that differ only behind the bound are told apart, and long local parts hide no domain.
func TestLongTexts(t *testing.T) {
	rows := ""
	for i := range 20 {
		long := fmt.Sprintf("%s%d@kontor.example", strings.Repeat("x", 300), i)
		for _, base := range []columnsOf{received, delivered, failed} {
			rows += of(usual, base, "recipient-address", long, "return-path", long)
		}
		rows += of(usual, failed, "recipient-address", long, "return-path", long, "source", "SMTP")
	}
	texts := map[string]int{}
	events, _ := parse(golden.Ours(), log(usual, rows))
	for _, ev := range events {
		if len(ev.Recipient) > 0 {
			texts["to"+string(ev.Recipient)]++
		}
		texts["from"+string(ev.Sender)]++
		if len(ev.Recipient) > harvestwatch.MaxField || len(ev.Sender) != harvestwatch.MaxField {
			t.Errorf("%d and %d bytes", len(ev.Recipient), len(ev.Sender))
		}
	}
	if len(texts) != 2*20 || len(events) != 4*20 {
		t.Errorf("%d texts, %d events", len(texts), len(events))
	}
}
