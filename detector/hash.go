package detector

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/harvestwatch/harvestwatch"
)

// hasher is SipHash-1-3 (Aumasson and Bernstein, 2012) under the detector's key: whoever does not know the key can
// neither choose recipients that count as one nor sources that crowd one place of the table.
type hasher struct {
	k0, k1 uint64
	buf    [harvestwatch.MaxField]byte // where text is put into its normal form
}

func newHasher(key [16]byte) hasher {
	return hasher{k0: binary.LittleEndian.Uint64(key[:8]), k1: binary.LittleEndian.Uint64(key[8:])}
}

type sipState struct{ v0, v1, v2, v3 uint64 }

func (s *sipState) round() {
	s.v0 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v2 = bits.RotateLeft64(s.v2, 32)
}

func (h *hasher) begin() sipState {
	return sipState{h.k0 ^ 0x736f6d6570736575, h.k1 ^ 0x646f72616e646f6d, h.k0 ^ 0x6c7967656e657261, h.k1 ^ 0x7465646279746573}
}

func (s *sipState) word(m uint64) {
	s.v3 ^= m
	s.round()
	s.v0 ^= m
}

func (s *sipState) end() uint64 {
	s.v2 ^= 0xff
	s.round()
	s.round()
	s.round()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

// sum returns the hash of p.
func (h *hasher) sum(p []byte) uint64 {
	s := h.begin()
	last := uint64(len(p)) << 56
	for ; len(p) >= 8; p = p[8:] {
		s.word(binary.LittleEndian.Uint64(p))
	}
	for i, c := range p {
		last |= uint64(c) << (8 * i)
	}
	s.word(last)
	return s.end()
}

// source returns where in the table a source belongs.
func (h *hasher) source(src harvestwatch.Source) uint64 {
	s := h.begin()
	s.word(uint64(src))
	s.word(8 << 56)
	return s.end()
}

// address returns the 64-bit hash of a recipient in its normal form: lower case ASCII, the local part without its +tag.
// role says that the local part is the name of a role.
func (h *hasher) address(addr []byte) (sum uint64, role bool) {
	n := lower(h.buf[:], addr[:min(len(addr), len(h.buf))])
	local := n
	if at := bytes.LastIndexByte(h.buf[:n], '@'); at >= 0 {
		local = at
	}
	if plus := bytes.IndexByte(h.buf[:local], '+'); plus > 0 {
		n = plus + copy(h.buf[plus:], h.buf[local:n])
		local = plus
	}
	role = local > 0 && local <= 16 && h.buf[local-1]-'a' < 26 && isRole(h.buf[:local]) // each ends with a letter
	return h.sum(h.buf[:n]), role
}

// marked makes 31 bits of 64, never 0, and sets the mark.
func marked(sum uint64, mark bool) uint32 {
	x := fold(sum) &^ roleMark
	switch {
	case mark:
		return x | roleMark
	case x == 0:
		return 2
	}
	return x
}

// domain returns the hash of a domain in lower case, never 0.
func (h *hasher) domain(name []byte) uint32 {
	return fold(h.sum(h.buf[:lower(h.buf[:], name[:min(len(name), len(h.buf))])]))
}

// line returns the hash of the line that told an event, never 0, with roleMark set: of its place in the input, its stamp and its session.
// The place alone would do within a file, but files begin anew; stamp and session alone would not, because a burst of
// replies shares both. None of them depends on how the inputs are numbered or on when they were read, so the same line
// read twice is the same. The last word has a length that no text has which gives as many words before it.
func (h *hasher) line(ev *harvestwatch.Event) uint32 {
	s := h.begin()
	s.word(ev.Session)
	s.word(uint64(ev.Time))
	s.word(uint64(ev.Pos.Offset))
	s.word(0xff << 56)
	return fold(s.end()) | roleMark
}

// user returns the hash of a user's name in lower case, and 0 for no name.
func (h *hasher) user(name []byte) uint32 {
	if len(name) == 0 {
		return 0
	}
	n := lower(h.buf[:], name[:min(len(name), len(h.buf))])
	return fold(h.sum(h.buf[:n]))
}

// fold makes 32 bits of 64, never 0.
func fold(x uint64) uint32 {
	if y := uint32(x) ^ uint32(x>>32); y != 0 {
		return y
	}
	return 1
}

// lower writes text in lower case ASCII and returns its length.
func lower(to, text []byte) int {
	const ones = 0x0101010101010101
	i := 0
	for ; i+8 <= len(text); i += 8 { // eight at a time: the top bit of a byte in upper says that it is one of A to Z
		x := binary.LittleEndian.Uint64(text[i:])
		low := x &^ (0x80 * ones)
		upper := (low + (0x80-'A')*ones) &^ (low + (0x7f-'Z')*ones) &^ x & (0x80 * ones)
		binary.LittleEndian.PutUint64(to[i:], x|upper>>2)
	}
	for ; i < len(text); i++ {
		c := text[i]
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		to[i] = c
	}
	return len(text)
}

// session returns the hash of a session's number, never 0.
func (h *hasher) session(id uint64) uint32 { return fold(h.source(harvestwatch.Source(id))) }

// client returns the hash of a source in lists, never 0.
func (h *hasher) client(src harvestwatch.Source) uint32 { return fold(h.source(src)) }
