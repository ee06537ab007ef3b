package tailer

import (
	"bytes"
	"sync/atomic"
)

const (
	// MaxLine is the length in bytes, its line feed not counted, above which a line is cut. 64 KiB is thirty times what
	// a mail server writes into its longest lines.
	MaxLine = 64 << 10
	// bufSize is the size of a chunk's buffer. It holds the longest line and, when a line straddles two reads, still
	// leaves three quarters for the next read. Larger buffers were not faster: they leave the second-level cache.
	bufSize = 256 << 10
	// poolSize is how many released buffers a pool keeps; what is released beyond that is left to the collector.
	poolSize = 16
)

// Chunk is a run of whole lines of one file. Who receives it owns it, may hand it to another goroutine, and calls
// Release once when nothing refers to Data any more. Until then it holds a buffer of 256 KiB.
type Chunk struct {
	// Data holds the lines, each ended by '\n', but for the last line of an input that lacks its line feed. Lines end
	// at '\n' only: a carriage return belongs to its line.
	Data []byte
	// Offset is the place of Data[0], in bytes from the start of the decompressed input.
	Offset int64
	// Line is the number of the first line, from 1; 0 where it is not known.
	Line int64
	// Lines is how many lines Data holds, at least 1.
	Lines int
	// Cut is 0 but for a line longer than MaxLine. Such a line stands alone in its chunk: Data is its first MaxLine
	// bytes and its line feed, and Cut is the number of bytes between the two that were left out.
	Cut int64
	// File is the file generation that the lines are from, for ReadAt; zero for standard input.
	File FileID
	// Path is the file as it was named: the input, the followed log or the file of a series, which may have another name
	// by now.
	Path string
	// Next is where following goes on when everything up to and including this chunk has been dealt with. Only Follow
	// sets it.
	Next Cursor

	buf  []byte
	pool *pool
	held atomic.Bool // not yet released
}

// End returns the place of the first byte after the chunk, in bytes from the start of the decompressed input.
func (c *Chunk) End() int64 { return c.Offset + int64(len(c.Data)) + c.Cut }

// Release gives the chunk's buffer back. Data must not be used afterwards. Further calls do nothing.
func (c *Chunk) Release() {
	if !c.held.CompareAndSwap(true, false) {
		return
	}
	c.Data = nil
	select {
	case c.pool.free <- c.buf:
	default:
	}
	c.buf = nil
}

// pool keeps released buffers. It may be used from several goroutines.
type pool struct{ free chan []byte }

func newPool() *pool { return &pool{free: make(chan []byte, poolSize)} }

// get returns an empty chunk with a buffer of bufSize bytes.
func (p *pool) get() *Chunk {
	c := &Chunk{pool: p}
	c.held.Store(true)
	select {
	case c.buf = <-p.free:
	default:
		c.buf = make([]byte, bufSize)
	}
	return c
}

// countLines returns the number of lines in data, the last one counted with or without its line feed.
func countLines(data []byte) int {
	n := bytes.Count(data, lineFeed)
	if len(data) > 0 && data[len(data)-1] != '\n' {
		n++
	}
	return n
}

var lineFeed = []byte{'\n'}

// span returns how many bytes at the start of data, which begins with a line, are whole lines of at most MaxLine
// bytes, and whether a longer line follows them. It looks for one line feed per MaxLine bytes, not at every line.
func span(data []byte) (end int, long bool) {
	for {
		window := data[end:min(len(data), end+MaxLine+1)]
		i := bytes.LastIndexByte(window, '\n')
		if i < 0 {
			return end, len(window) > MaxLine
		}
		end += i + 1
	}
}
