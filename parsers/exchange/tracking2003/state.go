package tracking2003

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

// ErrState is returned by Restore for bytes that Changes didn't give out.
var ErrState = errors.New("not the state of a tracking log of Exchange 2003")

// The first byte of each stored key.
const (
	keyOwner     = 'o'
	keyArrival   = 'a'
	keyRecipient = 'r'
)

// Changes yields what is remembered across lines and changed since the last call; a nil value means forgotten. The
// slices hold until yield returns.
func (p *Parser) Changes(yield func(key, value []byte)) {
	changes(keyOwner, p.owners, yield, func(b []byte, o *owner) []byte {
		b = binary.BigEndian.AppendUint64(b, o.client)
		if o.mixed {
			return append(b, 1)
		}
		return append(b, 0)
	})
	changes(keyArrival, p.arrivals, yield, func(b []byte, at *int64) []byte {
		return binary.BigEndian.AppendUint64(b, uint64(*at))
	})
	changes(keyRecipient, p.recipients, yield, func(b []byte, join *uint64) []byte {
		return binary.BigEndian.AppendUint64(b, *join)
	})
}

func changes[V any](kind byte, t *memory.Table[uint64, V], yield func(key, value []byte), add func(b []byte, v *V) []byte) {
	var k, v []byte
	t.Changes(
		func(key uint64) {
			k = binary.BigEndian.AppendUint64(append(k[:0], kind), key)
			yield(k, nil)
		},
		func(key, seq uint64, value *V) {
			k = binary.BigEndian.AppendUint64(append(k[:0], kind), key)
			v = add(binary.BigEndian.AppendUint64(v[:0], seq), value)
			yield(k, v)
		})
}

// Restore takes back what Changes gave out, in any order, before the first Fold. Foreign bytes change nothing and give
// an error.
func (p *Parser) Restore(key, value []byte) error {
	bad := fmt.Errorf("restore %d bytes under the key %q: %w", len(value), key, ErrState)
	if len(key) != 9 {
		return bad
	}
	id, r := binary.BigEndian.Uint64(key[1:]), memory.NewReader(value)
	seq, first := r.U64(), r.U64()
	mixed := key[0] == keyOwner && r.U8() != 0
	switch {
	case !r.Done():
		return bad
	case key[0] == keyOwner:
		*p.owners.Restore(id, seq) = owner{client: first, mixed: mixed}
	case key[0] == keyArrival:
		*p.arrivals.Restore(id, seq) = int64(first)
	case key[0] == keyRecipient:
		*p.recipients.Restore(id, seq) = first
	default:
		return bad
	}
	return nil
}
