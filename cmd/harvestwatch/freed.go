package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// freed gathers the blocks that end because of a guard, and why.
type freed struct {
	whole   []netip.Prefix          // every block of them ends
	ids     []string                // these blocks end
	why     map[netip.Prefix]string // by what was blocked
	order   []netip.Prefix          // the keys of why
	release []netip.Prefix          // whose offences the detector forgets
}

// add notes that a prefix is freed.
func (f *freed) add(p netip.Prefix, why string, release bool) {
	if f.why == nil {
		f.why = map[netip.Prefix]string{}
	}
	if _, known := f.why[p]; !known {
		f.order = append(f.order, p)
	}
	f.why[p] = why
	if release {
		f.release = append(f.release, p)
	}
}

// byRule gathers blocks that rules made by what they block, without what of the deny list the firewall holds beforehand.
func byRule(blocks []harvestwatch.Block) map[netip.Prefix][]harvestwatch.Block {
	m := map[netip.Prefix][]harvestwatch.Block{}
	for _, b := range blocks {
		if b.Level > 0 {
			m[b.Prefix] = append(m[b.Prefix], b)
		}
	}
	return m
}

// letGo ends the blocks of those who are spared from now on, and those of the deny list about whom it hasn't any more. It
// runs in the loop's goroutine.
func (d *daemon) letGo(ctx context.Context) error {
	now := d.p.now()
	d.want.forget()
	active, err := d.wanted(ctx)
	if err != nil {
		return err
	}
	var f freed
	for i := range active {
		if name, ok := d.spared.Overlaps(active[i].Prefix); ok {
			f.whole = append(f.whole, active[i].Prefix)
			f.add(active[i].Prefix, "never blocked from now on: "+name, true)
		}
	}
	made, err := d.st.RuleBlocks(ctx, "", now)
	if err != nil {
		return err
	}
	if at := d.det.Now(); at.Before(now) {
		now = at
	}
	held, err := d.st.InEffect(ctx, "", now, 0)
	if err != nil {
		return err
	}
	d.letGoOf(ctx, &f, byRule(made), held)
	return d.end(ctx, &f)
}

// letGoOf looks at decisions in effect, the newest first, and at the blocks that hold.
func (d *daemon) letGoOf(ctx context.Context, f *freed, made map[netip.Prefix][]harvestwatch.Block, held []store.Record) {
	type about struct {
		target netip.Prefix
		rule   string
	}
	seen := map[about]bool{}
	for i := range held {
		if ctx.Err() != nil { // the next start looks again
			return
		}
		dec := &held[i].Decision
		target := dec.Offence.Target()
		key := about{target, dec.Offence.Rule}
		if _, done := f.why[target]; done || seen[key] || dec.Action != harvestwatch.ActBlock && dec.Action != harvestwatch.ActObserve {
			continue
		}
		seen[key] = true
		why := d.sparedNow(&dec.Offence)
		if why == "" {
			continue
		}
		mine, others := 0, 0
		for _, b := range made[target] {
			if b.Rule == dec.Offence.Rule {
				f.ids = append(f.ids, b.ID)
				mine++
			} else {
				others++
			}
		}
		if mine > 0 || dec.Offence.Rule == rules.DenyRule && dec.Action == harvestwatch.ActObserve { // that one is the detector's alone
			f.add(target, why, others == 0)
		}
	}
}

// sparedNow says why what an offence led to holds no more, by the lists as they are now; "" if it does.
func (d *daemon) sparedNow(o *harvestwatch.Offence) string {
	denied := o.Rule == rules.DenyRule
	if guard, ok := d.judge.Spares(o.Target(), o.Name); ok && (!denied || guard != rules.GuardVerified) {
		return fmt.Sprintf("never blocked from now on: %s (the verified name is %q)", guard, o.Name)
	}
	if denied {
		if _, still := d.spared.lists.Load().Denied(o.Addr, o.Name); !still {
			return "no longer on the deny list"
		}
	}
	return ""
}

// toldEach is how many blocks that end at once are told one by one.
const toldEach = 20

// end ends the blocks that were gathered. It runs in the loop's goroutine.
func (d *daemon) end(ctx context.Context, f *freed) error {
	if len(f.order) == 0 {
		return nil
	}
	c := &store.Change{At: d.p.now(), Prefixes: f.whole, IDs: f.ids}
	for _, p := range f.order {
		c.Audit = append(c.Audit, store.Audit{Time: c.At, Who: guardName, What: auditUnblock, Text: p.String()},
			store.Audit{Time: c.At, Who: guardName, What: auditSpare, Text: p.String() + ": " + f.why[p]})
	}
	if _, err := d.release(ctx, c, f.release); err != nil {
		return fmt.Errorf("end the blocks of %d sources: %w", len(f.order), err)
	}
	for _, p := range f.order[:min(len(f.order), toldEach)] {
		d.log.Info("a block ends", "prefix", p.String(), "guard", f.why[p])
	}
	if n := len(f.order) - toldEach; n > 0 {
		d.log.Info("further blocks end", "number", n)
	}
	return nil
}
