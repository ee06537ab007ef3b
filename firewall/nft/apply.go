//go:build linux

package nft

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/harvestwatch/harvestwatch/firewall"
	"golang.org/x/sys/unix"
)

const (
	chunkSize    = 1000                      // elements in one transaction: the cheapest per element
	bulk         = 1000                      // so many changes are read back and compared
	lostSlack    = 5 * time.Second           // how far a read back end may be off: a load of all sets takes less
	maxRemaining = 10 * 365 * 24 * time.Hour // the kernel was seen to take ten years
)

// op is what is done to elements.
type op uint8

const (
	opAdd    op = iota // put there, or move the end
	opRemove           // take away, absent or not
)

// key is an address as the sets hold it; the bytes after a kind's size are zero.
type key [16]byte

// compare orders keys as the addresses that they are.
func (k *key) compare(o *key) int {
	if c := cmp.Compare(binary.BigEndian.Uint64(k[:8]), binary.BigEndian.Uint64(o[:8])); c != 0 {
		return c
	}
	return cmp.Compare(binary.BigEndian.Uint64(k[8:]), binary.BigEndian.Uint64(o[8:]))
}

// item is an element to be: its key and what is left of its time.
type item struct {
	key  key
	left time.Duration // from the job's beginning
}

// job is the part of a difference that concerns one kind, sorted by key, each key once.
type job struct {
	begun  time.Time
	put    []item // there, and with that end
	remove []item // not there
}

// Apply is part of firewall.Enforcer. Changes are made in transactions of a thousand; when one is refused it is
// divided until the elements that are to blame stand alone. After a thousand changes or more what was put there is
// read back, and what is missing is named with firewall.ErrLost. When somebody has taken the table away it is made
// anew first, and Changed then says so.
func (e *Enforcer) Apply(ctx context.Context, d firewall.Diff) error {
	if err := e.enter(ctx); err != nil {
		return err
	}
	defer e.mu.Unlock()
	if err := e.track(0); err != nil {
		return err
	}
	jobs, failed := e.jobs(d)
	more, err := e.perform(ctx, &jobs)
	if errors.Is(err, unix.ENOENT) {
		e.foreign++
		if err = e.ensure(); err == nil {
			more, err = e.perform(ctx, &jobs)
		}
	}
	if err != nil {
		return err
	}
	failed = append(failed, more...)
	if len(d.Add)+len(d.Extend) >= bulk {
		lost, err := e.compare(ctx, &jobs, failed)
		if err != nil {
			return err
		}
		failed = append(failed, lost...)
	}
	if len(failed) > 0 {
		return &firewall.ApplyError{Failed: failed}
	}
	return nil
}

// jobs divides the difference by kind and names the entries that no kind takes.
func (e *Enforcer) jobs(d firewall.Diff) (jobs [len(kinds)]job, failed []firewall.Failure) {
	now := e.opt.Now()
	for _, p := range d.Remove {
		if p = firewall.Canonical(p); kindOf(p) >= 0 {
			j := &jobs[kindOf(p)]
			j.remove = append(j.remove, item{keyOf(p), time.Minute})
		}
	}
	for _, es := range [2][]firewall.Entry{d.Add, d.Extend} {
		for i := range es {
			p := firewall.Canonical(es[i].Prefix)
			k := kindOf(p)
			if k < 0 {
				failed = append(failed, firewall.Failure{Prefix: es[i].Prefix, Err: firewall.ErrUnsupported})
				continue
			}
			left := min(max(es[i].Until.Sub(now), firewall.MinRemaining), maxRemaining)
			jobs[k].put = append(jobs[k].put, item{keyOf(p), left})
		}
	}
	for i := range jobs {
		jobs[i].begun, jobs[i].put, jobs[i].remove = now, latest(jobs[i].put), latest(jobs[i].remove)
	}
	return jobs, failed
}

// latest sorts by key and keeps the latest end of each. It works in place.
func latest(items []item) []item {
	slices.SortFunc(items, func(a, b item) int {
		if c := a.key.compare(&b.key); c != 0 {
			return c
		}
		return cmp.Compare(b.left, a.left)
	})
	return slices.CompactFunc(items, func(a, b item) bool { return a.key == b.key })
}

// perform makes the changes: removals first, because they make room.
func (e *Enforcer) perform(ctx context.Context, jobs *[len(kinds)]job) (failed []firewall.Failure, err error) {
	for _, o := range []op{opRemove, opAdd} {
		for i, k := range kinds {
			w := work{e: e, ctx: ctx, kind: k, op: o, begun: jobs[i].begun}
			items := jobs[i].put
			if o == opRemove {
				items = jobs[i].remove
			}
			for chunk := range slices.Chunk(items, chunkSize) {
				if err := w.try(chunk); err != nil {
					return nil, fmt.Errorf("change the set %s: %w", k.set, err)
				}
			}
			failed = append(failed, w.failed...)
		}
	}
	return failed, nil
}

// work is one operation on one set, chunk by chunk.
type work struct {
	e      *Enforcer
	ctx    context.Context
	kind   kind
	op     op
	begun  time.Time // what is left of the items was left then
	failed []firewall.Failure
}

