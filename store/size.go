package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
)

// Size says how large a database is, in bytes.
type Size struct {
	File int64 // the database's file
	Log  int64 // the write-ahead log beside it; bounded at about 32 MB, but for a reader that holds on to an old state
	Used int64 // what the contents take up; the rest is free pages, which new contents fill first
}

// Size returns how large the database is.
func (r *Reader) Size(ctx context.Context) (Size, error) {
	var s Size
	var page, pages, free int64
	err := r.db.QueryRowContext(ctx, `SELECT page_size, page_count, freelist_count
		FROM pragma_page_size, pragma_page_count, pragma_freelist_count`).Scan(&page, &pages, &free)
	if err != nil {
		return s, fmt.Errorf("read the size of %s: %w", r.path, err)
	}
	s.Used = (pages - free) * page
	if s.File, err = fileSize(r.path); err != nil {
		return s, err
	}
	s.Log, err = fileSize(r.path + companions[0])
	return s, err
}

// fileSize returns 0 for a file that is not there.
func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// vacuumPages is how many free pages are given back in one transaction.
const vacuumPages = 1000

// shrink gives free pages back to the file system. The file itself shrinks when the log is carried over into it, which
// a reader in the middle of something puts off until the next time.
func (s *Store) shrink(ctx context.Context) error {
	for before := int64(math.MaxInt64); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var free int64
		if err := s.w.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&free); err != nil {
			return fmt.Errorf("count free pages: %w", err)
		}
		if free == 0 || free >= before { // none left, or a file without auto_vacuum
			break
		}
		before = free
		// The statement frees a page for each of its rows, so all of them must be read.
		err := eachRow(ctx, s.w, "free pages", func(*sql.Rows) error { return nil },
			fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumPages))
		if err != nil {
			return err
		}
		// Carried over in between, the log need not grow to the size of all that was moved.
		if err := eachRow(ctx, s.w, "the log", func(*sql.Rows) error { return nil }, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			return err
		}
	}
	return eachRow(ctx, s.w, "the log", func(*sql.Rows) error { return nil }, "PRAGMA wal_checkpoint(PASSIVE)")
}
