package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// Bounds on what is kept of one decision and of one line of the audit. What exceeds them is cut off.
const (
	MaxEvidence = 64      // lines of evidence; the first ones are kept
	MaxText     = 4 << 10 // bytes of one line of evidence, of an audit text and of a reason
)

// Batch is what follows from a run of lines, the place up to which they were read included. Where two elements of a
// slice have the same key the later one holds.
type Batch struct {
	Now        time.Time  // the time of the commit; must be set
	Cursors    []Cursor   // replace the cursors of their paths
	Parser     []State    // replace what is kept under their keys
	Windows    []Window   // replace the records of their sources
	Memory     []Memory   // replace what is kept under their keys
	Decisions  []Record   // are added, in this order
	Deliveries []Count    // are added up
	Totals     []DayTotal // are added up
	Segments   []Segment  // replace those of their numbers
	Ends       []End      // end blocks, each after as many Decisions as it says; in ascending order of that number
	Audit      []Audit    // are added
}

// Cursor says how far an input has been read.
type Cursor struct {
	Path   string
	File   []byte // which generation of the path, opaque to the store; empty deletes the cursor
	Offset int64  // the next byte to read, in the decompressed input
	Line   int64  // the number of lines before it
}

// State is one thing that a parser remembers of one input.
type State struct {
	Input string
	Key   []byte // opaque; together with a nil Value, nil deletes everything that is kept of Input
	Value []byte // opaque; nil deletes, empty is kept
}

// Window is the detector's record of one source.
type Window struct {
	Source harvestwatch.Source
	Value  []byte // opaque; empty deletes
}

// End ends every block of exactly that prefix that would end later, except those made by hand, whose rule is "manual": what
// a rule or a list blocked, and what was adopted, by whichever call it was added.
type End struct {
	Prefix netip.Prefix
	At     time.Time
	After  int // how many of the batch's Decisions come before it; it does not end the blocks of the others
}

// Memory is what the detector keeps in mind under a key that is no source.
type Memory struct {
	Space uint8  // which kind of key; the detector's own numbers, from 1
	Key   uint64 // within the space
	Value []byte // opaque; empty deletes
}

// Segment says what the upper bits of a 32-bit evidence reference point into: a stretch of one generation of a file.
type Segment struct {
	Seg   uint32
	Path  string // "" deletes
	File  []byte // which generation of the path, opaque to the store
	Start int64  // the stretch's first byte, in the decompressed input
}

// Record is a decision with what it rests on and what followed. A block that somebody made by hand is a Record with a
// zero Decision.
type Record struct {
	// Of the offence, Evidence, RuleIndex, Session and Pos are not kept: they mean something to one run only; nor are Guard,
	// which the decision has, Credited, Served and Listed.
	Decision harvestwatch.Decision
	Block    *harvestwatch.Block // nil where none followed; Commit sets its ID
	Evidence []Line              // oldest first; at most MaxEvidence are kept
	Kept     int                 // read only: how many lines were kept; fewer are left when they have been pruned
	Ended    time.Time           // read only: when somebody ended the block; Block.Until is then this, Decision.Until what it was
}

// Line is one line of a log. Text holds what an attacker may have written.
type Line struct {
	Path   string // the input as it was named
	Offset int64  // of the line's first byte in the decompressed input
	Time   time.Time
	Text   string // cut at MaxText bytes; any bytes, not only UTF-8
}

// Audit is one thing that a person did.
type Audit struct {
	Time time.Time
	Who  string // the user's name, as the control socket or the terminal knows it
	What string // the command: block, unblock, allow, …
	Text string // its object and reason; cut at MaxText bytes
}

// Commit writes all of b in one transaction: all of it holds when Commit returns nil, and nothing of it otherwise,
// except that a database on a failing disk may hold it all in spite of an error from the last step. ctx is looked at
// between statements; one that has ended gives its error.
// On success every Block of b.Decisions has its ID. An invalid block or a zero b.Now is an error.
func (s *Store) Commit(ctx context.Context, b *Batch) error {
	if b.Now.IsZero() {
		return errors.New("commit: the batch has no time")
	}
	ids := make([]int64, len(b.Decisions))
	err := s.write(ctx, func(w *writing) error {
		for _, step := range []func(*writing) error{b.cursors, b.parser, b.windows, b.memory, b.segments, b.deliveries, b.totals} {
			if err := step(w); err != nil {
				return err
			}
		}
		if err := b.history(w, ids); err != nil {
			return err
		}
		return w.audit(b.Audit)
	})
	if err != nil {
		return fmt.Errorf("commit to %s: %w", s.path, err)
	}
	for i := range b.Decisions {
		if block := b.Decisions[i].Block; block != nil {
			block.ID = blockID(ids[i])
		}
	}
	return nil
}

// writing is a transaction of the writing connection.
type writing struct {
	ctx  context.Context // the caller's; statements run under one that can't end, which saves a goroutine for each
	tx   *sql.Tx
	stmt context.Context
}

