package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch/internal/pools"
	"github.com/harvestwatch/harvestwatch/rules"
)

// reloadEvery is how often the daemon looks whether a list has changed.
const reloadEvery = 5 * time.Second

// quietFor is how long the files must stay as they are before a SIGHUP has them read: who writes a list in place leaves it
// empty, or half, for a moment. quietTries is how often that is waited for; after that the next looks see to it.
const (
	quietFor   = 100 * time.Millisecond
	quietTries = 50
)

// listFiles tells whether the lists' files have changed. It belongs to one goroutine.
type listFiles struct {
	read []stamp // what they were like when they were read
	seen []stamp // and at the last look
}

// stamp is what can be seen of a file from outside; zero for one that is not there.
type stamp struct {
	at   time.Time
	size int64
}

// stampsOf looks at files; "" is one that is not configured.
func stampsOf(paths []string) []stamp {
	list := make([]stamp, len(paths))
	for i, path := range paths {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err == nil {
			list[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return list
}

// look reports whether the files are other ones than those that were read, or again says that they must be read, and they
// were the same at the last look: nobody is writing.
func (l *listFiles) look(now []stamp, again bool) bool {
	quiet := slices.Equal(l.seen, now)
	l.seen = now
	return quiet && (again || !slices.Equal(l.read, now))
}

// loadGuards reads the lists and the providers for the first time. A mistake in them keeps the daemon from starting.
func (d *daemon) loadGuards() error {
	d.seen.read = stampsOf(d.listFiles())
	d.seen.seen = d.seen.read
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

// watchLists reads the lists again when their files have changed and nobody is writing to them, at once when hangup says
// so, and renews the blocks of the deny list. What can't be read is told and tried again, and the lists stay as they were: a
// slip of the pen must not unprotect anybody.
func (d *daemon) watchLists(ctx context.Context) error {
	d.syncDenied(ctx)
	renewed := d.p.now()
	ticker := time.NewTicker(reloadEvery)
	defer ticker.Stop()
	for {
		due := false
		select {
		case <-ctx.Done():
			return nil
		case <-d.hangup:
			due = d.awaitQuiet(ctx)
		case <-ticker.C:
			due = d.seen.look(stampsOf(d.listFiles()), d.listProblem.get() != "")
		}
		if due && d.reload(ctx) {
			renewed = time.Time{}
		}
		if now := d.p.now(); now.Sub(renewed) > time.Hour {
			renewed = now
			d.syncDenied(ctx)
		}
	}
}

// awaitQuiet waits until nobody writes to the lists any more.
func (d *daemon) awaitQuiet(ctx context.Context) bool {
	for range quietTries {
		d.seen.look(stampsOf(d.listFiles()), true)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(quietFor):
		}
		if d.seen.look(stampsOf(d.listFiles()), true) {
			return true
		}
	}
	return false
}

// reload puts the lists into effect that the files hold now. It reports false where that could not be: they have a mistake,
// or somebody wrote to them meanwhile.
func (d *daemon) reload(ctx context.Context) bool {
	before := stampsOf(d.listFiles())
	lists, err := d.cfg.Lists.load()
	known, poolErr := d.cfg.Providers.load()
	if !slices.Equal(before, stampsOf(d.listFiles())) {
		d.seen.read = nil // so that the next look that finds them quiet reads them, whatever they are like then
		return false
	}
	d.seen.read = before
	if err = errors.Join(err, poolErr); err != nil {
		if text := err.Error(); text != d.listProblem.get() {
			d.listProblem.set(text)
			d.log.Error("the lists can't be read again, they stay as they were", "error", err)
		}
		return false
	}
	d.listProblem.set("")
	if d.do(ctx, func() { d.useLists(ctx, lists, known) }) != nil {
		return false
	}
	d.log.Info("the lists were read again", "allow", lists.Allow.Len(), "deny", lists.Deny.Len())
	return true
}

// fewEntries is how many entries an accept list must have had for the loss of most of them to be told.
const fewEntries = 10

// useLists runs in the loop's goroutine: from the next event on the lists hold, and blocks of those who are spared now end.
func (d *daemon) useLists(ctx context.Context, lists *rules.Lists, known *pools.Pools) {
	if old, now := d.spared.lists.Load().Allow.Len(), lists.Allow.Len(); old >= fewEntries && now < old-now {
		d.log.Warn("the accept list has lost more than half of its entries: was that meant? Who is no longer on it can be blocked",
			"file", d.cfg.Lists.Allow, "before", old, "now", now)
	}
	d.denier.use(lists)
	d.denied.forget()
	d.judge.SetLists(lists)
	d.judge.SetPools(poolNetworks(known))
	d.spared.lists.Store(lists)
	d.spared.pools.Store(known)
	if err := d.letGo(ctx); err != nil {
		d.log.Error("blocks of those who are never blocked from now on could not be ended; they are left to run out", "error", err)
	}
}

// guardStatus says how the guards are that concern the whole site. It is called from the control socket's goroutines.
func (d *daemon) guardStatus() guardStatus {
	lists := d.spared.lists.Load()
	s := guardStatus{Rollout: d.rolloutStep(d.p.now()), Allowed: lists.Allow.Len(), Denied: lists.Deny.Len(), Late: d.denied.late.get()}
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
