package reputation

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// world is a DNS server on loopback, by UDP and TCP on one port, that answers from a map and can misbehave.
type world struct {
	t    *testing.T
	addr string

	mu      sync.Mutex
	records map[string][]dns.RR      // by "name. TYPE", in lower case
	rcode   map[string]int           // by name
	odd     map[string]func(*reply)  // by name: what to do instead of answering
	asked   map[string]int           // by "name. TYPE net"
	ports   map[string]bool          // the clients' ports
	ids     map[uint16]bool          // the queries' ids
	under   int                      // queries being answered
	most    int                      // the highest of under
	block   map[string]chan struct{} // by name: wait for this before answering
}

type reply struct {
	w    dns.ResponseWriter
	q, m *dns.Msg
	net  string
}

func newWorld(t *testing.T, zone string) *world {
	t.Helper()
	w := &world{t: t, records: map[string][]dns.RR{}, rcode: map[string]int{}, odd: map[string]func(*reply){},
		asked: map[string]int{}, ports: map[string]bool{}, ids: map[uint16]bool{}, block: map[string]chan struct{}{}}
	w.add(zone)
	pc, ln := listen(t)
	w.addr = pc.LocalAddr().String()
	for _, srv := range []*dns.Server{
		{PacketConn: pc, Handler: w.handler("udp")}, {Listener: ln, Handler: w.handler("tcp")}} {
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		ended := make(chan struct{})
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
	return w
}

// listen opens one port of loopback by UDP and TCP.
func listen(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, ln
		}
		pc.Close()
	}
	t.Fatal("no port is free by UDP and TCP")
	return nil, nil
}

// add takes records in zone file form.
func (w *world) add(zone string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	z := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	z.SetDefaultTTL(300)
	for rr, ok := z.Next(); ok; rr, ok = z.Next() {
		k := key(rr.Header().Name, rr.Header().Rrtype)
		w.records[k] = append(w.records[k], rr)
	}
	if err := z.Err(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(name string, kind uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.records, key(name, kind))
}

func (w *world) behave(name string, f func(*reply)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.odd[name] = f
}

// fail has the server answer with a response code.
func (w *world) fail(name string, rcode int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rcode[name] = rcode
}

// hold has the server wait before it answers.
func (w *world) hold(name string, wait chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.block[name] = wait
}

func key(name string, kind uint16) string {
	return strings.ToLower(name) + " " + dns.TypeToString[kind]
}

func (w *world) count(name, kind, network string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[name+" "+kind+" "+network]
}

func (w *world) handler(network string) dns.Handler {
	return dns.HandlerFunc(func(rw dns.ResponseWriter, q *dns.Msg) {
		name := strings.ToLower(q.Question[0].Name)
		w.mu.Lock()
		w.asked[key(name, q.Question[0].Qtype)+" "+network]++
		w.ports[rw.RemoteAddr().String()] = true
		w.ids[q.Id] = true
		w.under++
		w.most = max(w.most, w.under)
		odd, rcode, wait := w.odd[name], w.rcode[name], w.block[name]
		m := w.answer(q, name)
		w.mu.Unlock()
		if wait != nil {
			<-wait
		}
		w.mu.Lock()
		w.under-- // before the answer goes out: the client may ask on at once
		w.mu.Unlock()
		if rcode != 0 {
			m.Rcode = rcode
		}
		if odd != nil {
			odd(&reply{rw, q, m, network})
			return
		}
		if network == "udp" {
			size := dns.MinMsgSize
			if o := q.IsEdns0(); o != nil {
				size = int(o.UDPSize())
			}
			m.Truncate(size)
		}
		rw.WriteMsg(m)
	})
}

// answer follows CNAMEs, as a resolver does. It holds the lock.
func (w *world) answer(q *dns.Msg, name string) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	kind := q.Question[0].Qtype
	for range 20 {
		if rrs := w.records[key(name, kind)]; len(rrs) > 0 {
			m.Answer = append(m.Answer, rrs...)
			return m
		}
		cn := w.records[key(name, dns.TypeCNAME)]
		if len(cn) == 0 {
			break
		}
		m.Answer = append(m.Answer, cn...)
		name = strings.ToLower(cn[0].(*dns.CNAME).Target)
	}
	if soa := w.records[key("example.", dns.TypeSOA)]; len(soa) > 0 {
		m.Ns = soa
	}
	if len(m.Answer) == 0 {
		m.Rcode = dns.RcodeNameError
	}
	return m
}

// clock is a clock that stands until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newClient(t *testing.T, w *world, c *clock, change func(*ClientOptions)) *Client {
	t.Helper()
	o := ClientOptions{Servers: []string{w.addr}, Timeout: 2 * time.Second, Now: c.Now}
	if change != nil {
		change(&o)
	}
	cl, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// ptr writes a PTR record, or with a zone instead of nothing a block list's entry.
func ptr(a, name string) string { return fmt.Sprintf("%s PTR %s\n", arpa(addr(a)), name) }

func entry(a, zone, code string) string {
	return fmt.Sprintf("%s.%s. A %s\n", reversed(addr(a)), zone, code)
}

// eventually polls until ok, for 5 seconds at most.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}
