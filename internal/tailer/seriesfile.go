package tailer

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"
)

// errPacked says that a file of a series is compressed.
var errPacked = errors.New("the file is compressed, which can only be read at once: read it with scan")

// stall is how long a copy that is being made may stay shorter than 1 KiB without growing.
const stall = 30 * time.Second

// headOf reads the first bytes of a file, without the zero bytes that stand for what isn't copied yet.
func (s *series) headOf(m *member) ([]byte, error) {
	f, err := openShared(s.file(m))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	head, err := headOf(f, make([]byte, headMax))
	return bytes.TrimRight(head, "\x00"), err
}

// recheck looks at a closed file: whether it is still the one that was read, and has grown.
func (s *series) recheck(m *member, n node) {
	if n == m.was && !m.unsure {
		return
	}
	head, err := s.headOf(m)
	if err != nil {
		s.unreadable(m, err)
		return
	}
	id := m.place.File
	switch {
	case id.HeadLen == 0 || id.matches(head):
		m.due = n.size > m.place.Offset
	case len(head) == 0 || len(head) < int(id.HeadLen) && !s.waited(m, n):
		m.unsure, s.unsettled = true, true // a copy that is being made, or another file
		return
	default:
		m.place, m.due = Place{}, n.size > 0
	}
	m.was, m.unsure, m.told = n, false, false
}

// waited reports whether a file that is shorter than what is known of the one that was read, has been as it is for so
// long that it isn't a copy that is being made.
func (s *series) waited(m *member, n node) bool {
	if !m.unsure || m.was != n || m.since.IsZero() {
		m.since, m.was = s.now, n
	}
	return !m.since.IsZero() && s.now.Sub(m.since) >= min(stall, s.opt.Linger)
}

// replaced deals with an open file whose name leads to another one: to a copy of it, or to a file that was created after
// it was deleted.
func (s *series) replaced(m *member) {
	f, err := openShared(s.file(m))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.unreadable(m, err)
		}
		return
	}
	if !s.swap(m, f) {
		_ = f.Close() // it was only read
	}
}

// swap goes on in the file that took the place of an open one, and reports whether it keeps it open.
func (s *series) swap(m *member, f *os.File) bool {
	n, err := lookFile(f)
	var head []byte
	if err == nil {
		head, err = headOf(f, make([]byte, headMax))
	}
	if err != nil {
		s.unreadable(m, err)
		return false
	}
	head = bytes.TrimRight(head, "\x00")
	g := m.gen
	g.measure()
	own, err := headOf(g.f, make([]byte, headMax))
	own = bytes.TrimRight(own, "\x00")
	switch {
	case err == nil && len(own) > 0 && bytes.HasPrefix(head, own):
		if g.fresh && g.failed == nil && g.size > n.size { // first what only the old one holds
			s.again, s.unsettled = true, true
			return false
		}
		_ = g.f.Close() // it was only read
		g.f, g.node, g.size, g.scanned, g.failed = f, n.key(), -1, 0, nil
		g.File.Dev, g.File.Inode = n.dev, n.inode
		return true
	case err == nil && len(head) < len(own) && bytes.HasPrefix(own, head):
		s.unsettled = true // too early to tell
		return false
	}
	g.live = false
	m.gen, m.place, m.due, m.was = nil, Place{}, true, node{}
	s.tell(Rotated, nil)
	return false
}

// open opens the files that hold what wasn't read, oldest first, and the newest of each log, as many as there is room
// for. It reports whether the newest file of a log was opened.
func (s *series) open() (current bool) {
	want := 0
	for _, m := range slices.Clone(s.members) {
		if m.gen != nil || m.unsure || !m.due && (!m.live || len(s.gens) >= maxOpen/2) {
			continue
		}
		if len(s.gens) >= maxOpen {
			want++
			continue
		}
		err := s.enter(m)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			m.due, m.here, m.live, s.wake.stirred = false, false, false, true
		case err != nil:
			s.unreadable(m, err)
		default:
			current = current || m.live && m.gen != nil
		}
	}
	if want > 0 {
		s.makeRoom(want)
	}
	return current
}

// makeRoom has up to n files closed that were read to their end: those that aren't their log's newest, and only if there
// is none, others.
func (s *series) makeRoom(n int) {
	for _, live := range [...]bool{false, true} {
		for _, g := range s.gens {
			if n > 0 && g.live == live && (!g.fresh || g.failed != nil) && (g.size >= 0 || g.failed != nil) {
				g.spent, s.again = true, true
				n--
			}
		}
		if s.again {
			return
		}
	}
}

// enter opens a file at the place up to which it was read.
func (s *series) enter(m *member) error {
	f, err := openShared(s.file(m))
	if err != nil {
		return err
	}
	n, err := lookFile(f)
	var head []byte
	if err == nil {
		head, err = headOf(f, make([]byte, headMax))
	}
	if err != nil {
		_ = f.Close() // it was only read
		return err
	}
	if !m.place.File.matches(bytes.TrimRight(head, "\x00")) { // it changed since it was looked at
		_ = f.Close() // it wasn't read
		m.due, m.was, s.wake.stirred, s.again = false, node{}, true, true
		return nil
	}
	g := &generation{Place: m.place, f: f, node: n.key(), size: -1, steady: true, live: m.live, of: m}
	g.File.Dev, g.File.Inode = n.dev, n.inode
	if g.Offset == 0 {
		g.Line = 1
	}
	if m.end {
		g.toEnd(n.size)
	}
	m.gen, m.due, m.end, m.told, m.was = g, false, false, false, n
	i := slices.IndexFunc(s.gens, func(o *generation) bool { return o.of.order(m) > 0 })
	if i < 0 {
		i = len(s.gens)
	}
	s.gens = slices.Insert(s.gens, i, g)
	return nil
}

// restart reads a file from its beginning that was written anew in its place.
func (s *series) restart(i int) {
	g := s.gens[i]
	s.tell(Truncated, nil)
	g.Place = Place{File: FileID{Dev: g.node.dev, Inode: g.node.inode}, Line: 1}
	g.harmed, g.scanned, g.size = false, 0, -1
}

// forgotten remembers how far a file was read that was closed.
func (s *series) forgotten(g *generation) {
	if m := g.of; m.gen == g {
		m.gen, m.place = nil, g.Place
		m.was = node{dev: g.node.dev, inode: g.node.inode, size: g.size, mtime: g.mtime, regular: true}
	}
}
