package reputation

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// How long the outcome of a list's test holds.
const (
	retestGood    = 24 * time.Hour
	retestBad     = time.Hour       // a list that is switched off
	retestUnknown = 5 * time.Minute // a list that did not answer the test
)

// Health is the state of a block list, for a person.
type Health struct {
	Zone   string
	On     bool      // it passed its test and is asked
	Why    string    // why it is not asked, "" where it is; holds zones, codes and addresses only
	Tested time.Time // when it was tested last; the zero time for never
}

// state is what a test found.
type state uint8

const (
	untested state = iota
	good
	bad
	unknown // the test's questions were not answered
)

// watched is a list with what is known of its state. A list is tested on its IPv4 side and on its IPv6 side apart: most
// have no IPv6 side, which is no fault.
type watched struct {
	List
	warn func(string)

	mu   sync.Mutex
	v4   side
	v6   side
	told string // what the last warning said is wrong; "" once the list has worked again
}

// side is the list's state for one kind of address.
type side struct {
	state  state
	why    string
	tested time.Time
	until  time.Time     // when the next test is due
	done   chan struct{} // not nil while a test is under way; closed at its end
}

// usable reports whether the list is to be asked about an address, and why it is not known if that is so. It tests the
// list where a test is due; when several ask at once one tests and the others wait.
func (w *watched) usable(ctx context.Context, c *Client, v4 bool, now func() time.Time) (bool, error) {
	s := &w.v6
	if v4 {
		s = &w.v4
	}
	for {
		w.mu.Lock()
		if s.state != untested && now().Before(s.until) {
			on, err := s.state == good, error(nil)
			if s.state == unknown {
				err = fmt.Errorf("test block list %s: %w", w.Zone, ErrUnanswered)
			}
			w.mu.Unlock()
			return on, err
		}
		if done := s.done; done != nil {
			w.mu.Unlock()
			select {
			case <-done:
				continue
			case <-ctx.Done():
				return false, ctx.Err()
			}
		}
		s.done = make(chan struct{})
		w.mu.Unlock()
		if err := w.test(ctx, c, s, v4, now()); err != nil {
			return false, err
		}
	}
}

// test asks for the two addresses of RFC 5782 section 5 and keeps the outcome. The error is that of an ended context.
func (w *watched) test(ctx context.Context, c *Client, s *side, v4 bool, now time.Time) error {
	st, why := w.tryOut(ctx, c, v4)
	w.mu.Lock()
	close(s.done)
	s.done = nil
	if err := ctx.Err(); err != nil && st == unknown {
		w.mu.Unlock()
		return err
	}
	s.state, s.why, s.tested = st, why, now
	s.until = now.Add(map[state]time.Duration{good: retestGood, bad: retestBad, unknown: retestUnknown}[st])
	if st == good && v4 {
		w.told = ""
	}
	w.mu.Unlock()
	if st != good && v4 {
		w.complain(why)
	}
	return nil
}

// tryOut runs the test, and not on answers that were kept: a list may have come back to life since.
func (w *watched) tryOut(ctx context.Context, c *Client, v4 bool) (state, string) {
	must, mustNot := listed6, notList6
	if v4 {
		must, mustNot = listed, notListed
	}
	c.cache.forget(w.question(must))
	c.cache.forget(w.question(mustNot))
	v, err := w.query(ctx, c, mustNot)
	if err != nil {
		return unknown, "the DNS did not answer its test"
	}
	if v.fault != "" {
		return bad, v.fault
	}
	if v.entry {
		return bad, fmt.Sprintf("it has %s, which no block list has (RFC 5782 section 5): it answers everything", mustNot)
	}
	v, err = w.query(ctx, c, must)
	switch {
	case err != nil:
		return unknown, "the DNS did not answer its test"
	case v.fault != "":
		return bad, v.fault
	case !v.entry && !v4:
		return bad, "it has no IPv6 addresses"
	case !v.entry:
		return bad, fmt.Sprintf("it does not have %s, which every block list has (RFC 5782 section 5): "+
			"it is dead, or it does not answer this resolver", must)
	}
	return good, ""
}

// fail switches the list off after an answer that no working list gives.
func (w *watched) fail(why string, v4 bool, now time.Time) {
	w.mu.Lock()
	s := &w.v6
	if v4 {
		s = &w.v4
	}
	s.state, s.why, s.tested, s.until = bad, why, now, now.Add(retestBad)
	w.mu.Unlock()
	w.complain(why)
}

// complain warns, of one thing once, until the list has worked again.
func (w *watched) complain(why string) {
	w.mu.Lock()
	told := w.told == why
	w.told = why
	w.mu.Unlock()
	if !told && w.warn != nil {
		w.warn(fmt.Sprintf("block list %s is switched off: %s. It is tested again within the hour; "+
			"if it stays so, take it out of the configuration.", w.Zone, why))
	}
}

// look asks the list about a suspect. done is false where nothing is known.
func (w *watched) look(ctx context.Context, c *Client, addr netip.Addr, now func() time.Time) (hit, done bool) {
	for _, p := range w.Except {
		if p.Contains(addr) {
			return false, true
		}
	}
	on, err := w.usable(ctx, c, addr.Is4(), now)
	if err != nil || !on {
		return false, err == nil
	}
	v, err := w.query(ctx, c, addr)
	if err != nil {
		return false, false
	}
	if v.fault != "" {
		w.fail(v.fault, addr.Is4(), now())
		return false, false
	}
	return v.hit, true
}

// health returns the list's state on its IPv4 side.
func (w *watched) health() Health {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := Health{Zone: w.Zone, On: w.v4.state == good, Why: w.v4.why, Tested: w.v4.tested}
	if w.v4.state == untested {
		h.Why = "it was not tested yet"
	}
	return h
}
