package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// Change is what a person, or a list, changes about blocks, with what the detector remembers after that.
type Change struct {
	At       time.Time            // when blocks end
	Prefixes []netip.Prefix       // every block of exactly these prefixes ends, whoever made it, those that have not begun included
	IDs      []string             // these blocks end. One that is over, or that there is none of, is passed over
	Add      []harvestwatch.Block // are added, and get their IDs; see Change
	Windows  []Window             // replace the records of their sources
	Memory   []Memory             // replace what is kept under their keys
	Audit    []Audit              // are added
}

// Change ends blocks, adds others, and writes what goes with that, in one transaction: all of it holds when Change returns
// nil, and nothing otherwise. It returns the blocks that it ended as they were before.
//
// A block that is added has no decision. Where one of the same rule and prefix without a decision holds when it begins,
// that one is made to last as long, and its ID is the added one's, too; so a block can be renewed for ever in one row.
func (s *Store) Change(ctx context.Context, c *Change) ([]harvestwatch.Block, error) {
	for _, p := range c.Prefixes {
		if !canonical(p).IsValid() {
			return nil, fmt.Errorf("end block %v: no prefix", p)
		}
	}
	added := make([]int64, len(c.Add))
	var ended []harvestwatch.Block
	err := s.write(ctx, func(w *writing) (err error) {
		b := &Batch{Now: c.At, Windows: c.Windows, Memory: c.Memory}
		for _, step := range []func(*writing) error{b.windows, b.memory} {
			if err := step(w); err != nil {
				return err
			}
		}
		if err := w.audit(c.Audit); err != nil {
			return err
		}
		if ended, err = c.end(w); err != nil {
			return err
		}
		for i := range c.Add {
			if added[i], err = w.renew(&c.Add[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("change blocks in %s: %w", s.path, err)
	}
	for i := range added {
		c.Add[i].ID = blockID(added[i])
	}
	return ended, nil
}

const (
	blockByRow = "SELECT " + blockColumns + " FROM blocks WHERE id = ? AND until > ? AND until > start"
	endRow     = "UPDATE blocks SET until = max(start, ?1), ended = ?1 WHERE id = ?2"
	longerRow  = "UPDATE blocks SET until = max(until, ?), reason = ? WHERE id = ?"
	sameBlock  = `SELECT id FROM blocks WHERE net = ? AND bits = ? AND rule = ? AND +decision IS NULL AND +until > ?4 AND +start <= ?4
		ORDER BY +until DESC LIMIT 1`
)

// end ends the blocks that the change names.
func (c *Change) end(w *writing) (ended []harvestwatch.Block, err error) {
	at := nanos(c.At)
	take := func(query string, args ...any) error {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		list, err := blocksOf(w.stmt, w.tx, query, args...)
		ended = append(ended, list...)
		for i := 0; i < len(list) && err == nil; i++ {
			row, _ := blockRow(list[i].ID) // blockID made it
			_, err = w.tx.ExecContext(w.stmt, endRow, at, row)
		}
		return err
	}
	for _, id := range c.IDs {
		if row, err := blockRow(id); err == nil {
			if err := take(blockByRow, row, at); err != nil {
				return nil, err
			}
		}
	}
	for _, p := range c.Prefixes {
		net, bits := netOf(canonical(p))
		if err := take(activeOfPrefix, net, bits, at); err != nil {
			return nil, err
		}
	}
	return ended, nil
}

// renew adds a block, or makes the one last longer that it is to replace. It returns the row.
func (w *writing) renew(b *harvestwatch.Block) (row int64, err error) {
	p, err := checked(b)
	if err != nil {
		return 0, err
	}
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	net, bits := netOf(p)
	found := false
	err = eachRow(w.stmt, w.tx, "block to renew", func(rows *sql.Rows) error {
		found = true
		return rows.Scan(&row)
	}, sameBlock, net, bits, b.Rule, nanos(b.From))
	if err != nil || !found {
		if err == nil {
			row, err = w.block(b, nil)
		}
		return row, err
	}
	_, err = w.tx.ExecContext(w.stmt, longerRow, nanos(b.Until), cut(b.Reason), row)
	return row, err
}

// RuleBlocks returns every block that holds at that time and that a rule made, that one only unless rule is empty. Where a
// prefix has several all are there. Blocks made by hand are not. Their number is not limited.
func (r *Reader) RuleBlocks(ctx context.Context, rule string, at time.Time) ([]harvestwatch.Block, error) {
	return blocksOf(ctx, r.db, "SELECT "+blockColumns+` FROM blocks WHERE until > ?1 AND +start <= ?1 AND rule <> 'manual'
		AND (?2 = '' OR rule = ?2) ORDER BY id`, nanos(at), rule)
}

// InEffect returns the decisions whose Until lies after a time, with their blocks and without their evidence, newest first:
// those of one rule unless rule is empty, at most limit of them unless that is 0. A block may have ended earlier than its
// decision says.
func (r *Reader) InEffect(ctx context.Context, rule string, at time.Time, limit int) ([]Record, error) {
	if limit <= 0 {
		limit = -1
	}
	var list []Record
	err := eachRow(ctx, r.db, "decisions in effect", func(rows *sql.Rows) error {
		f, err := scanRecord(rows)
		list = append(list, f.Record)
		return err
	}, "SELECT "+recordColumns+` FROM decisions d LEFT JOIN blocks b ON b.decision = d.id
		WHERE d.until > ? AND (?2 = '' OR d.rule = ?2) ORDER BY d.fired DESC, d.id DESC LIMIT ?`, nanos(at), rule, limit)
	return list, err
}
