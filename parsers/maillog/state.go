package maillog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

// ErrState is returned by Restore for a key or value that Changes didn't give out.
var ErrState = errors.New("not the state of a mail log's parser")

// The first byte of the keys that aren't Postfix's. Postfix's own begin with a small letter and stand without a prefix, so
// what a version stored that knew Postfix only is taken back too.
const (
	keyDovecot = 0xd0 // then the key as Dovecot's parser has it
	keyAsked   = 0xd1 // then an address
)

// Changes calls yield for each thing remembered that changed since the last call; a nil value means forgotten. The
// slices hold until yield returns. Not to be called while Fold runs.
func (p *Parser) Changes(yield func(key, value []byte)) {
	p.postfix.Changes(yield)
	var k, v []byte
	p.dovecot.Changes(func(key, value []byte) {
		k = append(append(k[:0], keyDovecot), key...)
		yield(k, value)
	})
	p.asked.Changes(
		func(key address.IP) { k = key.Append(append(k[:0], keyAsked)); yield(k, nil) },
		func(key address.IP, seq uint64, a *ask) {
			k = key.Append(append(k[:0], keyAsked))
			v = binary.BigEndian.AppendUint64(v[:0], seq)
			v = binary.BigEndian.AppendUint64(v, uint64(a.last))
			v = binary.BigEndian.AppendUint32(v, a.n)
			yield(k, v)
		})
}

// Restore takes back what Changes gave out, in any order, before the first Fold. It returns an error for foreign bytes,
// and then has changed nothing.
func (p *Parser) Restore(key, value []byte) error {
	switch {
	case len(key) == 0 || key[0] != keyDovecot && key[0] != keyAsked:
		return p.postfix.Restore(key, value)
	case key[0] == keyDovecot:
		return p.dovecot.Restore(key[1:], value)
	}
	in, of := memory.NewReader(value), memory.NewReader(key[1:])
	seq := in.U64()
	a := ask{last: int64(in.U64()), n: in.U32()}
	ip := address.IP{Hi: of.U64(), Lo: of.U64()}
	if !in.Done() || !of.Done() || a.n == 0 {
		return fmt.Errorf("restore %d bytes under the key %q: %w", len(value), key, ErrState)
	}
	*p.asked.Restore(ip, seq) = a
	return nil
}
