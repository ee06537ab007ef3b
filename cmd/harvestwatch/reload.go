package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pools"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// reloadEvery is how often the daemon looks whether a list has changed.
const reloadEvery = 5 * time.Second

// deniedFor is how long a network of the deny list is blocked at a time, and deniedAgain how much of that is left when
// the block is renewed: no block lasts for ever, not even this one.
const (
	deniedFor   = 36 * time.Hour
	deniedAgain = 12 * time.Hour
)

// stamps tells whether files have changed since they were last looked at.
type stamps map[string]stamp

type stamp struct {
	at   time.Time
	size int64
}

// changed reports whether any of the files is another than at the last call. A file that is not there is one, too.
func (s stamps) changed(paths ...string) bool {
	changed := false
	for _, path := range paths {
		if path == "" {
			continue
		}
		var now stamp
		if info, err := os.Stat(path); err == nil {
			now = stamp{info.ModTime(), info.Size()}
		}
		if old, known := s[path]; !known || old != now {
			s[path], changed = now, true
		}
	}
	return changed
}

// loadGuards reads the lists and the providers for the first time. A mistake in them keeps the daemon from starting.
func (d *daemon) loadGuards() error {
	d.seen = stamps{}
	d.seen.changed(d.listFiles()...)
	lists, err := d.cfg.Lists.load()
	if err != nil {
		return err
	}
	known, err := d.cfg.Providers.load()
	if err != nil {
		return err
	}
	d.spared.lists.Store(lists)
	d.spared.pools.Store(known)
	if known != nil {
		if w := known.Warning(d.p.now()); w != "" {
			d.log.Info("providers: " + w)
		}
	}
	return nil
}

// listFiles are the files that watchLists looks after, "" for one that is not configured.
func (d *daemon) listFiles() []string {
	return []string{d.cfg.Lists.Allow, d.cfg.Lists.Deny, d.cfg.Providers.File}
}

// watchLists reads the lists again when their files change, and at once when hangup says so, and renews the blocks of the
// deny list. What can't be read is told, and the lists stay as they were: a slip of the pen must not unprotect anybody.
func (d *daemon) watchLists(ctx context.Context) error {
	d.syncDenied(ctx)
	renewed := d.p.now()
	ticker := time.NewTicker(reloadEvery)
	defer ticker.Stop()
	for {
		forced := false
		select {
		case <-ctx.Done():
			return nil
		case <-d.hangup:
			forced = true
		case <-ticker.C:
		}
		if d.seen.changed(d.listFiles()...) || forced {
			d.reload(ctx)
			renewed = time.Time{}
		}
		if now := d.p.now(); now.Sub(renewed) > time.Hour {
			renewed = now
			d.syncDenied(ctx)
		}
	}
}

// reload puts the lists into effect that the files hold now.
func (d *daemon) reload(ctx context.Context) {
	lists, err := d.cfg.Lists.load()
	known, poolErr := d.cfg.Providers.load()
	if err = errors.Join(err, poolErr); err != nil {
		d.listProblem.set(err.Error())
		d.log.Error("the lists can't be read again, they stay as they were", "error", err)
		return
	}
	d.listProblem.set("")
	if d.do(ctx, func() { d.useLists(ctx, lists, known) }) != nil {
		return
	}
	d.log.Info("the lists were read again", "allow", lists.Allow.Len(), "deny", lists.Deny.Len())
}

// useLists runs in the loop's goroutine: from the next event on the lists hold, and blocks of those who are spared now end.
func (d *daemon) useLists(ctx context.Context, lists *rules.Lists, known *pools.Pools) {
	d.denier.use(lists)
	d.judge.SetLists(lists)
	d.judge.SetPools(poolNetworks(known))
	d.spared.lists.Store(lists)
	d.spared.pools.Store(known)
	active, err := d.wanted(ctx)
	if err != nil {
		d.log.Error("blocks of those who are never blocked from now on can't be looked up", "error", err)
		return
	}
	for i := range active {
		b := &active[i]
		if name, ok := d.spared.Overlaps(b.Prefix); ok {
			d.free(ctx, b.Prefix, "never blocked from now on: "+name, true)
		} else if b.Rule == rules.DenyRule && b.Level > 0 && !d.stillDenied(ctx, b) {
			d.free(ctx, b.Prefix, "no longer on the deny list", false)
		}
	}
}

// stillDenied reports whether a source that was blocked for being on the deny list is on it still. What can't be found out
// leaves the block as it is.
func (d *daemon) stillDenied(ctx context.Context, b *harvestwatch.Block) bool {
	records, err := d.st.History(ctx, store.Query{Prefix: b.Prefix, Bare: true})
	if err != nil {
		d.log.Error("why a source was blocked can't be looked up", "prefix", b.Prefix.String(), "error", err)
		return true
	}
	for i := range records {
		if o := &records[i].Decision.Offence; o.Rule == rules.DenyRule && o.Source.Prefix() == b.Prefix { // the newest
			_, still := d.spared.lists.Load().Denied(o.Addr, o.Name)
			return still
		}
	}
	return true
}

