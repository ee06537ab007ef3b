package reputation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const soa = "example. 3600 SOA ns.example. root.example. 1 3600 600 86400 120\n"

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"Mail.Example.":                           "mail.example",
		"a-b_c.9.example":                         "a-b_c.9.example",
		strings.Repeat("a", 63) + ".example":      strings.Repeat("a", 63) + ".example",
		strings.Repeat("a", 64) + ".example":      "",
		strings.Repeat("abcdefg.", 31) + "exampl": "",
		"":                     "",
		".":                    "",
		"example":              "",
		"a..example":           "",
		".example.com":         "",
		"192.0.2.1":            "",
		"mail\x1b[31m.example": "",
		`mail\027[31m.example`: "",
		"mail.example\n":       "",
		"mail example.com":     "",
		"mäil.example":         "",
		"mail.example/x":       "",
		"*.example.com":        "",
		"mail.example..":       "",
		"<script>.example":     "",
		"a.b." + strings.Repeat("c", 63) + ".example.": "a.b." + strings.Repeat("c", 63) + ".example",
	} {
		got, ok := CleanName(in)
		if got != want || ok != (want != "") {
			t.Errorf("CleanName(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}

func TestReversed(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.99":                "99.2.0.192",                                                      // RFC 5782 section 2.1
		"2001:db8:1:2:3:4:567:89ab": "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2", // section 2.4
		"::ffff:127.0.0.2":          "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",
	} {
		if got := reversed(addr(in)); got != want {
			t.Errorf("reversed(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestAnswersOfAllKinds(t *testing.T) {
	w := newWorld(t, soa+`
host.example. A 192.0.2.1
host.example. AAAA 2001:db8::1
chain.example. CNAME two.example.
two.example. CNAME three.example.
three.example. A 192.0.2.3
loop.example. CNAME pool.example.
pool.example. CNAME loop.example.
text.example. TXT "v=spf1 ip4:192.0" ".2.0/24 -all"
text.example. TXT "other"
mail.example. MX 10 mx1.example.
mail.example. MX 20 mx\0322.example.
`)
	c := newClient(t, w, newClock(), nil)
	ctx := context.Background()
	for name, want := range map[string]string{"host.example": "[192.0.2.1 2001:db8::1]", "HOST.example.": "[192.0.2.1 2001:db8::1]",
		"chain.example": "[192.0.2.3]", "loop.example": "[]", "none.example": "[]"} {
		got, err := c.Addresses(ctx, name)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("Addresses(%s) = %v, %v; want %s", name, got, err, want)
		}
	}
	texts, err := c.TXT(ctx, "text.example")
	slices.Sort(texts)
	if err != nil || !slices.Equal(texts, []string{"other", "v=spf1 ip4:192.0.2.0/24 -all"}) {
		t.Errorf("TXT = %q, %v", texts, err)
	}
	hosts, err := c.MX(ctx, "mail.example")
	if err != nil || !slices.Equal(hosts, []string{"mx1.example"}) {
		t.Errorf("MX = %q, %v", hosts, err)
	}
	if _, err := c.TXT(ctx, "evil\n.example"); !errors.Is(err, ErrName) {
		t.Errorf("a name with a line feed: %v", err)
	}
}

func TestTruncatedAnswersAreAskedForByTCP(t *testing.T) {
	var zone strings.Builder
	for i := range 60 {
		fmt.Fprintf(&zone, "big.example. TXT %q\n", fmt.Sprintf("%02d %s", i, strings.Repeat("x", 200)))
	}
	w := newWorld(t, zone.String())
	w.behave("big.example.", func(r *reply) {
		if r.net == "udp" {
			r.m.Truncate(512)
		}
		r.w.WriteMsg(r.m)
	})
	c := newClient(t, w, newClock(), nil)
	texts, err := c.TXT(context.Background(), "big.example")
	if err != nil || len(texts) != 60 {
		t.Fatalf("%d texts, %v; want 60", len(texts), err)
	}
	if u, c := w.count("big.example.", "TXT", "udp"), w.count("big.example.", "TXT", "tcp"); u != 1 || c != 1 {
		t.Errorf("asked %d times by UDP and %d by TCP, want 1 and 1", u, c)
	}
	if n := c.cache.size(); n != 0 {
		t.Errorf("%d answers kept; one of 12 KB is too large to keep", n)
	}
}

func TestOnlyTheAnswerToTheQuestionCounts(t *testing.T) {
	w := newWorld(t, "host.example. A 192.0.2.1\n")
	w.behave("host.example.", func(r *reply) {
		for _, spoil := range []func(*dns.Msg){
			func(m *dns.Msg) { m.Id++ },
			func(m *dns.Msg) { m.Question[0].Name = "other.example." },
			func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT },
			func(m *dns.Msg) { m.Question = nil },
			func(m *dns.Msg) { m.Response = false },
		} {
			lie := r.m.Copy()
			lie.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "host.example.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
				A: []byte{203, 0, 113, 66}}}
			spoil(lie)
			r.w.WriteMsg(lie)
		}
		r.w.Write([]byte("rubbish"))
		r.w.WriteMsg(r.m)
	})
	w.behave("stray.example.", func(r *reply) { // a record that nobody asked for
		r.m.Rcode = 0
		r.m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "host.example.", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: []byte{203, 0, 113, 66}}}
		r.w.WriteMsg(r.m)
	})
	c := newClient(t, w, newClock(), nil)
	for name, want := range map[string]string{"host.example": "[192.0.2.1]", "stray.example": "[]"} {
		a, err := c.find(context.Background(), question{name + ".", dns.TypeA})
		if err != nil || fmt.Sprint(a.addrs) != want {
			t.Errorf("%s: %v, %v; want %s", name, a.addrs, err, want)
		}
	}
}

