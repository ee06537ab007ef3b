package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// wall is an enforcer that keeps in memory what it is told.
type wall struct {
	mu   sync.Mutex
	have map[netip.Prefix]time.Time
}

func (w *wall) Name() string { return "a wall" }
func (w *wall) Caps() firewall.Caps {
	return firewall.Caps{V4Lens: []int{24, 32}, V6Lens: []int{48, 64, 128}}
}
func (w *wall) List(context.Context) ([]firewall.Entry, firewall.Token, error) { return nil, "", nil }
func (w *wall) Apply(context.Context, firewall.Diff) error                     { return nil }
func (w *wall) Changed(context.Context, firewall.Token) (bool, error)          { return false, nil }
func (w *wall) Close() error                                                   { return nil }

// guardedDaemon is a daemon with both lists, an enforcer that does nothing, a clock that the test moves, and a log.
type guardedDaemon struct {
	*configured
	*daemon
	mu   sync.Mutex
	at   time.Time
	told bytes.Buffer
}

func (g *guardedDaemon) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.told.Write(b)
}

func (g *guardedDaemon) pass(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at = g.at.Add(d)
}

const withEnforcer = "mode = \"enforce\"\n[firewall]\nenforcer = \"none\"\nmax_blocks = 400\n[[input]]\npath = \"DIR/mail.log\"\nformat = \"postfix\"\n" + withBoth

const withBoth = "[lists]\nallow = \"DIR/allow\"\ndeny = \"DIR/deny\"\n"

func newGuarded(t *testing.T, allow, deny string) *guardedDaemon {
	t.Helper()
	g := &guardedDaemon{configured: newConfigured(t, withEnforcer), at: time.Now()}
	g.write(t, "allow", []byte(allow))
	g.write(t, "deny", []byte(deny))
	g.write(t, "mail.log", nil)
	cfg, err := loadConfig(g.config, true)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{strings.NewReader(""), io.Discard, io.Discard, func() time.Time {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.at
	}}
	if g.daemon, err = p.newDaemon(t.Context(), cfg, slog.New(slog.NewTextHandler(g, nil))); err != nil {
		t.Fatal(err)
	}
	g.enf = &wall{}
	g.rec = firewall.New(g.enf, g.wanted, firewall.Options{Now: p.now})
	return g
}

// start runs the daemon, until the test ends.
func (g *guardedDaemon) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.daemon.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// networks returns the blocks of the deny list's networks.
func (g *guardedDaemon) networks(t *testing.T) (list []harvestwatch.Block) {
	t.Helper()
	blocks, err := g.st.RuleBlocks(t.Context(), rules.DenyRule, g.p.now())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if b.Level == 0 {
			list = append(list, b)
		}
	}
	return list
}

