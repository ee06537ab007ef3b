package nft

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/internal/nstest"
)

// world is a mail server and a client on one wire.
type world struct {
	t              testing.TB
	server, client *nstest.NS
}

// The addresses of the world: two networks of each family, and several sources at the client's end.
const (
	server4, server4b = "192.0.2.10", "198.51.100.10"
	server6, server6b = "2001:db8:1::10", "2001:db8:2::10"
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, server: nstest.New(t), client: nstest.New(t)}
	nstest.Wire(w.server, w.client,
		prefixes(server4+"/24", server4b+"/24", server6+"/64", server6b+"/64"),
		prefixes("192.0.2.1/24", "192.0.2.2/24", "198.51.100.1/24", "198.51.100.2/24", "2001:db8:1::1/64", "2001:db8:1::2/64", "2001:db8:2::1/64"))
	listen(t, w.server, 25, 80)
	return w
}

// listen accepts connections, says a greeting and closes.
func listen(t testing.TB, ns *nstest.NS, ports ...int) {
	for _, port := range ports {
		var l net.Listener
		var err error
		ns.Do(func() { l, err = net.Listen("tcp", fmt.Sprintf("[::]:%d", port)) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = c.Close()
			}
		}()
	}
}

// dial connects from one of the namespace's addresses, within the time given.
func dial(ns *nstest.NS, from, to string, port int, within time.Duration) error {
	var err error
	ns.Do(func() {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: within}
		var c net.Conn
		if c, err = d.Dial("tcp", net.JoinHostPort(to, fmt.Sprint(port))); err == nil {
			_ = c.Close()
		}
	})
	return err
}

// open fails the test unless the source reaches the port.
func (w *world) open(from, to string, port int) {
	w.t.Helper()
	if err := dial(w.client, from, to, port, 5*time.Second); err != nil {
		w.t.Errorf("%s does not reach port %d: %v", from, port, err)
	}
}

// shut fails the test unless the source's connection gets no answer.
func (w *world) shut(from, to string, port int) {
	w.t.Helper()
	err := dial(w.client, from, to, port, 150*time.Millisecond)
	if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
		w.t.Errorf("%s reaches port %d, or is refused rather than ignored: %v", from, port, err)
	}
}

// entry returns an entry that ends so much later.
func entry(prefix string, d time.Duration) firewall.Entry {
	return firewall.Entry{Prefix: netip.MustParsePrefix(prefix), Until: time.Now().Add(d)}
}

func apply(t testing.TB, e *Enforcer, d firewall.Diff) {
	t.Helper()
	if err := e.Apply(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// held fails the test unless exactly these prefixes are in effect.
func holds(t testing.TB, e *Enforcer, want ...string) []firewall.Entry {
	t.Helper()
	es, _, err := e.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ok := len(es) == len(want)
	for i := range es {
		ok = ok && es[i].Prefix.String() == want[i]
	}
	if !ok {
		t.Errorf("in effect are %v, want %v", es, want)
	}
	return es
}

// eventually waits until the condition holds.
func eventually(t testing.TB, most time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", most, what)
		case <-tick.C:
		}
	}
	return time.Since(begin)
}
