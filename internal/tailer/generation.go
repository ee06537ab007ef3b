package tailer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// generation is one file of a followed log, held open so that it can be read to its end whatever becomes of its name.
// Nothing of it is kept in memory: a line that isn't complete is read again when more of it is there.
type generation struct {
	Place
	f        *os.File
	arch     *Reader // set for an archive, which is read once from Offset to its end
	node     nodeKey // of the open file; File may name the file that this one is a copy of
	live     bool    // it stands at the path
	finite   bool    // a copy: it won't grow, and is closed at its end
	torn     bool    // a copy that was made while lines were written: its last one may be half there
	harmed   bool    // it isn't the file any more that was read up to Offset
	failed   error   // why it couldn't be read the last time
	told     bool    // that was reported
	doubtful bool    // it was empty when it was found beside the path: perhaps a copy that is being made
	spent    bool    // it has to make room for a newer one
	fresh    bool    // it changed since it was last read
	steady   bool    // a file of a series: it is never emptied, so one that is shorter than it was is being copied
	of       *member // of a series; another file may have taken its name
	size     int64   // when last measured
	mtime    int64   // when last measured
	scanned  int64   // bytes from Offset on that hold no line feed, when they are more than MaxLine

	quietSince time.Time // the tick at which it was first found as it is
	quietSize  int64     // its size then
}

func (g *generation) close() {
	if g.arch != nil {
		_ = g.arch.Close() // it was only read
		return
	}
	_ = g.f.Close() // it was only read
}

// itself returns the id of the open file, where Place has that of the one that it is a copy of.
func (g *generation) itself() FileID {
	id := g.File
	id.Dev, id.Inode = g.node.dev, g.node.inode
	return id
}

// measure notes how long the file is and whether it is still the one that was read.
func (g *generation) measure() {
	if g.arch != nil {
		return
	}
	n, err := lookFile(g.f)
	if err != nil {
		g.failed = err
		return
	}
	if n.size == g.size && n.mtime == g.mtime && g.failed == nil {
		return
	}
	g.check(g.Offset)
}

// check measures the file, compares its first bytes with those that are known and learns more of them while it is
// young. It reports whether the file is the one that was read and reaches up to end; otherwise what was read just now
// counts for nothing.
func (g *generation) check(end int64) bool {
	n, err := lookFile(g.f) // first: when the head is right after it, so is all that was read before
	var buf [headMax]byte
	var head []byte
	if err == nil {
		head, err = headOf(g.f, buf[:])
	}
	if err != nil {
		g.failed = err
		return false
	}
	if g.steady {
		head, n.size = bytes.TrimRight(head, "\x00"), g.dataEnd(n.size)
	}
	g.fresh = g.fresh || g.size != n.size || g.mtime != n.mtime
	g.size, g.mtime = n.size, n.mtime
	if g.File.HeadLen == 0 {
		if g.failed = g.unfit(head); g.failed != nil {
			return false
		}
	}
	g.failed, g.told = nil, false
	same := g.File.matches(head)
	if g.steady && (len(head) < int(g.File.HeadLen) || same && n.size < g.Offset) {
		g.size, g.fresh = 0, false // until the copy is as long as what was read
		return false
	}
	if same && len(head) > int(g.File.HeadLen) {
		g.File = g.File.withHead(head)
	}
	switch {
	case !same:
		g.harmed = true
		return false
	case n.size < g.Offset:
		// Shortened, but the beginning is there: what is left was read.
		g.Offset, g.Line, g.scanned = n.size, 0, 0
		return false
	}
	return n.size >= end
}

// unfit says why a file that begins with head can't be followed.
func (g *generation) unfit(head []byte) error {
	switch head = head[:min(len(head), magicLen)]; {
	case encodingOf(head) != narrow:
		return fmt.Errorf("follow %s: %w", g.f.Name(), errWide)
	case g.steady && decompressorOf(head) != nil:
		return fmt.Errorf("follow %s: %w", g.f.Name(), errPacked)
	}
	return nil
}

// dataEnd returns where the zero bytes begin that the file ends with: who copies a file may first make it as long as it
// will be.
func (g *generation) dataEnd(size int64) int64 {
	var buf [4 << 10]byte
	for size > g.Offset {
		b := buf[:min(int64(len(buf)), size-g.Offset)]
		n, err := g.f.ReadAt(b, size-int64(len(b)))
		if n < len(b) || err != nil {
			return size // it is found out when it is read
		}
		rest := len(bytes.TrimRight(b, "\x00"))
		if size -= int64(len(b) - rest); rest > 0 {
			break
		}
	}
	return size
}

// toEnd sets the place after the last line feed of a file of that size.
func (g *generation) toEnd(size int64) {
	tail := make([]byte, min(size, MaxLine+1))
	at := size - int64(len(tail))
	n := g.readAt(tail, at)
	if i := bytes.LastIndexByte(tail[:n], '\n'); i >= 0 {
		g.Offset, g.Line = at+int64(i)+1, 0
	} else if at > 0 {
		g.Offset, g.Line = size, 0
	}
	g.check(g.Offset)
	g.size = -1
}

