package receive

import (
	"fmt"
	"slices"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// idleEnds runs a log line by line, a new parser for each, and says of each connection's end whether it was idle.
func idleEnds(t *testing.T, data []byte) (idle []bool) {
	t.Helper()
	disk := golden.Disk{}
	for _, l := range golden.Pieces(data, func(int) bool { return true }) {
		p := New(&site.Site{})
		disk.Give(t, p)
		events, _ := golden.Piece(p, l)
		for i := range events {
			if ev := &events[i]; ev.Kind == harvestwatch.Disconnect {
				idle = append(idle, ev.Idle)
			} else if ev.Idle {
				t.Errorf("%s is idle", full(ev))
			}
		}
		disk.Take(p)
	}
	return idle
}

func TestIdle(t *testing.T) {
	hello := []string{"+", ">220 mx", "<EHLO friend", ">250 mx Hello"}
	after := func(more ...string) []string { return append(append(slices.Clone(hello), more...), "-Remote") }
	for name, c := range map[string]struct {
		say  []string
		want bool
	}{
		"nothing said":              {[]string{"+", "-Remote"}, true},
		"greeted":                   {after(), true},
		"reset and quit":            {after("<RSET", ">250 2.0.0 Resetting", "<NOOP", ">250 2.0.0 OK", "<QUIT", ">221 2.0.0 bye"), true},
		"guesses":                   {after("<AUTH LOGIN", ">334 <authentication response>", ">535 5.7.3 Authentication unsuccessful"), true},
		"encrypted, nothing more":   {after("<STARTTLS", ">220 2.0.0 SMTP server ready", "<EHLO friend", ">250 mx Hello"), true},
		"a sender":                  {after("<MAIL FROM:<a@b.example>", ">250 2.1.0 Sender OK"), false},
		"a sender, given up":        {after("<MAIL FROM:<a@b.example>", ">250 2.1.0 Sender OK", "<RSET", ">250 2.0.0 Resetting"), false},
		"a sender that was refused": {after("<MAIL FROM:<a@b.example>", ">550 5.7.1 no"), false},
		"a sender without a reply":  {after("<mail from:<a@b.example>"), false},
		"a row is missing":          {after("<RCPT TO:<a@kontor.example>", ">250 2.1.5 Recipient OK"), false},
		"two rows are missing":      {after(">250 2.1.5 Recipient OK"), false},
		"only the reply is there":   {after(">250 2.1.0 Sender OK"), false},
		"handed on, not logged":     {after("<AUTH LOGIN", ">334 <authentication response>", "*joe|authenticated", ">235 2.7.0 Authentication successful"), false},
		"not from its beginning":    {after()[1:], false},
	} {
		if got := idleEnds(t, front.log(c.say...)); fmt.Sprint(got) != fmt.Sprint([]bool{c.want}) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	// Each session for itself.
	second := front
	second.session, second.remote = "08D3E5F6A7B8C9DA", "203.0.113.77:40113"
	data := header
	one, other := front.rows("+", "<MAIL FROM:<a@b.example>", "-Remote"), second.rows("+", "<QUIT", "-Local")
	for i := range one {
		data += one[i] + other[i]
	}
	if got := idleEnds(t, []byte(data)); fmt.Sprint(got) != "[false true]" {
		t.Errorf("two sessions: %v", got)
	}
}
