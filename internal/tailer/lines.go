package tailer

import (
	"bytes"
	"errors"
	"io"
)

// splitter makes chunks of whole lines from a stream of bytes. It owns no goroutine and is used from one.
type splitter struct {
	src   io.Reader
	pool  *pool
	eager bool   // give what one read brought, don't wait for a full buffer
	cur   *Chunk // the buffer being filled; nil before the first read and after the end
	n     int    // bytes in it
	off   int64  // offset of its first byte
	line  int64  // number of the line that begins there
	cut   int64  // bytes already dropped of a line longer than MaxLine
	long  bool   // such a line is being skipped: its first MaxLine bytes are in the buffer
	err   error  // why no more bytes will come; io.EOF at a regular end
}

func newSplitter(src io.Reader, p *pool) *splitter { return &splitter{src: src, pool: p, line: 1} }

// fill reads until want bytes are in the buffer, the source ended, or the source gave something and once is set.
func (s *splitter) fill(want int, once bool) {
	if s.cur == nil {
		s.cur = s.pool.get()
	}
	idle := 0
	for s.n < want && s.err == nil {
		n, err := s.src.Read(s.cur.buf[s.n:])
		s.n += n
		s.err = err
		if n > 0 && once {
			return
		}
		if n == 0 && err == nil {
			if idle++; idle == 100 {
				s.err = io.ErrNoProgress
			}
		}
	}
}

// head returns up to n bytes from the current place without consuming them, fewer at the end of the input.
func (s *splitter) head(n int) []byte {
	n = min(n, bufSize)
	s.fill(n, false)
	return s.cur.buf[:min(n, s.n)]
}

// next returns the next chunk, then io.EOF or the error that ended the source. At an error that is not the regular
// end, the bytes after the last line feed are not given: they are a torn line.
func (s *splitter) next() (*Chunk, error) {
	for {
		if c := s.take(); c != nil {
			return c, nil
		}
		if s.err != nil {
			s.drop()
			return nil, s.err
		}
		want := bufSize
		if s.eager {
			want = s.n + 1
		}
		s.fill(want, s.eager)
	}
}

// take makes a chunk of what is in the buffer, nil when that isn't a whole line yet.
func (s *splitter) take() *Chunk {
	if s.n == 0 && !s.long {
		return nil
	}
	if s.n < bufSize && s.err == nil && !s.eager {
		return nil
	}
	if s.long {
		return s.takeLong()
	}
	end, long := span(s.cur.buf[:s.n])
	switch {
	case end == 0 && long:
		s.long = true
		return s.takeLong()
	case errors.Is(s.err, io.EOF) && !long:
		end = s.n
	case end == 0:
		return nil
	}
	return s.emit(end, end, 0)
}

// takeLong skips the rest of a line longer than MaxLine and returns its chunk, nil when its end isn't there yet.
func (s *splitter) takeLong() *Chunk {
	rest := s.cur.buf[MaxLine:s.n]
	i := bytes.IndexByte(rest, '\n')
	if i < 0 {
		s.cut += int64(len(rest))
		s.n = MaxLine
		if !errors.Is(s.err, io.EOF) {
			return nil
		}
		return s.emit(MaxLine, MaxLine, s.cut)
	}
	c := s.emit(MaxLine+1, MaxLine+i+1, s.cut+int64(i))
	c.Data[MaxLine] = '\n'
	return c
}

// emit makes a chunk of the first n bytes of the buffer and carries what stands from used on to the next one.
func (s *splitter) emit(n, used int, cut int64) *Chunk {
	c := s.cur
	s.cur = s.pool.get()
	s.n = copy(s.cur.buf, c.buf[used:s.n])
	c.Data, c.Offset, c.Line, c.Cut = c.buf[:n:n], s.off, s.line, cut
	c.Lines = countLines(c.Data)
	s.off, s.line = c.End(), s.line+int64(c.Lines)
	s.cut, s.long = 0, false
	return c
}

// drop gives the buffer back.
func (s *splitter) drop() {
	if s.cur != nil {
		s.cur.Release()
	}
	s.cur, s.n, s.long = nil, 0, false
}
