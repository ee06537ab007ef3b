package tailer

import (
	"path/filepath"
	"slices"
	"strings"
)

// passed is a rotated file that isn't to be read.
type passed struct {
	FileID
	mtime int64 // when it was last changed, as far as is known
}

// rotation is the lineage of a log at one path: its files are renamed, copied, compressed or emptied by rotation.
type rotation struct {
	*follower
	done []Place            // generations that were given up, the last maxOpen of them
	skip map[nodeKey]passed // rotated files that aren't to be read: they were, or they are older than the beginning

	pending *Cursor   // where to resume, while the log's folder can't be listed
	skipped int64     // when the last of them was changed
	queue   []sibling // files that came after those of the cursor and wait for room, oldest first

	stem string // how the names of the log and its rotated files begin
}

func newRotation(f *follower) *rotation {
	base := filepath.Base(f.path)
	return &rotation{follower: f, skip: map[nodeKey]passed{}, stem: strings.TrimSuffix(base, filepath.Ext(base))}
}

// concerns reports whether a name is that of the log or of a rotated file of it.
func (f *rotation) concerns(base string) bool { return strings.HasPrefix(base, f.stem) }

// forgotten remembers how far a generation was read.
func (f *rotation) forgotten(g *generation) {
	f.pass(g.itself(), g.mtime)
	f.done = append(f.done, g.Place)
	if len(f.done) > maxOpen {
		f.done = slices.Delete(f.done, 0, 1)
	}
}

// cursor returns where following stands now.
func (f *rotation) cursor() Cursor {
	if f.pending != nil {
		return *f.pending
	}
	c := Cursor{Path: f.path, Time: f.seen}
	if len(f.gens) == 0 {
		return c
	}
	last := len(f.gens) - 1
	p := f.gens[last].Place
	c.File, c.Offset, c.Line = p.File, p.Offset, p.Line
	for _, g := range f.gens[:last] {
		c.Older = append(c.Older, g.Place)
	}
	if f.skipped >= f.seen {
		for _, p := range f.skip {
			if p.mtime >= f.seen && len(c.Passed) < maxOpen {
				c.Passed = append(c.Passed, p.FileID)
			}
		}
	}
	return c
}
