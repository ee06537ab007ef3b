package main

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// deniedFor is how long a network of the deny list is blocked at a time, and deniedAgain how much of that is left when
// the block is renewed: no block lasts for ever, not even this one.
const (
	deniedFor   = 36 * time.Hour
	deniedAgain = 12 * time.Hour
)

// maxPieces is how many pieces of the deny list the firewall may hold, at most a quarter of all that it may: the rest is
// for those who were caught.
const maxPieces = 20_000

// denied is what of the deny list the firewall is not to hold. Safe for concurrent use.
type denied struct {
	mu     sync.Mutex // held while blocks of the list's networks are made, or ended by hand
	byHand map[netip.Prefix]bool
	late   problem // what is blocked only when it shows up, "" for nothing; no problem
}

// leave notes which prefixes were unblocked by hand. The lock is held.
func (x *denied) leave(prefixes []netip.Prefix) {
	if x.byHand == nil || len(x.byHand) >= maxPieces {
		x.byHand = map[netip.Prefix]bool{}
	}
	for _, p := range prefixes {
		x.byHand[p] = true
	}
}

// forget forgets them: the list is another one.
func (x *denied) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.byHand = nil
}

// syncDenied blocks the networks of the deny list, renews their blocks, and ends those of networks that left the list, all
// in one transaction. It is not called in the loop's goroutine.
func (d *daemon) syncDenied(ctx context.Context) {
	if d.rec == nil {
		return
	}
	d.denied.mu.Lock()
	defer d.denied.mu.Unlock()
	now := d.p.now()
	blocks, err := d.st.RuleBlocks(ctx, rules.DenyRule, now)
	if err != nil {
		d.log.Error("the blocks of the deny list can't be looked up", "error", err)
		return
	}
	have := map[netip.Prefix]harvestwatch.Block{}
	for _, b := range blocks {
		if b.Level == 0 {
			have[b.Prefix] = b
		}
	}
	c := d.deniedChange(ctx, now, have)
	if len(c.Add)+len(c.IDs) == 0 || ctx.Err() != nil {
		return
	}
	if _, err := d.st.Change(ctx, c); err != nil {
		d.log.Error("the deny list could not be put into effect, it is tried again within the hour", "error", err)
		return
	}
	d.log.Info("the networks of the deny list were blocked", "blocked or renewed", len(c.Add), "ended", len(c.IDs))
	d.want.add(c.Add...)
	if len(c.IDs) > 0 {
		d.want.forget()
	}
	d.poke()
}

// deniedChange works out which blocks the deny list's networks need besides those they have.
func (d *daemon) deniedChange(ctx context.Context, now time.Time, have map[netip.Prefix]harvestwatch.Block) *store.Change {
	c := &store.Change{At: now}
	first, refused := "", 0
	for _, n := range d.deniedPieces() {
		if ctx.Err() != nil {
			return c
		}
		held, known := have[n.Prefix]
		delete(have, n.Prefix)
		if d.denied.byHand[n.Prefix] || known && held.Until.Sub(now) > deniedAgain {
			continue
		}
		if why := d.deniable(n.Prefix); why != "" {
			if refused++; refused == 1 {
				first = fmt.Sprintf("%s is on the deny list and can't be blocked: %s", n.Prefix, why)
			}
			continue
		}
		c.Add = append(c.Add, harvestwatch.Block{Prefix: n.Prefix, From: now, Until: now.Add(deniedFor), Rule: rules.DenyRule,
			Reason: "on the deny list: " + n.Name})
	}
	if refused > 1 {
		first += fmt.Sprintf("; and %d more can't", refused-1)
	}
	d.denyProblem.set(first)
	for _, b := range have {
		c.IDs = append(c.IDs, b.ID)
	}
	slices.Sort(c.IDs)
	if len(c.Add)+len(c.IDs) > 0 {
		c.Audit = []store.Audit{{Time: now, Who: guardName, What: auditBlock,
			Text: fmt.Sprintf("networks of the deny list: %d blocked or renewed, %d ended", len(c.Add), len(c.IDs))}}
	}
	return c
}

// deniedPieces returns the networks of the deny list, cut into prefixes of lengths that the enforcer takes, as far as there
// is room in the firewall for all of a network: those of the fewest pieces first. What can't be cut stays as it is.
func (d *daemon) deniedPieces() []rules.Network {
	type cut struct {
		rules.Network
		bits, pieces int
	}
	var cuts []cut
	for _, n := range d.spared.lists.Load().DeniedNetworks() {
		lens := d.enf.Caps().V4Lens
		if !n.Prefix.Addr().Is4() {
			lens = d.enf.Caps().V6Lens
		}
		bits := pieceBits(n.Prefix, lens)
		pieces := math.MaxInt
		if more := bits - n.Prefix.Bits(); more < 30 {
			pieces = 1 << more
		}
		cuts = append(cuts, cut{n, bits, pieces})
	}
	slices.SortStableFunc(cuts, func(a, b cut) int { return a.pieces - b.pieces })
	room, late := min(maxPieces, d.cfg.Firewall.MaxBlocks/4), 0
	var list []rules.Network
	seen := map[netip.Prefix]bool{}
	for i, n := range cuts {
		if n.pieces > room-len(list) {
			late = len(cuts) - i
			break
		}
		for _, p := range cutInto(n.Prefix, n.bits) {
			if !seen[p] {
				seen[p] = true
				list = append(list, rules.Network{Prefix: p, Name: n.Name})
			}
		}
	}
	d.denied.late.set(lateText(late, room))
	return list
}

func lateText(late, room int) string {
	if late == 0 {
		return ""
	}
	return fmt.Sprintf("networks of the deny list beyond what the firewall takes beforehand (%d entries): %d; who comes from there is blocked at "+
		"the first event", room, late)
}

// pieceBits returns the length into which a prefix is to be cut: the next of those given; its own where there is none.
func pieceBits(p netip.Prefix, lens []int) int {
	bits := 0
	for _, n := range lens {
		if n >= p.Bits() && (bits == 0 || n < bits) {
			bits = n
		}
	}
	if bits == 0 {
		return p.Bits()
	}
	return bits
}

// cutInto cuts a prefix into prefixes of a length.
func cutInto(p netip.Prefix, bits int) []netip.Prefix {
	if bits == p.Bits() {
		return []netip.Prefix{p}
	}
	list := make([]netip.Prefix, 0, 1<<(bits-p.Bits()))
	for a := p.Masked().Addr(); p.Contains(a); {
		piece := netip.PrefixFrom(a, bits)
		list = append(list, piece)
		if a = after(piece); !a.IsValid() {
			break
		}
	}
	return list
}

// after returns the address behind a prefix; none behind the last.
func after(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits() - 1; i >= 0; i-- {
		if b[i/8] ^= 0x80 >> (i % 8); b[i/8]&(0x80>>(i%8)) != 0 {
			a, _ := netip.AddrFromSlice(b)
			return a
		}
	}
	return netip.Addr{}
}

// deniable says why a prefix can't be blocked, "" if it can.
func (d *daemon) deniable(p netip.Prefix) string {
	if name, ok := d.spared.Overlaps(p); ok {
		return "never blocked: " + name
	}
	if !d.enf.Caps().Supports(p) {
		return fmt.Sprintf("%s takes IPv4 prefixes of %v bits and IPv6 prefixes of %v bits", d.enf.Name(), d.enf.Caps().V4Lens, d.enf.Caps().V6Lens)
	}
	return ""
}
