package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// Nobody is asked about addresses for documentation, so these clients have some that were given back (RFC 7526), and that
// nobody is reached by.
const (
	listedAddr = "192.88.99.21"
	plainAddr  = "192.88.99.22"
	googleAddr = "192.88.99.23"
)

// asking is the configuration of a daemon that asks a name server, and blocks in its records only.
func asking(server, more string) string {
	return fmt.Sprintf("mode = \"enforce\"\n[firewall]\nenforcer = \"none\"\n[[input]]\npath = \"DIR/mail.log\"\n[dns]\nservers = [%q]\n%s", server, more)
}

const withBlockList = "[[block_list]]\nzone = \"bl.example\"\n"

// suspectWorld is what the name server knows: a block list that works and has one client, and a provider's name.
func suspectWorld(t *testing.T) *nameServer {
	t.Helper()
	return newNameServer(t, backwards(t, "127.0.0.2", "bl.example")+" A 127.0.0.2\n"+
		backwards(t, listedAddr, "bl.example")+" A 127.0.0.4\n"+
		backwards(t, googleAddr, "in-addr.arpa")+" PTR mail-lj1.google.com.\nmail-lj1.google.com. A "+googleAddr+"\n")
}

// here runs the daemon in this process, where the test can look into it.
func (c *configured) here(t *testing.T) (d *daemon, stop func()) {
	t.Helper()
	cfg, err := loadConfig(c.config, true)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{strings.NewReader(""), io.Discard, io.Discard, time.Now}
	ctx, cancel := context.WithCancel(t.Context())
	if d, err = p.newDaemon(ctx, cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.run(ctx) }()
	return d, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// guesses makes a source guess some names, from a number on.
func (c *configured) guesses(t *testing.T, from string, first, n int) {
	t.Helper()
	for i := range n {
		appendTo(t, c.log, []byte(refusal(time.Now(), from, fmt.Sprintf("guess%d@target.example", first+i))))
	}
	c.caughtUp(t, size(t, c.log))
}

// answered waits until so many suspects were asked about with success.
func answered(t *testing.T, d *daemon, n int64) {
	t.Helper()
	if !eventually(func() bool { return d.asker.Stats().Complete == n }) {
		t.Fatalf("asked: %+v", d.asker.Stats())
	}
}

// TestListedSuspectNeedsLess: a source that came half way is asked about, once; if a block list has it, seven guesses are
// enough, and else it takes ten.
func TestListedSuspectNeedsLess(t *testing.T) {
	dns := suspectWorld(t)
	c := newConfigured(t, asking(dns.addr, "names = true\n"+withBlockList))
	appendTo(t, c.log, nil)
	d, stop := c.here(t)
	for i, from := range []string{listedAddr, plainAddr} {
		c.guesses(t, from, 0, 4)
		if s := d.asker.Stats(); s.Asked != int64(i) {
			t.Errorf("%s is asked about after four guesses: %+v", from, s)
		}
		c.guesses(t, from, 4, 1)
		answered(t, d, int64(i+1))
		c.guesses(t, from, 5, 1)
	}
	if got := records(t, c.state); len(got) != 0 {
		t.Errorf("decided at the sixth guess: %+v", got)
	}
	c.guesses(t, listedAddr, 6, 1)
	c.guesses(t, plainAddr, 6, 3)
	if dec, block := c.decision(t, listedAddr); dec.Action != harvestwatch.ActBlock || block == nil || dec.Offence.Count != 7 || dec.Offence.Threshold != 7 {
		t.Errorf("listed: %+v, block %v", dec, block)
	}
	if got := records(t, c.state); len(got) != 1 {
		t.Errorf("who is on no list is blocked at the ninth guess: %+v", got)
	}
	c.guesses(t, plainAddr, 9, 1)
	if dec, _ := c.decision(t, plainAddr); dec.Action != harvestwatch.ActBlock || dec.Offence.Count != 10 || dec.Offence.Threshold != 10 {
		t.Errorf("not listed: %+v", dec)
	}
	c.guesses(t, listedAddr, 10, 20)
	if s := d.asker.Stats(); s.Asked != 2 || s.Dropped != 0 {
		t.Errorf("asked: %+v", s)
	}
	for _, question := range []string{backwards(t, listedAddr, "bl.example") + " A", backwards(t, listedAddr, "in-addr.arpa") + " PTR"} {
		if n, _ := dns.times(question); n != 1 {
			t.Errorf("%s: asked %d times", question, n)
		}
	}
	if out := c.ask(t, exitOK, "status"); !strings.Contains(out, "bl.example") || !strings.Contains(out, "usable") {
		t.Errorf("status: %s", out)
	}
	stop()
}

// TestVerifiedNameLetsGo: a source that was blocked before its name was known is let go when that turns out to be a
// provider's, and is not blocked again.
func TestVerifiedNameLetsGo(t *testing.T) {
	dns := suspectWorld(t)
	c := newConfigured(t, asking(dns.addr, "names = true\n"))
	appendTo(t, c.log, nil)
	pointer := backwards(t, googleAddr, "in-addr.arpa") + " PTR"
	release := dns.hold(pointer)
	d, stop := c.here(t)
	c.guesses(t, googleAddr, 0, 10)
	if dec, block := c.decision(t, googleAddr); dec.Action != harvestwatch.ActBlock || block == nil || !block.Active(time.Now()) {
		t.Fatalf("not blocked before its name is known: %+v", dec)
	}
	release()
	answered(t, d, 1)
	if !eventually(func() bool { _, block := c.decision(t, googleAddr); return !block.Active(time.Now()) }) {
		t.Fatal("the block holds though the name is known")
	}
	out := c.ask(t, exitOK, "why", googleAddr)
	for _, text := range []string{"ended early", "by harvestwatch", "never blocked: " + rules.GuardVerified, "mail-lj1.google.com"} {
		if !strings.Contains(out, text) {
			t.Errorf("why does not say %q: %s", text, out)
		}
	}
	c.guesses(t, googleAddr, 10, 30)
	stop()
	all := records(t, c.state)
	for _, r := range all[1:] {
		if r.Decision.Action != harvestwatch.ActSuppress || r.Decision.Guard != rules.GuardVerified {
			t.Errorf("after that: %s (%s) %s", r.Decision.Action, r.Decision.Guard, r.Decision.Reason)
		}
	}
	if len(all) < 2 {
		t.Error("thirty more guesses, and nothing is recorded")
	}
}

// TestOldLinesAreNotAskedAbout: a daemon that catches up asks nobody: who did that may have the address no more.
func TestOldLinesAreNotAskedAbout(t *testing.T) {
	dns := suspectWorld(t)
	c := newConfigured(t, asking(dns.addr, "names = true\n"+withBlockList))
	for i := range 12 {
		appendTo(t, c.log, []byte(refusal(time.Now().Add(-time.Hour), listedAddr, fmt.Sprintf("guess%d@target.example", i))))
	}
	d, stop := c.here(t)
	c.caughtUp(t, size(t, c.log))
	c.guesses(t, plainAddr, 0, 3) // far from half way
	if s := d.asker.Stats(); s.Asked != 0 {
		t.Errorf("asked: %+v", s)
	}
	stop()
	if _, all := dns.times(""); all != 0 {
		t.Errorf("%d questions", all)
	}
	if dec, _ := c.decision(t, listedAddr); dec.Offence.Count != 10 || dec.Offence.Threshold != 10 {
		t.Errorf("%+v", dec)
	}
}

// TestDeadResolverHoldsNobodyUp: who never answers costs nothing but what he would have said.
func TestDeadResolverHoldsNobodyUp(t *testing.T) {
	raiseLoopback(t)
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := newConfigured(t, asking(silent.LocalAddr().String(), "names = true\n"+withBlockList))
	appendTo(t, c.log, nil)
	d, stop := c.here(t)
	const sources = 40 // more than are asked about at once
	for i := range sources {
		c.guesses(t, fmt.Sprintf("192.88.99.%d", 100+i), 0, 10)
	}
	if s := d.asker.Stats(); s.Asked != sources || s.Complete != 0 || s.Waiting == 0 {
		t.Errorf("asked: %+v", s)
	}
	blocked := 0
	for _, r := range records(t, c.state) {
		if r.Decision.Action == harvestwatch.ActBlock && r.Decision.Offence.Count == 10 {
			blocked++
		}
	}
	if blocked != sources {
		t.Errorf("%d of %d are blocked while nobody answers", blocked, sources)
	}
	stop()
}
