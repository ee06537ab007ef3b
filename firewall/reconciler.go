package firewall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// Options are a Reconciler's settings. Now is required.
type Options struct {
	// Every is the time between two looks at the device when nothing happens; 0 means one minute. A look
	// is the enforcer's cheap check; once in ten times Every, and after each sign of change, everything is read back.
	Every time.Duration
	// Retry is the pause after a first error; it doubles with each further one, up to Every. 0 means half a second.
	// Each pause is shortened at random by up to a half, so that several reconcilers don't knock in step.
	Retry time.Duration
	// Now is the clock, time.Now in the daemon.
	Now func() time.Time
	// Never names the never-list's entry that a prefix overlaps; see Guard.
	Never func(netip.Prefix) (name string, ok bool)
	// Max bounds the prefixes in effect; see Guard.
	Max int
	// Log receives what was changed, what failed and what was refused; nil for silence.
	Log *slog.Logger
	// Refused is called from Run's goroutine for each block that the guard refuses, once until it passes or is no
	// longer wanted; nil for nobody.
	Refused func(Refusal)
}

// Times that need no option. An alarm is answered at once, but the next one not before pace is over, so that two
// programs that undo each other's work don't do it with all their might.
const (
	defaultEvery = time.Minute
	defaultRetry = 500 * time.Millisecond
	pace         = 50 * time.Millisecond
	fullEvery    = 10
)

// Reconciler keeps an enforcer in step with what is wanted: it compares at its start, when poked, every minute and
// when the enforcer raises an alarm, and applies the difference. Poke and Status may be called from any goroutine.
type Reconciler struct {
	enf   Enforcer
	want  func(context.Context) ([]harvestwatch.Block, error)
	opt   Options
	guard Guard
	poke  chan struct{}
	busy  atomic.Bool
	board board

	// What follows belongs to Run.
	have    []Entry   // what is in effect, as far as known
	token   Token     // of the List that have comes from
	known   bool      // have and token hold
	read    time.Time // when everything was last read back
	fails   int       // errors in a row
	refused map[string]bool
}

// New returns a Reconciler for the enforcer, which stays the caller's to close after Run has returned. The function
// want returns the blocks that are to be in effect, from the database; it is called from Run's goroutine only, and
// its result is not kept.
func New(e Enforcer, want func(context.Context) ([]harvestwatch.Block, error), o Options) *Reconciler {
	if o.Every <= 0 {
		o.Every = defaultEvery
	}
	if o.Retry <= 0 {
		o.Retry = min(defaultRetry, o.Every)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Reconciler{enf: e, want: want, opt: o, poke: make(chan struct{}, 1), refused: map[string]bool{}}
	r.guard = Guard{Never: o.Never, Caps: e.Caps(), Max: o.Max}
	r.board.now.Name = e.Name()
	return r
}

// Poke says that what is wanted may have changed. It never blocks; pokes that come while one is waiting are one.
func (r *Reconciler) Poke() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// Run reconciles until the context is done, then returns nil; it doesn't take the blocks back. After an error it
// tries again, with growing pauses that pokes don't shorten, but an alarm does. It starts no goroutine but the one
// that the enforcer's Watch owns. A second Run beside the first returns ErrRunning.
func (r *Reconciler) Run(ctx context.Context) error {
	if !r.busy.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer r.busy.Store(false)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l := loop{r: r}
	if w, ok := r.enf.(Watcher); ok {
		l.alarms = w.Watch(ctx)
	}
	r.known = false
	l.pass(ctx)
	for l.next(ctx) {
		l.pass(ctx)
	}
	return nil
}

// loop is the state of one Run: which channels wake it.
type loop struct {
	r      *Reconciler
	alarms <-chan struct{} // nil when the enforcer doesn't watch
	timer  *time.Timer     // the next pass that nothing asks for
	calm   *time.Timer     // runs while alarms must wait
	after  bool            // the last pass failed: pokes wait for the timer
}

// next waits until there is a reason for a pass; false means that the context is done.
func (l *loop) next(ctx context.Context) bool {
	defer l.timer.Stop()
	pokes, alarms := l.r.poke, l.alarms
	var calm <-chan time.Time
	if l.after {
		pokes = nil
	}
	if l.calm != nil {
		alarms, calm = nil, l.calm.C
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-pokes:
			return true
		case <-l.timer.C:
			return true
		case <-calm:
			alarms, calm, l.calm = l.alarms, nil, nil
		case _, ok := <-alarms:
			if ctx.Err() != nil {
				return false
			}
			if !ok {
				l.alarms, alarms = nil, nil
				continue
			}
			l.r.opt.Log.Warn("somebody else changed the firewall", "enforcer", l.r.enf.Name())
			l.r.known = false
			l.calm = time.NewTimer(pace)
			return true
		}
	}
}

