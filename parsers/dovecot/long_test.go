package dovecot

import (
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// Names that differ only behind the bound are told apart.
func TestLongTexts(t *testing.T) {
	users := map[string]bool{}
	for i := range 20 {
		name := fmt.Sprintf("%s%d", strings.Repeat("x", 300), i)
		_, counts := run(t, "imap-login: Disconnected (auth failed, 1 attempts): user=<"+name+">, rip=203.0.113.1, lip=192.0.2.1\n", func(ev *harvestwatch.Event) string {
			if len(ev.User) != harvestwatch.MaxField {
				t.Errorf("%d bytes", len(ev.User))
			}
			users[string(ev.User)] = true
			return ""
		})
		if counts.Events == 0 {
			t.Errorf("%+v", counts)
		}
	}
	if len(users) != 20 {
		t.Errorf("20 names became %d", len(users))
	}
}
