package reputation

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// running starts the asker and ends it with the test; it collects what is delivered.
type running struct {
	*Asker
	mu   sync.Mutex
	got  map[netip.Addr]Answer
	stop func()
}

func run(t *testing.T, c *Client, clk *clock, change func(*Options)) *running {
	t.Helper()
	r := &running{got: map[netip.Addr]Answer{}}
	r.Asker = newAsker(t, c, clk, func(o *Options) {
		o.NoNames = false
		o.Deliver = func(a Answer) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.got[a.Addr] = a
		}
		if change != nil {
			change(o)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(r.stop)
	return r
}

func (r *running) delivered() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

func TestAskerAnswersInTheBackground(t *testing.T) {
	clk := newClock()
	w := newWorld(t, soa+bl("one.example")+bl("two.example")+entry("192.0.2.1", "one.example", "127.0.0.2")+
		entry("192.0.2.1", "two.example", "127.0.0.2")+ptr("192.0.2.1", "mail.example.")+"mail.example. A 192.0.2.1\n")
	r := run(t, newClient(t, w, clk, nil), clk, func(o *Options) { o.Lists = []List{{Zone: "one.example", Weight: 2}, {Zone: "two.example"}} })
	if _, ok := r.Lookup(addr("192.0.2.1")); ok {
		t.Error("known before it was asked about")
	}
	if !r.Ask(addr("::ffff:192.0.2.1")) {
		t.Error("not taken")
	}
	r.Ask(addr("192.0.2.2"))
	eventually(t, "both answers", func() bool { return r.delivered() == 2 })
	ans, ok := r.Lookup(addr("192.0.2.1"))
	want := fmt.Sprint(Answer{addr("192.0.2.1"), "mail.example", []string{"one.example", "two.example"}, 3, clk.Now(), true})
	if !ok || fmt.Sprint(ans) != want {
		t.Errorf("%v, want %s", ans, want)
	}
	if ans, ok := r.Lookup(addr("192.0.2.2")); !ok || ans.Name != "" || ans.Listed != nil || !ans.Complete {
		t.Errorf("%+v, %v", ans, ok)
	}
	if r.Ask(addr("192.0.2.1")) {
		t.Error("asked about again while the answer holds")
	}
	clk.move(DefaultKeep)
	if _, ok := r.Lookup(addr("192.0.2.1")); ok {
		t.Error("an old answer is given out")
	}
	if !r.Ask(addr("192.0.2.1")) {
		t.Error("not asked about again")
	}
	eventually(t, "the third answer", func() bool { return r.Stats().Complete == 3 })
}

func TestNeverAsked(t *testing.T) {
	clk := newClock()
	w := newWorld(t, "")
	a := newAsker(t, newClient(t, w, clk, nil), clk, func(o *Options) { o.Never = nil })
	for _, s := range []string{"10.1.2.3", "127.0.0.2", "192.168.1.1", "172.20.0.1", "169.254.1.1", "100.100.0.1", "192.0.2.1", "198.51.100.9", "203.0.113.5",
		"240.0.0.1", "255.255.255.255", "0.0.0.0", "::", "::1", "fe80::1%eth0", "fd00::1", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1", "64:ff9b::1"} {
		if a.Ask(addr(s)) {
			t.Errorf("%s would be asked about", s)
		}
	}
	if a.Ask(netip.Addr{}) {
		t.Error("no address would be asked about")
	}
	for _, s := range []string{"11.0.0.1", "172.15.0.1", "172.32.0.1", "192.0.3.1", "223.255.255.255", "2001:db7::1", "2a00::1"} {
		if !a.Ask(addr(s)) {
			t.Errorf("%s would not be asked about", s)
		}
	}
	if s := a.Stats(); s.Never != 21 || s.Asked != 7 || s.Waiting != 7 {
		t.Errorf("%+v", s)
	}
}

func TestQueueAndAnswersAreBounded(t *testing.T) {
	clk := newClock()
	w := newWorld(t, soa)
	a := newAsker(t, newClient(t, w, clk, nil), clk, func(o *Options) { o.Queue = 10; o.Known = 20 })
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{240, 0, byte(i >> 8), byte(i)}) }
	for i := range 1000 {
		a.Ask(at(i))
		a.Ask(at(i))
	}
	if s := a.Stats(); s.Asked != 10 || s.Dropped != 2*990 || s.Waiting != 10 || len(a.pending) != 10 {
		t.Errorf("%+v, %d pending", s, len(a.pending))
	}
	for i := range 1000 {
		a.keep(Answer{Addr: at(i), At: clk.Now(), Complete: true})
	}
	if s := a.Stats(); s.Known != 20 || len(a.pending) != 0 {
		t.Errorf("%+v, %d pending", s, len(a.pending))
	}
}

