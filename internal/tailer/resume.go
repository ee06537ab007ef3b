package tailer

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// begin opens what the cursor speaks of, or what stands at the path.
func (f *rotation) begin(from Cursor) {
	if from.IsZero() {
		for range maxTries {
			list, err := siblings(f.path)
			if err == nil {
				err = f.learn(list)
			}
			if !errors.Is(err, errMoved) {
				break
			}
		}
		if s, ok := self(f.path); ok && f.opt.FromEnd {
			f.beginAtEnd(s)
		}
		return
	}
	f.pending = &from
	f.goOn()
}

// goOn resumes at the cursor, once the log's folder can be listed, and reports whether that is done.
func (f *rotation) goOn() bool {
	if f.pending == nil {
		return true
	}
	for range maxTries { // a rotation that is under way moves files between the listing and the opening
		lost, err := f.resume(*f.pending)
		if err == nil {
			f.pending = nil
			for _, p := range lost {
				f.tell(Gone, fmt.Errorf("go on with %s at %d (inode %d): %w; lines written to it since can't be read",
					f.path, p.Offset, p.File.Inode, ErrGone))
			}
			f.done = append(f.done, lost...) // should they come back
			return true
		}
		for _, g := range f.gens {
			g.close()
		}
		f.gens, f.queue, f.skip = nil, nil, map[nodeKey]passed{}
		if !errors.Is(err, errMoved) {
			state := Unreadable
			if errors.Is(err, fs.ErrNotExist) {
				state = Missing
			}
			f.found(state, err)
			return false
		}
	}
	return false
}

// learn notes the rotated files of a list that are neither open nor in the queue as not to be read. The error is
// errMoved.
func (f *rotation) learn(list []sibling) error {
	seen := f.seen
	f.seen = 1<<63 - 1
	_, err := f.sift(list, nil)
	f.seen = seen
	for _, s := range f.queue {
		delete(f.skip, s.key())
	}
	return err
}

// beginAtEnd opens the log after its last line.
func (f *rotation) beginAtEnd(s sibling) {
	g, err := openSibling(s, f.place(s.node))
	if err != nil {
		return // the first look tries again, and takes what it finds for new
	}
	g.toEnd(s.size)
	f.gens, f.seen = append(f.gens, g), s.mtime
	f.tell(Following, nil)
	f.state = Following
}

// resume opens every generation that the cursor names under the name it has now, and those that came after the newest
// of them. It returns the places whose files are gone.
func (f *rotation) resume(from Cursor) ([]Place, error) {
	f.seen = from.Time
	all, err := candidates(f.path)
	if err != nil {
		return nil, err
	}
	var at sibling // the file at the path, if there is one
	list := all
	if len(all) > 0 && all[0].path == f.path {
		at, list = all[0], all[1:]
	}
	var lost []Place
	var newest *sibling
	for i, p := range append(slices.Clone(from.Older), Place{from.File, from.Offset, from.Line}) {
		m, ok, err := find(p.File, all, p.Offset, from.Time)
		if err != nil {
			return nil, err
		}
		if p.File.HeadLen > 0 {
			newest = nil
		}
		if !ok {
			lost = append(lost, p)
			continue
		}
		if p.File.HeadLen > 0 {
			newest = &m.sibling
		} else if i == len(from.Older) && (m.path == f.path || m.size > 0) {
			// Nothing was read of it, and its inode may be another's by now: it is found as any new file is.
			continue
		}
		if err := f.reopen(m, p, p.File.node() == at.key()); err != nil {
			return nil, err
		}
	}
	if newest == nil || newest.key() != at.key() {
		since := from.Time
		if newest == nil && from.File.HeadLen == 0 {
			since++ // it was created at that time: what was changed last then, came before it
		}
		f.enqueue(list, newest, since, from.Passed)
	}
	return lost, f.learn(list)
}

