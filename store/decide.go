package store

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/harvestwatch/harvestwatch"
)

const (
	putDecision = `INSERT INTO decisions (source, addr, rule, first, fired, span, counted, threshold, deliveries, level,
		probation, action, guard, reason, until, evidence, at, base, keyed, grp, target, name, helo)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	putEvidence = "INSERT INTO evidence (decision, path, pos, time, text) VALUES (?, ?, ?, ?, ?)"
	putBlock    = `INSERT INTO blocks (prefix, net, bits, start, until, rule, level, reason, decision)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	putAudit = "INSERT INTO audit (time, who, what, text) VALUES (?, ?, ?, ?)"
)

// history writes each record with its evidence and its block, and ends blocks in between. The number of record i's block
// goes to ids[i].
func (b *Batch) history(w *writing, ids []int64) error {
	rest := b.Ends
	for i := range b.Decisions {
		n := 0
		for n < len(rest) && rest[n].After <= i {
			n++
		}
		if err := w.ends(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
		id, err := b.decision(w, &b.Decisions[i])
		if err != nil {
			return fmt.Errorf("write decision %d of %d: %w", i+1, len(b.Decisions), err)
		}
		ids[i] = id
	}
	return w.ends(rest)
}

func (b *Batch) decision(w *writing, r *Record) (blockRow int64, err error) {
	d, o := &r.Decision, &r.Decision.Offence
	lines := r.Evidence[:min(len(r.Evidence), MaxEvidence)]
	id, err := w.insert(putDecision, int64(o.Source), addrText(o.Addr), o.Rule, nanos(o.First), nanos(o.Fired),
		int64(o.Window), o.Count, o.Threshold, o.Deliveries, o.Level, o.Probation, d.Action.String(), d.Guard,
		cut(d.Reason), nanos(d.Until), len(lines), nanos(b.Now), o.Base, o.Key, cut(o.Group), targetText(o.Prefix), cut(o.Name), cut(o.Helo))
	if err != nil {
		return 0, err
	}
	err = w.each("write evidence", len(lines), func(i int) (string, []any) {
		l := &lines[i]
		return putEvidence, []any{id, l.Path, l.Offset, nanos(l.Time), []byte(cut(l.Text))}
	})
	if err != nil || r.Block == nil {
		return 0, err
	}
	return w.block(r.Block, id)
}

// block writes a block. decision is the row it follows from, nil for none.
func (w *writing) block(b *harvestwatch.Block, decision any) (row int64, err error) {
	p, err := checked(b)
	if err != nil {
		return 0, err
	}
	net, bits := netOf(p)
	return w.insert(putBlock, p.String(), net, bits, nanos(b.From), nanos(b.Until), b.Rule, b.Level, cut(b.Reason), decision)
}

// insert runs one statement and returns the number of the row that it wrote.
func (w *writing) insert(query string, args ...any) (int64, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	res, err := w.tx.ExecContext(w.stmt, query, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

func (w *writing) audit(list []Audit) error {
	return w.each("write audit", len(list), func(i int) (string, []any) {
		a := &list[i]
		return putAudit, []any{nanos(a.Time), a.Who, a.What, cut(a.Text)}
	})
}

// checked returns the block's prefix, masked, IPv4 as IPv4.
func checked(b *harvestwatch.Block) (netip.Prefix, error) {
	p := canonical(b.Prefix)
	switch {
	case !p.IsValid():
		return p, fmt.Errorf("block %v: no prefix", b.Prefix)
	case b.From.IsZero() || !b.From.Before(b.Until):
		return p, fmt.Errorf("block %v: it ends at %v, not after it begins at %v", p, b.Until, b.From)
	}
	return p, nil
}

// canonical returns the prefix masked, and IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2) as IPv4.
func canonical(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// netOf returns how the prefix is stored: its family, 4 or 6, and its bytes, so that the prefixes within a prefix are
// one range; and its length.
func netOf(p netip.Prefix) (net []byte, bits int) {
	family := byte(6)
	if p.Addr().Is4() {
		family = 4
	}
	return append([]byte{family}, p.Addr().AsSlice()...), p.Bits()
}

// lastOf returns how the prefix's last address is stored.
func lastOf(p netip.Prefix) []byte {
	net, bits := netOf(p)
	for i := bits; i < p.Addr().BitLen(); i++ {
		net[1+i/8] |= 0x80 >> (i % 8)
	}
	return net
}

// addrText is "" for the zero Addr; a zone is dropped.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.WithZone("").String()
}

// targetText is "" for the zero Prefix.
func targetText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return canonical(p).String()
}

// alphabet is Crockford's base 32 in lower case: no i, l, o, u (https://www.crockford.com/base32.html).
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// blockID is the name of a block's row.
func blockID(row int64) string {
	var b [13]byte
	i := len(b)
	for ; row > 0; row /= 32 {
		i--
		b[i] = alphabet[row%32]
	}
	return string(b[i:])
}

var errNotID = errors.New("not the ID of a block")

// blockRow reads what blockID wrote, as people type it: in either case, o for 0, i and l for 1.
func blockRow(id string) (int64, error) {
	if len(id) == 0 || len(id) > 12 { // 60 bits
		return 0, errNotID
	}
	var row int64
	for i := range len(id) {
		v := digit(id[i])
		if v < 0 {
			return 0, errNotID
		}
		row = row*32 + v
	}
	return row, nil
}

// digit returns what a character of an ID stands for, or -1.
func digit(c byte) int64 {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	switch c {
	case 'o':
		c = '0'
	case 'i', 'l':
		c = '1'
	}
	for v := range len(alphabet) {
		if alphabet[v] == c {
			return int64(v)
		}
	}
	return -1
}
