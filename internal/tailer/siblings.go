package tailer

import (
	"cmp"
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
			countUp(last)
			slices.SortStableFunc(last, older)
			return last, nil
		}
	}
	return nil, fmt.Errorf("list the files beside %s: %w", path, errMoved)
}

// countUp finds out whether the numbers of a log's rotated files count upwards, as some services number them, where
// logrotate gives the larger number to the older file. The times of their last change must say so for three files at
// least, and none may say otherwise: two can also be those of a logger that kept writing into a file rotated twice.
func countUp(list []sibling) {
	var files []*sibling
	for i := range list {
		if list[i].suffix.kind == numbered {
			files = append(files, &list[i])
		}
	}
	slices.SortFunc(files, func(a, b *sibling) int { return cmp.Compare(a.suffix.major, b.suffix.major) })
	for i := 1; i < len(files); i++ {
		if files[i].suffix.major == files[i-1].suffix.major || files[i].mtime <= files[i-1].mtime {
			return
		}
	}
	if len(files) < 3 {
		return
	}
	for _, s := range files {
		s.suffix.kind = counted
	}
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

// head returns the first bytes of a sibling's text, at most headMax, and whether it is an archive or in UTF-16, so that
// its text has to be read from its beginning.
func (s sibling) head() (head []byte, archived bool, err error) {
	f, err := s.open()
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = f.Close() }() // it was only read
	head, err = headOf(f, make([]byte, headMax))
	if err != nil || decompressorOf(head[:min(len(head), magicLen)]) == nil && encodingOf(head) == narrow {
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
	if IsSeries(path) {
		return members(path)
	}
	var list []sibling
	if s, ok := self(path); ok {
		list = append(list, s)
	}
	rotated, err := siblings(path)
	return append(list, rotated...), err
}

// members lists the files of a series and the archives of its files, newest first.
func members(path string) ([]sibling, error) {
	dir, pattern := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir + "."))
	if err != nil && len(entries) == 0 {
		return nil, fmt.Errorf("list the files of %s: %w", path, err)
	}
	var list []sibling
	for _, e := range entries {
		name, _ := cutPacked(e.Name())
		if !fits(pattern, name) && !fits(pattern, e.Name()) || e.IsDir() {
			continue
		}
		p := dir + e.Name()
		if n, err := lookPath(p); err == nil && n.regular {
			_, s := parseRotation(e.Name())
			list = append(list, sibling{node: n, path: p, suffix: s})
		}
	}
	slices.SortStableFunc(list, func(a, b sibling) int { return b.suffix.compare(a.suffix) })
	return list[:min(len(list), maxSiblings)], nil
}

// match is a file that a generation has become.
type match struct {
	sibling
	copied   bool // it is a copy
	archived bool // it is compressed
}

// find returns the file that the generation id has become among the candidates: the file itself or, failing that, a
// copy of it that holds at least the first size bytes of it, or, failing that, an archive. Only the file itself is
// looked at first, then what is called like a plain file, and archives last, since these have to be unpacked. A copy of a
// file that was very short is only recognised if it was last changed at since or later. The error is errMoved when a
// candidate isn't where it was listed, and nothing else.
func find(id FileID, candidates []sibling, size, since int64) (match, bool, error) {
	m, ok, err := findIn(candidates, func(s sibling, head []byte, archived bool) bool { return id.matches(head) },
		func(s sibling) bool { return id.node() == s.key() })
	if ok || err != nil || id.HeadLen == 0 {
		return m, ok, err
	}
	fits := func(s sibling, head []byte, archived bool) bool {
		return id.matches(head) && (s.size >= size || archived)
	}
	for _, packed := range [...]bool{false, true} {
		m, ok, err = findIn(candidates, fits, func(s sibling) bool {
			return id.node() != s.key() && s.suffix.packed == packed && (id.HeadLen >= headMin || s.mtime >= since)
		})
		if ok || err != nil {
			m.copied = ok
			return m, ok, err
		}
	}
	return match{}, false, nil
}

// findIn returns the first of the candidates that is to be looked at and whose beginning fits. The error is errMoved.
func findIn(candidates []sibling, fits func(sibling, []byte, bool) bool, look func(sibling) bool) (match, bool, error) {
	for _, s := range candidates {
		if !look(s) {
			continue
		}
		head, archived, err := s.head()
		if errors.Is(err, errMoved) {
			return match{}, false, err
		}
		if err == nil && fits(s, head, archived) { // one that isn't to be read isn't the one
			return match{sibling: s, archived: archived}, true, nil
		}
	}
	return match{}, false, nil
}