// drain gives the whole lines that stand between Offset and the measured size. It reports whether there were any.
func (f *follower) drain(ctx context.Context, g *generation) (bool, error) {
	if g.arch != nil {
		return f.drainArchive(ctx, g)
	}
	moved := false
	limit := g.size
	for g.fresh && g.failed == nil && g.Offset < limit && !g.harmed {
		if err := ctx.Err(); err != nil {
			return moved, err
		}
		c := f.pool.get()
		n, cut := g.read(c, limit)
		if n == 0 {
			c.Release()
			break
		}
		if err := f.give(g, c, n, cut); err != nil {
			return moved, err
		}
		moved = true
	}
	if g.failed == nil && g.size <= limit {
		g.fresh = false
	}
	if g.failed != nil && !g.told {
		g.told = true
		f.tell(Unreadable, g.failed)
	}
	return moved, nil
}

// read fills the chunk's buffer with whole lines, and returns how many bytes they are and, for a line that is too
// long, how many are left out; 0 when no line is complete before limit.
func (g *generation) read(c *Chunk, limit int64) (n int, cut int64) {
	if g.scanned > 0 {
		return g.readLong(c, limit)
	}
	n = g.readSettled(c.buf[:min(bufSize, limit-g.Offset)], g.Offset)
	end, long := span(c.buf[:n])
	if end == 0 && long {
		g.scanned = MaxLine
		return g.readLong(c, limit)
	}
	if end == 0 || !g.check(g.Offset+int64(end)) {
		return 0, 0
	}
	return end, 0
}

// readLong looks for the end of a line longer than MaxLine, and reads its beginning when it is found.
func (g *generation) readLong(c *Chunk, limit int64) (int, int64) {
	length := int64(-1)
	for at := g.Offset + g.scanned; at < limit && length < 0; at = g.Offset + g.scanned {
		n := g.readSettled(c.buf[:min(bufSize, limit-at)], at)
		if n == 0 {
			return 0, 0
		}
		if i := bytes.IndexByte(c.buf[:n], '\n'); i >= 0 {
			length = g.scanned + int64(i)
			break
		}
		g.scanned += int64(n)
	}
	if length < 0 || g.readSettled(c.buf[:MaxLine], g.Offset) < MaxLine || !g.check(g.Offset+length+1) {
		return 0, 0
	}
	c.buf[MaxLine] = '\n'
	return MaxLine + 1, length - MaxLine
}

// readSettled reads into b, which doesn't reach beyond the measured size. A file of a series may just be written anew: it
// was shorter when it was read, or zero bytes stood for what came at once. Its time needn't tell then that it changed.
func (g *generation) readSettled(b []byte, at int64) int {
	n := g.readAt(b, at)
	if !g.steady || n == len(b) && bytes.IndexByte(b, 0) < 0 {
		return n
	}
	if n == len(b) && g.check(at+int64(n)) { // what stands before the last byte that isn't zero was written before it
		n = g.readAt(b, at)
	} else {
		n = 0
	}
	if n < len(b) {
		g.size = -1
		return 0
	}
	return n
}

// readAt reads into b and returns how many bytes were there; an error is noted.
func (g *generation) readAt(b []byte, at int64) int {
	n, err := g.f.ReadAt(b, at)
	if err != nil && !errors.Is(err, io.EOF) {
		g.failed = err
		return 0
	}
	return n
}

// give hands the first n bytes of the chunk's buffer out.
func (f *follower) give(g *generation, c *Chunk, n int, cut int64) error {
	c.Data, c.Offset, c.Line, c.Cut, c.File = c.buf[:n:n], g.Offset, g.Line, cut, g.File
	c.Lines, c.Path = countLines(c.Data), f.path
	if g.of != nil {
		c.Path = filepath.Join(filepath.Dir(f.path), g.of.name)
	}
	g.Offset, g.scanned = c.End(), 0
	if g.Line > 0 {
		g.Line += int64(c.Lines)
	}
	c.Next = f.files.cursor()
	return f.out(c)
}

// drainArchive gives the lines of an archive from Offset on.
func (f *follower) drainArchive(ctx context.Context, g *generation) (bool, error) {
	moved := false
	for {
		if err := ctx.Err(); err != nil {
			return moved, err
		}
		c, err := g.arch.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				f.tell(Unreadable, err)
			}
			return moved, nil
		}
		if c.End() <= g.Offset {
			c.Release()
			continue
		}
		if n := len(c.Data); c.Offset < g.Offset && c.Cut == 0 {
			n = copy(c.buf, c.Data[g.Offset-c.Offset:])
			c.Data = c.buf[:n]
		}
		if g.torn && c.Data[len(c.Data)-1] != '\n' {
			c.Data = c.Data[:bytes.LastIndexByte(c.Data, '\n')+1]
		}
		if len(c.Data) == 0 {
			c.Release()
			continue
		}
		if err := f.give(g, c, len(c.Data), c.Cut); err != nil {
			return moved, err
		}
		moved = true
	}
}

// finish gives the last line of a generation that is being given up, though it has no line feed.
func (f *follower) finish(g *generation) error {
	if g.arch != nil || g.torn || g.failed != nil || g.Offset >= g.size || g.harmed {
		return nil
	}
	c := f.pool.get()
	rest := g.size - g.Offset
	n := g.readAt(c.buf[:min(rest, MaxLine)], g.Offset)
	if n == 0 || bytes.IndexByte(c.buf[:n], '\n') >= 0 {
		c.Release()
		return nil
	}
	return f.give(g, c, n, max(0, rest-MaxLine))
}
