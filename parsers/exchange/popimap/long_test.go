package popimap

import (
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// Names that differ only behind the bound are told apart.
func TestLongTexts(t *testing.T) {
	data := head
	for i := range 20 {
		data += line("203.0.113.77:50110", fmt.Sprintf("%s%d", strings.Repeat("x", 300), i), "pass", "*****", popFail)
	}
	users := map[string]bool{}
	events, _ := parse(golden.Ours(), data)
	for _, ev := range events {
		users[string(ev.User)] = true
		if len(ev.User) != harvestwatch.MaxField {
			t.Errorf("%d bytes", len(ev.User))
		}
	}
	if len(users) != 20 {
		t.Errorf("20 names became %d", len(users))
	}
}
