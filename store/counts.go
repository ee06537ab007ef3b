package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// Count is how many messages a source delivered on a day.
type Count struct {
	Source harvestwatch.Source
	Day    Day
	N      int64 // may be negative in a Batch, to take back
}

// DayTotal is how many events of a kind a day had.
type DayTotal struct {
	Day  Day
	Kind string // the name of a harvestwatch.Kind, or of anything else that the caller counts
	N    int64
}

func (b *Batch) deliveries(w *writing) error {
	const query = `INSERT INTO deliveries (day, source, n) VALUES (?, ?, ?)
		ON CONFLICT (day, source) DO UPDATE SET n = n + excluded.n`
	return w.each("count deliveries", len(b.Deliveries), func(i int) (string, []any) {
		c := &b.Deliveries[i]
		return query, []any{int64(c.Day), int64(c.Source), c.N}
	})
}

func (b *Batch) totals(w *writing) error {
	const query = `INSERT INTO totals (day, kind, n) VALUES (?, ?, ?)
		ON CONFLICT (day, kind) DO UPDATE SET n = n + excluded.n`
	return w.each("count events", len(b.Totals), func(i int) (string, []any) {
		t := &b.Totals[i]
		return query, []any{int64(t.Day), t.Kind, t.N}
	})
}

// Deliveries returns what a source delivered on each day from since on, oldest first. Days without are left out.
func (r *Reader) Deliveries(ctx context.Context, source harvestwatch.Source, since Day) ([]Count, error) {
	// One look-up a day: the table is ordered by day, so that counting and pruning stay in one place of it.
	const query = `WITH RECURSIVE
		span (first, last) AS (SELECT max(?1, (SELECT min(day) FROM deliveries)), (SELECT max(day) FROM deliveries)),
		days (day) AS (SELECT first FROM span UNION ALL SELECT day + 1 FROM days, span WHERE day < last LIMIT 50000)
		SELECT d.day, d.n FROM days CROSS JOIN deliveries d ON d.day = days.day AND d.source = ?2`
	var list []Count
	err := r.each(ctx, "deliveries", func(rows *sql.Rows) error {
		c := Count{Source: source}
		if err := rows.Scan(&c.Day, &c.N); err != nil {
			return err
		}
		list = append(list, c)
		return nil
	}, query, int64(since), int64(source))
	return list, err
}

// Totals returns the events of each day from since on, by day and name.
func (r *Reader) Totals(ctx context.Context, since Day) ([]DayTotal, error) {
	var list []DayTotal
	err := r.each(ctx, "totals", func(rows *sql.Rows) error {
		var t DayTotal
		if err := rows.Scan(&t.Day, &t.Kind, &t.N); err != nil {
			return err
		}
		list = append(list, t)
		return nil
	}, "SELECT day, kind, n FROM totals WHERE day >= ? ORDER BY day, kind", int64(since))
	return list, err
}

// AuditSince returns what people did from since on, newest first, at most limit lines; 0 means MaxRecords.
func (r *Reader) AuditSince(ctx context.Context, since time.Time, limit int) ([]Audit, error) {
	var list []Audit
	err := r.each(ctx, "audit", func(rows *sql.Rows) error {
		var a Audit
		var at int64
		if err := rows.Scan(&at, &a.Who, &a.What, &a.Text); err != nil {
			return err
		}
		a.Time = moment(at)
		list = append(list, a)
		return nil
	}, "SELECT time, who, what, text FROM audit WHERE time >= ? ORDER BY time DESC, id DESC LIMIT ?", nanos(since), bounded(limit))
	return list, err
}
