package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// noon is the time at which the tests take place.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// at returns noon and so much later.
func at(d time.Duration) time.Time { return noon.Add(d) }

// open opens a new database, or one at the path given, and closes it with the test.
func open(t testing.TB, path ...string) *Store {
	t.Helper()
	if path == nil {
		path = []string{filepath.Join(t.TempDir(), "state", "harvestwatch.db")}
	}
	s, err := Open(path[0], Options{Now: noon, Warn: func(w string) { t.Errorf("warned: %s", w) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func commit(t testing.TB, s *Store, b *Batch) {
	t.Helper()
	if b.Now.IsZero() {
		b.Now = noon
	}
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// must returns v and fails the test for an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func source(text string) harvestwatch.Source {
	s, ok := harvestwatch.ParseSource(text)
	if !ok {
		panic("no source: " + text)
	}
	return s
}

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

// block returns a block from noon on, for so long.
func block(p string, d time.Duration) *harvestwatch.Block {
	return &harvestwatch.Block{Prefix: prefix(p), From: noon, Until: at(d), Rule: "harvest", Level: 1, Reason: "12 unknown recipients"}
}

// decision returns a record of a source that fired at that time, with a block of an hour and so many lines.
func decision(src harvestwatch.Source, fired time.Time, lines int) Record {
	until := fired.Add(time.Hour)
	r := Record{
		Decision: harvestwatch.Decision{
			Offence: harvestwatch.Offence{Source: src, Rule: "harvest", First: fired.Add(-time.Minute), Fired: fired,
				Window: 10 * time.Minute, Count: 12, Threshold: 12, Deliveries: 1, Level: 2, Probation: true, Addr: src.Prefix().Addr()},
			Action: harvestwatch.ActBlock, Guard: "", Reason: "12 unknown recipients in 10m0s", Until: until,
		},
		Block: &harvestwatch.Block{Prefix: src.Prefix(), From: fired, Until: until, Rule: "harvest", Level: 2, Reason: "12 unknown recipients"},
	}
	for i := range lines {
		r.Evidence = append(r.Evidence, Line{Path: "/var/log/mail.log", Offset: int64(i) * 200, Time: fired.Add(time.Duration(i) * time.Second),
			Text: fmt.Sprintf("mx postfix/smtpd[7]: NOQUEUE: reject: RCPT from unknown[%s]: 550 5.1.1 <user%d@example.com>: \xff\x00", src, i)})
	}
	return r
}

// dump returns every row of every table, to compare states.
func dump(t testing.TB, s *Store) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var tables []string
	err := s.each(ctx, "tables", func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		tables = append(tables, name)
		return err
	}, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	var out string
	for _, name := range tables {
		err := s.each(ctx, name, func(rows *sql.Rows) error {
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			err = rows.Scan(into...)
			out += fmt.Sprintf("%s %q\n", name, values)
			return err
		}, "SELECT * FROM "+name)
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// sound fails the test unless the database is in order in every respect that SQLite knows.
func sound(t testing.TB, s *Store) {
	t.Helper()
	for _, check := range []string{"PRAGMA integrity_check", "PRAGMA foreign_key_check"} {
		rows, err := s.w.Query(check)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var a, b, c, d any
			columns, _ := rows.Columns()
			if err := rows.Scan([]any{&a, &b, &c, &d}[:len(columns)]...); err != nil {
				t.Fatal(err)
			}
			if a != "ok" {
				t.Errorf("%s: %v", check, a)
			}
		}
		_ = rows.Close()
	}
}
