package agent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// Texts that differ only behind the bound are told apart, and so are their twins.
func TestLongTexts(t *testing.T) {
	data := head20
	fill := strings.Repeat("x", 300)
	for i := range 20 {
		long := fmt.Sprintf("%s%d@kontor.example", fill, i)
		data += row20("203.0.113.77", "<"+long+">", long, "Recipient Filter Agent", "OnRcptCommand", "RejectCommand", "550 5.1.1 User unknown", "RecipientDoesNotExist")
	}
	seen := map[any]bool{}
	events, _ := parse(golden.Ours(), data)
	for _, ev := range events {
		seen["to"+string(ev.Recipient)], seen["from"+string(ev.Sender)], seen[ev.Twin] = true, true, true
		if len(ev.Recipient) != harvestwatch.MaxField || len(ev.Sender) != harvestwatch.MaxField {
			t.Errorf("%d and %d bytes", len(ev.Recipient), len(ev.Sender))
		}
	}
	if len(seen) != 3*20 {
		t.Errorf("60 different things became %d", len(seen))
	}
}

// What the content filter refused names its message, in the same way as the receive log does.
func TestJoinOfSpam(t *testing.T) {
	ip, _ := address.Parse([]byte("203.0.113.77"))
	want := twin.Message(ip, []byte("1@x.example"))
	content := func(action string) string {
		return row20("203.0.113.77", "x@cheap.example", "a@kontor.example;b@kontor.example", "Content Filter Agent", "OnEndOfData", action, "550 5.7.1 Message rejected as spam", "SCL")
	}
	for _, action := range []string{"RejectMessage", "DeleteMessage", "QuarantineMessage", "QuarantineRecipients"} {
		row := content(action)
		events, _ := parse(golden.Ours(), head20+row+strings.Replace(row, "<1@x.example>", "1@x.example", 1))
		if len(events) != 4 {
			t.Fatalf("%s: %d events", action, len(events))
		}
		for _, ev := range events {
			if ev.Kind != harvestwatch.SpamRefused || ev.Addr != ip.Addr() || ev.Join != want {
				t.Errorf("%s: %+v, want %x", action, ev, want)
			}
		}
		for _, none := range []string{"", "<>"} {
			if events, _ := parse(golden.Ours(), head20+strings.Replace(row, "<1@x.example>", none, 1)); len(events) != 2 || events[0].Join != 0 {
				t.Errorf("%s: %+v", none, events)
			}
		}
	}
	refused := row20("203.0.113.77", "x@cheap.example", "a@kontor.example", "Recipient Filter Agent", "OnRcptCommand", "RejectCommand", "550 5.1.1 User unknown", "RecipientDoesNotExist")
	if events, _ := parse(golden.Ours(), head20+refused); len(events) != 1 || events[0].Join != 0 {
		t.Errorf("%+v", events)
	}
}
