package nft

import (
	"context"
	"encoding/binary"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/firewall/fwtest"
	"github.com/harvestwatch/harvestwatch/internal/nstest"
)

// inKernel reports, by a socket of its own, whether the kernel holds an IPv4 address in our table.
func inKernel(t testing.TB, ns *nstest.NS) func(addr ...byte) bool {
	t.Helper()
	r, err := newReader(ns.FD(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.conn.Close() })
	return func(addr ...byte) bool {
		found := false
		_ = r.lookup(kinds[0], []item{{key: wide(addr)}}, func(int, *element, time.Time) error { found = true; return nil })
		return found
	}
}

func TestFlushRulesetHealsAtOnce(t *testing.T) {
	w := newWorld(t)
	e := open(t, w.server, Options{Unprotected: true})
	_, want := reconcile(t, e)
	want(entry("192.0.2.1/32", time.Hour), entry("2001:db8:1::/64", time.Hour))
	has := inKernel(t, w.server)
	eventually(t, 5*time.Second, "the block is in effect", func() bool { return has(192, 0, 2, 1) })
	c := stranger(t, w.server)
	for range 3 {
		c.FlushRuleset()
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		took := eventually(t, time.Second, "the block is back", func() bool { return has(192, 0, 2, 1) })
		t.Logf("healed %s after flush ruleset", took)
		w.shut("192.0.2.1", server4, 25)
		w.shut("2001:db8:1::1", server6, 25)
	}
}

// TestTampering changes each part of a table without an owner, and expects an alarm and that List mends it.
func TestTampering(t *testing.T) {
	ns := nstest.New(t)
	e := open(t, ns, Options{Unprotected: true})
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", time.Hour)}})
	c := stranger(t, ns)
	alarms := e.Watch(t.Context())
	l := newLayout(&e.opt, 0)
	port := func(p uint16) []nftables.SetElement {
		return []nftables.SetElement{{Key: binary.BigEndian.AppendUint16(nil, p)}}
	}
	strange := &nftables.Chain{Table: ourTable, Name: "strange"}
	for name, tamper := range map[string]func(){
		"flush the screen": func() { c.FlushChain(l.chains[0]) },
		"flush the gate":   func() { c.FlushChain(l.chains[1]) },
		"delete the gate":  func() { c.FlushChain(l.chains[1]); c.DelChain(l.chains[1]) },
		"accept first": func() {
			c.InsertRule(&nftables.Rule{Table: ourTable, Chain: l.chains[1], Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}})
		},
		"another chain": func() { c.AddChain(strange) },
		"delete a port": func() { _ = c.SetDeleteElements(l.ports, port(25)) },
		"add a port":    func() { _ = c.SetAddElements(l.ports, port(22)) },
		"a set more":    func() { _ = c.AddSet(&nftables.Set{Table: ourTable, Name: "more", KeyType: nftables.TypeIPAddr}, nil) },
		"asleep": func() {
			c.AddTable(&nftables.Table{Name: TableName, Family: nftables.TableFamilyINet, Flags: nftables.TableFlagDormant})
		},
		"gate that drops all": func() { drop := nftables.ChainPolicyDrop; ch := *l.chains[1]; ch.Policy = &drop; c.AddChain(&ch) },
	} {
		_, token, err := e.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if whole, err := e.intact(); !whole || err != nil {
			t.Fatalf("before %q: intact %v, %v", name, whole, err)
		}
		tamper()
		if err := c.Flush(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		alarmed(t, alarms, name)
		if yes, err := e.Changed(t.Context(), token); !yes || err != nil {
			t.Errorf("%s: changed %v, %v", name, yes, err)
		}
		holds(t, e, "192.0.2.1/32")
		if whole, err := e.intact(); !whole || err != nil {
			t.Errorf("%s: intact %v, %v after List", name, whole, err)
		}
	}
}

func TestApplyMakesTheTableAnew(t *testing.T) {
	w := newWorld(t)
	e := open(t, w.server, Options{Unprotected: true})
	_, token, err := e.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := stranger(t, w.server)
	c.FlushRuleset()
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", time.Hour)}})
	w.shut("192.0.2.1", server4, 25)
	if yes, err := e.Changed(t.Context(), token); !yes || err != nil {
		t.Errorf("changed %v, %v", yes, err)
	}
}

