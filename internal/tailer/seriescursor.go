package tailer

import (
	"fmt"
	"maps"
	"path/filepath"
)

// maxKept is how many files of a series a cursor remembers, but for those that are needed.
const maxKept = 128

// begin takes over what the cursor says.
func (s *series) begin(from Cursor) {
	s.resumed = !from.IsZero()
	s.seen = from.Time
	maps.Copy(s.floors, from.Floors)
	for _, p := range from.Files {
		m := newMember(p.Name)
		if p.Name != filepath.Base(p.Name) || s.byName[p.Name] != nil {
			continue
		}
		m.place = p.Place
		s.insert(m)
		s.last = s.members[len(s.members)-1]
	}
}

// outset decides, when the folder can be listed for the first time, which of its files aren't to be read.
func (s *series) outset(names []string) {
	if s.resumed || !s.opt.FromEnd {
		return
	}
	newest, floor := map[string]*member{}, map[string]*member{}
	for _, name := range names {
		m := newMember(name)
		o := newest[m.log]
		if o == nil || o.order(m) < 0 {
			newest[m.log], m = m, o
		}
		if m != nil && (floor[m.log] == nil || floor[m.log].order(m) < 0) {
			floor[m.log] = m
		}
	}
	for log, m := range floor {
		s.floors[log] = m.name
	}
	for _, m := range newest {
		m.end, m.due = true, true
		s.insert(m)
	}
}

// missed tells of the newest file that was being read, should it have been deleted.
func (s *series) missed() {
	if m := s.last; m != nil && s.byName[m.name] == m && !m.here {
		s.tell(Gone, fmt.Errorf("go on with %s at %d: %w; lines written to it since can't be read", s.file(m),
			m.place.Offset, ErrGone))
	}
}

// cursor returns where following stands now. The oldest files that were read are left out when there are many: the name
// of the last of them stands for all before it.
func (s *series) cursor() Cursor {
	c := Cursor{Path: s.path, Time: s.seen, Floors: s.floors}
	drop := len(s.members) - maxKept
	if drop > 0 {
		c.Floors = maps.Clone(s.floors)
	} else if len(s.floors) == 0 {
		c.Floors = nil
	}
	floor := map[string]*member{}
	for _, m := range s.members {
		if m.gen != nil || m.live || m.due {
			continue
		}
		if drop <= 0 {
			break
		}
		c.Floors[m.log], floor[m.log] = m.name, m
		drop--
	}
	for _, m := range s.members {
		p := FilePlace{m.name, m.place}
		if m.gen != nil {
			p.Place = m.gen.Place
		}
		low := floor[m.log] != nil && m.order(floor[m.log]) <= 0
		unread := m.gen == nil && m.due && p.File.HeadLen == 0
		if low && m.gen == nil && !m.live && !m.due || unread && !low {
			continue
		}
		c.Files = append(c.Files, p)
		if !unread {
			c.File, c.Offset, c.Line = p.File, p.Offset, p.Line
		}
	}
	return c
}
