package firewall_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/firewall/fwtest"
)

// desk is a reconciler at work on a Memory, inside a synctest bubble.
type desk struct {
	t    *testing.T
	m    *fwtest.Memory
	r    *firewall.Reconciler
	stop func()

	mu   sync.Mutex
	want []harvestwatch.Block
	err  error
}

// at runs f beside a running reconciler, in a bubble where time passes when everybody sleeps.
func at(t *testing.T, m func() *fwtest.Memory, o firewall.Options, f func(*desk)) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{t: t, m: m()}
		o.Now = time.Now
		d.r = firewall.New(d.m, d.wanted, o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		d.stop = sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
		})
		defer d.stop()
		go func() { done <- d.r.Run(ctx) }()
		synctest.Wait()
		f(d)
	})
}

func memory() *fwtest.Memory { return fwtest.NewMemory(time.Now, 0) }

func (d *desk) wanted(context.Context) ([]harvestwatch.Block, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.want, d.err
}

// set changes what is wanted: prefixes and how long from now.
func (d *desk) set(left time.Duration, ps ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = nil
	for _, p := range ps {
		d.want = append(d.want, harvestwatch.Block{ID: p, Prefix: netip.MustParsePrefix(p), Until: time.Now().Add(left)})
	}
}

// has fails the test unless exactly these prefixes are in effect once everybody is idle.
func (d *desk) has(ps ...string) {
	d.t.Helper()
	synctest.Wait()
	es, _, err := d.m.List(context.WithoutCancel(d.t.Context()))
	if err != nil {
		d.t.Fatal(err)
	}
	ok := len(es) == len(ps)
	for i := range es {
		ok = ok && es[i].Prefix.String() == ps[i]
	}
	if !ok {
		d.t.Errorf("in effect are %v, want %v", es, ps)
	}
}

func TestReconcilesAtStartPokeAndMinute(t *testing.T) {
	at(t, memory, firewall.Options{}, func(d *desk) {
		d.has()
		d.set(time.Hour, "192.0.2.1/32")
		d.has()
		d.r.Poke()
		d.has("192.0.2.1/32")
		d.set(time.Hour, "192.0.2.2/32")
		time.Sleep(59 * time.Second)
		d.has("192.0.2.1/32")
		time.Sleep(2 * time.Second)
		d.has("192.0.2.2/32")
		if s := d.r.Status(); !s.InStep || s.Entries != 1 || s.Passes != 3 || s.Name != "memory" || s.LastError != nil || time.Since(s.LastSuccess) > 2*time.Second {
			t.Errorf("status %+v", s)
		}
		d.stop()
		d.has("192.0.2.2/32") // the end of Run takes nothing back
	})
}

func TestPokesCoalesceAndNeverBlock(t *testing.T) {
	at(t, memory, firewall.Options{}, func(d *desk) {
		before := d.r.Status().Passes
		for range 1000 {
			d.r.Poke()
		}
		synctest.Wait()
		if n := d.r.Status().Passes - before; n < 1 || n > 1000 {
			t.Errorf("%d passes", n)
		}
		d.stop()
		for range 1000 { // nobody listens any more
			d.r.Poke()
		}
	})
}

func TestCheapCheckUnlessChanged(t *testing.T) {
	at(t, memory, firewall.Options{}, func(d *desk) {
		d.set(24*time.Hour, "192.0.2.1/32")
		for range 5 {
			d.r.Poke()
			synctest.Wait()
		}
		if lists, checks := d.m.Calls("list"), d.m.Calls("changed"); lists != 1 || checks != 5 {
			t.Errorf("%d lists and %d cheap checks, want 1 and 5", lists, checks)
		}
		if n := d.m.Calls("apply"); n != 1 {
			t.Errorf("applied %d times, want once", n)
		}
		time.Sleep(21*time.Minute + time.Second)
		synctest.Wait()
		if lists := d.m.Calls("list"); lists != 3 {
			t.Errorf("%d lists after 21 minutes, want 3", lists)
		}
	})
}

func TestAlarmHealsAtOnce(t *testing.T) {
	at(t, memory, firewall.Options{}, func(d *desk) {
		d.set(time.Hour, "192.0.2.1/32")
		d.r.Poke()
		d.has("192.0.2.1/32")
		flush := func(es map[netip.Prefix]time.Time) {
			clear(es)
			es[netip.MustParsePrefix("203.0.113.9/32")] = time.Now().Add(time.Hour)
		}
		d.m.Foreign(flush)
		d.has("192.0.2.1/32")
		passes := d.r.Status().Passes
		for range 20 { // somebody who doesn't give in
			d.m.Foreign(flush)
			time.Sleep(5 * time.Millisecond)
		}
		if n := d.r.Status().Passes - passes; n > 4 {
			t.Errorf("%d passes in a tenth of a second of alarms", n)
		}
		time.Sleep(60 * time.Millisecond)
		d.has("192.0.2.1/32")
	})
}

