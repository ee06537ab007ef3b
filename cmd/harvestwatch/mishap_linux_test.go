package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// blocked waits until the attacker is shut out.
func (w *world) blocked(t *testing.T, pl *testPlace) {
	t.Helper()
	if !eventually(func() bool { return !w.reaches(attackerAddr, "25", 100*time.Millisecond) }) {
		t.Fatalf("not blocked\n%s", pl.said())
	}
}

func end(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the daemon ended with %v", err)
	}
}

func probes(n int) []byte {
	var b strings.Builder
	for i := range n {
		b.WriteString(probe(attackerAddr, i))
	}
	return []byte(b.String())
}

// TestSkewedLogBlocksAtOnce: a host whose clock runs ahead does not put off the blocks of others.
func TestSkewedLogBlocksAtOnce(t *testing.T) {
	w, pl := newWorld(t), newPlace(t)
	ahead := time.Now().UTC().Add(4 * time.Minute).Format("2006-01-02T15:04:05.000000-07:00")
	appendTo(t, pl.log, []byte(ahead+" mx2 postfix/smtpd[7]: connect from unknown["+bystanderAddr+"]\n"))
	w.runDaemon(t, &pl)
	pl.caughtUp(t, size(t, pl.log))
	appendTo(t, pl.log, probes(10))
	w.blocked(t, &pl)
}

// TestLostDatabaseKeepsTheBlocks: a database that is gone is made anew from the firewall's own list.
func TestLostDatabaseKeepsTheBlocks(t *testing.T) {
	w, pl := newWorld(t), newPlace(t)
	appendTo(t, pl.log, probes(10))
	cmd := w.runDaemon(t, &pl)
	w.blocked(t, &pl)
	end(t, cmd)
	if err := os.RemoveAll(filepath.Dir(pl.state)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(pl.log, 0); err != nil {
		t.Fatal(err)
	}
	w.runDaemon(t, &pl)
	pl.caughtUp(t, 0)
	if !eventually(func() bool {
		out, _, _ := runCommand(t, "", "list", "--state", pl.state)
		return strings.Contains(out, "adopted")
	}) {
		t.Errorf("the block is not in the new database\n%s", pl.said())
	}
	if w.reaches(attackerAddr, "25", 100*time.Millisecond) {
		t.Errorf("the loss of the database let the attacker in\n%s", pl.said())
	}
}

// TestEnforcingAfterObserving: who would have been blocked is blocked when the daemon begins to enforce.
func TestEnforcingAfterObserving(t *testing.T) {
	w, pl := newWorld(t), newPlace(t)
	appendTo(t, pl.log, probes(12))
	stop := startDaemon(t.Fatalf, pl.output, pl.flags())
	pl.caughtUp(t, size(t, pl.log))
	stop()
	w.runDaemon(t, &pl)
	w.blocked(t, &pl)
	out, _, _ := runCommand(t, "", "list", "--state", pl.state)
	if !strings.Contains(out, attackerAddr) {
		t.Errorf("list: %s", out)
	}
}

// TestReleasedWhileObservingStaysFree: what an administrator released is not blocked when the daemon begins to enforce.
func TestReleasedWhileObservingStaysFree(t *testing.T) {
	w, pl := newWorld(t), newPlace(t)
	appendTo(t, pl.log, probes(12))
	stop := startDaemon(t.Fatalf, pl.output, pl.flags())
	pl.caughtUp(t, size(t, pl.log))
	if _, errs, code := runCommand(t, "", "unblock", attackerAddr, "--socket", pl.socket); code != exitOK {
		t.Errorf("unblock: %s", errs)
	}
	stop()
	if out, _, _ := runCommand(t, "", "list", "--state", pl.state); !strings.Contains(out, "nothing is blocked") {
		t.Errorf("list after the release: %s", out)
	}
	w.runDaemon(t, &pl)
	pl.caughtUp(t, size(t, pl.log))
	out, _, _ := runCommand(t, "", "status", "--socket", pl.socket)
	if !w.reaches(attackerAddr, "25", time.Second) || !strings.Contains(out, "0 active") {
		t.Errorf("the released source is blocked: %s\n%s", out, pl.said())
	}
}

// TestUnblockOfANetworkEndsWhatLiesWithin: the blocks of the addresses in it.
func TestUnblockOfANetworkEndsWhatLiesWithin(t *testing.T) {
	w, pl := newWorld(t), newPlace(t)
	appendTo(t, pl.log, probes(10))
	w.runDaemon(t, &pl)
	w.blocked(t, &pl)
	out, errs, code := runCommand(t, "", "unblock", "198.51.100.0/24", "--socket", pl.socket)
	if code != exitOK || !strings.Contains(out, attackerAddr+" is no longer blocked") || strings.Contains(out, "still") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
}

// TestScanOfAPipe: what can be read only once is read whole.
func TestScanOfAPipe(t *testing.T) {
	golden, err := os.ReadFile("../../testdata/logs/postfix/harvest-fast.log")
	if err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(pipe, golden, 0) }()
	s := scanJSON(t, pipe)
	if err := <-written; err != nil {
		t.Error(err)
	}
	if s.Inputs[0].Lines != 417 || len(s.Offenders) != 4 || len(s.Offenders[0].Evidence) == 0 {
		t.Errorf("%d lines, %d offenders", s.Inputs[0].Lines, len(s.Offenders))
	}
}

// TestUselessParserStateIsGivenUp: what an older version remembered must not make the daemon deaf.
func TestUselessParserStateIsGivenUp(t *testing.T) {
	pl := newPlace(t)
	appendTo(t, pl.log, probes(5))
	stop := startDaemon(t.Fatalf, pl.output, pl.flags())
	pl.caughtUp(t, size(t, pl.log))
	stop()
	spoil(t, pl.state, pl.log)
	appendTo(t, pl.log, probes(12))
	stop = startDaemon(t.Fatalf, pl.output, pl.flags())
	pl.caughtUp(t, size(t, pl.log))
	stop()
	blocks := 0
	for _, r := range records(t, pl.state) { // that names tried again count once is told, too
		if r.Decision.Action != harvestwatch.ActSuppress {
			blocks++
		}
	}
	if blocks != 1 {
		t.Errorf("decisions: %v\n%s", storedDecisions(t, pl.state), pl.said())
	}
}
