package store

import (
	"context"
	"fmt"
	"time"
)

// Policy bounds what is kept. A field that is 0 or less means its default. The records of the detector and of the
// parsers, cursors and segments are not touched: who writes them bounds and deletes them. The totals stay, a few
// hundred bytes a day.
type Policy struct {
	History  time.Duration // decisions, blocks that have ended, audit and daily deliveries: 400 days
	Evidence time.Duration // the lines that decisions rest on: 90 days
	// MaxBytes is what the contents may take up: 768 MiB. Beyond it the oldest evidence goes first, then the oldest
	// decisions with blocks that have ended. A block that still holds is never deleted.
	MaxBytes int64
}

// Defaults of a Policy.
const (
	DefaultHistory  = 400 * 24 * time.Hour
	DefaultEvidence = 90 * 24 * time.Hour
	DefaultMaxBytes = 768 << 20
)

// Pruned says what a Prune deleted.
type Pruned struct {
	Decisions, Blocks, Lines, Audit, Deliveries int64 // rows; the lines are of evidence
	// Over is by how many bytes the contents still exceed MaxBytes, because the rest may not be deleted; 0 for none.
	Over int64
}

// chunk is how many rows a transaction of Prune deletes at most (of evidence: the lines of so many decisions), so that
// commits are not held up for long.
const chunk = 200

// pruning is one run of Prune.
type pruning struct {
	s   *Store
	now time.Time
	p   Policy
	Pruned
}

// Prune deletes what policy does not keep at now and gives the space back to the file system, in many small
// transactions between which commits have their turn. When ctx ends or an error occurs, what was deleted stays
// deleted, and the next call goes on from there. Meant to be called about once an hour.
func (s *Store) Prune(ctx context.Context, now time.Time, policy Policy) (Pruned, error) {
	run := pruning{s: s, now: now, p: policy.filled()}
	for _, step := range []func(context.Context) error{run.byAge, run.bySize, s.shrink} {
		if err := step(ctx); err != nil {
			return run.Pruned, fmt.Errorf("prune %s: %w", s.path, err)
		}
	}
	return run.Pruned, nil
}

// filled returns the policy with its defaults.
func (p Policy) filled() Policy {
	if p.History <= 0 {
		p.History = DefaultHistory
	}
	if p.Evidence <= 0 {
		p.Evidence = DefaultEvidence
	}
	if p.MaxBytes <= 0 {
		p.MaxBytes = DefaultMaxBytes
	}
	return p
}

// deletion deletes at most chunk rows in one transaction and adds to the counts; it reports false when none was left.
type deletion func(context.Context) (bool, error)

func (r *pruning) byAge(ctx context.Context) error {
	history, lines := nanos(r.now.Add(-r.p.History)), nanos(r.now.Add(-r.p.Evidence))
	for _, d := range []deletion{
		r.lines(lines), r.blocks(history), r.decisions(history),
		r.rows(&r.Audit, "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE time < ? ORDER BY time LIMIT ?)", history),
		r.rows(&r.Deliveries, `DELETE FROM deliveries WHERE (day, source) IN
			(SELECT day, source FROM deliveries WHERE day < ? ORDER BY day, source LIMIT ?)`, int64(DayOf(r.now.Add(-r.p.History)))),
	} {
		for more := true; more; {
			var err error
			if more, err = d(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// bySize deletes the oldest while there is too much.
func (r *pruning) bySize(ctx context.Context) error {
	now := nanos(r.now)
	for _, d := range []deletion{r.lines(now), r.blocks(now), r.decisions(now)} {
		for more := true; more; {
			size, err := r.s.Size(ctx)
			if err != nil {
				return err
			}
			if r.Over = max(0, size.Used-r.p.MaxBytes); r.Over == 0 {
				return nil
			}
			if more, err = d(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows deletes with a query that takes a bound and a number of rows.
func (r *pruning) rows(count *int64, query string, before int64) deletion {
	return func(ctx context.Context) (bool, error) {
		var n int64
		err := r.s.write(ctx, func(w *writing) (err error) {
			n, err = w.change(query, before, chunk)
			return err
		})
		if err != nil {
			return false, err
		}
		*count += n
		return n > 0, nil
	}
}

// change runs a statement and returns how many rows it changed.
func (w *writing) change(query string, args ...any) (int64, error) {
	res, err := w.tx.ExecContext(w.stmt, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// lines deletes the evidence of the oldest decisions before a time. The decisions keep the number of lines they had.
func (r *pruning) lines(before int64) deletion {
	const oldest = "(SELECT id FROM decisions WHERE evidence > 0 AND pruned = 0 AND fired < ? ORDER BY fired LIMIT ?)"
	return func(ctx context.Context) (bool, error) {
		var lines, decisions int64
		err := r.s.write(ctx, func(w *writing) (err error) {
			if lines, err = w.change("DELETE FROM evidence WHERE decision IN "+oldest, before, chunk); err != nil {
				return err
			}
			decisions, err = w.change("UPDATE decisions SET pruned = 1 WHERE id IN "+oldest, before, chunk)
			return err
		})
		if err != nil {
			return false, err
		}
		r.Lines += lines
		return decisions > 0, nil
	}
}

// blocks deletes blocks that ended before a time.
func (r *pruning) blocks(before int64) deletion {
	return r.rows(&r.Blocks, "DELETE FROM blocks WHERE id IN (SELECT id FROM blocks WHERE until < ? ORDER BY until LIMIT ?)", before)
}

// decisions deletes decisions before a time that no block is left of, with their evidence.
func (r *pruning) decisions(before int64) deletion {
	return r.rows(&r.Decisions, `DELETE FROM decisions WHERE id IN (SELECT id FROM decisions d WHERE fired < ?
		AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.decision = d.id) ORDER BY fired LIMIT ?)`, before)
}