func (g *guardedDaemon) audit(t *testing.T) []store.Audit {
	t.Helper()
	audit, err := g.st.AuditSince(t.Context(), time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return audit
}

// TestDenyListLeavesRoomInTheFirewall: its networks take a quarter of the firewall at most, the small ones first. All are
// blocked, and renewed, with one line of the audit, and in the rows that they have.
func TestDenyListLeavesRoomInTheFirewall(t *testing.T) {
	var deny strings.Builder
	deny.WriteString("203.0.112.0/20\n240.0.0.0/8\n")
	for i := range 98 {
		fmt.Fprintf(&deny, "198.51.100.%d\n", i+1)
	}
	g := newGuarded(t, "", deny.String())
	g.syncDenied(t.Context())
	first := g.networks(t)
	if len(first) != 98 || len(g.audit(t)) != 1 || !strings.Contains(g.audit(t)[0].Text, "98 blocked or renewed, 0 ended") {
		t.Fatalf("%d blocks, audit %+v", len(first), g.audit(t))
	}
	s := g.guardStatus()
	if !strings.HasPrefix(s.Late, "networks of the deny list beyond what the firewall takes beforehand (100 entries): 2; ") || len(s.Problems) > 0 {
		t.Errorf("status: %+v", s)
	}
	g.pass(time.Hour)
	g.syncDenied(t.Context())
	if len(g.audit(t)) != 1 {
		t.Errorf("nothing was due: %+v", g.audit(t))
	}
	g.pass(29 * time.Hour)
	g.syncDenied(t.Context())
	again := g.networks(t)
	if len(again) != 98 || len(g.audit(t)) != 2 {
		t.Fatalf("%d blocks after a renewal, audit %+v", len(again), g.audit(t))
	}
	for i := range again {
		if again[i].ID != first[i].ID || again[i].Until.Sub(first[i].Until) != 30*time.Hour {
			t.Errorf("%+v was renewed as %+v", first[i], again[i])
		}
	}
}

// TestRefusedNetworksAreCounted: status names the first, and how many more there are.
func TestRefusedNetworksAreCounted(t *testing.T) {
	g := newGuarded(t, "", "10.0.0.1\n10.0.0.2\n10.0.0.3\n198.51.100.7\n")
	g.syncDenied(t.Context())
	s := g.guardStatus()
	if len(s.Problems) != 1 || !strings.HasPrefix(s.Problems[0], "10.0.0.1/32 is on the deny list and can't be blocked: never blocked:") ||
		!strings.HasSuffix(s.Problems[0], "; and 2 more can't") || len(g.networks(t)) != 1 {
		t.Errorf("%+v, blocked: %v", s.Problems, g.networks(t))
	}
}

// TestDenyListAndBlocksByHand: a longer block by hand has none of the list's made anew; one that was unblocked by hand is
// blocked again only when the list is another.
func TestDenyListAndBlocksByHand(t *testing.T) {
	g := newGuarded(t, "", "198.51.100.7\n198.51.100.8\n")
	p := netip.MustParsePrefix("198.51.100.7/32")
	if _, err := g.daemon.block(t.Context(), blockArgs{Prefix: p, For: 100 * 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		g.syncDenied(t.Context())
	}
	if n := len(g.audit(t)); n != 2 {
		t.Errorf("%d lines of audit", n)
	}
	for range 2 {
		if ended, err := g.endByHand(t.Context(), blockArgs{Prefix: p, Who: "root"}); err != nil || len(ended) == 1 {
			t.Errorf("ended %v, %v", ended, err)
		}
		g.syncDenied(t.Context())
	}
	if list := g.networks(t); len(list) != 1 || list[0].Prefix == p {
		t.Errorf("unblocked by hand: %v", list)
	}
	g.denied.forget()
	if g.syncDenied(t.Context()); len(g.networks(t)) != 2 {
		t.Errorf("with another list: %v", g.networks(t))
	}
}

// TestOffTheDenyList: what the deny list blocked ends when it is off the list, and nothing else does; who was blocked for
// being on it is counted again from then on.
func TestOffTheDenyList(t *testing.T) {
	g := newGuarded(t, "", attacker+"\n"+bystander+"\n")
	byHand := netip.MustParsePrefix(bystander + "/32")
	if _, err := g.daemon.block(t.Context(), blockArgs{Prefix: byHand, For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	harvest := harvestwatch.Block{Prefix: byHand, From: g.p.now(), Until: g.p.now().Add(time.Hour * 2), Rule: "harvest", Level: 1}
	if _, err := g.st.AddBlock(t.Context(), harvest, store.Audit{}); err != nil {
		t.Fatal(err)
	}
	g.start(t)
	g.guesses(t, attacker, 0, 1)
	if dec, block := g.decision(t, attacker); dec.Offence.Rule != rules.DenyRule || block == nil {
		t.Fatalf("%+v", dec)
	}
	if !eventually(func() bool { return len(g.networks(t)) == 2 }) {
		t.Fatal("the networks are not blocked")
	}
	g.write(t, "deny", []byte("# nobody\n"))
	g.hangup <- os.Interrupt
	var active []harvestwatch.Block
	if !eventually(func() bool {
		active, _ = g.st.ActiveBlocks(t.Context(), g.p.now())
		return len(active) == 1 && len(g.networks(t)) == 0
	}) {
		t.Fatalf("active: %v", active)
	}
	if active[0].Prefix != byHand || active[0].Rule != "harvest" {
		t.Errorf("active: %v", active)
	}
	if out := g.ask(t, exitOK, "why", attacker); !strings.Contains(out, "no longer on the deny list") {
		t.Errorf("why: %s", out)
	}
	g.pass(2 * time.Second)
	g.guesses(t, attacker, 1, 12)
	found := false
	for _, r := range records(t, g.state) {
		found = found || r.Decision.Offence.Rule == "harvest" && r.Decision.Action == harvestwatch.ActBlock
	}
	if !found {
		t.Errorf("the detector still holds who is off the list: %v", storedDecisions(t, g.state))
	}
}

const attacker, bystander = "198.51.100.66", "198.51.100.67"

// TestAcceptedDomainEndsBlocks: who is blocked and has a verified name in a domain that is accepted now is let go.
func TestAcceptedDomainEndsBlocks(t *testing.T) {
	g := newGuarded(t, "", "")
	g.start(t)
	for i := range 12 {
		line := refusal(g.p.now(), attacker, fmt.Sprintf("guess%d@target.example", i))
		appendTo(t, g.log(), []byte(strings.ReplaceAll(line, "unknown[", "mx7.other.example[")))
	}
	g.guesses(t, bystander, 0, 12)
	for _, from := range []string{attacker, bystander} {
		if dec, block := g.decision(t, from); dec.Action != harvestwatch.ActBlock || block == nil {
			t.Fatalf("%+v", dec)
		}
	}
	g.write(t, "allow", []byte(".other.example\n"))
	g.hangup <- os.Interrupt
	if !eventually(func() bool { _, b := g.decision(t, attacker); return !b.Active(g.p.now()) }) {
		t.Error("blocked though its domain is accepted")
	}
	if out := g.ask(t, exitOK, "why", attacker); !strings.Contains(out, `never blocked from now on: allow-list (the verified name is "mx7.other.example")`) {
		t.Errorf("why: %s", out)
	}
	if _, b := g.decision(t, bystander); !b.Active(g.p.now()) {
		t.Error("somebody else was let go")
	}
}

func (g *guardedDaemon) log() string { return g.configured.log }

// TestVerifiedNameAndTheDenyList: nothing is said to end that doesn't.
func TestVerifiedNameAndTheDenyList(t *testing.T) {
	g := newGuarded(t, "", "192.88.99.23\n")
	g.syncDenied(t.Context())
	before := len(g.audit(t))
	src, _ := harvestwatch.ParseSource("192.88.99.23")
	if err := g.letGoNamed(t.Context(), src, "mail-lj1.google.com"); err != nil {
		t.Fatal(err)
	}
	if len(g.audit(t)) != before || len(g.networks(t)) != 1 || strings.Contains(g.told.String(), "a block ends") {
		t.Errorf("audit %+v\n%s", g.audit(t), g.told.String())
	}
}

// TestFailedReleaseLosesNothing: what the detector forgot for a commit that failed goes with the next.
func TestFailedReleaseLosesNothing(t *testing.T) {
	g := newGuarded(t, "", "")
	src, _ := harvestwatch.ParseSource(attacker)
	g.det.Settle(&harvestwatch.Decision{Action: harvestwatch.ActBlock, Until: time.Now().Add(time.Hour),
		Offence: harvestwatch.Offence{Source: src, RuleIndex: -1, Fired: time.Now()}})
	if err := g.st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.endByHand(t.Context(), blockArgs{Prefix: src.Prefix()}); err == nil {
		t.Fatal("written to a closed database")
	}
	for _, want := range []bool{true, false} {
		var batch store.Batch
		g.changes(&batch)
		if got := slices.ContainsFunc(batch.Windows, func(w store.Window) bool { return w.Source == src }); got != want {
			t.Errorf("the source's record is in the commit: %t, want %t", got, want)
		}
	}
}
