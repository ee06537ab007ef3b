package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// failing counts the steps that a database takes (begin, prepare, statement, query, commit) and lets one of them fail.
type failing struct {
	steps int // taken
	at    int // which one fails, from 1; 0 for none
}

var errInjected = errors.New("injected")

func (f *failing) step() error {
	f.steps++
	if f.steps == f.at {
		return errInjected
	}
	return nil
}

type (
	failConnector struct {
		driver.Connector
		f *failing
	}
	// sqliteConn is what the real connection offers to database/sql.
	sqliteConn interface {
		driver.Conn
		driver.ConnBeginTx
		driver.ConnPrepareContext
		driver.ExecerContext
		driver.QueryerContext
	}
	sqliteStmt interface {
		driver.Stmt
		driver.StmtExecContext
		driver.StmtQueryContext
	}
	failConn struct {
		sqliteConn
		f *failing
	}
	failStmt struct {
		sqliteStmt
		f *failing
	}
	failTx struct {
		driver.Tx
		f *failing
	}
)

func (c failConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return failConn{conn.(sqliteConn), c.f}, nil
}

func (c failConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.f.step(); err != nil {
		return nil, err
	}
	st, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return failStmt{st.(sqliteStmt), c.f}, nil
}

func (c failConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.f.step(); err != nil {
		return nil, err
	}
	return c.sqliteConn.ExecContext(ctx, query, args)
}

func (c failConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.f.step(); err != nil {
		return nil, err
	}
	return c.sqliteConn.QueryContext(ctx, query, args)
}

func (c failConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := c.f.step(); err != nil {
		return nil, err
	}
	tx, err := c.sqliteConn.BeginTx(ctx, o)
	return failTx{tx, c.f}, err
}

func (s failStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.f.step(); err != nil {
		return nil, err
	}
	return s.sqliteStmt.ExecContext(ctx, args)
}

// Commit that fails leaves no transaction behind, as the real one does.
func (t failTx) Commit() error {
	if err := t.f.step(); err != nil {
		return errors.Join(err, t.Tx.Rollback())
	}
	return t.Tx.Commit()
}

// operations are the ways to write; each writes something to every table that it can touch.
func operations() map[string]func(context.Context, *Store) error {
	return map[string]func(context.Context, *Store) error{
		"Commit": func(ctx context.Context, s *Store) error {
			b := everything()
			if err := s.Commit(ctx, b); err != nil {
				if b.Decisions[0].Block.ID != "" {
					return errors.New("a failed commit gave an ID")
				}
				return err
			}
			return nil
		},
		"AddBlock": func(ctx context.Context, s *Store) error {
			_, err := s.AddBlock(ctx, *block("192.0.2.0/24", time.Hour), Audit{noon, "root", "block", "192.0.2.0/24"})
			return err
		},
		"EndBlock": func(ctx context.Context, s *Store) error {
			_, err := s.EndBlock(ctx, prefix("198.51.100.9/32"), at(time.Minute), Audit{noon, "root", "unblock", "198.51.100.9"})
			return err
		},
	}
}

// everything returns a batch with something for every table: new, replaced and deleted.
func everything() *Batch {
	return &Batch{
		Now:     at(time.Minute),
		Cursors: []Cursor{{"/a", []byte("g2"), 900, 9}, {"/b", nil, 0, 0}, {"/c", []byte("g"), 1, 1}},
		Parser:  []State{{"/a", []byte("k1"), []byte("v2")}, {"/a", []byte("k2"), nil}, {"/b", nil, nil}, {"/c", []byte{0}, []byte{}}},
		Windows: []Window{{9, []byte("new")}, {1, []byte("replaced")}, {2, nil}},
		Decisions: []Record{decision(source("192.0.2.77"), noon, 3), decision(source("2001:db8:1:2::/64"), at(time.Second), 1),
			{Decision: harvestwatch.Decision{Offence: harvestwatch.Offence{Source: 5, Rule: "x"}, Action: harvestwatch.ActSuppress, Guard: "never-list"}}},
		Deliveries: []Count{{source("192.0.2.1"), 20779, 2}, {source("192.0.2.2"), 20779, 1}},
		Totals:     []DayTotal{{20779, "connect", 5}, {20780, "connect", 1}},
		Segments:   []Segment{{0, "/a", []byte("g2"), 64 << 20}, {1, "", nil, 0}, {4095, "/c", nil, 0}},
		Audit:      []Audit{{noon, "root", "allow", "198.51.100.1"}},
	}
}