func TestAFloodOfWrongAnswersEndsATry(t *testing.T) {
	w := newWorld(t, "")
	w.behave("host.example.", func(r *reply) {
		r.m.Id++
		for range maxStrangers + 10 {
			r.w.WriteMsg(r.m)
		}
	})
	c := newClient(t, w, newClock(), func(o *ClientOptions) { o.Tries = 1; o.Timeout = time.Minute })
	if _, err := c.TXT(context.Background(), "host.example"); !errors.Is(err, ErrUnanswered) {
		t.Errorf("%v", err)
	}
}

func TestServersThatDoNotAnswer(t *testing.T) {
	good := newWorld(t, "host.example. A 192.0.2.1\n")
	silent := newWorld(t, "")
	silent.behave("host.example.", func(*reply) {})
	sick := newWorld(t, "")
	sick.fail("host.example.", dns.RcodeServerFailure)
	old := newWorld(t, "host.example. A 192.0.2.1\n")
	old.behave("host.example.", func(r *reply) {
		if r.q.IsEdns0() != nil {
			r.m.Rcode, r.m.Answer = dns.RcodeFormatError, nil
		}
		r.w.WriteMsg(r.m)
	})
	fast := func(o *ClientOptions) { o.Timeout = 100 * time.Millisecond }
	q := question{"host.example.", dns.TypeA}
	for what, servers := range map[string][]string{"silent": {silent.addr}, "SERVFAIL": {sick.addr}} {
		c := newClient(t, good, newClock(), func(o *ClientOptions) { fast(o); o.Servers = servers })
		if _, err := c.find(context.Background(), q); !errors.Is(err, ErrUnanswered) || ended(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := silent.count("host.example.", "A", "udp"); n != 2 {
		t.Errorf("the silent server was asked %d times, want 2", n)
	}
	for what, servers := range map[string][]string{"silent, good": {silent.addr, good.addr}, "SERVFAIL, good": {sick.addr, good.addr}, "no EDNS": {old.addr}} {
		c := newClient(t, good, newClock(), func(o *ClientOptions) { fast(o); o.Servers = servers })
		if a, err := c.find(context.Background(), q); err != nil || len(a.addrs) != 1 {
			t.Errorf("%s: %v, %v", what, a.addrs, err)
		}
	}
}

func TestContextEndsAQuestion(t *testing.T) {
	w := newWorld(t, "")
	w.behave("host.example.", func(*reply) {})
	c := newClient(t, w, newClock(), func(o *ClientOptions) { o.Timeout = time.Hour })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := c.TXT(ctx, "host.example")
		done <- err
	}()
	eventually(t, "the query", func() bool { return w.count("host.example.", "TXT", "udp") > 0 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if c.cache.size() != 0 {
		t.Error("that somebody gave up was kept as an answer")
	}
}

func TestCacheKeepsAsLongAsItMay(t *testing.T) {
	w := newWorld(t, soa+`
short.example. 5 A 192.0.2.1
usual.example. 600 A 192.0.2.1
long.example. 900000 A 192.0.2.1
`)
	w.fail("sick.example.", dns.RcodeServerFailure)
	for name, keep := range map[string]time.Duration{"short": time.Minute, "usual": 10 * time.Minute, "long": 24 * time.Hour,
		"none": 2 * time.Minute, "sick": time.Minute} {
		clk := newClock()
		c := newClient(t, w, clk, func(o *ClientOptions) { o.Tries = 1 })
		q := question{name + ".example.", dns.TypeA}
		before := w.count(q.name, "A", "udp")
		for i, step := range []time.Duration{0, keep - time.Second, 2 * time.Second} {
			clk.move(step)
			c.find(context.Background(), q)
			if got, want := w.count(q.name, "A", "udp")-before, []int{1, 1, 2}[i]; got != want {
				t.Errorf("%s: asked %d times after step %d, want %d", name, got, i, want)
			}
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	clk := newClock()
	c := newCache(100, clk.Now)
	for i := range 5000 {
		c.get(context.Background(), question{fmt.Sprint(i), 1}, func() answer { return answer{ttl: time.Hour} })
	}
	if n := c.size(); n != 100 {
		t.Errorf("%d answers kept, want 100", n)
	}
	if len(c.flights) != 0 {
		t.Errorf("%d questions are still under way", len(c.flights))
	}
}

func TestManyAskOnce(t *testing.T) {
	w := newWorld(t, "host.example. TXT \"x\"\n")
	wait := make(chan struct{})
	w.hold("host.example.", wait)
	c := newClient(t, w, newClock(), nil)
	first, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { c.TXT(first, "host.example") })
	eventually(t, "the first query", func() bool { return w.count("host.example.", "TXT", "udp") == 1 })
	for range 50 {
		wg.Go(func() {
			if texts, err := c.TXT(context.Background(), "host.example"); err != nil || len(texts) != 1 {
				t.Errorf("%q, %v", texts, err)
			}
		})
	}
	cancel() // the one who asks gives up: another one takes over
	eventually(t, "the second query", func() bool { return w.count("host.example.", "TXT", "udp") == 2 })
	close(wait)
	wg.Wait()
	if n := w.count("host.example.", "TXT", "udp"); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	var zone strings.Builder
	for i := range 40 {
		fmt.Fprintf(&zone, "h%d.example. TXT x\n", i)
	}
	w := newWorld(t, zone.String())
	wait := make(chan struct{})
	for i := range 40 {
		w.hold(fmt.Sprintf("h%d.example.", i), wait)
	}
	c := newClient(t, w, newClock(), func(o *ClientOptions) { o.Concurrency = 4; o.Timeout = time.Minute })
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() { c.TXT(context.Background(), fmt.Sprintf("h%d.example", i)) })
	}
	eventually(t, "four queries", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.under == 4 })
	close(wait)
	wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.most != 4 {
		t.Errorf("%d queries were under way at once, want 4", w.most)
	}
	if len(w.ports) < 36 || len(w.ids) < 38 {
		t.Errorf("40 queries came from %d ports with %d ids", len(w.ports), len(w.ids))
	}
}

func TestServersAreChecked(t *testing.T) {
	clk := newClock()
	for _, bad := range [][]string{nil, {"127.0.0.1"}, {":53"}, {"127.0.0.1:0"}, {"127.0.0.1:dns"}, {"127.0.0.1:99999"}} {
		if _, err := NewClient(ClientOptions{Servers: bad, Now: clk.Now}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, err := NewClient(ClientOptions{Servers: []string{"127.0.0.1:53"}}); err == nil {
		t.Error("a client without a clock was made")
	}
	path := filepath.Join(t.TempDir(), "resolv.conf")
	text := "nameserver 127.0.0.53\nnameserver 2001:db8::53\nnameserver bogus\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadServers(path)
	if err != nil || !slices.Equal(got, []string{"127.0.0.53:53", "[2001:db8::53]:53", "192.0.2.1:53"}) {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("search example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Join(t.TempDir(), "none")} {
		if _, err := ReadServers(p); err == nil || !strings.Contains(err.Error(), "resolver =") {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// size returns how many answers are kept.
func (c *cache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.known)
}
