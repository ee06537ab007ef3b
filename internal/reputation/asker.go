package reputation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// The bounds of an Asker where its options name none.
const (
	DefaultWorkers  = 8                // suspects that are asked about at once
	DefaultQueue    = 1024             // suspects that wait
	DefaultKnown    = 20_000           // answers kept
	DefaultKeep     = time.Hour        // how long a complete answer holds
	DefaultPatience = 15 * time.Second // for all questions about one suspect
	keepIncomplete  = time.Minute      // how long an answer holds that lacks something
)

// Options says what an Asker asks and how much it takes on. What is zero takes its default.
type Options struct {
	Client   *Client          // asks the DNS; must be set
	Lists    []List           // the block lists, 16 at most; none is fine
	NoNames  bool             // names are not asked for
	Never    []netip.Prefix   // addresses that nobody is asked about; nil for NeverAsked(), empty for none
	Workers  int              // suspects that are asked about at once
	Queue    int              // suspects that wait; a full queue drops the next ones
	Known    int              // answers kept
	Keep     time.Duration    // how long a complete answer holds
	Patience time.Duration    // for all questions about one suspect
	Now      func() time.Time // the clock; must be set
	Deliver  func(Answer)     // takes each answer, called by the workers, several at once; it holds its worker up; may be nil
	Warn     func(string)     // takes a sentence for the administrator, made of our words, zones and addresses; may be nil
}

// Answer is what the DNS says of a suspect.
type Answer struct {
	Addr     netip.Addr
	Name     string    // the verified name, "" where there is none; lower case, no dot at its end
	Listed   []string  // the zones of the block lists that have it, in the order of Options.Lists; not to be changed
	Weight   int       // the weights of these lists added up
	At       time.Time // when it was put together
	Complete bool      // every question was answered; otherwise what is missing may still be so
}

// Stats counts what became of suspects since the start.
type Stats struct {
	Asked      int64 // taken into the queue
	Complete   int64 // answered
	Incomplete int64 // answered in part
	Dropped    int64 // turned away because the queue was full
	Never      int64 // turned away because nobody is asked about such an address
	Waiting    int   // in the queue now
	Known      int   // answers kept now
}

// Asker finds out about suspects in the background. Its methods may be called at once, and none but Run and Check waits
// for the DNS.
type Asker struct {
	o     Options
	lists []*watched
	queue chan netip.Addr

	mu      sync.RWMutex
	known   map[netip.Addr]Answer
	pending map[netip.Addr]struct{} // in the queue or being asked about: Queue plus Workers at most
	stats   Stats
}

// NeverAsked returns the addresses that nobody can send mail from over the internet: private, local, reserved and
// documentation ones. About these the DNS knows nothing, and whom a site has inside is nobody else's business.
func NeverAsked() []netip.Prefix {
	var list []netip.Prefix
	for _, p := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
		"::/3", "2001:db8::/32", "3fff::/20", "4000::/2", "8000::/1", // only 2000::/3 is routed
	} {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

// New makes an Asker. It asks nothing before Run.
func New(o Options) (*Asker, error) {
	if o.Client == nil || o.Now == nil {
		return nil, errors.New("an asker needs a DNS client and a clock: set Client and Now")
	}
	if len(o.Lists) > maxLists {
		return nil, fmt.Errorf("%d block lists are too many to ask about a suspect: keep the best %d", len(o.Lists), maxLists)
	}
	if o.Never == nil {
		o.Never = NeverAsked()
	}
	o.Workers, o.Queue, o.Known = orDefault(o.Workers, DefaultWorkers), orDefault(o.Queue, DefaultQueue), orDefault(o.Known, DefaultKnown)
	o.Keep, o.Patience = orDefault(o.Keep, DefaultKeep), orDefault(o.Patience, DefaultPatience)
	a := &Asker{o: o, queue: make(chan netip.Addr, o.Queue), known: map[netip.Addr]Answer{}, pending: map[netip.Addr]struct{}{}}
	for _, l := range o.Lists {
		l, err := l.check()
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(a.lists, func(w *watched) bool { return w.Zone == l.Zone }) {
			return nil, fmt.Errorf("block list %s is named twice: take one out", l.Zone)
		}
		a.lists = append(a.lists, &watched{List: l, warn: o.Warn})
	}
	return a, nil
}

// Run asks about the suspects in the queue until the context ends. It starts the workers, and returns when all of them
// have ended. Suspects that then still wait are not asked about.
func (a *Asker) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for range a.o.Workers {
		wg.Go(func() { a.work(ctx) })
	}
	wg.Wait()
}

