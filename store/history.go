package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// Query says which records are wanted. The zero Query wants the newest MaxRecords of all.
type Query struct {
	Prefix netip.Prefix // records whose source lies in it or whose block touches it; the zero Prefix means all
	Since  time.Time    // records that fired (manual blocks: began) then or later; zero for no bound
	Until  time.Time    // records that fired before; zero for no bound
	Limit  int          // at most so many; 0 means MaxRecords, which is also the most
	Bare   bool         // leave the evidence out
}

// History returns decisions with their blocks and evidence, and the blocks made by hand, newest first: what is known
// of a source, also when its blocks have ended and its logs are gone. All of it is read from one state of the database.
func (r *Reader) History(ctx context.Context, q Query) ([]Record, error) {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	list, err := decided(ctx, tx, &q)
	if err != nil {
		return nil, err
	}
	byHand, err := manual(ctx, tx, &q)
	if err != nil {
		return nil, err
	}
	list = append(list, byHand...)
	slices.SortStableFunc(list, func(a, b found) int { return b.Record.when().Compare(a.Record.when()) })
	list = list[:min(len(list), bounded(q.Limit))]
	records := make([]Record, len(list))
	for i := range list {
		records[i] = list[i].Record
		if !q.Bare && list[i].Kept > 0 {
			if records[i].Evidence, err = evidence(ctx, tx, list[i].row); err != nil {
				return nil, err
			}
		}
	}
	return records, nil
}

// when is the time by which records are ordered.
func (r *Record) when() time.Time {
	if r.Decision.Offence.Rule == "" && r.Block != nil {
		return r.Block.From
	}
	return r.Decision.Offence.Fired
}

// found is a record with the number of its decision's row.
type found struct {
	Record
	row int64
}

// condition collects the parts of a WHERE clause with their arguments.
type condition struct {
	parts []string
	args  []any
}

func (c *condition) and(part string, args ...any) {
	c.parts, c.args = append(c.parts, part), append(c.args, args...)
}

// during bounds a column of times.
func (c *condition) during(column string, q *Query) {
	if !q.Since.IsZero() {
		c.and(column+" >= ?", nanos(q.Since))
	}
	if !q.Until.IsZero() {
		c.and(column+" < ?", nanos(q.Until))
	}
}

// String returns the clause, or "" for no condition.
func (c *condition) String() string {
	if len(c.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.parts, " AND ")
}

// touches is the condition that a block's prefix lies in p or holds it. Of two prefixes that have an address in common
// one holds the other, so the blocks within p are one range of the index, and each prefix that holds p one look-up.
func touches(p netip.Prefix) (string, []any) {
	net, bits := netOf(p)
	args := []any{net, lastOf(p), bits}
	var wider []string
	for n := p.Bits() - 1; n >= 0; n-- {
		net, bits := netOf(netip.PrefixFrom(p.Addr(), n).Masked())
		wider = append(wider, "(?, ?)")
		args = append(args, net, bits)
	}
	text := "net BETWEEN ? AND ? AND bits >= ?"
	if wider != nil {
		text += " OR (net, bits) IN (VALUES " + strings.Join(wider, ", ") + ")"
	}
	return "(" + text + ")", args
}

// sourcesIn is the condition that the source lies in p, or is the /64 that holds p.
func sourcesIn(p netip.Prefix) (string, []any) {
	var first, last uint64
	a, z := p.Addr().AsSlice(), lastOf(p)[1:]
	if p.Addr().Is4() {
		first, last = be(a), be(z)
	} else {
		first, last = max(be(a[:8]), 1<<32), be(z[:8]) // below lie the IPv4 addresses
	}
	if int64(first) > int64(last) { // the range holds 1<<63, where the stored numbers turn negative
		return "(source >= ? OR source <= ?)", []any{int64(first), int64(last)}
	}
	return "source BETWEEN ? AND ?", []any{int64(first), int64(last)}
}

// be reads a number, the highest byte first.
func be(b []byte) (n uint64) {
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return n
}

const recordColumns = `d.id, d.source, d.addr, d.rule, d.first, d.fired, d.span, d.counted, d.threshold, d.deliveries,
	d.level, d.probation, d.action, d.guard, d.reason, d.until, d.evidence, d.base, d.keyed, d.grp, d.target, d.name, d.helo,
	b.id, b.prefix, b.start, b.until, b.rule, b.level, b.reason, b.ended`

