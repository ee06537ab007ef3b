package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// delivery are the lines of a message that reached its recipient.
func delivery(at time.Time, from string, n int, recipient string) string {
	stamp, id := stampOf(at), fmt.Sprintf("4A%08X", n)
	var b strings.Builder
	for _, line := range []string{
		fmt.Sprintf("smtpd[201]: connect from unknown[%s]", from),
		fmt.Sprintf("smtpd[201]: %s: client=unknown[%s]", id, from),
		fmt.Sprintf("cleanup[202]: %s: message-id=<m%d@partner.example>", id, n),
		fmt.Sprintf("qmgr[203]: %s: from=<anna@partner.example>, size=2311, nrcpt=1 (queue active)", id),
		fmt.Sprintf("smtpd[201]: disconnect from unknown[%s] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5", from),
		fmt.Sprintf("lmtp[204]: %s: to=<%s>, relay=mx1.target.example[private/lmtp], delay=0.3, delays=0.1/0/0.1/0.1, dsn=2.0.0, status=sent (250 2.0.0 ok)", id, recipient),
		fmt.Sprintf("qmgr[203]: %s: removed", id),
	} {
		b.WriteString(stamp + " mx1 postfix/" + line + "\n")
	}
	return b.String()
}

// week are deliveries to users by six partners, in the last days.
func week(users int) []byte {
	var b strings.Builder
	for i := range users {
		at := time.Now().Add(-48*time.Hour + time.Duration(i)*time.Minute)
		b.WriteString(delivery(at, fmt.Sprintf("192.0.2.%d", 100+i%6), i, fmt.Sprintf("user%d@target.example", i)))
	}
	return []byte(b.String())
}

// audited returns what the audit has of a kind.
func audited(t *testing.T, r *store.Reader, what string) (list []string) {
	t.Helper()
	audit, err := r.AuditSince(t.Context(), time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range audit {
		if a.What == what {
			list = append(list, a.Who+": "+a.Text)
		}
	}
	return list
}

// TestDirectoryOutageTakesBlocksBack: when users who had mail this week become unknown to everybody, the directory is down.
// Who was blocked minutes before, for asking for users like them, is let in again, though the daemon is killed as soon as
// that is recorded; and nobody else is blocked for it.
func TestDirectoryOutageTakesBlocksBack(t *testing.T) {
	w, c := newWorld(t), newConfigured(t, "")
	appendTo(t, c.log, week(30))
	cmd := w.runDaemon(t, &c.testPlace, "--config", c.config)
	c.caughtUp(t, size(t, c.log))
	for i := range 10 { // users without mail so far
		appendTo(t, c.log, []byte(refusal(time.Now(), attackerAddr, fmt.Sprintf("quiet%d@target.example", i))))
	}
	w.shut(t, c, attackerAddr, true)
	for i := range 6 {
		appendTo(t, c.log, []byte(refusal(time.Now(), fmt.Sprintf("192.0.2.%d", 100+i), fmt.Sprintf("user%d@target.example", i))))
	}
	c.await(t, "the guard's word in the audit", func(r *store.Reader) bool { return len(audited(t, r, rules.GuardOutage)) > 0 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	w.runDaemon(t, &c.testPlace, "--config", c.config)
	w.shut(t, c, attackerAddr, false)
	c.caughtUp(t, size(t, c.log))
	if out := c.ask(t, exitOK, "list"); !strings.Contains(out, "nothing is blocked") {
		t.Errorf("list: %s", out)
	}
	out := c.ask(t, exitOK, "why", attackerAddr)
	for _, text := range []string{"ended early", "by harvestwatch", "why it ended: directory-outage: since 20", "the directory seems to be down"} {
		if !strings.Contains(out, text) {
			t.Errorf("why does not say %q: %s", text, out)
		}
	}
	if out := c.ask(t, exitOK, "status"); !strings.Contains(out, "directory-outage: since 20") || !strings.Contains(out, "0 active") {
		t.Errorf("status: %s", out)
	}
	for i := range 15 {
		appendTo(t, c.log, []byte(refusal(time.Now(), bystanderAddr, fmt.Sprintf("silent%d@target.example", i))))
	}
	c.caughtUp(t, size(t, c.log))
	if out := c.ask(t, exitOK, "why", bystanderAddr); !strings.Contains(out, "suppress (directory-outage)") || strings.Contains(out, "active") {
		t.Errorf("why: %s", out)
	}
	if !w.reaches(bystanderAddr, "25", time.Second) || !w.reaches(attackerAddr, "25", time.Second) {
		t.Errorf("somebody is shut out while the directory is down\n%s", c.said())
	}
	r, err := store.OpenReadOnly(c.state)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := audited(t, r, auditUnblock); len(got) != 1 || got[0] != guardName+": "+attackerAddr+"/32" {
		t.Errorf("unblocked: %q", got)
	}
	if n := len(audited(t, r, rules.GuardOutage)); n != 1 {
		t.Errorf("the guard spoke up %d times", n)
	}
}

// TestOutageIsToldOnceAndShown: status shows what a guard of the site said, while it runs and after.
func TestOutageIsToldOnceAndShown(t *testing.T) {
	c := newConfigured(t, "[[input]]\npath = \"DIR/mail.log\"\n")
	appendTo(t, c.log, week(30))
	stop := c.run(t)
	c.caughtUp(t, size(t, c.log))
	if out := c.ask(t, exitOK, "status"); strings.Contains(out, rules.GuardOutage) {
		t.Errorf("status: %s", out)
	}
	for i := range 12 {
		appendTo(t, c.log, []byte(refusal(time.Now(), fmt.Sprintf("192.0.2.%d", 150+i), fmt.Sprintf("user%d@target.example", i))))
	}
	c.caughtUp(t, size(t, c.log))
	first := c.ask(t, exitOK, "status")
	stop()
	stop = c.run(t)
	c.caughtUp(t, size(t, c.log))
	again := c.ask(t, exitOK, "status")
	stop()
	for _, out := range []string{first, again} {
		if strings.Count(out, rules.GuardOutage) != 1 || !strings.Contains(out, "of the last 15 minutes are ended") {
			t.Errorf("status: %s", out)
		}
	}
}
