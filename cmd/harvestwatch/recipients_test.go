package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const validRecipients = "anna.berg@kontor.example\ninfo@kontor.example\nticket-*@kontor.example\n"

// acceptingLog is the log of an Exchange server that takes every recipient: a harvester who asks for a dozen and hangs
// up, one who sends a message to a dozen, of whom one exists, and a partner who writes to those who exist.
func acceptingLog() []byte {
	var b strings.Builder
	b.WriteString("\ufeff#Software: Microsoft Exchange Server\r\n#Version: 14.0.0.0\r\n#Log-type: SMTP Receive Protocol Log\r\n" +
		"#Date: 2026-03-02T09:00:00.000Z\r\n" +
		"#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\r\n")
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	session := func(id int, client, sender string, data bool, rcpts ...string) {
		seq := 0
		row := func(event, data string) {
			at = at.Add(20 * time.Millisecond)
			fmt.Fprintf(&b, "%s,MX\\Internet,08DE0000000000%02X,%d,192.0.2.10:25,%s:4711,%s,%s,\r\n", at.Format("2006-01-02T15:04:05.000Z"), id, seq, client, event, data)
			seq++
		}
		say := func(command, reply string) { row("<", command); row(">", reply) }
		row("+", "")
		row(">", "220 mx.kontor.example Microsoft ESMTP MAIL Service ready")
		say("EHLO friend", "250  mx.kontor.example Hello PIPELINING")
		say("MAIL FROM:<"+sender+">", "250 2.1.0 Sender OK")
		for _, rcpt := range rcpts {
			say("RCPT TO:<"+rcpt+">", "250 2.1.5 Recipient OK")
		}
		if data {
			say("DATA", "354 Start mail input; end with <CRLF>.<CRLF>")
			row(">", fmt.Sprintf("250 2.6.0 <m%d@x.example> [InternalId=%d] Queued mail for delivery", id, id))
			say("QUIT", "221 2.0.0 Service closing transmission channel")
		}
		row("-", "")
	}
	guess := func(from, to int) (list []string) {
		for i := from; i < to; i++ {
			list = append(list, fmt.Sprintf("user%d@kontor.example", i))
		}
		return list
	}
	session(1, "198.51.100.20", "e@partner.example", true, "Anna.Berg@kontor.example", "info@kontor.example", "ticket-17@kontor.example")
	session(2, "203.0.113.45", "x@cheap.example", false, guess(0, 12)...)
	session(3, "203.0.113.46", "y@cheap.example", true, append(guess(20, 32), "info@kontor.example")...)
	session(4, "198.51.100.20", "e@partner.example", true, "info@kontor.example")
	return []byte(b.String())
}

const blockedByList = "203.0.113.45 harvest 203.0.113.46 harvest"

// decidedAbout returns sources and rules of the decisions that a daemon recorded.
func decidedAbout(t *testing.T, state string) string {
	t.Helper()
	var list []string
	for _, d := range storedDecisions(t, state) {
		list = append(list, strings.Fields(d)[:2]...)
	}
	return strings.Join(list, " ")
}

// longList is the list with so many others that reading it takes longer than reading the log.
func longList() []byte {
	list := []byte(validRecipients)
	for i := range 200_000 {
		list = fmt.Appendf(list, "n%d@others.example\n", i)
	}
	return list
}

// TestListTellsTheHarvestThatTheServerTook: of a server that takes everybody the daemon finds the harvesters by the list
// of valid recipients, also in what was in the log before it started; without the list nobody.
func TestListTellsTheHarvestThatTheServerTook(t *testing.T) {
	for name, want := range map[string]string{"[recipients]\nfile = \"DIR/valid.txt\"\n": blockedByList, "": ""} {
		c := newConfigured(t, "[site]\nown = [\"192.0.2.8/29\"]\n"+name+"[[input]]\npath = \"DIR/RECV.LOG\"\n")
		c.write(t, "valid.txt", longList())
		c.write(t, "RECV.LOG", acceptingLog())
		stop := c.run(t)
		c.hasRead(t, c.path("RECV.LOG"))
		stop()
		if got := decidedAbout(t, c.state); got != want {
			out, _ := os.ReadFile(c.output)
			t.Errorf("with %q: decided about %q, want %q\n%s", name, got, want, out)
		}
		sum := kinds(storedTotals(t, c.state))
		if unknown, delivered := sum["rcpt_unknown"], sum["delivered"]; want != "" && (unknown != 24 || delivered != 5) || want == "" && unknown != 0 {
			t.Errorf("with %q: %d unknown, %d delivered", name, unknown, delivered)
		}
	}
}

// TestScanWithRecipients: the same by a flag of scan.
func TestScanWithRecipients(t *testing.T) {
	dir := t.TempDir()
	log, list := filepath.Join(dir, "RECV.LOG"), filepath.Join(dir, "valid.txt")
	for path, text := range map[string][]byte{log: acceptingLog(), list: []byte(validRecipients)} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	with, without := scanJSON(t, "--recipients", list, log), scanJSON(t, log)
	if len(without.Offenders) != 0 || without.Totals.UnknownRecipients != 0 {
		t.Errorf("without the list: %+v, %d offenders", without.Totals, len(without.Offenders))
	}
	checkHits(t, with, []string{"203.0.113.45 harvest", "203.0.113.46 harvest"})
	if with.Totals.UnknownRecipients != 24 || with.Totals.Deliveries != 5 {
		t.Errorf("with the list: %+v", with.Totals)
	}
}

// TestDaemonGoesOnWithoutAList: a list that can't be read is said, and the servers are believed.
func TestDaemonGoesOnWithoutAList(t *testing.T) {
	c := newConfigured(t, "[recipients]\nfile = \"DIR/valid.txt\"\n[[input]]\npath = \"DIR/RECV.LOG\"\n")
	c.write(t, "RECV.LOG", acceptingLog())
	stop := c.run(t)
	c.hasRead(t, c.path("RECV.LOG"))
	stop()
	if out, err := os.ReadFile(c.output); err != nil || !strings.Contains(string(out), "could not be refreshed") {
		t.Errorf("%v: it says\n%s", err, out)
	}
	if got := decidedAbout(t, c.state); got != "" {
		t.Errorf("decided about %s", got)
	}
}
