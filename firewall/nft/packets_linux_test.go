package nft

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/internal/nstest"
)

func TestBlockedSourceReachesNoMailPort(t *testing.T) {
	w := newWorld(t)
	e := open(t, w.server, Options{})
	for _, from := range []string{"192.0.2.1", "192.0.2.2"} {
		w.open(from, server4, 25)
	}
	w.open("2001:db8:1::1", server6, 25)
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", time.Hour), entry("2001:db8:1::1/128", time.Hour)}})
	w.shut("192.0.2.1", server4, 25)
	w.shut("2001:db8:1::1", server6, 25)
	w.open("192.0.2.1", server4, 80)
	w.open("2001:db8:1::1", server6, 80)
	w.open("192.0.2.2", server4, 25)
	w.open("2001:db8:1::2", server6, 25)
	apply(t, e, firewall.Diff{Remove: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}})
	w.open("192.0.2.1", server4, 25)
	w.shut("2001:db8:1::1", server6, 25)
}

func TestBlockedNetwork(t *testing.T) {
	w := newWorld(t)
	e := open(t, w.server, Options{Counters: true})
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("198.51.100.0/24", time.Hour), entry("2001:db8:2::/64", time.Hour)}})
	w.shut("198.51.100.1", server4b, 25)
	w.shut("198.51.100.2", server4b, 25)
	w.shut("2001:db8:2::1", server6b, 25)
	w.open("198.51.100.1", server4b, 80)
	w.open("192.0.2.1", server4, 25)
	w.open("2001:db8:1::1", server6, 25)
	for _, en := range holds(t, e, "198.51.100.0/24", "2001:db8:2::/64") {
		if en.Packets == 0 || en.Bytes < 40*en.Packets {
			t.Errorf("%s counted %d packets, %d bytes", en.Prefix, en.Packets, en.Bytes)
		}
	}
}

func TestBlockEnds(t *testing.T) {
	w := newWorld(t)
	e := open(t, w.server, Options{})
	begin := time.Now()
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", 2*time.Second), entry("192.0.2.2/32", time.Hour)}})
	w.shut("192.0.2.1", server4, 25)
	eventually(t, 6*time.Second, "the blocked source is let in again", func() bool {
		return dial(w.client, "192.0.2.1", server4, 25, 100*time.Millisecond) == nil
	})
	if d := time.Since(begin); d < 1900*time.Millisecond {
		t.Errorf("let in again after %s", d)
	}
	w.shut("192.0.2.2", server4, 25)
}

func TestAcceptInAnotherTableDoesNotHelp(t *testing.T) {
	w := newWorld(t)
	c := stranger(t, w.server)
	acceptAll(t, c)
	e := open(t, w.server, Options{})
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", time.Hour)}})
	w.shut("192.0.2.1", server4, 25)
}

func TestInputHookAndOwnPorts(t *testing.T) {
	w := newWorld(t)
	e := open(t, w.server, Options{Hook: Input, Ports: []uint16{80}})
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", time.Hour)}})
	w.shut("192.0.2.1", server4, 80)
	w.open("192.0.2.1", server4, 25)
	w.open("192.0.2.2", server4, 80)
}

func TestForwardHook(t *testing.T) {
	client, gateway, server := nstest.New(t), nstest.New(t), nstest.New(t)
	nstest.Wire(client, gateway, prefixes("192.0.2.1/24", "192.0.2.2/24"), prefixes("192.0.2.254/24"))
	nstest.Wire(gateway, server, prefixes("198.51.100.254/24"), prefixes("198.51.100.1/24"))
	client.Route(netip.MustParsePrefix("198.51.100.0/24"), netip.MustParseAddr("192.0.2.254"))
	server.Route(netip.MustParsePrefix("192.0.2.0/24"), netip.MustParseAddr("198.51.100.254"))
	gateway.Forwarding()
	listen(t, server, 25)
	listen(t, gateway, 25)
	w := &world{t: t, server: server, client: client}
	e := open(t, gateway, Options{Hook: Forward})
	w.open("192.0.2.1", "198.51.100.1", 25)
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", time.Hour)}})
	w.shut("192.0.2.1", "198.51.100.1", 25)
	w.open("192.0.2.2", "198.51.100.1", 25)
	w.open("192.0.2.1", "192.0.2.254", 25) // the gateway's own port is none of the forward hook's
}

// reconcile runs a reconciler until the test ends; the returned function sets what it wants.
func reconcile(t testing.TB, e *Enforcer) (*firewall.Reconciler, func(...firewall.Entry)) {
	var want atomic.Pointer[[]harvestwatch.Block]
	want.Store(&[]harvestwatch.Block{})
	r := firewall.New(e, func(context.Context) ([]harvestwatch.Block, error) { return *want.Load(), nil }, firewall.Options{Now: time.Now})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r, func(es ...firewall.Entry) {
		var blocks []harvestwatch.Block
		for _, en := range es {
			blocks = append(blocks, harvestwatch.Block{ID: en.Prefix.String(), Prefix: en.Prefix, Until: en.Until})
		}
		want.Store(&blocks)
		r.Poke()
	}
}

func TestPokeToDroppedPacket(t *testing.T) {
	w := newWorld(t)
	e := open(t, w.server, Options{})
	r, want := reconcile(t, e)
	eventually(t, 5*time.Second, "the first pass", func() bool { return r.Status().Passes > 0 })
	w.open("192.0.2.1", server4, 25)
	poked := time.Now()
	want(entry("192.0.2.1/32", time.Hour))
	var took time.Duration
	for {
		took = time.Since(poked)
		if dial(w.client, "192.0.2.1", server4, 25, 100*time.Millisecond) != nil {
			break
		}
		if took > 5*time.Second {
			t.Fatal("the source was never blocked")
		}
	}
	t.Logf("from Poke to the first packet that was dropped: at most %s", took)
	if took > time.Second {
		t.Errorf("a block took %s", took)
	}
	if s := r.Status(); !s.InStep || s.Entries != 1 {
		t.Errorf("status %+v", s)
	}
}
