package tailer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// Reader gives the lines of one input from its beginning to its end, decompressed and, where they are in UTF-16, in UTF-8.
// It is used from one goroutine; only Consumed may be called from others.
type Reader struct {
	name     string
	file     *os.File // nil when the bytes come from elsewhere
	count    counter
	split    *splitter
	close    func() // ends the decompressor
	id       FileID
	archived bool // the text isn't in the file as it is given
}

// counter counts the bytes that were read through it.
type counter struct {
	src io.Reader
	n   atomic.Int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// ReadError says where the reading of an input ended before the input did. Everything before Offset was given.
type ReadError struct {
	Path   string // as the input was named
	Offset int64  // the first byte that was not given, from the start of the decompressed input
	Err    error
}

// Error names the file, the place and the cause.
func (e *ReadError) Error() string {
	return fmt.Sprintf("read %s at byte %d (decompressed): %v; what stands before it was read, "+
		"get an undamaged copy for the rest", e.Path, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *ReadError) Unwrap() error { return e.Err }

// Open opens the input and recognises its compression by its first bytes. The caller closes the reader.
func (in Input) Open() (*Reader, error) {
	p := in.pool
	if p == nil {
		p = newPool()
	}
	if in.Path == Stdin {
		return newReader(Stdin, os.Stdin, p)
	}
	f, err := os.Open(in.Path)
	if err != nil {
		return nil, fmt.Errorf("open input: %w", err)
	}
	r, err := newReader(in.Path, f, p)
	if err != nil {
		_ = f.Close() // the first error says more
		return nil, err
	}
	r.file = f
	r.identify()
	return r, nil
}

// NewReader reads lines from src, whatever its compression. The name is used in errors. Close doesn't close src.
func NewReader(name string, src io.Reader) (*Reader, error) { return newReader(name, src, newPool()) }

func newReader(name string, src io.Reader, p *pool) (*Reader, error) {
	r := &Reader{name: name, close: func() {}}
	r.count.src = src
	plain, stop, err := plainText(&r.count)
	if err != nil {
		return nil, &ReadError{Path: name, Err: err}
	}
	r.split = newSplitter(plain, p)
	if r.archived = stop != nil; r.archived {
		r.close = stop
	}
	r.split.eager = !r.archived && name == Stdin
	return r, nil
}

// identify notes which file generation this is.
func (r *Reader) identify() {
	info, err := lookFile(r.file)
	if err != nil || !info.regular {
		return
	}
	r.id = FileID{Dev: info.dev, Inode: info.inode}.withHead(r.split.head(headMax))
}

// ID returns the file generation that is read; zero for what can't be read again.
func (r *Reader) ID() FileID { return r.id }

// Archived reports whether the text isn't in the file as it is given: the input is compressed or in UTF-16. Offsets are
// then those of the text, not of the file.
func (r *Reader) Archived() bool { return r.archived }

// Next returns the next chunk, which the caller releases; io.EOF at the end. An input that can't be read on gives
// every whole line before the damage and then a *ReadError.
func (r *Reader) Next() (*Chunk, error) {
	c, err := r.split.next()
	if err == nil {
		c.File, c.Path = r.id, r.name
		return c, nil
	}
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	return nil, &ReadError{Path: r.name, Offset: r.split.off, Err: err}
}

// Head returns up to n decompressed bytes, at most 256 KiB, from where Next would go on, without consuming them. There
// are fewer only at the end of the input or before damage, which Next reports. They hold until Next is called.
func (r *Reader) Head(n int) []byte { return r.split.head(n) }

// Consumed returns how many bytes of the (compressed) input have been read. It may be called from any goroutine.
func (r *Reader) Consumed() int64 { return r.count.n.Load() }

// Close ends the reading. Chunks that were given stay valid until they are released.
func (r *Reader) Close() error {
	r.close()
	r.split.drop()
	r.split.err = io.EOF
	if r.file == nil {
		return nil
	}
	if err := r.file.Close(); err != nil {
		return fmt.Errorf("close input: %w", err)
	}
	return nil
}