// TestWatchTellsOwnFromForeign: our own changes, however many, and those of other tables raise no alarm.
func TestWatchTellsOwnFromForeign(t *testing.T) {
	ns := nstest.New(t)
	e := open(t, ns, Options{Unprotected: true})
	ctx, cancel := context.WithCancel(t.Context())
	alarms := e.Watch(ctx)
	apply(t, e, firewall.Diff{Add: fwtest.Bulk(20_000, time.Now().Add(time.Hour))})
	c := stranger(t, ns)
	acceptAll(t, c)
	select {
	case <-alarms:
		t.Error("an alarm for what was our own change, or another table's")
	case <-time.After(200 * time.Millisecond):
	}
	c.DelTable(ourTable)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	alarmed(t, alarms, "the loss of the table")
	cancel()
	for range alarms { // until it is closed
	}
}

func alarmed(t *testing.T, alarms <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-alarms:
	case <-time.After(5 * time.Second):
		t.Errorf("no alarm for %s", why)
	}
}

// calm waits until no alarm has come for a while: several may follow from one cause.
func calm(alarms <-chan struct{}) {
	for {
		select {
		case <-alarms:
		case <-time.After(200 * time.Millisecond):
			return
		}
	}
}

// TestWatchSurvives: notices that were lost raise an alarm, as does a socket that fails, and the watch goes on.
func TestWatchSurvives(t *testing.T) {
	ns := nstest.New(t)
	e := open(t, ns, Options{Unprotected: true})
	c := stranger(t, ns)
	w := &watch{e: e, alarm: make(chan struct{}, 1)}
	conn, err := w.open()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	for range 30 { // nobody reads yet
		strangeTable(t, c, "stranger")
		c.DelTable(otherTable)
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	go w.run(ctx, conn, nil)
	alarmed(t, w.alarm, "lost notices")
	calm(w.alarm)
	tamper := func() {
		t.Helper()
		c.AddChain(&nftables.Chain{Table: ourTable, Name: "strange"})
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	tamper()
	alarmed(t, w.alarm, "a change after lost notices")
	cancel()
	for range w.alarm { // until it is closed
	}
	ctx, cancel = context.WithCancel(t.Context())
	w = &watch{e: e, alarm: make(chan struct{}, 1)}
	if conn, err = w.open(); err != nil {
		t.Fatal(err)
	}
	go w.run(ctx, conn, nil)
	_ = conn.Close()
	alarmed(t, w.alarm, "a socket that failed")
	c.DelChain(&nftables.Chain{Table: ourTable, Name: "strange"})
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	alarmed(t, w.alarm, "a change after the socket was opened anew")
	cancel()
	for range w.alarm { // until it is closed
	}
}

// TestListingCanBeReadByNft writes the table out with the nft program and has it check its own words.
func TestListingCanBeReadByNft(t *testing.T) {
	ns := nstest.New(t)
	prog, err := exec.LookPath("nft")
	if err != nil {
		nstest.Need(t, "netns", "the program nft is not installed")
	}
	e := open(t, ns, Options{Unprotected: true, Counters: true})
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", time.Hour), entry("2001:db8::/64", time.Hour)}})
	var text, said []byte
	ns.Do(func() {
		if text, err = exec.Command(prog, "list", "table", "inet", TableName).Output(); err != nil {
			return
		}
		check := exec.Command(prog, "-c", "-f", "-")
		check.Stdin = strings.NewReader(string(text))
		said, err = check.CombinedOutput()
	})
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, said, text)
	}
	for _, want := range []string{"tcp dport @ports jump screen", "ip saddr @b4_32 counter", "ip saddr & 255.255.255.0 @b4_24 counter",
		"ip6 saddr @b6_128 counter", "ip6 saddr & ffff:ffff:ffff:ffff:: @b6_64 counter", "ip6 saddr & ffff:ffff:ffff:: @b6_48 counter", "hook prerouting priority raw", "192.0.2.1 counter", "2001:db8:: counter"} {
		if !strings.Contains(strings.ReplaceAll(string(text), " == @", " @"), want) { // versions of nft differ there
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