// try sends a chunk, and its halves when it is refused for what one of its elements may be to blame for.
func (w *work) try(es []item) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	err := w.e.send(w.kind, w.op, es, w.begun)
	if err == nil || !blameable(err) {
		return err
	}
	if len(es) > 1 {
		half := len(es) / 2
		if err := w.try(es[:half]); err != nil {
			return err
		}
		return w.try(es[half:])
	}
	if errors.Is(err, unix.ENFILE) {
		if w.op == opRemove {
			return nil // adding it first needed room: it was absent
		}
		err = fmt.Errorf("%w: the set %s is full at %d elements", firewall.ErrFull, w.kind.set, w.e.opt.Size)
	}
	w.failed = append(w.failed, firewall.Failure{Prefix: w.kind.prefix(es[0].key[:]), Err: err})
	return nil
}

// blameable reports whether an error can be the fault of single elements: the set is full, or they are not to the
// kernel's taste.
func blameable(err error) bool {
	return errors.Is(err, unix.ENFILE) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ERANGE) || errors.Is(err, unix.EEXIST)
}

// elements returns the items as the library wants them, so much later than they were made. They borrow the keys.
func elements(k kind, items []item, late time.Duration) []nftables.SetElement {
	es := make([]nftables.SetElement, len(items))
	for i := range items {
		es[i].Key, es[i].Timeout = items[i].key[:k.size()], max(items[i].left-late, firewall.MinRemaining)
	}
	return es
}

// send makes one transaction of the chunk. Where the kernel lacks the better way, an element is added before it is
// deleted, so that one that ran out a moment ago doesn't undo the whole transaction, and deleted before it is added,
// so that its end moves.
func (e *Enforcer) send(k kind, o op, items []item, begun time.Time) error {
	es := elements(k, items, e.opt.Now().Sub(begun))
	s := k.newSet(&nftables.Table{Name: TableName, Family: nftables.TableFamilyINet}, &e.opt)
	var steps []func(*nftables.Set, []nftables.SetElement) error
	add, del := e.conn.SetAddElements, e.conn.SetDeleteElements
	switch {
	case o == opRemove && e.feat.Destroy:
		steps = append(steps, e.conn.SetDestroyElements)
	case o == opRemove:
		steps = append(steps, add, del)
	case e.feat.Update:
		steps = append(steps, add)
	default:
		steps = append(steps, add, del, add)
	}
	for _, step := range steps {
		if err := step(s, es); err != nil {
			_ = e.conn.Flush() // hands the error back and forgets what was queued
			return fmt.Errorf("encode %d elements: %w", len(es), err)
		}
	}
	return e.commit()
}

// compare reads back what was put there and names what is missing or ends at another time.
func (e *Enforcer) compare(ctx context.Context, jobs *[len(kinds)]job, failed []firewall.Failure) (lost []firewall.Failure, err error) {
	known := make(map[netip.Prefix]bool, len(failed))
	for _, f := range failed {
		known[f.Prefix] = true
	}
	for i, k := range kinds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		missing, err := e.missing(k, &jobs[i])
		if err != nil {
			return nil, err
		}
		for _, p := range missing {
			if !known[p] {
				lost = append(lost, firewall.Failure{Prefix: p, Err: firewall.ErrLost})
			}
		}
	}
	return lost, nil
}

// missing returns the prefixes of the job that the set doesn't hold until their end. It lists the set, and asks for
// each element that the listing didn't have: the kernel's listing has some elements twice, and others not at all,
// while it moves the set to a larger or smaller table.
func (e *Enforcer) missing(k kind, j *job) ([]netip.Prefix, error) {
	there := make([]bool, len(j.put))
	good := func(el *element, it *item, at time.Time) bool {
		return el.timeout > 0 && at.Add(el.expires).Sub(j.begun.Add(it.left)).Abs() < lostSlack
	}
	err := e.read.elements(k.set, func(el *element, at time.Time) error {
		want := wide(el.key)
		i, found := slices.BinarySearchFunc(j.put, want, func(it item, w key) int { return it.key.compare(&w) })
		if found {
			there[i] = good(el, &j.put[i], at)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errInterrupted) {
		return nil, fmt.Errorf("read back what was added: %w", err)
	}
	var open []item
	for i, yes := range there {
		if !yes {
			open = append(open, j.put[i])
		}
	}
	there = make([]bool, len(open))
	err = e.read.lookup(k, open, func(i int, el *element, at time.Time) error {
		there[i] = wide(el.key) == open[i].key && good(el, &open[i], at)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read back what was added: %w", err)
	}
	var out []netip.Prefix
	gone := e.opt.Now().Add(firewall.MinRemaining).Sub(j.begun) // what had less left may have run out
	for i, yes := range there {
		if !yes && open[i].left > gone {
			out = append(out, k.prefix(open[i].key[:]))
		}
	}
	return out, nil
}

// wide returns an element's key.
func wide(b []byte) (w key) {
	copy(w[:], b)
	return w
}

// keyOf returns the key of a canonical prefix.
func keyOf(p netip.Prefix) key {
	if p.Addr().Is4() {
		a := p.Addr().As4()
		return wide(a[:])
	}
	return p.Addr().As16()
}
