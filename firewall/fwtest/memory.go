package fwtest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/harvestwatch/harvestwatch/firewall"
)

// ErrClosed is what a Memory returns after Close, until it is opened again.
var ErrClosed = errors.New("the enforcer is closed")

// Memory is an enforcer that blocks nobody: the reference for the suite, and a stand-in for a device in tests of
// what drives enforcers. It is safe for concurrent use. It ends entries by itself at their end.
type Memory struct {
	caps firewall.Caps
	now  func() time.Time

	mu      sync.Mutex
	entries map[netip.Prefix]time.Time
	gen     uint64 // foreign changes so far
	closed  bool
	fail    func(op string) error
	calls   map[string]int
	watch   map[chan struct{}]bool
}

// NewMemory returns an empty Memory that takes the prefix lengths of the nftables enforcer and as many entries as
// limit says; 0 is no limit. Now is its clock.
func NewMemory(now func() time.Time, limit int) *Memory {
	caps := firewall.Caps{NativeTTL: true, V4Lens: []int{24, 32}, V6Lens: []int{64, 128}, MaxEntries: limit}
	return &Memory{caps: caps, now: now, entries: map[netip.Prefix]time.Time{}, calls: map[string]int{}, watch: map[chan struct{}]bool{}}
}

// Manual makes the Memory one that never ends entries by itself. Call it before the first use.
func (m *Memory) Manual() *Memory { m.caps.NativeTTL = false; return m }

// FailWith makes every operation ask f first and return its error; the operations are "list", "apply", "changed".
// Nil ends that.
func (m *Memory) FailWith(f func(op string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = f
}

// Calls returns how often an operation was called, failed calls included.
func (m *Memory) Calls(op string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[op]
}

// Foreign changes the entries behind the enforcer's back, as an administrator would, and alarms the watchers. The
// map is the Memory's own: prefix to end.
func (m *Memory) Foreign(change func(map[netip.Prefix]time.Time)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m.entries)
	m.gen++
	for c := range m.watch {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Reopen undoes Close.
func (m *Memory) Reopen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = false
}

// enter begins an operation. The lock is held when it returns without an error.
func (m *Memory) enter(ctx context.Context, op string) error {
	m.mu.Lock()
	m.calls[op]++
	err := ctx.Err()
	if err == nil && m.closed {
		err = ErrClosed
	}
	if err == nil && m.fail != nil {
		err = m.fail(op)
	}
	if err != nil {
		m.mu.Unlock()
		return fmt.Errorf("%s in memory: %w", op, err)
	}
	if m.caps.NativeTTL {
		now := m.now()
		for p, until := range m.entries {
			if !until.After(now) {
				delete(m.entries, p)
			}
		}
	}
	return nil
}

// Name is part of firewall.Enforcer.
func (m *Memory) Name() string { return "memory" }

// Caps is part of firewall.Enforcer.
func (m *Memory) Caps() firewall.Caps { return m.caps }

// List is part of firewall.Enforcer.
func (m *Memory) List(ctx context.Context) ([]firewall.Entry, firewall.Token, error) {
	if err := m.enter(ctx, "list"); err != nil {
		return nil, "", err
	}
	defer m.mu.Unlock()
	out := make([]firewall.Entry, 0, len(m.entries))
	for p, until := range m.entries {
		out = append(out, firewall.Entry{Prefix: p, Until: until})
	}
	slices.SortFunc(out, func(a, b firewall.Entry) int { return a.Prefix.Compare(b.Prefix) })
	return out, m.token(), nil
}

func (m *Memory) token() firewall.Token { return firewall.Token(strconv.FormatUint(m.gen, 10)) }

// Apply is part of firewall.Enforcer.
func (m *Memory) Apply(ctx context.Context, d firewall.Diff) error {
	if err := m.enter(ctx, "apply"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for _, p := range d.Remove {
		delete(m.entries, firewall.Canonical(p))
	}
	var failed []firewall.Failure
	soonest := m.now().Add(firewall.MinRemaining)
	given := map[netip.Prefix]bool{}
	for _, e := range slices.Concat(d.Add, d.Extend) {
		p := firewall.Canonical(e.Prefix)
		until := e.Until
		if until.Before(soonest) {
			until = soonest
		}
		_, there := m.entries[p]
		switch {
		case !m.caps.Supports(p):
			failed = append(failed, firewall.Failure{Prefix: e.Prefix, Err: firewall.ErrUnsupported})
		case !there && m.caps.MaxEntries > 0 && len(m.entries) >= m.caps.MaxEntries:
			failed = append(failed, firewall.Failure{Prefix: e.Prefix, Err: firewall.ErrFull})
		case !given[p] || until.After(m.entries[p]):
			m.entries[p], given[p] = until, true
		}
	}
	if len(failed) > 0 {
		return &firewall.ApplyError{Failed: failed}
	}
	return nil
}

// Changed is part of firewall.Enforcer.
func (m *Memory) Changed(ctx context.Context, t firewall.Token) (bool, error) {
	if err := m.enter(ctx, "changed"); err != nil {
		return false, err
	}
	defer m.mu.Unlock()
	return t != m.token(), nil
}

// Watch is part of firewall.Watcher.
func (m *Memory) Watch(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	m.mu.Lock()
	m.watch[c] = true
	m.mu.Unlock()
	context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watch, c)
		close(c)
	})
	return c
}

// Clear is part of firewall.Clearer.
func (m *Memory) Clear(ctx context.Context) error {
	if err := m.enter(ctx, "clear"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	clear(m.entries)
	return nil
}

// Close is part of firewall.Enforcer.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

var (
	_ firewall.Enforcer = (*Memory)(nil)
	_ firewall.Watcher  = (*Memory)(nil)
	_ firewall.Clearer  = (*Memory)(nil)
)
