package receive

import (
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// Texts that differ only behind the bound are told apart, and so are their twins.
func TestLongTexts(t *testing.T) {
	seen := map[any]bool{}
	for i := range 20 {
		long := fmt.Sprintf("@%s.example:real%d@kontor.example", strings.Repeat("x", 260), i)
		log := front.log("<EHLO "+long, ">250 mx", "<AUTH LOGIN", "*|User Name: "+long, ">535 5.7.3 Authentication unsuccessful",
			"<MAIL FROM:<"+long+">", ">250 2.1.0 Sender OK", "<RCPT TO:<"+long+">", ">550 5.1.1 User unknown",
			"<RCPT TO:<"+long+">", ">250 2.1.5 Recipient OK", "<DATA", ">354 go", ">250 2.6.0 <"+long+"> Queued mail for delivery")
		got, _ := run(log, func(ev *harvestwatch.Event) string {
			for field, b := range map[string][]byte{"to": ev.Recipient, "from": ev.Sender, "helo": ev.Helo, "user": ev.User} {
				if len(b) != 0 && len(b) != harvestwatch.MaxField {
					t.Errorf("%s has %d bytes", field, len(b))
				}
				seen[fmt.Sprint(field, string(b), len(b) == 0)] = true
			}
			if ev.Kind == harvestwatch.RcptUnknown || ev.Kind == harvestwatch.Accepted {
				seen[ev.Twin] = true
			}
			return ev.Kind.String()
		})
		if strings.Join(got, " ") != "auth_fail rcpt_unknown rcpt_ok accepted delivered" {
			t.Fatalf("%q", got)
		}
	}
	if want := 6*20 + 3; len(seen) != want { // three fields are empty at times, HELO never
		t.Errorf("%d different things became %d", want, len(seen))
	}
}

// So are the lists of recipients of whom one is unknown.
func TestLongLists(t *testing.T) {
	seen := map[string]bool{}
	for i := range 20 {
		say := []string{"<MAIL FROM:<s@a.example>", ">250 2.1.0 Sender OK"}
		for n := range 20 {
			say = append(say, fmt.Sprintf("<RCPT TO:<recipient%d-%d@kontor.example>", n, i*(n/19)), ">250 2.1.5 Recipient OK")
		}
		say = append(say, "<DATA", ">354 go", ">550 5.1.1 User unknown")
		run(front.log(say...), func(ev *harvestwatch.Event) string {
			if ev.Kind == harvestwatch.RcptUnknown {
				if seen[string(ev.Recipient)] = true; len(ev.Recipient) > harvestwatch.MaxField {
					t.Errorf("%d bytes", len(ev.Recipient))
				}
			}
			return ""
		})
	}
	if len(seen) != 20 {
		t.Errorf("20 lists became %d", len(seen))
	}
}