// free ends the blocks of a prefix because of a guard, those made by hand only if all says so, and lets the detector
// forget its offences. It runs in the loop's goroutine.
func (d *daemon) free(ctx context.Context, p netip.Prefix, why string, all bool) {
	now := d.p.now()
	unblock := store.Audit{Time: now, Who: guardName, What: auditUnblock, Text: p.String()}
	because := store.Audit{Time: now, Who: guardName, What: auditSpare, Text: p.String() + ": " + why}
	ctx = context.WithoutCancel(ctx)
	var err error
	if all {
		if _, err = d.st.EndBlock(ctx, p, now, unblock); err == nil {
			err = d.st.Commit(ctx, &store.Batch{Now: now, Audit: []store.Audit{because}})
		}
	} else {
		err = d.st.Commit(ctx, &store.Batch{Now: now, Ends: []store.End{{Prefix: p, At: now}}, Audit: []store.Audit{unblock, because}})
	}
	if err == nil {
		err = d.release(ctx, []netip.Prefix{p})
	}
	d.want.forget()
	d.poke()
	if err != nil {
		d.log.Error("a block could not be ended", "prefix", p.String(), "error", err)
		return
	}
	d.log.Info("a block ends", "prefix", p.String(), "guard", why)
}

// syncDenied blocks the networks of the deny list, renews their blocks, and ends those of networks that left the list.
func (d *daemon) syncDenied(ctx context.Context) {
	if d.rec == nil {
		return
	}
	active, err := d.wanted(ctx)
	if err != nil {
		d.log.Error("the blocks of the deny list can't be looked up", "error", err)
		return
	}
	have := map[netip.Prefix]time.Time{}
	for _, b := range active {
		if b.Rule == rules.DenyRule && b.Level == 0 {
			have[b.Prefix] = b.Until
		}
	}
	now, refused := d.p.now(), ""
	for _, n := range d.deniedPieces() {
		until, held := have[n.Prefix]
		delete(have, n.Prefix)
		if held && until.Sub(now) > deniedAgain {
			continue
		}
		if why := d.deniable(n.Prefix); why != "" {
			refused = fmt.Sprintf("%s is on the deny list and can't be blocked: %s", n.Prefix, why)
			continue
		}
		b := harvestwatch.Block{Prefix: n.Prefix, From: now, Until: now.Add(deniedFor), Rule: rules.DenyRule, Reason: "on the deny list: " + n.Name}
		if b, err = d.st.AddBlock(ctx, b, store.Audit{Time: now, Who: guardName, What: auditBlock, Text: n.Prefix.String() + " on the deny list"}); err != nil {
			d.log.Error("a network of the deny list could not be blocked", "prefix", n.Prefix.String(), "error", err)
			continue
		}
		d.want.add(b)
	}
	for p := range have {
		if _, err := d.st.EndBlock(ctx, p, now, store.Audit{Time: now, Who: guardName, What: auditUnblock, Text: p.String()}); err != nil {
			d.log.Error("a block of the deny list could not be ended", "prefix", p.String(), "error", err)
		}
		d.want.forget()
	}
	d.denyProblem.set(refused)
	d.poke()
}

// maxPieces is how many pieces a network of the deny list may be cut into.
const maxPieces = 4096

// deniedPieces returns the networks of the deny list, cut into prefixes of lengths that the enforcer takes. What can't be
// cut stays as it is.
func (d *daemon) deniedPieces() []rules.Network {
	var list []rules.Network
	for _, n := range d.spared.lists.Load().DeniedNetworks() {
		lens := d.enf.Caps().V4Lens
		if !n.Prefix.Addr().Is4() {
			lens = d.enf.Caps().V6Lens
		}
		for _, p := range cutInto(n.Prefix, lens) {
			list = append(list, rules.Network{Prefix: p, Name: n.Name})
		}
	}
	return list
}

// cutInto cuts a prefix into prefixes of the next length of those given, unless these were too many.
func cutInto(p netip.Prefix, lens []int) []netip.Prefix {
	bits := 0
	for _, n := range lens {
		if n >= p.Bits() && (bits == 0 || n < bits) {
			bits = n
		}
	}
	if bits == 0 || bits == p.Bits() || 1<<(bits-p.Bits()) > maxPieces {
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

// guardStatus says how the guards are that concern the whole site. It is called from the control socket's goroutines.
func (d *daemon) guardStatus() guardStatus {
	lists := d.spared.lists.Load()
	s := guardStatus{Rollout: d.rolloutStep(d.p.now()), Allowed: lists.Allow.Len(), Denied: lists.Deny.Len()}
	if known := d.spared.pools.Load(); known != nil {
		s.Providers, s.Stale = len(poolNetworks(known)), known.Warning(d.p.now())
	}
	for _, p := range []string{d.listProblem.get(), d.denyProblem.get()} {
		if p != "" {
			s.Problems = append(s.Problems, p)
		}
	}
	if d.asker != nil {
		s.Asked = d.asker.Stats().Asked
		for _, h := range d.asker.Health() {
			s.BlockLists = append(s.BlockLists, blockListStatus{h.Zone, h.On, h.Why})
		}
	}
	return s
}

// rolloutStep says in words which step the roll-out is in; "" when it is over, or there is none.
func (d *daemon) rolloutStep(now time.Time) string {
	if d.rollout == (rules.Rollout{}) {
		return ""
	}
	begin := d.rollout.Since.Add(d.rollout.Observe)
	end := begin.Add(d.rollout.Short)
	switch {
	case now.Before(begin):
		return "nothing is blocked before " + begin.UTC().Format(time.RFC3339)
	case now.Before(end):
		return fmt.Sprintf("only %s blocks, for %s at most, until %s", d.rollout.First, rules.FormatDuration(d.rollout.ShortBlock),
			end.UTC().Format(time.RFC3339))
	}
	return ""
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
