package tailer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// look finds out what stands at the path.
func (f *rotation) look() {
	if !f.goOn() {
		return
	}
	if len(f.gens)+len(f.queue) >= maxOpen && len(f.queue) > 0 {
		// More files came than can be open at a time: the oldest go first, the one at the path is for the last turn.
		if !f.dequeue() {
			return
		}
	}
	n, err := lookPath(f.path)
	switch {
	case err == nil && !n.regular:
		f.found(Unreadable, fmt.Errorf("follow %s: %w; name a file", f.path, errNotRegular))
	case errors.Is(err, fs.ErrNotExist):
		f.missing(err)
	case err != nil:
		f.dequeue()
		f.found(Unreadable, err)
	case f.isOpen(n.key()):
		f.atPath(n.key())
		f.dequeue()
		f.found(Following, nil)
	default:
		f.changed()
	}
}

// isOpen reports whether a file is one of those that are open.
func (f *rotation) isOpen(k nodeKey) bool {
	return slices.ContainsFunc(f.gens, func(g *generation) bool { return g.node == k })
}

// atPath notes which file stands at the path.
func (f *rotation) atPath(k nodeKey) {
	for _, g := range f.gens {
		g.live = g.node == k && !g.finite
	}
}

// missing deals with a path that leads nowhere. Files that came and went between two looks are looked for when the
// path becomes empty and at every tick.
func (f *rotation) missing(err error) {
	first := f.state != Missing
	if first && slices.ContainsFunc(f.gens, func(g *generation) bool { return g.live }) {
		f.tell(Rotated, nil)
	}
	f.atPath(nodeKey{})
	if f.dequeue() && (first || f.ticked) {
		f.insert(len(f.gens), f.unseen(nil))
	}
	f.found(Missing, err)
}

// changed deals with a new file at the path: those that stood there meanwhile come first, then the new one.
func (f *rotation) changed() {
	file, err := openShared(f.path)
	if err != nil {
		f.found(Unreadable, err) // when it vanished in between, the next look says so
		return
	}
	n, err := lookFile(file)
	if err == nil && !n.regular {
		err = fmt.Errorf("follow %s: %w; name a file", f.path, errNotRegular)
	}
	if err != nil || f.isOpen(n.key()) {
		_ = file.Close() // it wasn't read
		f.atPath(n.key())
		if err != nil {
			f.found(Unreadable, err)
		}
		return
	}
	if slices.ContainsFunc(f.gens, func(g *generation) bool { return g.live }) {
		f.tell(Rotated, nil)
	}
	f.atPath(nodeKey{})
	g := &generation{Place: f.place(n), f: file, node: n.key(), size: -1, live: true}
	g.Place = f.resumeAt(g)
	f.gens = append(f.gens, g) // before the others are looked at: they may be copies of it
	if !f.dequeue() || !f.room(0) || !f.insertBefore(g, f.unseen(nil)) {
		f.gens = slices.DeleteFunc(f.gens, func(o *generation) bool { return o == g })
		g.close() // the next look comes back to it
		return
	}
	f.seen, f.state = n.mtime, Following
	f.tell(Following, nil)
}

// place returns the beginning of a file.
func (f *rotation) place(n node) Place {
	return Place{File: FileID{Dev: n.dev, Inode: n.inode}, Line: 1}
}

// resumeAt returns where the reading of a file that appeared at the path begins: at its first byte, unless it is one
// that was read before and came back, or a copy of one, as editors leave it.
func (f *rotation) resumeAt(g *generation) Place {
	head, err := headOf(g.f, make([]byte, headMax))
	if err != nil {
		return g.Place
	}
	n, err := lookFile(g.f)
	if err != nil {
		return g.Place
	}
	places := slices.Clone(f.done)
	for _, o := range f.gens {
		places = append(places, o.Place)
	}
	for _, p := range slices.Backward(places) {
		back := p.File.HeadLen > 0 && p.File.node() == g.node && p.File.matches(head)
		if (back || p.File.copied(head)) && n.size >= p.Offset {
			p.File.Dev, p.File.Inode = n.dev, n.inode
			return p
		}
	}
	return g.Place
}

// unseen lists the rotated files that stood at the path since it was last looked at, oldest first. was is what the file
// at the path was before it was emptied, nil when it wasn't.
func (f *rotation) unseen(was *FileID) []sibling {
	for range maxTries {
		list, err := siblings(f.path)
		if err != nil && !errors.Is(err, errMoved) {
			return nil // the folder can't be listed; the path itself can perhaps be read
		}
		if err != nil {
			continue
		}
		if found, err := f.sift(list, was); err == nil {
			return found
		}
	}
	f.again = true
	return nil
}

// sift returns those of the rotated files that are to be read, and notes the others. The error is errMoved.
func (f *rotation) sift(list []sibling, was *FileID) ([]sibling, error) {
	skip := make(map[nodeKey]passed, len(list))
	var found []sibling
	for _, s := range list {
		if f.isOpen(s.key()) {
			continue
		}
		id, ok, err := f.isPassed(s, was)
		switch {
		case err != nil:
			return nil, err
		case ok:
			skip[s.key()] = passed{id, s.mtime}
		default:
			found = append(found, s)
		}
	}
	f.skip, f.skipped = skip, 0
	for _, p := range skip {
		f.skipped = max(f.skipped, p.mtime)
	}
	return found, nil
}

// pass notes a rotated file as not to be read.
func (f *rotation) pass(id FileID, mtime int64) {
	f.skip[id.node()] = passed{id, mtime}
	f.skipped = max(f.skipped, mtime)
}

