package iis

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

// ErrState is returned by Restore for a key or value that Changes didn't give out.
var ErrState = errors.New("not the state of an IIS parser of this format")

// The first byte of each stored key.
const (
	keyStream = 's'
	keyClient = 'c'
	keyOpen   = 't'
)

// Changes calls yield for each thing remembered that changed since the last call; a nil value means forgotten. The
// slices hold until yield returns. Not to be called while Fold runs.
func (p *Parser) Changes(yield func(key, value []byte)) {
	if b := p.stream.append(nil, p.format); string(b) != p.stored {
		p.stored = string(b)
		yield([]byte{keyStream}, b)
	}
	var k, v []byte
	p.clients.Changes(
		func(ip address.IP) { k = keyOf(k, keyClient, ip); yield(k, nil) },
		func(ip address.IP, seq uint64, c *client) {
			k, v = keyOf(k, keyClient, ip), c.append(binary.BigEndian.AppendUint64(v[:0], seq))
			yield(k, v)
		})
	p.open.Changes(
		func(ip address.IP) { k = keyOf(k, keyOpen, ip); yield(k, nil) },
		func(ip address.IP, seq uint64, r *transaction) {
			k, v = keyOf(k, keyOpen, ip), r.append(binary.BigEndian.AppendUint64(v[:0], seq))
			yield(k, v)
		})
}

// Restore takes back what Changes gave out, in any order, before the first Fold. It returns ErrState for foreign bytes,
// and then has changed nothing.
func (p *Parser) Restore(key, value []byte) error {
	err := ErrState
	switch {
	case len(key) == 0:
	case key[0] == keyStream && len(key) == 1:
		err = p.restoreStream(value)
	case key[0] == keyClient && len(key) == 17:
		err = p.restoreClient(key[1:], value)
	case key[0] == keyOpen && len(key) == 17:
		err = p.restoreOpen(key[1:], value)
	}
	if err != nil {
		return fmt.Errorf("restore %d bytes under the key %q: %w", len(value), key, err)
	}
	return nil
}

func keyOf(b []byte, kind byte, ip address.IP) []byte {
	return ip.Append(append(b[:0], kind))
}

func ipOf(key []byte) address.IP {
	r := memory.NewReader(key)
	return address.IP{Hi: r.U64(), Lo: r.U64()}
}

func bit(b bool, i uint) byte {
	if b {
		return 1 << i
	}
	return 0
}

// append writes what is remembered of a client. Earlier versions knew neither when its MAIL was nor its connections, and
// left them out.
func (c *client) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(c.tls))
	b = memory.AppendText(append(b, bit(c.null, 0)|bit(c.began != 0, 1)|bit(c.open != 0, 2)|bit(c.mailed, 3)), c.sender)
	if c.began != 0 {
		b = binary.BigEndian.AppendUint64(b, uint64(c.began))
	}
	if c.open != 0 {
		b = binary.BigEndian.AppendUint64(b, uint64(c.hello))
		b = binary.BigEndian.AppendUint16(b, c.open)
	}
	return b
}

func (p *Parser) restoreClient(key, value []byte) error {
	r := memory.NewReader(value)
	seq := r.U64()
	c := client{tls: int64(r.U64())}
	flags := r.U8()
	c.null, c.mailed, c.sender = flags&1 != 0, flags&8 != 0, r.Text()
	if flags&2 != 0 {
		c.began = int64(r.U64())
	}
	if flags&4 != 0 {
		c.hello, c.open = int64(r.U64()), r.U16()
	}
	if !r.Done() || flags > 15 || flags&2 != 0 && c.began == 0 || flags&4 != 0 && c.open == 0 {
		return ErrState
	}
	*p.clients.Restore(ipOf(key), seq) = c
	return nil
}

// append writes a transaction: how many recipients it has, and each.
func (r *transaction) append(b []byte) []byte {
	b = append(b, byte(len(r.ends)))
	start := uint16(0)
	for _, end := range r.ends {
		b = memory.AppendText(b, r.texts[start:end])
		start = end
	}
	return b
}

func (p *Parser) restoreOpen(key, value []byte) error {
	r := memory.NewReader(value)
	seq, n := r.U64(), int(r.U8())
	if n == 0 || n > MaxRecipients {
		return ErrState
	}
	var open transaction
	for range n {
		recipient := r.Text()
		if len(recipient) == 0 {
			return ErrState
		}
		open.texts = append(open.texts, recipient...)
		open.ends = append(open.ends, uint16(len(open.texts)))
	}
	if !r.Done() {
		return ErrState
	}
	*p.open.Restore(ipOf(key), seq) = open
	return nil
}

// append writes the stream's state: the same bytes for the same state.
func (s *stream) append(b []byte, f format) []byte {
	b = append(b, byte(f), byte(s.order),
		bit(s.dated, 0)|bit(s.guessed, 1)|bit(s.refused, 2)|bit(s.misread, 3))
	for _, n := range []int64{s.day, s.clock, s.last} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	l := &s.layout
	b = append(b, l.n, l.last, bit(l.dated, 0))
	for _, c := range l.column[:l.columns()] {
		b = append(b, byte(c))
	}
	return b
}

// columns returns how many columns are known.
func (l *layout) columns() int {
	if l.n > maxColumns {
		return 0
	}
	return int(l.n)
}

func (p *Parser) restoreStream(value []byte) error {
	r := memory.NewReader(value)
	f, o, flags := format(r.U8()), order(r.U8()), r.U8()
	s := stream{order: o, dated: flags&1 != 0, guessed: flags&2 != 0, refused: flags&4 != 0, misread: flags&8 != 0}
	s.day, s.clock, s.last = int64(r.U64()), int64(r.U64()), int64(r.U64())
	l := &s.layout
	l.n, l.last, l.dated = r.U8(), r.U8(), r.U8() != 0
	if f != p.format || o >= orderEnd || l.n > maxColumns && l.n != unreadable || int(l.last) > l.columns() {
		return ErrState
	}
	for i := range l.columns() {
		if l.column[i] = column(r.U8()); l.column[i] >= columnEnd {
			return ErrState
		}
	}
	if !r.Done() {
		return ErrState
	}
	if configured := orderOf(p.site.DateOrder); configured != orderUnknown {
		s.order = configured
	}
	p.stream, p.stored = s, string(value)
	hint := s.layout
	p.hint.Store(&hint)
	return nil
}
