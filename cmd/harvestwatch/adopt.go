package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// adopt brings database and firewall together before the first reconciliation, which would otherwise take out of the
// firewall whatever the database does not know.
func (d *daemon) adopt(ctx context.Context) error {
	if d.rec == nil {
		return nil
	}
	records, err := d.st.History(ctx, store.Query{})
	if err != nil {
		return err
	}
	cursors, err := d.st.LoadCursors(ctx)
	if err != nil {
		return err
	}
	if len(records) == 0 && len(cursors) == 0 {
		return d.adoptFirewall(ctx)
	}
	return d.adoptObserved(ctx, records)
}

// adoptFirewall takes the blocks that the firewall holds into a database that is new: it was lost, or damaged and set
// aside.
func (d *daemon) adoptFirewall(ctx context.Context) error {
	have, _, err := d.enf.List(ctx)
	if err != nil {
		return fmt.Errorf("read the firewall's own list: %w", err)
	}
	now := d.p.now()
	batch := &store.Batch{Now: now}
	for _, e := range have {
		if e.Until.After(now) {
			batch.Decisions = append(batch.Decisions, store.Record{Block: &harvestwatch.Block{Prefix: e.Prefix, From: now, Until: e.Until,
				Rule: "adopted", Reason: "found in the firewall when the database was new"}})
		}
	}
	if len(batch.Decisions) == 0 {
		return nil
	}
	d.log.Warn("the database is new: the firewall's own blocks are taken over", "blocks", len(batch.Decisions))
	return d.st.Commit(ctx, batch)
}

// inForce reports whether what the offence offends against blocks in earnest: a rule that is not on trial, or the deny list
// as it is now.
func (d *daemon) inForce(o *harvestwatch.Offence) bool {
	if o.Rule == rules.DenyRule {
		_, denied := d.spared.lists.Load().Denied(o.Addr, o.Name)
		return denied
	}
	r, known := d.set.Rule(o.Rule)
	return known && r.Mode == rules.Enforce
}

// adoptObserved turns would-be blocks that still hold into blocks: the daemon observed, and now enforces. Of each target the
// newest counts, unless whoever it is is spared by now, by address or by the last verified name that was told of it. During a
// roll-out it does nothing: nothing is to be blocked before its time.
func (d *daemon) adoptObserved(ctx context.Context, records []store.Record) error {
	now := d.p.now()
	if d.rolloutStep(now) != "" {
		return nil
	}
	freed, err := released(ctx, &d.st.Reader, now)
	if err != nil {
		return err
	}
	settled := map[netip.Prefix]bool{}
	n := 0
	for i := range records { // the newest first
		dec := &records[i].Decision
		prefix := dec.Offence.Target()
		if dec.Offence.Rule == "" || settled[prefix] { // a block by hand has no decision
			continue
		}
		_, spare := d.judge.Spares(prefix, dec.Offence.Name)
		blocks := dec.Action == harvestwatch.ActBlock || dec.Action == harvestwatch.ActObserve
		if !spare && (!blocks || !d.inForce(&dec.Offence) || !dec.Until.After(now)) {
			continue
		}
		settled[prefix] = true
		if spare || dec.Action != harvestwatch.ActObserve || freed[prefix.String()].After(dec.Offence.Fired) {
			continue
		}
		b := harvestwatch.Block{Prefix: prefix, From: now, Until: dec.Until, Rule: dec.Offence.Rule,
			Level: dec.Offence.Level, Reason: "decided while observing: " + dec.Reason}
		if _, err := d.st.AddBlock(ctx, b, store.Audit{Time: now, Who: guardName, What: auditEnforce, Text: b.Prefix.String()}); err != nil {
			return err
		}
		n++
	}
	if n > 0 {
		d.log.Info("what was decided while observing is put into effect", "blocks", n)
	}
	return nil
}

// released tells when somebody unblocked a prefix by hand, the last time, as far back as a block can reach.
func released(ctx context.Context, st *store.Reader, now time.Time) (map[string]time.Time, error) {
	audit, err := st.AuditSince(ctx, now.Add(-rules.MaxWindow), 0)
	if err != nil {
		return nil, err
	}
	last := map[string]time.Time{}
	for _, a := range audit {
		if a.What == auditUnblock && a.Time.After(last[a.Text]) {
			last[a.Text] = a.Time
		}
	}
	return last, nil
}

// sameFiles returns an error when two inputs are one file by two names: each line would count twice.
func sameFiles(inputs []InputConfig) error {
	var infos []os.FileInfo
	for _, in := range inputs {
		info, err := os.Stat(in.Path)
		if err != nil {
			info = nil // it may come later
		}
		for i, other := range infos {
			if info != nil && other != nil && os.SameFile(info, other) {
				return usage("the inputs %s and %s are one file: name it once", inputs[i].Path, in.Path)
			}
		}
		infos = append(infos, info)
	}
	return nil
}