// before is what stands in the database first.
func before() *Batch {
	return &Batch{
		Now:        noon,
		Cursors:    []Cursor{{"/a", []byte("g1"), 100, 1}, {"/b", []byte("g"), 5, 1}},
		Parser:     []State{{"/a", []byte("k1"), []byte("v1")}, {"/a", []byte("k2"), []byte("v")}, {"/b", []byte("k"), []byte("v")}},
		Windows:    []Window{{1, []byte("a")}, {2, []byte("b")}, {3, []byte("c")}},
		Decisions:  []Record{decision(source("198.51.100.9"), noon, 2)},
		Deliveries: []Count{{source("192.0.2.1"), 20779, 1}},
		Totals:     []DayTotal{{20779, "connect", 10}},
		Segments:   []Segment{{0, "/a", []byte("g1"), 0}, {1, "/b", []byte("g"), 0}},
	}
}

// TestFailAtN lets the first step of every operation fail, then the second, and so on until it passes. After each
// failure nothing has changed; at the end all of it is there, as if nothing had ever failed.
func TestFailAtN(t *testing.T) {
	for name, op := range operations() {
		t.Run(name, func(t *testing.T) {
			want := undisturbed(t, op)
			f := &failing{}
			path := filepath.Join(t.TempDir(), "harvestwatch.db")
			s := must(Open(path, Options{Now: noon, wrap: func(c driver.Connector) driver.Connector { return failConnector{c, f} }}))(t)
			defer s.Close()
			commit(t, s, before())
			state := dump(t, s)
			for n := 1; ; n++ {
				*f = failing{at: n}
				err := op(t.Context(), s)
				*f = failing{}
				if err == nil {
					t.Logf("%d steps", n-1)
					break
				}
				if !errors.Is(err, errInjected) || n > 500 {
					t.Fatalf("step %d: %v", n, err)
				}
				if got := dump(t, s); got != state {
					t.Fatalf("step %d failed and changed the database from\n%s to\n%s", n, state, got)
				}
				sound(t, s)
			}
			if got := dump(t, s); got != want {
				t.Errorf("after the failures\n%s, want\n%s", got, want)
			}
		})
	}
}

func undisturbed(t *testing.T, op func(context.Context, *Store) error) string {
	t.Helper()
	s := open(t)
	commit(t, s, before())
	if err := op(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return dump(t, s)
}

// ending is a context that ends when it has been asked so often.
type ending struct {
	context.Context
	left atomic.Int64
}

func endingAfter(ctx context.Context, n int) *ending {
	c := &ending{Context: ctx}
	c.left.Store(int64(n))
	return c
}

func (c *ending) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestCancelledAtN ends the context at each point at which it is looked at.
func TestCancelledAtN(t *testing.T) {
	for name, op := range operations() {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			commit(t, s, before())
			state := dump(t, s)
			for n := 0; ; n++ {
				err := op(endingAfter(t.Context(), n), s)
				if err == nil && n > 0 {
					break
				}
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("ended at %d: %v", n, err)
				}
				if got := dump(t, s); got != state {
					t.Fatalf("ended at %d, the database changed", n)
				}
			}
			if dump(t, s) == state {
				t.Error("the last one changed nothing")
			}
		})
	}
}

// TestDiskFull: SQLite's own error in the middle, at growing limits, until there is room.
func TestDiskFull(t *testing.T) {
	s := open(t)
	commit(t, s, before())
	state := dump(t, s)
	size := must(s.Size(t.Context()))(t)
	b := everything()
	for i := range 2000 {
		b.Windows = append(b.Windows, Window{harvestwatch.Source(1000 + i), make([]byte, 120)})
	}
	for limit, failed := size.File/pageBytes, 0; ; limit += 8 {
		if _, err := s.w.Exec("PRAGMA max_page_count=" + itoa(limit)); err != nil {
			t.Fatal(err)
		}
		err := s.Commit(t.Context(), b)
		if err == nil {
			if failed == 0 {
				t.Error("it never was full")
			}
			break
		}
		if failed++; dump(t, s) != state {
			t.Fatalf("at %d pages: %v, and the database changed", limit, err)
		}
		if Damaged(err) || failed > 1000 {
			t.Fatal(err)
		}
		sound(t, s)
	}
	sound(t, s)
}
