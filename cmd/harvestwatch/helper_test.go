package main

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

func appendTo(t *testing.T, path string, text []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

func (pl *testPlace) said() string {
	b, _ := os.ReadFile(pl.output)
	return string(b)
}

// stampOf is a moment as Postfix's syslog writes it.
func stampOf(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000-07:00") }

// now is a stamp as Postfix's syslog writes it.
func now() string { return stampOf(time.Now()) }

// refusal is the line of a recipient that is refused as unknown.
func refusal(at time.Time, from, recipient string) string {
	return fmt.Sprintf("%s mx1 postfix/smtpd[101]: NOQUEUE: reject: RCPT from unknown[%s]: 550 5.1.1 <%s>: Recipient address rejected: "+
		"User unknown in local recipient table; from=<anna@partner.example> to=<%s> proto=ESMTP helo=<mail.partner.example>\n",
		stampOf(at), from, recipient, recipient)
}

// ask runs a command about the daemon.
func (c *configured) ask(t *testing.T, want int, args ...string) string {
	t.Helper()
	out, errs, code := runCommand(t, "", append(args, "--config", c.config)...)
	if code != want {
		t.Fatalf("%v: exit code %d, want %d\n%s%s", args, code, want, out, errs)
	}
	return out + errs
}

// harvest makes a source guess twelve names, and waits until the daemon has read of it.
func (c *configured) harvest(t *testing.T, from string) {
	t.Helper()
	for i := range 12 {
		appendTo(t, c.log, []byte(refusal(time.Now(), from, fmt.Sprintf("guess%d@target.example", i))))
	}
	c.caughtUp(t, size(t, c.log))
}

// decision returns what the daemon decided first about a source, and the block that followed.
func (c *configured) decision(t *testing.T, from string) (harvestwatch.Decision, *harvestwatch.Block) {
	t.Helper()
	for _, r := range records(t, c.state) {
		if r.Decision.Offence.Source.Prefix() == netip.MustParsePrefix(from+"/32") {
			return r.Decision, r.Block
		}
	}
	t.Fatalf("nothing was decided about %s\n%s", from, c.said())
	return harvestwatch.Decision{}, nil
}
