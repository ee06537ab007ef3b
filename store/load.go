package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/harvestwatch/harvestwatch"
)

// each runs a query and hands every row to scan.
func (r *Reader) each(ctx context.Context, what string, scan func(*sql.Rows) error, query string, args ...any) error {
	return eachRow(ctx, r.db, what, scan, query, args...)
}

// querier is a pool or a transaction of one.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func eachRow(ctx context.Context, q querier, what string, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("read %s: %w", what, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

// LoadCursors returns every cursor, in the order of their paths.
func (r *Reader) LoadCursors(ctx context.Context) ([]Cursor, error) {
	var list []Cursor
	err := r.each(ctx, "cursors", func(rows *sql.Rows) error {
		var c Cursor
		if err := rows.Scan(&c.Path, &c.File, &c.Offset, &c.Line); err != nil {
			return err
		}
		list = append(list, c)
		return nil
	}, "SELECT path, file, pos, line FROM cursors ORDER BY path")
	return list, err
}

// LoadParser yields what is kept of an input, in the order of the keys. Key and value hold until yield returns; an
// error from yield ends the loading and is returned.
func (r *Reader) LoadParser(ctx context.Context, input string, yield func(key, value []byte) error) error {
	return r.each(ctx, "parser state", func(rows *sql.Rows) error {
		var key, value sql.RawBytes
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		return yield(key, notNil(value))
	}, "SELECT key, value FROM parser_state WHERE input = ? ORDER BY key", input)
}

// LoadWindows yields every record of the detector. The value holds until yield returns; an error from yield ends the
// loading and is returned.
func (r *Reader) LoadWindows(ctx context.Context, yield func(harvestwatch.Source, []byte) error) error {
	return r.each(ctx, "windows", func(rows *sql.Rows) error {
		var source int64
		var value sql.RawBytes
		if err := rows.Scan(&source, &value); err != nil {
			return err
		}
		return yield(harvestwatch.Source(source), value)
	}, "SELECT source, value FROM windows")
}

// LoadMemory yields everything else that the detector keeps in mind, as LoadWindows does, in the order of spaces and keys.
func (r *Reader) LoadMemory(ctx context.Context, yield func(space uint8, key uint64, value []byte) error) error {
	return r.each(ctx, "the detector's memory", func(rows *sql.Rows) error {
		var space, key int64
		var value sql.RawBytes
		if err := rows.Scan(&space, &key, &value); err != nil {
			return err
		}
		return yield(uint8(space), uint64(key), value)
	}, "SELECT space, key, value FROM memory ORDER BY space, key")
}

// LoadSegments returns every segment in the order in which they were last written: the newest is the last.
func (r *Reader) LoadSegments(ctx context.Context) ([]Segment, error) {
	var list []Segment
	err := r.each(ctx, "segments", func(rows *sql.Rows) error {
		var s Segment
		if err := rows.Scan(&s.Seg, &s.Path, &s.File, &s.Start); err != nil {
			return err
		}
		list = append(list, s)
		return nil
	}, "SELECT seg, path, file, start FROM segments ORDER BY n")
	return list, err
}