func TestErrorsBackOff(t *testing.T) {
	at(t, memory, firewall.Options{}, func(d *desk) {
		d.set(time.Hour, "192.0.2.1/32")
		boom := errors.New("boom")
		d.m.FailWith(func(string) error { return boom })
		d.r.Poke()
		synctest.Wait()
		s := d.r.Status()
		if s.InStep || !errors.Is(s.LastError, boom) || s.LastErrorAt.IsZero() {
			t.Errorf("status %+v", s)
		}
		before := s.Passes
		time.Sleep(time.Minute)
		n := d.r.Status().Passes - before
		if n < 6 || n > 15 {
			t.Errorf("%d attempts in the first minute", n)
		}
		before += n
		for range 100 { // pokes don't shorten the pauses
			d.r.Poke()
			time.Sleep(6 * time.Second)
		}
		if n := d.r.Status().Passes - before; n < 9 || n > 21 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		d.m.FailWith(nil)
		time.Sleep(61 * time.Second)
		d.has("192.0.2.1/32")
		if s := d.r.Status(); !s.InStep || !errors.Is(s.LastError, boom) || !s.LastSuccess.After(s.LastErrorAt) {
			t.Errorf("status %+v", s)
		}
		d.set(time.Hour, "192.0.2.2/32")
		d.r.Poke() // and pokes count again
		d.has("192.0.2.2/32")
	})
}

func TestAlarmEndsAPause(t *testing.T) {
	at(t, memory, firewall.Options{}, func(d *desk) {
		d.m.FailWith(func(string) error { return errors.New("session lost") })
		d.r.Poke()
		time.Sleep(10 * time.Minute)
		d.set(time.Hour, "192.0.2.1/32")
		d.m.FailWith(nil)
		d.m.Foreign(func(map[netip.Prefix]time.Time) {})
		d.has("192.0.2.1/32")
	})
}

func TestUnreadableDatabaseTouchesNothing(t *testing.T) {
	at(t, memory, firewall.Options{}, func(d *desk) {
		d.set(time.Hour, "192.0.2.1/32")
		d.r.Poke()
		d.has("192.0.2.1/32")
		d.mu.Lock()
		d.want, d.err = nil, errors.New("database is locked")
		d.mu.Unlock()
		d.r.Poke()
		time.Sleep(time.Second)
		d.has("192.0.2.1/32")
		if s := d.r.Status(); s.InStep {
			t.Errorf("status %+v", s)
		}
	})
}

func TestPartialFailureIsTriedAgain(t *testing.T) {
	at(t, func() *fwtest.Memory { return fwtest.NewMemory(time.Now, 2) }, firewall.Options{}, func(d *desk) {
		d.m.Foreign(func(es map[netip.Prefix]time.Time) {
			es[netip.MustParsePrefix("203.0.113.9/32")] = time.Now().Add(time.Hour)
		})
		d.has() // it was nobody's wish
		full := errors.New("full for now")
		d.m.FailWith(func(op string) error {
			if op == "apply" {
				return &firewall.ApplyError{Failed: []firewall.Failure{{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Err: full}}}
			}
			return nil
		})
		d.set(time.Hour, "192.0.2.1/32")
		d.r.Poke()
		synctest.Wait()
		if s := d.r.Status(); s.InStep || s.Failed != 1 || !errors.Is(s.LastError, full) {
			t.Errorf("status %+v", s)
		}
		d.m.FailWith(nil)
		time.Sleep(time.Second)
		d.has("192.0.2.1/32")
		if s := d.r.Status(); !s.InStep || s.Failed != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestRefusalsAreToldOnce(t *testing.T) {
	told := 0
	o := firewall.Options{Never: office, Refused: func(f firewall.Refusal) { told++ }}
	at(t, memory, o, func(d *desk) {
		d.set(24*time.Hour, "192.0.2.1/32", "198.51.100.200/32", "203.0.113.0/28")
		d.r.Poke()
		time.Sleep(10 * time.Minute)
		d.has("192.0.2.1/32")
		if s := d.r.Status(); !s.InStep || s.RefusedAll != 2 || len(s.Refused) != 2 || told != 2 {
			t.Errorf("told %d times, status %+v", told, s)
		}
		d.set(24*time.Hour, "192.0.2.1/32")
		time.Sleep(2 * time.Minute)
		d.set(24*time.Hour, "192.0.2.1/32", "198.51.100.200/32")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if told != 3 {
			t.Errorf("told %d times, want 3: it was no longer wanted in between", told)
		}
	})
}

func TestEndsByHandWhereTheDeviceHasNoTimeouts(t *testing.T) {
	at(t, func() *fwtest.Memory { return memory().Manual() }, firewall.Options{}, func(d *desk) {
		d.set(10*time.Second, "192.0.2.1/32")
		d.r.Poke()
		time.Sleep(9900 * time.Millisecond)
		d.has("192.0.2.1/32")
		time.Sleep(200 * time.Millisecond)
		d.has()
	})
}

func TestSecondRunIsRefused(t *testing.T) {
	at(t, memory, firewall.Options{}, func(d *desk) {
		if err := d.r.Run(t.Context()); !errors.Is(err, firewall.ErrRunning) {
			t.Errorf("a second Run: %v", err)
		}
	})
}
