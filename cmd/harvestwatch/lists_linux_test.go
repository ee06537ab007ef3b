package main

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// withLists is a configuration with both lists.
const withLists = "[lists]\nallow = \"DIR/allow\"\ndeny = \"DIR/deny\"\n"

// visit are the lines of a client that comes and goes.
func visit(name, from string) []byte {
	at := now()
	return fmt.Appendf(nil, "%s mx1 postfix/smtpd[7]: connect from %s[%s]\n%s mx1 postfix/smtpd[7]: disconnect from %s[%s] ehlo=1 quit=1 commands=2\n",
		at, name, from, at, name, from)
}

// shut waits until a client's packets to port 25 are dropped, or let in again.
func (w *world) shut(t *testing.T, c *configured, from string, want bool) {
	t.Helper()
	if !eventually(func() bool { return w.reaches(from, "25", 100*time.Millisecond) != want }) {
		t.Fatalf("%s: shut out is %t, want %t\n%s", from, !want, want, c.said())
	}
}

// TestDenyListIsBlockedAndLetGo: a network of the deny list is shut out at once, a client of a denied domain when the log
// tells its verified name; nobody else is, and both come in again when they are off the list.
func TestDenyListIsBlockedAndLetGo(t *testing.T) {
	w, c := newWorld(t), newConfigured(t, withLists)
	c.write(t, "allow", nil)
	c.write(t, "deny", []byte("203.0.113.0/24 # rented\n.pool.bulk.example\n"))
	appendTo(t, c.log, visit("unknown", bystanderAddr))
	cmd := w.runDaemon(t, &c.testPlace, "--config", c.config)
	w.shut(t, c, networkAddr, true)
	c.caughtUp(t, size(t, c.log))
	if out := c.ask(t, exitOK, "status"); !strings.Contains(out, "0 allowed, 2 denied") || !strings.Contains(out, "1 active") {
		t.Errorf("status: %s", out)
	}
	if out := c.ask(t, exitOK, "list"); !strings.Contains(out, "203.0.113.0/24") || !strings.Contains(out, rules.DenyRule) {
		t.Errorf("list: %s", out)
	}
	appendTo(t, c.log, []byte(strings.ReplaceAll(probe(bystanderAddr, 1), "helo=<bulk.example>", "helo=<mx.pool.bulk.example>")))
	appendTo(t, c.log, visit("host7.pool.bulk.example", attackerAddr))
	w.shut(t, c, attackerAddr, true)
	if !w.reaches(bystanderAddr, "25", time.Second) {
		t.Error("who only says in HELO that he is of a denied domain is shut out")
	}
	if out := c.ask(t, exitOK, "why", attackerAddr); !strings.Contains(out, "on the deny list: .pool.bulk.example; blocked for 24h") {
		t.Errorf("why: %s", out)
	}
	c.write(t, "deny", nil)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	w.shut(t, c, networkAddr, false)
	w.shut(t, c, attackerAddr, false)
	if out := c.ask(t, exitOK, "why", attackerAddr); !strings.Contains(out, "no longer on the deny list") {
		t.Errorf("why: %s", out)
	}
}

