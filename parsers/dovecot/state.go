package dovecot

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

// ErrState is returned by Restore for a key or value that Changes didn't give out.
var ErrState = errors.New("not the state of a Dovecot parser")

// The first byte of each stored key.
const (
	keyClock = 'c'
	keyTold  = 't'
	keySole  = 's'
)

// Changes calls yield for each thing remembered that changed since the last call; a nil value means forgotten. The
// slices hold until yield returns. Not to be called while Fold runs.
func (p *Parser) Changes(yield func(key, value []byte)) {
	if state, _ := p.clock.MarshalBinary(); string(state) != p.saved { //nolint:errcheck // it never fails
		p.saved = string(state)
		yield([]byte{keyClock}, state)
	}
	if state := p.sole.append(nil); string(state) != p.kept {
		p.kept = string(state)
		yield([]byte{keySole}, state)
	}
	var k, v []byte
	p.told.Changes(
		func(key uint64) { k = toldKey(k, key); yield(k, nil) },
		func(key uint64, seq uint64, r *record) {
			k, v = toldKey(k, key), r.append(binary.BigEndian.AppendUint64(v[:0], seq))
			yield(k, v)
		})
}

func toldKey(b []byte, key uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b[:0], keyTold), key)
}

func (r *record) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(r.last))
	b = binary.BigEndian.AppendUint32(b, r.told)
	b = binary.BigEndian.AppendUint32(b, r.open)
	for _, d := range r.by {
		b = binary.BigEndian.AppendUint32(b, d.driver)
		b = binary.BigEndian.AppendUint32(b, d.n)
	}
	if r.unknown != 0 { // earlier versions didn't know it
		b = binary.BigEndian.AppendUint32(b, r.unknown)
	}
	return b
}

// Restore takes back what Changes gave out, in any order, before the first Fold. It returns ErrState for foreign bytes,
// and then has changed nothing.
func (p *Parser) Restore(key, value []byte) error {
	err := ErrState
	switch {
	case len(key) == 1 && key[0] == keyClock:
		if err = p.clock.UnmarshalBinary(value); err == nil {
			p.saved = string(value)
		}
	case len(key) == 1 && key[0] == keySole:
		if s, ok := readSole(value); ok {
			p.sole, p.kept, err = s, string(value), nil
		}
	case len(key) == 9 && key[0] == keyTold:
		err = p.restoreTold(binary.BigEndian.Uint64(key[1:]), value)
	}
	if err != nil {
		return fmt.Errorf("restore %d bytes under the key %q: %w", len(value), key, err)
	}
	return nil
}

func (p *Parser) restoreTold(key uint64, value []byte) error {
	in := memory.NewReader(value)
	seq := in.U64()
	r := record{last: int64(in.U64()), told: in.U32(), open: in.U32()}
	for i := range r.by {
		r.by[i].driver, r.by[i].n = in.U32(), in.U32()
	}
	if in.Rest() > 0 {
		r.unknown = in.U32()
	}
	if !in.Done() {
		return ErrState
	}
	*p.told.Restore(key, seq) = r
	return nil
}