func TestAnIncompleteAnswerHoldsAMinute(t *testing.T) {
	clk := newClock()
	w := newWorld(t, soa+ptr("192.0.2.1", "mail.example.")+"mail.example. A 192.0.2.1\n")
	w.fail(arpa(addr("192.0.2.1")), 2)
	r := run(t, newClient(t, w, clk, func(o *ClientOptions) { o.Tries = 1 }), clk, nil)
	r.Ask(addr("192.0.2.1"))
	eventually(t, "an answer", func() bool { return r.delivered() == 1 })
	if ans, ok := r.Lookup(addr("192.0.2.1")); !ok || ans.Complete || ans.Name != "" {
		t.Errorf("%+v, %v", ans, ok)
	}
	w.mu.Lock()
	delete(w.rcode, arpa(addr("192.0.2.1")))
	w.mu.Unlock()
	clk.move(61 * time.Second)
	if !r.Ask(addr("192.0.2.1")) {
		t.Error("not asked about again")
	}
	eventually(t, "a complete answer", func() bool { ans, _ := r.Lookup(addr("192.0.2.1")); return ans.Name == "mail.example" })
}

// A name server that never answers must not keep away what the lists say, nor hold up the suspects behind it for long.
func TestSlowNameServersAreGivenUp(t *testing.T) {
	clk := newClock()
	zone := soa + bl("bl.example")
	for i := range 20 {
		zone += entry(fmt.Sprintf("192.0.2.%d", i), "bl.example", "127.0.0.2")
	}
	w := newWorld(t, zone)
	for i := range 20 {
		w.behave(arpa(addr(fmt.Sprintf("192.0.2.%d", i))), func(*reply) {})
	}
	r := run(t, newClient(t, w, clk, func(o *ClientOptions) { o.Timeout = time.Hour }), clk, func(o *Options) {
		o.Lists = []List{{Zone: "bl.example"}}
		o.Patience = 50 * time.Millisecond
	})
	for i := range 20 {
		r.Ask(addr(fmt.Sprintf("192.0.2.%d", i)))
	}
	eventually(t, "20 answers", func() bool { return r.delivered() == 20 })
	for a, ans := range r.got {
		if len(ans.Listed) != 1 || ans.Complete {
			t.Errorf("%s: %+v", a, ans)
		}
	}
}

func TestRunEndsAllItStarted(t *testing.T) {
	clk := newClock()
	w := newWorld(t, "")
	wait := make(chan struct{})
	defer close(wait)
	for i := range 30 {
		w.hold(arpa(addr(fmt.Sprintf("192.0.2.%d", i))), wait)
	}
	before := runtime.NumGoroutine()
	r := run(t, newClient(t, w, clk, func(o *ClientOptions) { o.Timeout = time.Hour }), clk, func(o *Options) { o.Lists = []List{{Zone: "bl.example"}} })
	for i := range 30 {
		r.Ask(addr(fmt.Sprintf("192.0.2.%d", i)))
	}
	eventually(t, "queries under way", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.under > 4 })
	r.stop()
	w.mu.Lock()
	under := w.under // the server's own goroutines, which still wait
	w.mu.Unlock()
	eventually(t, "all goroutines to end", func() bool { return runtime.NumGoroutine() <= before+under })
	if n := r.delivered(); n != 0 {
		t.Errorf("%d answers were delivered that nobody gave", n)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	clk := newClock()
	w := newWorld(t, "")
	c := newClient(t, w, clk, nil)
	for what, o := range map[string]Options{
		"no client": {Now: clk.Now}, "no clock": {Client: c},
		"bad zone":  {Client: c, Now: clk.Now, Lists: []List{{Zone: "bl\n.example"}}},
		"long zone": {Client: c, Now: clk.Now, Lists: []List{{Zone: strings.Repeat("a.", 100) + "example"}}},
		"twice":     {Client: c, Now: clk.Now, Lists: []List{{Zone: "bl.example"}, {Zone: "BL.example."}}},
		"weight":    {Client: c, Now: clk.Now, Lists: []List{{Zone: "bl.example", Weight: -1}}},
		"code":      {Client: c, Now: clk.Now, Lists: []List{{Zone: "bl.example", Accept: []Codes{{}}}}},
		"too many":  {Client: c, Now: clk.Now, Lists: make([]List, 17)},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

func TestAskAndLookupAtOnce(t *testing.T) {
	clk := newClock()
	w := newWorld(t, soa+bl("bl.example"))
	r := run(t, newClient(t, w, clk, nil), clk, func(o *Options) { o.Lists = []List{{Zone: "bl.example"}}; o.Known = 16 })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				a := netip.AddrFrom4([4]byte{240, byte(g), 0, byte(i)})
				r.Ask(a)
				r.Lookup(a)
				r.Stats()
				r.Health()
			}
		})
	}
	wg.Wait()
	eventually(t, "an empty queue", func() bool { s := r.Stats(); return s.Complete+s.Incomplete == s.Asked })
}