// write runs f in a transaction and commits it if f returns nil.
func (s *Store) write(ctx context.Context, f func(*writing) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := writing{ctx: ctx, stmt: context.WithoutCancel(ctx)}
	tx, err := s.w.BeginTx(w.stmt, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	w.tx = tx
	if err := f(&w); err != nil {
		if back := tx.Rollback(); back != nil {
			return fmt.Errorf("%w; roll back: %w", err, back)
		}
		return err
	}
	return tx.Commit()
}

// each runs one statement for each of n elements: the one that pick returns, with its arguments. The connection keeps
// what it has compiled, so a statement costs its compilation once in the life of the store.
func (w *writing) each(what string, n int, pick func(i int) (query string, args []any)) error {
	prepared := map[string]*sql.Stmt{}
	defer func() {
		for _, st := range prepared {
			_ = st.Close()
		}
	}()
	for i := range n {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		query, args := pick(i)
		st := prepared[query]
		if st == nil {
			var err error
			if st, err = w.tx.PrepareContext(w.stmt, query); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			prepared[query] = st
		}
		if _, err := st.ExecContext(w.stmt, args...); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

const (
	putCursor = `INSERT INTO cursors (path, file, pos, line, updated) VALUES (?, ?, ?, ?, ?) ON CONFLICT (path)
		DO UPDATE SET file = excluded.file, pos = excluded.pos, line = excluded.line, updated = excluded.updated`
	dropCursor = "DELETE FROM cursors WHERE path = ?"
	putState   = `INSERT INTO parser_state (input, key, value) VALUES (?, ?, ?)
		ON CONFLICT (input, key) DO UPDATE SET value = excluded.value`
	dropState  = "DELETE FROM parser_state WHERE input = ? AND key = ?"
	dropStates = "DELETE FROM parser_state WHERE input = ?"
	putWindow  = "INSERT INTO windows (source, value) VALUES (?, ?) ON CONFLICT (source) DO UPDATE SET value = excluded.value"
	dropWindow = "DELETE FROM windows WHERE source = ?"
	putMemory  = "INSERT INTO memory (space, key, value) VALUES (?, ?, ?) ON CONFLICT (space, key) DO UPDATE SET value = excluded.value"
	dropMemory = "DELETE FROM memory WHERE space = ? AND key = ?"
	endOurs    = `UPDATE blocks SET until = max(start, ?1), ended = ?1
		WHERE net = ?2 AND bits = ?3 AND until > ?1 AND until > start AND rule <> '` + byHand + `'`
	putSegment  = "INSERT OR REPLACE INTO segments (seg, path, file, start) VALUES (?, ?, ?, ?)"
	dropSegment = "DELETE FROM segments WHERE seg = ?"
)

func (b *Batch) cursors(w *writing) error {
	return w.each("write cursors", len(b.Cursors), func(i int) (string, []any) {
		c := &b.Cursors[i]
		if len(c.File) == 0 {
			return dropCursor, []any{c.Path}
		}
		return putCursor, []any{c.Path, c.File, c.Offset, c.Line, nanos(b.Now)}
	})
}

func (b *Batch) parser(w *writing) error {
	return w.each("write parser state", len(b.Parser), func(i int) (string, []any) {
		p := &b.Parser[i]
		switch {
		case p.Value != nil:
			return putState, []any{p.Input, notNil(p.Key), p.Value}
		case p.Key != nil:
			return dropState, []any{p.Input, p.Key}
		}
		return dropStates, []any{p.Input}
	})
}

// windows writes the records in the order in which the table holds them: of many sources those that share a page then
// come one after the other.
func (b *Batch) windows(w *writing) error {
	order := make([]*Window, len(b.Windows))
	for i := range order {
		order[i] = &b.Windows[i]
	}
	slices.SortStableFunc(order, func(a, b *Window) int { return cmp.Compare(int64(a.Source), int64(b.Source)) })
	return w.each("write windows", len(order), func(i int) (string, []any) {
		v := order[i]
		if len(v.Value) == 0 {
			return dropWindow, []any{int64(v.Source)}
		}
		return putWindow, []any{int64(v.Source), v.Value}
	})
}

// memory writes what is kept under keys in the order of the keys, as windows does.
func (b *Batch) memory(w *writing) error {
	order := make([]*Memory, len(b.Memory))
	for i := range order {
		order[i] = &b.Memory[i]
	}
	slices.SortStableFunc(order, func(a, b *Memory) int {
		return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(int64(a.Key), int64(b.Key)))
	})
	return w.each("write the detector's memory", len(order), func(i int) (string, []any) {
		v := order[i]
		if len(v.Value) == 0 {
			return dropMemory, []any{int64(v.Space), int64(v.Key)}
		}
		return putMemory, []any{int64(v.Space), int64(v.Key), v.Value}
	})
}

// ends ends blocks.
func (w *writing) ends(list []End) error {
	return w.each("end blocks", len(list), func(i int) (string, []any) {
		e := &list[i]
		net, bits := netOf(canonical(e.Prefix))
		return endOurs, []any{nanos(e.At), net, bits}
	})
}

func (b *Batch) segments(w *writing) error {
	return w.each("write segments", len(b.Segments), func(i int) (string, []any) {
		s := &b.Segments[i]
		if s.Path == "" {
			return dropSegment, []any{int64(s.Seg)}
		}
		return putSegment, []any{int64(s.Seg), s.Path, notNil(s.File), s.Start}
	})
}

// notNil makes an empty blob of what would be written as NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// cut returns at most MaxText bytes of s.
func cut(s string) string { return s[:min(len(s), MaxText)] }