// TestDeniedNetworkIsRenewed: the block of a denied network that is about to run out is made longer.
func TestDeniedNetworkIsRenewed(t *testing.T) {
	w, c := newWorld(t), newConfigured(t, withLists)
	c.write(t, "allow", nil)
	c.write(t, "deny", []byte("203.0.113.0/24\n"))
	appendTo(t, c.log, nil)
	denied := netip.MustParsePrefix("203.0.113.0/24")
	cmd := w.runDaemon(t, &c.testPlace, "--config", c.config)
	w.shut(t, c, networkAddr, true)
	end(t, cmd)
	st, err := store.Open(c.state, store.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	if _, err := st.EndBlock(t.Context(), denied, at, store.Audit{Time: at, Who: "test", What: "test"}); err != nil {
		t.Fatal(err)
	}
	short := harvestwatch.Block{Prefix: denied, From: at, Until: at.Add(deniedAgain - time.Minute), Rule: rules.DenyRule}
	if _, err := st.AddBlock(t.Context(), short, store.Audit{Time: at, Who: "test", What: "test"}); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	w.runDaemon(t, &c.testPlace, "--config", c.config)
	c.await(t, "a longer block", func(r *store.Reader) bool {
		blocks, err := r.ActiveBlocks(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			if b.Prefix == denied && b.Until.Sub(at) > deniedFor-time.Minute {
				return true
			}
		}
		return false
	})
}

// TestAllowListWins: who is allowed is blocked neither by a rule, nor by the deny list, nor by hand with all around him; and
// one who is put on the list while he is blocked is let in within seconds.
func TestAllowListWins(t *testing.T) {
	w, c := newWorld(t), newConfigured(t, withLists)
	c.write(t, "allow", []byte(networkAddr+" # our own monitor\n"))
	c.write(t, "deny", []byte("203.0.113.0/24\n"+networkAddr+"\n"))
	appendTo(t, c.log, nil)
	w.runDaemon(t, &c.testPlace, "--config", c.config)
	for i := range 12 {
		appendTo(t, c.log, []byte(probe(networkAddr, i)))
	}
	appendTo(t, c.log, probes(10))
	w.shut(t, c, attackerAddr, true)
	c.caughtUp(t, size(t, c.log))
	if !w.reaches(networkAddr, "25", time.Second) {
		t.Error("the accept list does not win")
	}
	if out := c.ask(t, exitOK, "why", networkAddr); !strings.Contains(out, "allow-list") || !strings.Contains(out, "our own monitor") {
		t.Errorf("why: %s", out)
	}
	if out := c.ask(t, exitFailed, "block", "203.0.113.0/24"); !strings.Contains(out, "never blocked (accept list: "+networkAddr) {
		t.Errorf("block: %s", out)
	}
	c.write(t, "allow", []byte(attackerAddr+"\n")) // noticed without a signal
	w.shut(t, c, attackerAddr, false)
	if out := c.ask(t, exitOK, "why", attackerAddr); !strings.Contains(out, "never blocked from now on: accept list: "+attackerAddr) {
		t.Errorf("why: %s", out)
	}
	w.shut(t, c, networkAddr, true) // it is off the accept list, and denied
	appendTo(t, c.log, probes(10))
	c.caughtUp(t, size(t, c.log))
	if !w.reaches(attackerAddr, "25", time.Second) {
		t.Error("blocked though allowed")
	}
}

// TestMistakeInAListKeepsTheOldOne: a slip of the pen neither unblocks nor unprotects anybody; status says where it is.
func TestMistakeInAListKeepsTheOldOne(t *testing.T) {
	w, c := newWorld(t), newConfigured(t, withLists)
	c.write(t, "allow", []byte(attackerAddr+"\n"))
	c.write(t, "deny", []byte("203.0.113.0/24\n"))
	appendTo(t, c.log, nil)
	cmd := w.runDaemon(t, &c.testPlace, "--config", c.config)
	w.shut(t, c, networkAddr, true)
	hangup := func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	told := func(code int, text string) {
		t.Helper()
		var out string
		if !eventually(func() bool {
			var got int
			out, _, got = runCommand(t, "", "status", "--config", c.config)
			return got == code && strings.Contains(out, text)
		}) {
			t.Fatalf("status does not say %q, or its exit code is not %d:\n%s", text, code, out)
		}
	}
	c.write(t, "deny", nil)
	c.write(t, "allow", []byte("# nobody else\n198.51.100.300\n"))
	hangup()
	told(exitFailed, c.path("allow")+":2:1: ")
	appendTo(t, c.log, probes(12))
	c.caughtUp(t, size(t, c.log))
	if w.reaches(networkAddr, "25", 100*time.Millisecond) || !w.reaches(attackerAddr, "25", time.Second) {
		t.Errorf("a mistake in a list changed what is in effect\n%s", c.said())
	}
	if err := os.Remove(c.path("allow")); err != nil {
		t.Fatal(err)
	}
	hangup()
	told(exitFailed, "no such file")
	c.write(t, "allow", []byte("# nobody\n"))
	c.write(t, "deny", []byte("203.0.113.0/24\n198.51.96.0/20\n"))
	hangup()
	told(exitFailed, "198.51.100.0/24 is on the deny list and can't be blocked: never blocked: own address")
	told(exitFailed, "16 active") // the others of the /20, and the network that was denied before
	c.write(t, "deny", []byte("203.0.113.0/24\n240.0.0.0/8\n"))
	hangup()
	told(exitOK, "beyond what the firewall takes beforehand (20000 entries): 1; who comes from there is blocked at the first event")
	c.write(t, "deny", nil)
	hangup()
	told(exitOK, "0 allowed, 0 denied")
	w.shut(t, c, networkAddr, false)
}

// TestDenyListWhileObserving: the deny list touches nothing while the daemon observes; told to enforce, it blocks whom it
// would have blocked.
func TestDenyListWhileObserving(t *testing.T) {
	w, c := newWorld(t), newConfigured(t, withLists)
	c.write(t, "allow", nil)
	c.write(t, "deny", []byte("203.0.113.0/24\n.pool.bulk.example\n"))
	appendTo(t, c.log, visit("host7.pool.bulk.example", attackerAddr))
	appendTo(t, c.log, visit("unknown", networkAddr))
	stop := startDaemon(t.Fatalf, c.output, []string{"--config", c.config, c.log})
	c.caughtUp(t, size(t, c.log))
	out := c.ask(t, exitOK, "list")
	stop()
	for _, from := range []string{attackerAddr, networkAddr} {
		if !regexp.MustCompile(from+" +deny-list +observe ").MatchString(out) || strings.Count(out, from) != 1 {
			t.Errorf("list lacks %s, or has it more than once:\n%s", from, out)
		}
	}
	if !w.reaches(attackerAddr, "25", time.Second) || !w.reaches(networkAddr, "25", time.Second) {
		t.Error("observing, it shut somebody out")
	}
	w.runDaemon(t, &c.testPlace, "--config", c.config)
	w.shut(t, c, attackerAddr, true)
	w.shut(t, c, networkAddr, true)
}
