package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// wantList is the daemon's copy of the blocks that should be in force, so that a new block reaches the firewall
// without reading all the others from the database again. What changes it has been committed before. It is read from
// the database at the start, and every minute, so that no slip of it lasts. Safe for concurrent use.
type wantList struct {
	mu     sync.Mutex
	blocks map[netip.Prefix]harvestwatch.Block // by prefix, the one that ends last
	read   time.Time
}

// wantAge is how old the copy may grow.
const wantAge = time.Minute

// add notes blocks that were committed.
func (w *wantList) add(blocks ...harvestwatch.Block) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range blocks {
		if old, ok := w.blocks[b.Prefix]; w.blocks != nil && (!ok || old.Until.Before(b.Until)) {
			w.blocks[b.Prefix] = b
		}
	}
}

// forget makes the next get read the database.
func (w *wantList) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blocks = nil
}

// get returns the blocks that are active now; load reads them from the database.
func (w *wantList) get(now time.Time, load func() ([]harvestwatch.Block, error)) ([]harvestwatch.Block, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.blocks == nil || now.Sub(w.read) > wantAge {
		list, err := load()
		if err != nil {
			return nil, err
		}
		w.blocks, w.read = make(map[netip.Prefix]harvestwatch.Block, len(list)), now
		for _, b := range list {
			w.blocks[b.Prefix] = b
		}
	}
	list := make([]harvestwatch.Block, 0, len(w.blocks))
	for p, b := range w.blocks {
		if b.Active(now) {
			list = append(list, b)
		} else if !now.Before(b.Until) {
			delete(w.blocks, p)
		}
	}
	return list, nil
}

// wanted returns the blocks that should be in force now: the reconciler's view of the database.
func (d *daemon) wanted(ctx context.Context) ([]harvestwatch.Block, error) {
	now := d.p.now()
	return d.want.get(now, func() ([]harvestwatch.Block, error) { return d.st.ActiveBlocks(ctx, now) })
}
