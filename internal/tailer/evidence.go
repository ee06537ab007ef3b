package tailer

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// ErrGone says that a file generation isn't at its path or beside it any more.
var ErrGone = errors.New("the file is gone")

// maxEvidence is how many bytes ReadAt gives at most.
const maxEvidence = 1 << 20

// ReadAt returns up to n bytes, at most 1 MiB, from offset in the decompressed file id that was read from path, which may
// be the pattern of a series. It finds the file under the names that rotation gave it in the same folder and inside
// archives there, where it has to read up to offset. The error is ErrGone when no such file is left; fewer bytes are given when the file ends before.
func ReadAt(path string, id FileID, offset int64, n int) ([]byte, error) {
	n = min(max(n, 0), maxEvidence)
	for {
		m, err := locate(path, id, offset, math.MaxInt64)
		if err != nil {
			return nil, fmt.Errorf("read %s at %d: %w", path, offset, err)
		}
		b, err := m.readAt(offset, n)
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s at %d: %w", m.path, offset, err)
		}
		return b, nil
	}
}

// maxTries is how often a folder is listed again because files were renamed in it meanwhile.
const maxTries = 1000

// locate finds a generation at its path or beside it, as find does.
func locate(path string, id FileID, size, since int64) (match, error) {
	for range maxTries {
		list, err := candidates(path)
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return match{}, err
		}
		m, ok, err := find(id, list, size, since)
		if err != nil {
			continue
		}
		if !ok || size < 0 {
			break
		}
		return m, nil
	}
	return match{}, fmt.Errorf("%w; it was rotated out of the folder or deleted", ErrGone)
}

// readAt reads n decompressed bytes at offset.
func (s sibling) readAt(offset int64, n int) ([]byte, error) {
	f, err := s.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	src, stop, err := plainAt(f, offset)
	if err != nil {
		return nil, err
	}
	defer stop()
	b := make([]byte, n)
	got, err := io.ReadFull(src, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return b[:got], nil
}

// plainAt returns the text of f, decompressed and in UTF-8, from offset on, and what ends the decompressor.
func plainAt(f *os.File, offset int64) (io.Reader, func(), error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, nil, err
	}
	plain, stop, err := plainText(f)
	if err != nil {
		return nil, nil, err
	}
	if stop == nil {
		_, err = f.Seek(offset, io.SeekStart)
		return f, func() {}, err
	}
	if _, err = io.CopyN(io.Discard, plain, offset); err != nil {
		stop()
		return nil, nil, err
	}
	return plain, stop, nil
}
