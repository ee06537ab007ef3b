package tailer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// sibling is a file beside a log that rotation made from it.
type sibling struct {
	node
	path   string
	suffix suffix
}

// maxSiblings bounds how many rotated files of one log are looked at, the most recently changed ones.
const maxSiblings = 4096

// siblings lists the rotated files of the log at path, oldest first. A folder that is being rotated is listed until
// two lists in a row agree, since a file that is renamed meanwhile can be missing from one; if that never happens the
// error is errMoved.
func siblings(path string) ([]sibling, error) {
	same := func(a, b sibling) bool { return a.path == b.path && a.key() == b.key() }
	last, err := listSiblings(path)
	for range maxTries {
		if err != nil {
			return nil, err
		}
		before := last
		if last, err = listSiblings(path); err == nil && slices.EqualFunc(before, last, same) {
			slices.SortStableFunc(last, older)
			return last, nil
		}
	}
	return nil, fmt.Errorf("list the files beside %s: %w", path, errMoved)
}

// listSiblings lists once, in the order of names.
func listSiblings(path string) ([]sibling, error) {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir + "."))
	if err != nil && len(entries) == 0 {
		return nil, fmt.Errorf("list the files beside %s: %w", path, err)
	}
	var list []sibling
	for _, e := range entries {
		stem, s := parseRotation(e.Name())
		if e.Name() == base || stem != base || e.IsDir() {
			continue
		}
		p := dir + e.Name()
		n, err := lookPath(p)
		if err != nil || !n.regular { // renamed or deleted since, or not to be looked at: not a file we can read
			continue
		}
		list = append(list, sibling{node: n, path: p, suffix: s})
	}
	if len(list) > maxSiblings {
		slices.SortStableFunc(list, func(a, b sibling) int { return older(b, a) })
		list = list[:maxSiblings]
	}
	return list, nil
}

// errMoved says that a file was renamed between the listing and the opening.
var errMoved = errors.New("the file was renamed meanwhile")

// open opens the sibling, and no other file that got its name since it was listed.
func (s sibling) open() (*os.File, error) {
	f, err := openShared(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open %s: %w", s.path, errMoved)
	}
	if err != nil {
		return nil, fmt.Errorf("open a rotated file: %w", err)
	}
	n, err := lookFile(f)
	if err == nil && n.key() != s.key() {
		err = errMoved
	}
	if err != nil {
		_ = f.Close() // it wasn't read
		return nil, fmt.Errorf("open %s: %w", s.path, err)
	}
	return f, nil
}

// head returns the first decompressed bytes of a sibling, at most headMax, and whether it is an archive.
func (s sibling) head() (head []byte, archived bool, err error) {
	f, err := s.open()
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = f.Close() }() // it was only read
	head, err = headOf(f, make([]byte, headMax))
	if err != nil || decompressorOf(head) == nil {
		return head, false, err
	}
	plain, stop, err := plainAt(f, 0)
	if err != nil {
		return nil, true, fmt.Errorf("open archive %s: %w", s.path, err)
	}
	defer stop()
	n, _ := io.ReadFull(plain, head[:headMax]) // a short or damaged archive has a short head
	return head[:n], true, nil
}

// self returns the log itself as a candidate for find, false when there is none at its path.
func self(path string) (sibling, bool) {
	n, err := lookPath(path)
	return sibling{node: n, path: path}, err == nil && n.regular
}

// candidates lists what find looks through: the log and its rotated files. The log is looked at first, so that a file
// that is renamed meanwhile is listed once at least.
func candidates(path string) ([]sibling, error) {
	var list []sibling
	if s, ok := self(path); ok {
		list = append(list, s)
	}
	rotated, err := siblings(path)
	return append(list, rotated...), err
}

// match is a file that a generation has become.
type match struct {
	sibling
	copied   bool // it is a copy
	archived bool // it is compressed
}

// find returns the file that the generation id has become among the candidates: the file itself or, failing that, a
// copy of it, compressed or not, that holds at least the first size bytes of it. A copy of a file that was very short
// is only recognised if it was last changed at since or later. The error is errMoved when a candidate isn't where it
// was listed, and nothing else.
func find(id FileID, candidates []sibling, size, since int64) (m match, ok bool, err error) {
	var copied *match
	for _, s := range candidates {
		itself := id.node() == s.key()
		if !itself && (copied != nil || id.HeadLen == 0 || id.HeadLen < headMin && s.mtime < since) {
			continue
		}
		head, archived, err := s.head()
		switch {
		case errors.Is(err, errMoved):
			return match{}, false, err
		case err != nil: // not to be read, so not the one
		case itself && id.matches(head):
			return match{s, false, archived}, true, nil
		case !itself && id.matches(head) && (s.size >= size || archived):
			copied = &match{s, true, archived}
		}
	}
	if copied == nil {
		return match{}, false, nil
	}
	return *copied, true, nil
}
