package pools_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/harvestwatch/harvestwatch/internal/pools"
	"github.com/harvestwatch/harvestwatch/internal/reputation"
)

var _ pools.Resolver = (*reputation.Client)(nil)

// serve starts a DNS server on loopback that has the records, and returns a client that asks it.
func serve(t *testing.T, zone string) *reputation.Client {
	t.Helper()
	records := map[string][]dns.RR{}
	z := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	z.SetDefaultTTL(300)
	for rr, ok := z.Next(); ok; rr, ok = z.Next() {
		k := rr.Header().Name + dns.TypeToString[rr.Header().Rrtype]
		records[k] = append(records[k], rr)
	}
	if err := z.Err(); err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, srv := range []*dns.Server{{PacketConn: pc}, {Listener: ln}} {
		srv.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg)
			m.SetReply(q)
			m.Answer = records[q.Question[0].Name+dns.TypeToString[q.Question[0].Qtype]]
			if q.Question[0].Name == "sick.example." {
				m.Rcode = dns.RcodeServerFailure
			}
			if w.LocalAddr().Network() == "udp" {
				m.Truncate(1232)
			}
			w.WriteMsg(m)
		})
		started, ended := make(chan struct{}), make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(ended)
			srv.ActivateAndServe()
		}()
		<-started
		t.Cleanup(func() {
			srv.Shutdown()
			<-ended
		})
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c, err := reputation.NewClient(reputation.ClientOptions{Servers: []string{pc.LocalAddr().String()}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestExpandOverTheWire(t *testing.T) {
	var long strings.Builder // an answer that needs TCP: 120 networks in strings of 200 bytes
	long.WriteString("long.example. TXT \"v=spf1\"")
	for i := range 120 {
		fmt.Fprintf(&long, " \" ip4:240.%d.0.0/24\"", i)
	}
	c := serve(t, long.String()+" \" -all\"\n"+`
spf.example. TXT "v=spf1 include:long.example a:host.example/28 mx:post.ex" "ample -all"
spf.example. TXT "unrelated"
host.example. A 192.0.2.17
host.example. AAAA 2001:db8::1
post.example. MX 10 mx.example.
mx.example. A 198.51.100.1
broken.example. TXT "v=spf1 include:sick.example -all"
`)
	e, err := pools.Expand(context.Background(), c, "spf.example")
	if err != nil || len(e.Networks) != 123 || e.Networks[0] != netip.MustParsePrefix("192.0.2.16/28") || e.Terms != 5 {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := pools.Expand(context.Background(), c, "broken.example"); !errors.Is(err, reputation.ErrUnanswered) {
		t.Errorf("%v", err)
	}
	if _, err := pools.Expand(context.Background(), c, "none.example"); !errors.Is(err, pools.ErrSPF) {
		t.Errorf("%v", err)
	}
}

func TestRefreshOverTheWire(t *testing.T) {
	c := serve(t, "spf.example. TXT \"v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 -all\"\n")
	old, err := pools.Parse("old", []byte("provider p spf.example 2026-01-01\n192.0.2.0/24\nprovider q sick.example 2026-01-01\n203.0.113.0/24\n"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	next, changes, err := pools.Refresh(context.Background(), c, old, now, false)
	if err != nil || changes[0].Verdict != pools.Updated || changes[1].Verdict != pools.Failed {
		t.Fatalf("%v, %v", changes, err)
	}
	for addr, want := range map[string]string{"198.51.100.9/32": "p", "203.0.113.9/32": "q"} {
		if name, _ := next.Name(netip.MustParsePrefix(addr)); name != want {
			t.Errorf("%s is of %q, want %q", addr, name, want)
		}
	}
	if s := next.Stale(now); len(s) != 1 || s[0] != "q" {
		t.Errorf("stale: %q", s)
	}
}