// isPassed reports whether a rotated file isn't to be read: it was there before, is older than what was read, or is a
// copy. Compressed files are copies of what stood there before. It returns what identifies the file; the error is
// errMoved.
func (f *rotation) isPassed(s sibling, was *FileID) (FileID, bool, error) {
	known, ok := f.skip[s.key()]
	if ok && known.mtime == s.mtime {
		return known.FileID, true, nil
	}
	id := FileID{Dev: s.dev, Inode: s.inode}
	if s.suffix.packed {
		return id, true, nil
	}
	head, archived, err := s.head()
	switch {
	case errors.Is(err, errMoved):
		return id, false, err
	case err != nil || archived:
		return id, ok || archived || s.mtime < f.seen, nil // what can't be read is tried, and reported, when it is opened
	}
	id = id.withHead(head)
	if ok && known.matches(head) && (known.HeadLen > 0 || s.size == 0) || s.mtime < f.seen {
		return id, true, nil
	}
	return id, was != nil && was.HeadLen > 0 && was.matches(head) || f.copyOf(head, nil), nil
}

// copyOf reports whether a file that begins with head is a copy of one that was read or is to be skipped. The file own
// isn't compared with itself.
func (f *rotation) copyOf(head []byte, own *generation) bool {
	for _, p := range f.done {
		if p.File.copied(head) {
			return true
		}
	}
	for _, id := range f.skip {
		if id.copied(head) {
			return true
		}
	}
	for _, g := range f.gens {
		if g != own && g.arch == nil && !g.File.copied(head) {
			g.check(g.Offset) // it may have grown since it was measured, and been copied then
		}
		if g != own && (g.File.copied(head) || g.begins(head)) {
			return true
		}
	}
	return false
}

// begins reports whether a file too short to be told by its head begins with the whole of another one's.
func (g *generation) begins(head []byte) bool {
	if g.arch != nil || len(head) == 0 || len(head) > headMin || g.File.HeadLen >= headMin {
		return false
	}
	own, err := headOf(g.f, make([]byte, headMin))
	return err == nil && bytes.HasPrefix(own, head)
}

// vet closes files that were found empty beside the path and turned out to be copies that were just being made. It
// reports whether it looked at any, and so measured files out of their order.
func (f *rotation) vet() (looked bool) {
	for i := 0; i < len(f.gens); i++ {
		g := f.gens[i]
		if !g.doubtful || g.File.HeadLen == 0 {
			continue
		}
		g.doubtful, looked = false, true
		head, err := headOf(g.f, make([]byte, headMax))
		if err == nil && f.copyOf(head, g) {
			g.close()
			f.gens = slices.Delete(f.gens, i, i+1)
			f.pass(g.itself(), g.mtime)
			i--
		}
	}
	return looked
}

// insert opens files that were found beside the path and puts them before generation i, as many as there is room for.
// It reports whether that were all.
func (f *rotation) insert(i int, found []sibling) bool {
	for _, s := range found {
		if !f.room(1) {
			return false
		}
		i = min(i, len(f.gens))
		g, err := openSibling(s, Place{File: FileID{Dev: s.dev, Inode: s.inode}, Line: 1})
		if err != nil {
			f.again = true
			if !errors.Is(err, errMoved) {
				f.tell(Unreadable, err)
				f.pass(FileID{Dev: s.dev, Inode: s.inode}, s.mtime)
			}
			return false
		}
		g.doubtful = s.size == 0
		f.gens = slices.Insert(f.gens, i, g)
		i++
	}
	return true
}

// insertBefore opens files that were found beside the path and puts them before the generation that stands there, if it
// still does: otherwise some of them are newer, and the next look finds out which.
func (f *rotation) insertBefore(g *generation, found []sibling) bool {
	if n, err := lookPath(f.path); err != nil || n.key() != g.node {
		f.again = true
		return false
	}
	return f.insert(slices.Index(f.gens, g), found)
}

// openSibling opens a rotated file to be read from a place on.
func openSibling(s sibling, p Place) (*generation, error) {
	file, err := s.open()
	if err != nil {
		return nil, err
	}
	return &generation{Place: p, f: file, node: s.key(), size: -1}, nil
}

// room reports whether n more files may be opened. Where there is no room, the oldest file that was rotated away and
// has been read to its end has to go: the round closes it, and the next look goes on.
func (f *rotation) room(n int) bool {
	if len(f.gens)+n <= maxOpen {
		return true
	}
	for _, g := range f.gens {
		if !g.live && !g.fresh && g.size >= 0 {
			g.spent = true
			break
		}
	}
	return false
}

// restart deals with a file that was emptied in place. What it held is read on from the copy that was made of it, if
// there is one; then the file is read from its beginning.
func (f *rotation) restart(i int) {
	g := f.gens[i]
	old := g.Place
	f.tell(Truncated, nil)
	g.Place = Place{File: FileID{Dev: g.node.dev, Inode: g.node.inode}, Line: 1}
	g.harmed, g.scanned, g.size, g.finite, g.torn = false, 0, -1, false, false
	found := f.unseen(&old.File)
	if c := f.openCopy(old); c != nil {
		f.gens = slices.Insert(f.gens, i, c)
	}
	f.insertBefore(g, found)
}

// openCopy opens the copy that was made of a file before it was emptied, nil when there is none.
func (f *rotation) openCopy(p Place) *generation {
	for range maxTries {
		m, err := locate(f.path, p.File, p.Offset, f.seen)
		if err != nil || m.archived || f.isOpen(m.key()) {
			return nil
		}
		g, err := openSibling(m.sibling, p)
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			f.tell(Unreadable, err)
			return nil
		}
		g.finite, g.torn = true, true
		return g
	}
	return nil
}
