// Package firewall keeps what is blocked equal to what the database wants blocked. Enforcer is what puts blocks into
// effect; Plan computes the difference between want and have; Guard refuses what must never be blocked; Reconciler
// drives one enforcer until the two are in step, and again whenever either changes.
//
// The package decides nothing about who is blocked, keeps no truth of its own and reads no clock but the one it is
// given. It starts no goroutine: Reconciler.Run works in the caller's. An enforcer that watches for foreign changes
// owns the goroutine that Watch starts, until Watch's context is done.
package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Enforcer puts blocks into effect on one device. All methods but Close may be called again after an error. An
// enforcer need not be safe for concurrent use, except that Close may be called at any time; a Reconciler calls the
// rest from one goroutine. Every enforcer passes the suite in firewall/fwtest.
type Enforcer interface {
	// Name names the enforcer and its target for a person, such as "nftables inet harvestwatch".
	Name() string

	// Caps says what the enforcer can do. It doesn't change during the enforcer's life.
	Caps() Caps

	// List reads back what is in effect, sorted by prefix, each prefix once, together with a token for Changed. It
	// may first restore what the entries rest on (a table, a session), so that an entry that is listed does block.
	List(ctx context.Context) ([]Entry, Token, error)

	// Apply makes the changes of the difference. It is idempotent: adding what is there sets its end, removing what
	// is absent is no error, and the later of two ends given for one prefix counts. It works in batches and is not
	// atomic as a whole. When single entries can't be put into effect the rest is, and the error is an *ApplyError
	// that names each; any other error leaves it unknown how much was done, until List tells. Entries without an
	// end, with an end less than a second away or in the past are in effect for one second: never for ever.
	Apply(ctx context.Context, d Diff) error

	// Changed reports whether anybody but this enforcer may have changed what is in effect since the List that gave
	// the token. Entries that ran out on their own are no change. It is cheap: no more than one small exchange.
	Changed(ctx context.Context, t Token) (bool, error)

	// Close lets go of the device and leaves the blocks in effect, where the device can keep them. It may be called
	// more than once.
	Close() error
}

// Watcher is an Enforcer that notices foreign changes by itself.
type Watcher interface {
	// Watch returns a channel that receives when somebody else changed, or may have changed, what is in effect.
	// Alarms coalesce; one that isn't taken is never lost and never blocks the enforcer. The channel is closed after
	// the context is done, and not before. The enforcer owns the goroutine behind it.
	Watch(ctx context.Context) <-chan struct{}
}

// Clearer is an Enforcer that can take back everything it has put into effect, at an administrator's demand.
type Clearer interface {
	// Clear removes all entries and whatever they rest on. Nothing there is no error.
	Clear(ctx context.Context) error
}

// Token stands for a state of the device, for Changed. It is opaque, and of use only to the enforcer that gave it.
type Token string

// Caps says what an enforcer can do.
type Caps struct {
	NativeTTL  bool  // the device ends an entry by itself at its end; otherwise it must be removed
	Counters   bool  // List fills Packets and Bytes
	V4Lens     []int // the prefix lengths that it takes for IPv4, such as 24 and 32
	V6Lens     []int // the same for IPv6
	MaxEntries int   // how many entries it takes at least; 0 when there is no limit worth knowing
}

// Supports reports whether the enforcer takes prefixes of this family and length. The prefix must be canonical, as
// Canonical returns it.
func (c Caps) Supports(p netip.Prefix) bool {
	if !p.IsValid() {
		return false
	}
	if p.Addr().Is4() {
		return slices.Contains(c.V4Lens, p.Bits())
	}
	return slices.Contains(c.V6Lens, p.Bits())
}

// Entry is a prefix that is, or is to be, in effect.
type Entry struct {
	Prefix  netip.Prefix // canonical
	Until   time.Time    // when it ends; zero in a listed entry that has no end
	Packets uint64       // dropped by this entry since it was put into effect, where the enforcer counts
	Bytes   uint64       // the same in bytes
}

// Diff is what must change so that have becomes want. Each list is sorted by prefix and names each prefix once.
type Diff struct {
	Add    []Entry        // not in effect
	Extend []Entry        // in effect, with an end that moves: to a later time nearly always, to an earlier one after an unblock
	Remove []netip.Prefix // in effect and not wanted
}

// Empty reports whether there is nothing to do.
func (d Diff) Empty() bool { return len(d.Add)+len(d.Extend)+len(d.Remove) == 0 }

var (
	// ErrUnsupported means that the enforcer doesn't take a prefix of this length or family. Prefixes are never
	// widened in its place: that would block somebody who did nothing.
	ErrUnsupported = errors.New("prefix length not supported by the enforcer")
	// ErrFull means that the device takes no more entries.
	ErrFull = errors.New("no more entries fit")
	// ErrNever means that the prefix overlaps one that must never be blocked.
	ErrNever = errors.New("overlaps the never-list")
	// ErrLost means that an entry that was accepted isn't there when read back.
	ErrLost = errors.New("accepted, but not there when read back")
	// ErrRunning means that Run was called while the reconciler was running.
	ErrRunning = errors.New("the reconciler is running already")
)

// Failure is one entry that could not be put into effect, or taken out of it.
type Failure struct {
	Prefix netip.Prefix
	Err    error
}

// ApplyError says which entries of a difference failed. The others are in effect. Failed is never empty.
type ApplyError struct {
	Failed []Failure // in the order of the difference
}

// Error names the first failure and counts the others.
func (e *ApplyError) Error() string {
	if len(e.Failed) == 0 {
		return "apply: no entry failed"
	}
	f := e.Failed[0]
	if len(e.Failed) == 1 {
		return fmt.Sprintf("apply %s: %v", f.Prefix, f.Err)
	}
	return fmt.Sprintf("apply %s: %v (and %d more entries failed)", f.Prefix, f.Err, len(e.Failed)-1)
}

// Unwrap returns the distinct causes among the failures, the first eight of them, for errors.Is and errors.As.
func (e *ApplyError) Unwrap() []error {
	var out []error
	for _, f := range e.Failed {
		if len(out) == 8 {
			break
		}
		if !slices.Contains(out, f.Err) {
			out = append(out, f.Err)
		}
	}
	return out
}

// Canonical returns the prefix masked, and an IPv4-mapped IPv6 prefix (RFC 4291 section 2.5.5.2) of 96 bits or more
// as the IPv4 prefix that it stands for. A prefix that is not valid, or has a zone, comes back as the zero Prefix.
func Canonical(p netip.Prefix) netip.Prefix {
	if !p.IsValid() {
		return netip.Prefix{}
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
