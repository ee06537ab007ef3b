package main

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// nameServer is a DNS server on loopback that answers from a map.
type nameServer struct {
	t    *testing.T
	addr string

	mu      sync.Mutex
	records map[string][]dns.RR      // by "name TYPE", in lower case
	asked   map[string]int           // by the same
	held    map[string]chan struct{} // by the same: answered when it is closed
	broken  bool                     // every answer is that the server has failed
}

// newNameServer starts a server for these records, in the form of a zone file.
func newNameServer(t *testing.T, zone string) *nameServer {
	t.Helper()
	n := &nameServer{t: t, records: map[string][]dns.RR{}, asked: map[string]int{}, held: map[string]chan struct{}{}}
	n.set(zone)
	raiseLoopback(t)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = conn.LocalAddr().String()
	started, ended := make(chan struct{}), make(chan struct{})
	srv := &dns.Server{PacketConn: conn, Handler: n, NotifyStartedFunc: func() { close(started) }}
	go func() {
		defer close(ended)
		_ = srv.ActivateAndServe() // ends with Shutdown
	}()
	<-started
	t.Cleanup(func() {
		_ = srv.Shutdown() // it was started
		<-ended
	})
	return n
}

// set puts records in the place of those of the same name and kind.
func (n *nameServer) set(zone string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fresh := map[string][]dns.RR{}
	z := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	z.SetDefaultTTL(60)
	for rr, ok := z.Next(); ok; rr, ok = z.Next() {
		k := asks(rr.Header().Name, rr.Header().Rrtype)
		fresh[k] = append(fresh[k], rr)
	}
	if err := z.Err(); err != nil {
		n.t.Fatal(err)
	}
	for k, list := range fresh {
		n.records[k] = list
	}
}

// fail makes every answer, or none from then on, that the server has failed.
func (n *nameServer) fail(yes bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broken = yes
}

// hold keeps an answer back until the returned function is called.
func (n *nameServer) hold(question string) (release func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := make(chan struct{})
	n.held[question] = c
	release = sync.OnceFunc(func() { close(c) })
	n.t.Cleanup(release)
	return release
}

// times returns how often a question was asked, and all how many there were of any kind.
func (n *nameServer) times(question string) (times, all int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.asked {
		all += c
	}
	return n.asked[question], all
}

func asks(name string, kind uint16) string {
	return strings.ToLower(name) + " " + dns.TypeToString[kind]
}

// ServeDNS implements dns.Handler.
func (n *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	k := asks(q.Question[0].Name, q.Question[0].Qtype)
	n.mu.Lock()
	n.asked[k]++
	m := new(dns.Msg)
	m.SetReply(q)
	if m.Answer = n.records[k]; len(m.Answer) == 0 {
		m.Rcode = dns.RcodeNameError
	}
	if n.broken {
		m.Answer, m.Rcode = nil, dns.RcodeServerFailure
	}
	wait := n.held[k]
	n.mu.Unlock()
	if wait != nil {
		<-wait
	}
	_ = w.WriteMsg(m) // who asked may have gone
}

// backwards returns the name that an IPv4 address is asked about under a zone.
func backwards(t *testing.T, addr, zone string) string {
	t.Helper()
	a, err := netip.ParseAddr(addr)
	if err != nil || !a.Is4() {
		t.Fatalf("%q: %v", addr, err)
	}
	b := a.As4()
	return netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}).String() + "." + zone + "."
}
