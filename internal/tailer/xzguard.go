package tailer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// xzGuard passes an xz file through and walks its headers, without decompressing, for the two things the decoder
// doesn't do: it refuses a block that asks for a dictionary above maxXzDict before the decoder makes it, and it tells
// a file that was cut between two blocks from one that ended. Section numbers are those of the .xz file format, 1.2.1.
type xzGuard struct {
	src  io.Reader
	skip int64                        // bytes to pass before the next field
	need int                          // bytes of the field
	got  []byte                       // those of them that are there
	step func(*xzGuard, []byte) error // deals with the field, sets need and step for the next

	check   int64  // size of a block's check (section 2.1.1.2)
	data    int64  // bytes of compressed data in this block so far
	records int64  // index numbers (section 4.2 and 4.3) still to come
	index   int64  // bytes of the index so far
	counted bool   // the index's number of records is known
	value   uint64 // of the index's number that is being read
	digits  int    // bytes of it so far
	between bool   // between two streams: the file may end here
}

var errXzHeader = errors.New("damaged xz header")

// Read implements io.Reader.
func (g *xzGuard) Read(p []byte) (int, error) {
	if g.step == nil {
		g.expect(4, (*xzGuard).streamMagic)
		g.between = true
	}
	n, err := g.src.Read(p)
	if good, walkErr := g.walk(p[:n]); walkErr != nil {
		return good, walkErr
	}
	if errors.Is(err, io.EOF) && (!g.between || len(g.got) > 0 || g.skip > 0) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (g *xzGuard) expect(n int, step func(*xzGuard, []byte) error) {
	g.need, g.step, g.between = n, step, false
}

// walk returns how many bytes of b the decoder may see: all, or those before the field that is refused ends.
func (g *xzGuard) walk(b []byte) (int, error) {
	for i := 0; i < len(b); {
		if g.skip > 0 {
			k := min(g.skip, int64(len(b)-i))
			g.skip -= k
			i += int(k)
			continue
		}
		k := min(g.need-len(g.got), len(b)-i)
		g.got = append(g.got, b[i:i+k]...)
		i += k
		if len(g.got) < g.need {
			continue
		}
		field := g.got
		g.got = g.got[:0]
		if err := g.step(g, field); err != nil {
			return i - 1, err
		}
	}
	return len(b), nil
}

// streamMagic reads the first four bytes of a stream (section 2.1.1.1) or of the padding after one (section 2.2).
func (g *xzGuard) streamMagic(b []byte) error {
	if binary.LittleEndian.Uint32(b) == 0 {
		g.between = true
		return nil
	}
	g.expect(8, (*xzGuard).streamFlags)
	return nil
}

func (g *xzGuard) streamFlags(b []byte) error {
	sizes := [16]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}
	g.check = sizes[b[3]&15]
	g.expect(1, (*xzGuard).blockSize)
	return nil
}

// blockSize reads the size of a block's header (section 3.1.1), or the indicator of the index (section 4.1).
func (g *xzGuard) blockSize(b []byte) error {
	if b[0] == 0 {
		g.index, g.counted, g.records, g.value, g.digits = 1, false, 0, 0, 0
		g.expect(1, (*xzGuard).indexByte)
		return nil
	}
	g.expect(int(b[0])*4+3, (*xzGuard).blockHeader)
	return nil
}

// blockHeader reads the sizes and filters of a block (sections 3.1.2 to 3.1.5).
func (g *xzGuard) blockHeader(b []byte) error {
	filters, sizes := int(b[0]&3)+1, int(b[0]>>6&1)+int(b[0]>>7)
	b = b[1:]
	for range sizes {
		if _, b = xzNumber(b); b == nil {
			return errXzHeader
		}
	}
	for range filters {
		var id, size uint64
		id, b = xzNumber(b)
		size, b = xzNumber(b)
		if b == nil || size > uint64(len(b)) {
			return errXzHeader
		}
		if err := xzFilter(id, b[:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	g.data = 0
	g.expect(1, (*xzGuard).chunkControl)
	return nil
}

// xzFilter refuses an LZMA2 filter (section 5.3.1) with too large a dictionary.
func xzFilter(id uint64, props []byte) error {
	if id != 0x21 {
		return nil
	}
	if len(props) != 1 || props[0] > 40 {
		return errXzHeader
	}
	if size := uint64(2|props[0]&1) << (props[0]/2 + 11); size > maxXzDict {
		return fmt.Errorf("the xz block asks for a dictionary of %d bytes, %d are allowed", size, maxXzDict)
	}
	return nil
}

// xzNumber reads a multibyte integer (section 1.2) and returns what follows it, nil when there is none.
func xzNumber(b []byte) (uint64, []byte) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil
	}
	return v, b[n:]
}

// chunkControl reads the control byte of an LZMA2 chunk: 0 ends the block, 1 and 2 are stored, from 0x80 compressed.
func (g *xzGuard) chunkControl(b []byte) error {
	g.data++
	switch c := b[0]; {
	case c == 0:
		g.skip = (4-g.data%4)%4 + g.check
		g.expect(1, (*xzGuard).blockSize)
	case c <= 2:
		g.expect(2, (*xzGuard).storedChunk)
	case c >= 0xc0:
		g.expect(5, (*xzGuard).packedChunk)
	case c >= 0x80:
		g.expect(4, (*xzGuard).packedChunk)
	default:
		return errXzHeader
	}
	return nil
}

func (g *xzGuard) storedChunk(b []byte) error {
	g.pass(int64(len(b)), b)
	return nil
}

// packedChunk reads the low half of the plain size, the packed size, and, in longer fields, the properties.
func (g *xzGuard) packedChunk(b []byte) error {
	g.pass(int64(len(b)), b[2:4])
	return nil
}

func (g *xzGuard) pass(field int64, size []byte) {
	g.skip = int64(binary.BigEndian.Uint16(size)) + 1
	g.data += field + g.skip
	g.expect(1, (*xzGuard).chunkControl)
}

// indexByte walks the index (section 4): the number of records, two numbers for each, padding, its checksum; the
// footer's twelve bytes follow. Only the ends of the numbers matter, and the value of the first.
func (g *xzGuard) indexByte(b []byte) error {
	g.index++
	g.value |= uint64(b[0]&0x7f) << (7 * g.digits)
	if g.digits++; g.digits > 9 {
		return errXzHeader
	}
	if b[0]&0x80 != 0 {
		return nil
	}
	g.records--
	if !g.counted {
		if g.value > 1<<40 {
			return errXzHeader
		}
		g.records, g.counted = int64(g.value)*2, true
	}
	g.value, g.digits = 0, 0
	if g.records == 0 {
		g.skip = (4-g.index%4)%4 + 4 + 12
		g.expect(4, (*xzGuard).streamMagic)
		g.between = true
	}
	return nil
}