// reopen opens a file that the cursor speaks of. inUse says that the file itself still stands at the path: then a copy
// of it was made while it was written to.
func (f *rotation) reopen(m match, p Place, inUse bool) error {
	i := slices.IndexFunc(f.gens, func(g *generation) bool { return g.node == m.key() })
	if i >= 0 {
		// An empty file of the cursor may have become a copy of this one.
		if g := f.gens[i]; g.doubtful && m.copied {
			g.Place, g.finite, g.torn, g.doubtful = p, true, inUse, false
		}
		return nil
	}
	g, err := openSibling(m.sibling, p)
	if err != nil {
		return err
	}
	g.doubtful = p.File.HeadLen == 0 && m.path != f.path
	switch {
	case m.archived:
		g.finite, g.torn = true, inUse
		if err := g.unpack(m.path); err != nil {
			f.tell(Unreadable, err)
			return nil
		}
	case m.copied && m.path == f.path:
		g.File.Dev, g.File.Inode = m.dev, m.inode
	case m.copied:
		g.finite, g.torn = true, inUse
	}
	f.gens = append(f.gens, g)
	return nil
}

// unpack turns a generation into one that is read from an archive.
func (g *generation) unpack(path string) error {
	r, err := newReader(path, g.f, newPool())
	if err != nil {
		g.close()
		return err
	}
	r.file = g.f
	g.arch = r
	return nil
}

// enqueue notes the rotated files that came after the newest one that the cursor speaks of, but for those it passed.
func (f *rotation) enqueue(list []sibling, newest *sibling, since int64, passed []FileID) {
	f.queue = slices.DeleteFunc(slices.Clone(list), func(s sibling) bool {
		return f.isOpen(s.key()) || !after(s, newest, since) || slices.ContainsFunc(passed, s.is)
	})
}

// is reports whether the sibling is the file of that id, an empty one if the id is that of an empty file.
func (s sibling) is(id FileID) bool {
	if id.node() != s.key() {
		return false
	}
	head, archived, err := s.head()
	return err == nil && (archived || id.matches(head) && (id.HeadLen > 0 || s.size == 0))
}

// dequeue opens the noted files as far as there is room, before the one that stands at the path, and reports whether
// none is left.
func (f *rotation) dequeue() bool {
	for tries := 0; len(f.queue) > 0 && f.room(1); tries++ {
		s := f.queue[0]
		err := f.take(s)
		if errors.Is(err, errMoved) {
			if tries < maxTries && f.relocate() {
				continue
			}
			err = fmt.Errorf("go on with %s: %w; its lines can't be read", s.path, ErrGone)
			f.tell(Gone, err)
		} else if err != nil {
			f.tell(Unreadable, err)
		}
		f.queue = f.queue[1:]
	}
	return len(f.queue) == 0
}

// take opens one of the noted files, unless it is a copy of one that is open.
func (f *rotation) take(s sibling) error {
	head, archived, err := s.head()
	if err != nil || f.copyOf(head, nil) {
		return err
	}
	p := Place{File: FileID{Dev: s.dev, Inode: s.inode}.withHead(head), Line: 1}
	n := len(f.gens)
	if err := f.reopen(match{sibling: s, archived: archived}, p, false); err != nil || len(f.gens) == n {
		return err
	}
	if g := f.gens[n]; n > 0 && f.gens[n-1].live {
		f.gens[n-1], f.gens[n] = g, f.gens[n-1]
	}
	return nil
}

// relocate looks for the first of the noted files under its new name.
func (f *rotation) relocate() bool {
	list, err := siblings(f.path)
	if err != nil {
		return false
	}
	i := slices.IndexFunc(list, func(s sibling) bool { return s.key() == f.queue[0].key() })
	if i < 0 {
		return false
	}
	f.queue[0] = list[i]
	return true
}

// after reports whether a rotated file came after the newest one that is known: by the time of its last change and,
// where these tell, by their names.
func after(s sibling, newest *sibling, since int64) bool {
	if s.mtime < since {
		return false
	}
	if newest != nil && s.suffix.kind == newest.suffix.kind && s.suffix.kind != otherwise {
		return older(*newest, s) < 0
	}
	return true
}
