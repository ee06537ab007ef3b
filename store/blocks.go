package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// MaxRecords is how many blocks, records or lines of the audit one call returns at most.
const MaxRecords = 10000

// bounded returns the limit to use for one that a caller gave.
func bounded(limit int) int {
	if limit <= 0 || limit > MaxRecords {
		return MaxRecords
	}
	return limit
}

// byHand is the rule of blocks that somebody made by hand.
const byHand = "manual"

const blockColumns = "id, prefix, start, until, rule, level, reason"

// scanBlock reads blockColumns.
func scanBlock(rows *sql.Rows) (harvestwatch.Block, error) {
	var b harvestwatch.Block
	var id, from, until int64
	var prefix string
	if err := rows.Scan(&id, &prefix, &from, &until, &b.Rule, &b.Level, &b.Reason); err != nil {
		return b, err
	}
	return b, fillBlock(&b, id, prefix, from, until)
}

func fillBlock(b *harvestwatch.Block, id int64, prefix string, from, until int64) error {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return fmt.Errorf("block %s: %w", blockID(id), err)
	}
	b.ID, b.Prefix, b.From, b.Until = blockID(id), p, moment(from), moment(until)
	return nil
}

func blocksOf(ctx context.Context, q querier, query string, args ...any) ([]harvestwatch.Block, error) {
	var list []harvestwatch.Block
	err := eachRow(ctx, q, "blocks", func(rows *sql.Rows) error {
		b, err := scanBlock(rows)
		list = append(list, b)
		return err
	}, query, args...)
	return list, err
}

// ActiveBlocks returns what should be in the firewall at that time: one block for each prefix that has an active one,
// the one that ends last, ordered by address. Their number is not limited.
func (r *Reader) ActiveBlocks(ctx context.Context, at time.Time) ([]harvestwatch.Block, error) {
	list, err := blocksOf(ctx, r.db, "SELECT "+blockColumns+" FROM blocks WHERE until > ?1 AND +start <= ?1 ORDER BY until DESC, id",
		nanos(at))
	slices.SortStableFunc(list, func(a, b harvestwatch.Block) int { return comparePrefix(a.Prefix, b.Prefix) })
	return slices.CompactFunc(list, func(a, b harvestwatch.Block) bool { return a.Prefix == b.Prefix }), err
}

// comparePrefix orders by address and then by length, the shorter first.
func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// Blocks returns the blocks that began at since or later, whether they hold or not, newest first, at most limit of
// them; 0 means MaxRecords.
func (r *Reader) Blocks(ctx context.Context, since time.Time, limit int) ([]harvestwatch.Block, error) {
	return blocksOf(ctx, r.db, "SELECT "+blockColumns+" FROM blocks WHERE start >= ? ORDER BY start DESC, id DESC LIMIT ?",
		nanos(since), bounded(limit))
}

// BlockByID returns the block of that name, whether it holds or not. The name may be typed in either case and with o, i
// and l for the digits that they look like. ErrNoBlock says that there is none.
func (r *Reader) BlockByID(ctx context.Context, id string) (harvestwatch.Block, error) {
	row, err := blockRow(id)
	if err != nil {
		return harvestwatch.Block{}, fmt.Errorf("block %q: %w", id, ErrNoBlock)
	}
	list, err := blocksOf(ctx, r.db, "SELECT "+blockColumns+" FROM blocks WHERE id = ?", row)
	if err != nil {
		return harvestwatch.Block{}, err
	}
	if len(list) == 0 {
		return harvestwatch.Block{}, fmt.Errorf("block %q: %w", id, ErrNoBlock)
	}
	return list[0], nil
}

const activeOfPrefix = "SELECT " + blockColumns + ` FROM blocks WHERE net = ? AND bits = ? AND +until > ? AND until > start
	ORDER BY +until DESC, id`

// AddBlock adds a block that is not part of a Batch, and says so in the audit, in one transaction. It returns the
// block that then holds for the prefix: where one is active when b begins and ends no sooner than b would, that one stays
// and nothing is added. b.ID is ignored; b.Rule is "manual" where it is empty: somebody made the block by hand, and no
// Batch.Ends ends it. Any other rule says that the program did, and Ends do.
func (s *Store) AddBlock(ctx context.Context, b harvestwatch.Block, a Audit) (harvestwatch.Block, error) {
	if b.Rule == "" {
		b.Rule = byHand
	}
	p, err := checked(&b)
	if err != nil {
		return b, err
	}
	b.Prefix, b.From, b.Until = p, moment(nanos(b.From)), moment(nanos(b.Until))
	net, bits := netOf(p)
	err = s.write(ctx, func(w *writing) error {
		if err := w.audit([]Audit{a}); err != nil {
			return err
		}
		old, err := blocksOf(w.stmt, w.tx, activeOfPrefix, net, bits, nanos(b.From))
		if err != nil {
			return err
		}
		if len(old) > 0 && !old[0].Until.Before(b.Until) && !old[0].From.After(b.From) {
			b = old[0]
			return nil
		}
		row, err := w.block(&b, nil)
		b.ID = blockID(row)
		return err
	})
	if err != nil {
		return b, fmt.Errorf("add block %v to %s: %w", p, s.path, err)
	}
	return b, nil
}

// EndBlock ends every block of exactly that prefix that would end after at, those that have not begun included, and
// says so in the audit, in one transaction. It returns the blocks as they were; none where nothing held the prefix,
// and then writes the audit all the same.
func (s *Store) EndBlock(ctx context.Context, prefix netip.Prefix, at time.Time, a Audit) ([]harvestwatch.Block, error) {
	return s.Change(ctx, &Change{At: at, Prefixes: []netip.Prefix{prefix}, Audit: []Audit{a}})
}
