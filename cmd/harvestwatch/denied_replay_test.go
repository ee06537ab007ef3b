//go:build unix

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch/internal/control"
	"github.com/harvestwatch/harvestwatch/rules"
)

// TestReplayWithADenyList: a daemon that observes, has a deny list, and is killed again and again, decides what a scan
// with that list decides, which decides as if it blocked.
func TestReplayWithADenyList(t *testing.T) {
	c := newConfigured(t, withBoth+"[[input]]\npath = \"DIR/mail.log\"\nformat = \"postfix\"\n")
	whole := c.path("whole.log")
	truth := generated(t, whole, 30_000, 3)
	var deny bytes.Buffer
	for i, src := range truth.Sources { // of every kind, good ones included
		if i%9 == 0 {
			fmt.Fprintln(&deny, src.Prefix)
		}
	}
	c.write(t, "deny", deny.Bytes())
	c.write(t, "allow", nil)
	text, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 4))
	appendTo(t, c.log, nil)
	var written int64
	const rounds = 10
	step := len(text)/rounds + 1
	for range rounds {
		n := min(step, len(text))
		n += bytes.IndexByte(text[n:], '\n') + 1
		cmd := exec.Command("harvestwatch", "run", "--config", c.config)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		appendTo(t, c.log, text[:n])
		pause(time.Duration(rnd.IntN(400)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
		text, written = text[n:], written+int64(n)
	}
	stop := c.run(t)
	c.caughtUp(t, written)
	stop()
	got, want := storedDecisions(t, c.state), scanGuarded(t, guardOptions{lists: ListsConfig{Deny: c.path("deny")}}, whole)
	slices.Sort(got) // the store orders decisions of one second its own way
	slices.Sort(want)
	denied := 0
	for _, line := range want {
		if strings.Contains(line, rules.DenyRule) {
			denied++
		}
	}
	if denied < 20 || denied == len(want) {
		t.Fatalf("%d of %d decisions are the deny list's: the log is no test", denied, len(want))
	}
	if !slices.Equal(got, want) {
		t.Errorf("daemon: %d decisions, scan: %d; first differences:\n%s", len(got), len(want), firstDifference(got, want))
	}
}

// TestHangupWhileStarting: a daemon that is told to read its lists while it starts starts all the same.
func TestHangupWhileStarting(t *testing.T) {
	c := newConfigured(t, "[lists]\ndeny = \"DIR/deny\"\n[[input]]\npath = \"DIR/mail.log\"\nformat = \"postfix\"\n")
	appendTo(t, c.log, nil)
	if err := syscall.Mkfifo(c.path("deny"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("harvestwatch", "run", "--config", c.config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	}()
	list := writer(t, c.path("deny")) // the daemon waits for what it holds
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	pause(100 * time.Millisecond)
	if err := os.Remove(c.path("deny")); err != nil {
		t.Fatal(err)
	}
	c.write(t, "deny", []byte("198.51.100.7\n"))
	if err := list.Close(); err != nil {
		t.Error(err)
	}
	var s statusAnswer
	if !eventually(func() bool {
		return control.Call(t.Context(), c.socket, "status", nil, &s) == nil && s.Guards.Denied == 1
	}) {
		t.Errorf("it does not run, or has not read the list: %+v", s.Guards)
	}
}
