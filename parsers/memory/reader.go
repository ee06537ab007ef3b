package memory

import (
	"encoding/binary"
	"slices"

	"github.com/harvestwatch/harvestwatch"
)

// Reader takes big-endian numbers and counted texts off stored bytes. Reading on where there are too few gives zeros
// and is told by Done.
type Reader struct {
	b   []byte
	bad bool
}

// NewReader returns a reader of b, which it doesn't change.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Take takes n bytes off, which hold as long as what the reader reads.
func (r *Reader) Take(n int) []byte {
	if len(r.b) < n {
		r.b, r.bad = nil, true
		return make([]byte, n)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// U64 takes a number of eight bytes off.
func (r *Reader) U64() uint64 { return binary.BigEndian.Uint64(r.Take(8)) }

// U32 takes a number of four bytes off.
func (r *Reader) U32() uint32 { return binary.BigEndian.Uint32(r.Take(4)) }

// U16 takes a number of two bytes off.
func (r *Reader) U16() uint16 { return binary.BigEndian.Uint16(r.Take(2)) }

// U8 takes a byte off.
func (r *Reader) U8() uint8 { return r.Take(1)[0] }

// Text takes a text off that AppendText wrote, and copies it. One of more than MaxField bytes is bad.
func (r *Reader) Text() []byte {
	n := int(r.U16())
	if n > harvestwatch.MaxField {
		r.bad = true
		return nil
	}
	return slices.Clone(r.Take(n))
}

// AppendText appends a text of at most MaxField bytes for Text.
func AppendText(b, text []byte) []byte {
	text = text[:min(len(text), harvestwatch.MaxField)]
	return append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...)
}

// Rest returns how many bytes are left.
func (r *Reader) Rest() int { return len(r.b) }

// Done reports whether all bytes were read and none was missing.
func (r *Reader) Done() bool { return !r.bad && len(r.b) == 0 }