// decided returns the decisions that q wants, newest first.
func decided(ctx context.Context, tx *sql.Tx, q *Query) ([]found, error) {
	var c condition
	if q.Prefix.IsValid() {
		p := canonical(q.Prefix)
		within, args := sourcesIn(p)
		blocked, more := touches(p)
		c.and("d.id IN (SELECT id FROM decisions WHERE "+within+" UNION SELECT decision FROM blocks WHERE "+blocked+")",
			append(args, more...)...)
		c.during("+d.fired", q)
	} else {
		c.during("d.fired", q)
	}
	var list []found
	err := eachRow(ctx, tx, "history", func(rows *sql.Rows) error {
		f, err := scanRecord(rows)
		list = append(list, f)
		return err
	}, "SELECT "+recordColumns+" FROM decisions d LEFT JOIN blocks b ON b.decision = d.id"+c.String()+
		" ORDER BY d.fired DESC, d.id DESC LIMIT ?", append(c.args, bounded(q.Limit))...)
	return list, err
}

// scanRecord reads recordColumns.
func scanRecord(rows *sql.Rows) (found, error) {
	var f found
	d, o := &f.Decision, &f.Decision.Offence
	var source, first, fired, span, until int64
	var addr, action, target string
	var b struct {
		id, start, until, level, ended sql.NullInt64
		prefix, rule, reason           sql.NullString
	}
	err := rows.Scan(&f.row, &source, &addr, &o.Rule, &first, &fired, &span, &o.Count, &o.Threshold, &o.Deliveries,
		&o.Level, &o.Probation, &action, &d.Guard, &d.Reason, &until, &f.Kept, &o.Base, &o.Key, &o.Group, &target, &o.Name, &o.Helo,
		&b.id, &b.prefix, &b.start, &b.until, &b.rule, &b.level, &b.reason, &b.ended)
	if err != nil {
		return f, err
	}
	o.Source, o.First, o.Fired, o.Window = harvestwatch.Source(source), moment(first), moment(fired), time.Duration(span)
	d.Action, _ = harvestwatch.ActionOf(action)
	d.Until = moment(until)
	if addr != "" {
		if o.Addr, err = netip.ParseAddr(addr); err != nil {
			return f, fmt.Errorf("decision %d: %w", f.row, err)
		}
	}
	if target != "" {
		if o.Prefix, err = netip.ParsePrefix(target); err != nil {
			return f, fmt.Errorf("decision %d: %w", f.row, err)
		}
	}
	if !b.id.Valid {
		return f, nil
	}
	f.Ended = moment(b.ended.Int64)
	f.Block = &harvestwatch.Block{Rule: b.rule.String, Level: int(b.level.Int64), Reason: b.reason.String}
	return f, fillBlock(f.Block, b.id.Int64, b.prefix.String, b.start.Int64, b.until.Int64)
}

// manual returns the blocks without a decision that q wants, newest first.
func manual(ctx context.Context, tx *sql.Tx, q *Query) ([]found, error) {
	var c condition
	c.and("decision IS NULL")
	column := "start"
	if q.Prefix.IsValid() {
		text, args := touches(canonical(q.Prefix))
		c.and(text, args...)
		column = "+start"
	}
	c.during(column, q)
	var list []found
	err := eachRow(ctx, tx, "history", func(rows *sql.Rows) error {
		var b harvestwatch.Block
		var id, from, until, ended int64
		var prefix string
		if err := rows.Scan(&id, &prefix, &from, &until, &b.Rule, &b.Level, &b.Reason, &ended); err != nil {
			return err
		}
		list = append(list, found{Record: Record{Block: &b, Ended: moment(ended)}})
		return fillBlock(&b, id, prefix, from, until)
	}, "SELECT "+blockColumns+", ended FROM blocks"+c.String()+" ORDER BY "+column+" DESC, id DESC LIMIT ?",
		append(c.args, bounded(q.Limit))...)
	return list, err
}

// evidence returns the lines that are left of a decision's.
func evidence(ctx context.Context, tx *sql.Tx, decision int64) ([]Line, error) {
	var list []Line
	err := eachRow(ctx, tx, "evidence", func(rows *sql.Rows) error {
		var l Line
		var at int64
		var text sql.RawBytes
		if err := rows.Scan(&l.Path, &l.Offset, &at, &text); err != nil {
			return err
		}
		l.Time, l.Text = moment(at), string(text)
		list = append(list, l)
		return nil
	}, "SELECT path, pos, time, text FROM evidence WHERE decision = ? ORDER BY id", decision)
	return list, err
}
