package reputation

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// question is what the cache knows an answer by: a name in lower case with its last dot, and a record type.
type question struct {
	name string
	kind uint16
}

// answer is what the DNS said to a question, in the form that its type asks for. No records means that there are none.
type answer struct {
	addrs []netip.Addr
	texts []string
	ttl   time.Duration // already within the cache's bounds
	err   error         // why nothing is known
}

// size estimates how many bytes the answer holds.
func (a *answer) size() int {
	n := 32 * len(a.addrs)
	for _, t := range a.texts {
		n += len(t) + 16
	}
	return n
}

type cached struct {
	answer answer
	until  time.Time
}

// flight is a question that somebody is asking right now.
type flight struct {
	done   chan struct{} // closed when answer is set
	answer answer
}

// cache keeps answers until they expire, and lets one caller ask what several want to know. At its bound, a new answer
// pushes out one that has expired or, among a few taken at random, the one that would expire first.
type cache struct {
	limit int
	now   func() time.Time

	mu      sync.Mutex
	known   map[question]cached
	flights map[question]*flight
}

// maxCached is the size in bytes of the largest answer that is kept: with the bound on their number it bounds the memory.
const maxCached = 4 << 10

// evictionSample is how many answers are looked at to find one to push out.
const evictionSample = 8

func newCache(limit int, now func() time.Time) *cache {
	return &cache{limit: limit, now: now, known: map[question]cached{}, flights: map[question]*flight{}}
}

// get returns the known answer, or has ask find it. Several callers with one question ask once; when the one that asks
// gives up because of its own context, the next one takes over.
func (c *cache) get(ctx context.Context, q question, ask func() answer) answer {
	for {
		c.mu.Lock()
		if k, ok := c.known[q]; ok && c.now().Before(k.until) {
			c.mu.Unlock()
			return k.answer
		}
		f, under := c.flights[q]
		if !under {
			f = &flight{done: make(chan struct{})}
			c.flights[q] = f
			c.mu.Unlock()
			return c.fly(ctx, q, f, ask)
		}
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return answer{err: ctx.Err()}
		case <-f.done:
		}
		if !ended(f.answer.err) {
			return f.answer
		}
	}
}

// fly asks, keeps what may be kept and tells those who wait.
func (c *cache) fly(ctx context.Context, q question, f *flight, ask func() answer) answer {
	f.answer = answer{err: context.Canceled} // what those who wait see if ask panics
	defer func() {
		c.mu.Lock()
		delete(c.flights, q)
		c.mu.Unlock()
		close(f.done)
	}()
	a := ask()
	if ctx.Err() != nil && a.err != nil {
		a.err = ctx.Err()
	}
	f.answer = a
	if !ended(a.err) && a.ttl > 0 && a.size() <= maxCached {
		c.keep(q, a)
	}
	return a
}

// ended tells whether an error says that a caller gave up, which means nothing to other callers.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// forget drops what is known, so that it is asked for anew.
func (c *cache) forget(q question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, q)
}

func (c *cache) keep(q question, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if _, ok := c.known[q]; !ok && len(c.known) >= c.limit {
		c.evict(now)
	}
	c.known[q] = cached{a, now.Add(a.ttl)}
}

// evict makes room for one answer. The order in which a map is walked is random enough to take a sample.
func (c *cache) evict(now time.Time) {
	var worst question
	var soonest time.Time
	seen := 0
	for q, k := range c.known {
		if seen == 0 || k.until.Before(soonest) {
			worst, soonest = q, k.until
		}
		if seen++; seen == evictionSample || !now.Before(k.until) {
			break
		}
	}
	delete(c.known, worst)
}