// pass reconciles once and sets the timer for the next pass.
func (l *loop) pass(ctx context.Context) {
	r := l.r
	err := r.reconcile(ctx)
	if ctx.Err() != nil {
		err = nil // the end, not a failure
	}
	l.after = err != nil
	wait := r.opt.Every
	if err != nil {
		wait = r.pause()
		r.fails++
		r.known = false
		r.opt.Log.Error("firewall out of step", "enforcer", r.enf.Name(), "error", err, "retry", wait)
	} else {
		r.fails = 0
		wait = min(wait, r.untilRemoval())
	}
	r.board.done(r.opt.Now(), err, wait)
	l.timer = time.NewTimer(wait)
}

// pause returns how long to wait after the error that has just happened.
func (r *Reconciler) pause() time.Duration {
	d := r.opt.Every
	if r.fails < 16 {
		d = min(r.opt.Retry<<r.fails, d)
	}
	return d - time.Duration(rand.Int64N(int64(d)/2+1))
}

// untilRemoval returns the time until the next entry must be removed by hand; a long time when the device does it.
func (r *Reconciler) untilRemoval() time.Duration {
	wait := r.opt.Every
	if r.guard.Caps.NativeTTL {
		return wait
	}
	now := r.opt.Now()
	for _, e := range r.have {
		if !e.Until.IsZero() {
			wait = min(wait, max(e.Until.Sub(now), time.Millisecond))
		}
	}
	return wait
}

// reconcile brings the enforcer in step with what is wanted.
func (r *Reconciler) reconcile(ctx context.Context) error {
	if err := r.refresh(ctx); err != nil {
		return err
	}
	want, err := r.want(ctx)
	if err != nil {
		return fmt.Errorf("read the wanted blocks: %w", err)
	}
	now := r.opt.Now()
	admitted, refused := r.guard.Admit(want, now)
	r.report(refused)
	if r.guard.Caps.NativeTTL {
		r.have = live(r.have, now)
	}
	d := Plan(admitted, r.have, now)
	if !d.Empty() {
		if err := r.enf.Apply(ctx, d); err != nil {
			r.board.entries(r.have, refused, err)
			return fmt.Errorf("apply %d changes: %w", len(d.Add)+len(d.Extend)+len(d.Remove), err)
		}
		r.have = after(r.have, d)
		r.opt.Log.Info("firewall changed", "enforcer", r.enf.Name(), "added", len(d.Add), "moved", len(d.Extend), "removed", len(d.Remove))
	}
	r.board.entries(r.have, refused, nil)
	return nil
}

// refresh makes sure that have is what is in effect: by the cheap check where that is enough.
func (r *Reconciler) refresh(ctx context.Context) error {
	now := r.opt.Now()
	if r.known && now.Sub(r.read).Abs() < fullEvery*r.opt.Every {
		changed, err := r.enf.Changed(ctx, r.token)
		if err != nil {
			return fmt.Errorf("check for foreign changes: %w", err)
		}
		if !changed {
			return nil
		}
	}
	have, token, err := r.enf.List(ctx)
	if err != nil {
		return fmt.Errorf("list what is in effect: %w", err)
	}
	r.have, r.token, r.known, r.read = normal(have), token, true, now
	return nil
}

// report tells of refusals that are new.
func (r *Reconciler) report(refused []Refusal) {
	if len(refused) == 0 && len(r.refused) == 0 {
		return
	}
	now := make(map[string]bool, len(refused))
	for _, f := range refused {
		key := f.Block.ID + " " + f.Err.Error()
		now[key] = true
		if r.refused[key] {
			continue
		}
		r.opt.Log.Warn("block refused", "enforcer", r.enf.Name(), "block", f.Block.ID, "error", f.Err)
		if r.opt.Refused != nil {
			r.opt.Refused(f)
		}
	}
	r.refused = now
}

// failures returns how many entries an error of Apply names.
func failures(err error) int {
	var ae *ApplyError
	if errors.As(err, &ae) {
		return len(ae.Failed)
	}
	return 0
}
