package gfi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// Texts that differ only behind the bound are told apart.
func TestLongTexts(t *testing.T) {
	texts := map[string]bool{}
	fill := strings.Repeat("x", 300)
	data := head
	for i := range 20 {
		data += fmt.Sprintf("2024-03-01 10:00:00,203.0.113.5,<%s%d>;y%s%d,%s%d,%s%d,%s%d,unknown\n", fill, i, fill, i, fill, i, fill, i, fill, i)
	}
	l := &harvestwatch.Lines{Data: []byte(data), Pos: harvestwatch.Pos{Line: 1}}
	p := parser(t, table())
	p.Lex(l)
	p.Fold(l, func(ev *harvestwatch.Event) {
		for field, b := range map[string][]byte{"to": ev.Recipient, "from": ev.Sender, "helo": ev.Helo} {
			if len(b) != harvestwatch.MaxField {
				t.Errorf("%s has %d bytes", field, len(b))
			}
			texts[field+string(b)] = true
		}
	}, nil)
	if len(texts) != 20*4 {
		t.Errorf("80 texts became %d", len(texts))
	}
}
