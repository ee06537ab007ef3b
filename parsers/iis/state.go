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
		func(ip address.IP) { k = clientKey(k, ip); yield(k, nil) },
		func(ip address.IP, seq uint64, c *client) {
			k, v = clientKey(k, ip), c.append(binary.BigEndian.AppendUint64(v[:0], seq))
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
	}
	if err != nil {
		return fmt.Errorf("restore %d bytes under the key %q: %w", len(value), key, err)
	}
	return nil
}

func clientKey(b []byte, ip address.IP) []byte {
	return ip.Append(append(b[:0], keyClient))
}

func bit(b bool, i uint) byte {
	if b {
		return 1 << i
	}
	return 0
}

func (c *client) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(c.tls))
	return memory.AppendText(append(b, bit(c.null, 0)), c.sender)
}

func (p *Parser) restoreClient(key, value []byte) error {
	r := memory.NewReader(value)
	seq := r.U64()
	c := client{tls: int64(r.U64()), null: r.U8() != 0, sender: r.Text()}
	if !r.Done() {
		return ErrState
	}
	k := memory.NewReader(key)
	*p.clients.Restore(address.IP{Hi: k.U64(), Lo: k.U64()}, seq) = c
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