func (a *Asker) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case addr := <-a.queue:
			ans := a.resolve(ctx, addr)
			if ctx.Err() != nil && !ans.Complete {
				a.forget(addr)
				return
			}
			a.keep(ans)
			if a.o.Deliver != nil {
				a.o.Deliver(ans)
			}
		}
	}
}

// Ask has the suspect asked about and returns at once. It reports false where that won't happen: nobody is asked about
// such an address, or the queue is full, or the answer is known already.
func (a *Asker) Ask(addr netip.Addr) bool {
	addr = plain(addr)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.never(addr) {
		a.stats.Never++
		return false
	}
	if _, ok := a.pending[addr]; ok {
		return true
	}
	if ans, ok := a.known[addr]; ok && a.fresh(&ans) {
		return false
	}
	select {
	case a.queue <- addr:
		a.pending[addr] = struct{}{}
		a.stats.Asked++
		return true
	default:
		a.stats.Dropped++
		return false
	}
}

// Lookup returns what is known of the address now. It reports false where nothing is known, or not any more.
func (a *Asker) Lookup(addr netip.Addr) (Answer, bool) {
	a.mu.RLock()
	ans, ok := a.known[plain(addr)]
	a.mu.RUnlock()
	if !ok || !a.fresh(&ans) {
		return Answer{}, false
	}
	return ans, true
}

// Stats returns what became of the suspects so far.
func (a *Asker) Stats() Stats {
	a.mu.RLock()
	defer a.mu.RUnlock()
	s := a.stats
	s.Waiting, s.Known = len(a.queue), len(a.known)
	return s
}

// Health returns the state of the block lists, in the order of Options.Lists.
func (a *Asker) Health() []Health {
	var list []Health
	for _, w := range a.lists {
		list = append(list, w.health())
	}
	return list
}

// Check tests the block lists whose test is due and returns their state: for a person who asks whether all is well. It
// waits for the DNS.
func (a *Asker) Check(ctx context.Context) []Health {
	var wg sync.WaitGroup
	for _, w := range a.lists {
		wg.Go(func() { _, _ = w.usable(ctx, a.o.Client, true, a.o.Now) })
	}
	wg.Wait()
	return a.Health()
}

func (a *Asker) never(addr netip.Addr) bool {
	return !addr.IsValid() || slices.ContainsFunc(a.o.Never, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func (a *Asker) fresh(ans *Answer) bool {
	keep := a.o.Keep
	if !ans.Complete {
		keep = min(keep, keepIncomplete)
	}
	return a.o.Now().Before(ans.At.Add(keep))
}

// resolve asks for the name and all lists at once: a name server that is slow on purpose must not keep the lists' answers
// away. It returns when all have answered or the patience with this suspect is at its end.
func (a *Asker) resolve(ctx context.Context, addr netip.Addr) Answer {
	ctx, cancel := context.WithTimeout(ctx, a.o.Patience)
	defer cancel()
	hits, done := make([]bool, len(a.lists)), make([]bool, len(a.lists)+1)
	var name string
	var wg sync.WaitGroup
	for i, w := range a.lists {
		wg.Go(func() { hits[i], done[i] = w.look(ctx, a.o.Client, addr, a.o.Now) })
	}
	if a.o.NoNames {
		done[len(a.lists)] = true
	} else {
		var err error
		name, err = a.o.Client.VerifiedName(ctx, addr)
		done[len(a.lists)] = err == nil
	}
	wg.Wait()
	ans := Answer{Addr: addr, Name: name, At: a.o.Now(), Complete: !slices.Contains(done, false)}
	for i, w := range a.lists {
		if hits[i] {
			ans.Listed = append(ans.Listed, w.Zone)
			ans.Weight += w.Weight
		}
	}
	return ans
}

// keep stores the answer. At the bound, one of a few taken at random goes: the oldest.
func (a *Asker) keep(ans Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pending, ans.Addr)
	if ans.Complete {
		a.stats.Complete++
	} else {
		a.stats.Incomplete++
	}
	if _, ok := a.known[ans.Addr]; !ok && len(a.known) >= a.o.Known {
		var oldest netip.Addr
		var at time.Time
		seen := 0
		for addr, k := range a.known {
			if seen == 0 || k.At.Before(at) {
				oldest, at = addr, k.At
			}
			if seen++; seen == evictionSample {
				break
			}
		}
		delete(a.known, oldest)
	}
	a.known[ans.Addr] = ans
}

func (a *Asker) forget(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pending, addr)
}
