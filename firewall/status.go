package firewall

import (
	"sync"
	"time"
)

// maxShown bounds the refusals that a Status carries.
const maxShown = 100

// Status is how a reconciler stands.
type Status struct {
	Name        string    // the enforcer's
	InStep      bool      // the last pass left the device as wanted, refusals aside
	LastSuccess time.Time // the end of the last pass without an error; zero for never
	LastError   error     // of the last pass that had one; nil for never. It stays after a success: compare the times
	LastErrorAt time.Time // when that was
	Next        time.Time // the next pass if nothing happens before
	Entries     int       // in effect, as far as known
	Failed      int       // entries that the last Apply could not put into effect
	Passes      int       // since the start, with and without errors
	Refused     []Refusal // what the guard refused in the last pass, the first hundred
	RefusedAll  int       // how many there were
}

// board holds the status that everybody may read.
type board struct {
	mu  sync.Mutex
	now Status
}

// entries notes what a pass found and did.
func (b *board) entries(have []Entry, refused []Refusal, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now.Entries = len(have)
	b.now.Failed = failures(err)
	b.now.RefusedAll = len(refused)
	b.now.Refused = append([]Refusal(nil), refused[:min(len(refused), maxShown)]...)
}

// done notes how a pass ended.
func (b *board) done(at time.Time, err error, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now.Passes++
	b.now.InStep = err == nil
	b.now.Next = at.Add(wait)
	if err != nil {
		b.now.LastError, b.now.LastErrorAt = err, at
		return
	}
	b.now.LastSuccess = at
}

// Status returns how things stand. It is safe for concurrent use and never waits for a pass that is under way.
func (r *Reconciler) Status() Status {
	r.board.mu.Lock()
	defer r.board.mu.Unlock()
	s := r.board.now
	s.Refused = append([]Refusal(nil), s.Refused...)
	return s
}
