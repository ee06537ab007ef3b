package tailer

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// What a decompressor may hold. Archives are foreign bytes: their headers ask for the memory.
const (
	maxZstdWindow = 128 << 20 // what zstd --long and zstd -22 need
	maxXzDict     = 64 << 20  // what xz -9 needs
)

// The first bytes of the compressed formats: RFC 1952 section 2.3.1, RFC 8878 sections 3.1.1 and 3.1.2 (skippable
// frames have 16 magics, 0x184D2A50 to 0x184D2A5F), the xz file format section 2.1.1.1, and bzip2's "BZh".
var (
	magicGzip  = []byte{0x1f, 0x8b, 8}
	magicZstd  = []byte{0x28, 0xb5, 0x2f, 0xfd}
	magicSkip  = []byte{0x2a, 0x4d, 0x18}
	magicXz    = []byte{0xfd, '7', 'z', 'X', 'Z', 0}
	bzip2Block = []byte{0x31, 0x41, 0x59, 0x26, 0x53, 0x59}
	bzip2End   = []byte{0x17, 0x72, 0x45, 0x38, 0x50, 0x90}
)

// magicLen is how many bytes are looked at to recognise a format.
const magicLen = 10

// prefixed gives bytes that were already read from a source, then the source.
type prefixed struct {
	head []byte
	src  io.Reader
}

// Read implements io.Reader.
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.head) == 0 {
		return p.src.Read(b)
	}
	n := copy(b, p.head)
	p.head = p.head[n:]
	return n, nil
}

// decompress returns the plain bytes of src and, for a compressed one, what ends the decompressor.
func decompress(src io.Reader) (io.Reader, func(), error) {
	magic := make([]byte, magicLen)
	n, err := io.ReadFull(src, magic)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, err
	}
	magic = magic[:n]
	all := &prefixed{head: magic, src: src}
	open := decompressorOf(magic)
	if open == nil {
		if err != nil {
			return bytes.NewReader(magic), nil, nil
		}
		return all, nil, nil
	}
	plain, stop, err := open(bufio.NewReaderSize(all, 64<<10))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return plain, stop, err
}

// decompressorOf returns what opens the format that begins with these bytes, nil for plain text.
func decompressorOf(magic []byte) func(*bufio.Reader) (io.Reader, func(), error) {
	switch {
	case bytes.HasPrefix(magic, magicGzip):
		return openGzip
	case bytes.HasPrefix(magic, magicZstd):
		return openZstd
	case len(magic) > 3 && magic[0]&0xf0 == 0x50 && bytes.HasPrefix(magic[1:], magicSkip):
		return openZstd
	case bytes.HasPrefix(magic, magicXz):
		return openXz
	case isBzip2(magic):
		return func(r *bufio.Reader) (io.Reader, func(), error) { return bzip2.NewReader(r), func() {}, nil }
	}
	return nil
}

func isBzip2(magic []byte) bool {
	if len(magic) < magicLen || string(magic[:3]) != "BZh" || magic[3] < '1' || magic[3] > '9' {
		return false
	}
	return bytes.HasPrefix(magic[4:], bzip2Block) || bytes.HasPrefix(magic[4:], bzip2End)
}

func openGzip(r *bufio.Reader) (io.Reader, func(), error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, nil, fmt.Errorf("read gzip header: %w", err)
	}
	return z, func() { _ = z.Close() }, nil // Close of a reader only repeats the last error
}

func openZstd(r *bufio.Reader) (io.Reader, func(), error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		return nil, nil, fmt.Errorf("read zstd header: %w", err)
	}
	return z, z.Close, nil
}

func openXz(r *bufio.Reader) (io.Reader, func(), error) {
	z, err := xz.NewReader(bufio.NewReaderSize(&xzGuard{src: r}, 32<<10))
	if err != nil {
		return nil, nil, fmt.Errorf("read xz header: %w", err)
	}
	return z, func() {}, nil
}
