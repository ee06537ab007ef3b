package tailer

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// wildcards are the bytes that make a name a pattern.
const wildcards = `*?[`

// ErrPattern says that a path can't be followed as the pattern of a series.
var ErrPattern = errors.New("not a pattern of names in one folder")

// IsSeries reports whether Follow takes path for the pattern of a series: its last element has one of *?[ in it and no
// file is called so.
func IsSeries(path string) bool {
	if !strings.ContainsAny(filepath.Base(path), wildcards) {
		return false
	}
	_, err := os.Lstat(path)
	return err != nil
}

// CheckPath returns an error that is ErrPattern when Follow could never find anything at path: when its pattern is
// malformed or its folder is one.
func CheckPath(path string) error {
	_, err := filepath.Match(filepath.Base(path), "")
	switch {
	case !IsSeries(path):
		return nil
	case err != nil:
		return fmt.Errorf("follow %s: %w (%w); see filepath.Match for patterns", path, ErrPattern, err)
	case strings.ContainsAny(filepath.Dir(path)[len(filepath.VolumeName(path)):], wildcards):
		return fmt.Errorf("follow %s: %w; name the folder, and a pattern only for the files in it", path, ErrPattern)
	}
	return nil
}

// sweepEvery is after how many ticks files that aren't open are looked at, whether they have grown.
const sweepEvery = 16

// member is a file of a series, as it is known.
type member struct {
	name   string
	log    string // the log that it is a part of: the name without date and number
	suffix suffix
	place  Place       // how far it was read, while it isn't open
	gen    *generation // while it is open
	was    node        // as it was found when it was last closed or looked at
	here   bool        // it was in the last list
	live   bool        // it is the newest of its log
	due    bool        // it isn't open and holds what wasn't read
	end    bool        // it is to be read from its end on
	told   bool        // that it can't be read
	unsure bool        // something shorter is in its place: a copy that is being made, or another file
	since  time.Time   // the tick at which that was first found as it is
}

// series is the lineage of a log that goes on under a new name. Its files keep their names and are never emptied: a file
// that is shorter than it was, is being copied.
type series struct {
	*follower
	members []*member          // oldest first, at most maxSiblings that are closed
	byName  map[string]*member // the same
	floors  map[string]string  // per log the last name that isn't to be read unless it is a member's
	begun   bool               // the folder has been listed
	resumed bool               // there was a cursor
	last    *member            // the newest file that the cursor speaks of
	ticks   int                // since all files were looked at

	unsettled bool // a file took another one's place, and it was too early to tell what it is
}

func newSeries(f *follower) *series {
	return &series{follower: f, byName: map[string]*member{}, floors: map[string]string{}}
}

// concerns reports whether a name fits the pattern.
func (s *series) concerns(base string) bool { return fits(filepath.Base(s.path), base) }

// vet has nothing to do: a file of a series is known by its name.
func (s *series) vet() bool { return false }

// fits reports whether a name belongs to the series of that pattern.
func fits(pattern, base string) bool {
	if runtime.GOOS == "windows" {
		pattern, base = strings.ToLower(pattern), strings.ToLower(base)
	}
	if strings.HasPrefix(base, ".") && !strings.HasPrefix(pattern, ".") {
		return false
	}
	if ok, err := filepath.Match(pattern, base); !ok || err != nil {
		return false
	}
	if _, packed := cutPacked(base); packed {
		return false
	}
	_, s := cutSuffix(base)
	return s.kind != numbered && s.kind != otherwise
}

func newMember(name string) *member {
	log, s := parseRotation(name)
	return &member{name: name, log: log, suffix: s}
}

// order compares two files of a series by their names; the older one is the lesser.
func (m *member) order(o *member) int {
	if c := m.suffix.compare(o.suffix); c != 0 {
		return c
	}
	return natural(m.name, o.name)
}

// natural compares two names so that numbers in them count as numbers: a2 is before a10.
func natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		i, j := digits(x), digits(y)
		if i == 0 || j == 0 {
			if x[0] != y[0] {
				return strings.Compare(x[:1], y[:1])
			}
			x, y = x[1:], y[1:]
			continue
		}
		n, o := strings.TrimLeft(x[:i], "0"), strings.TrimLeft(y[:j], "0")
		if len(n) != len(o) {
			return len(n) - len(o)
		}
		if n != o {
			return strings.Compare(n, o)
		}
		x, y = x[i:], y[j:]
	}
	if len(x) != len(y) {
		return len(x) - len(y)
	}
	return strings.Compare(a, b)
}

// digits returns how many decimal digits s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

func (s *series) file(m *member) string { return filepath.Join(filepath.Dir(s.path), m.name) }

// look lists the folder at every tick and when files came or went, and opens what there is to be read.
func (s *series) look() {
	listed := (s.ticked || s.wake.stirred || s.unsettled || !s.begun) && s.list()
	if s.open() {
		s.tell(Following, nil)
		s.state = Following
	}
	if listed && !slices.ContainsFunc(s.members, func(m *member) bool { return m.here && m.told }) {
		s.found(Following, nil)
	}
}

// list finds out which files there are, and reports whether there are any.
func (s *series) list() bool {
	if err := CheckPath(s.path); err != nil {
		s.found(Unreadable, err)
		return false
	}
	s.ticks++
	all := s.wake.stirred || !s.begun || s.ticks >= sweepEvery
	s.wake.stirred, s.unsettled = false, false
	names, err := s.names()
	if err != nil {
		state := Unreadable
		if errors.Is(err, fs.ErrNotExist) {
			state = Missing
		}
		s.found(state, err) // what is open may be there yet
		return false
	}
	if all {
		s.ticks = 0
	}
	first := !s.begun
	if s.begun = true; first {
		s.outset(names)
	}
	for _, name := range names {
		s.see(name, all)
	}
	s.absent(names)
	s.prune()
	if first {
		s.missed()
	}
	if len(names) == 0 {
		s.found(Missing, fmt.Errorf("follow %s: no file's name is like that yet: %w", s.path, fs.ErrNotExist))
	}
	return len(names) > 0
}

// names lists the files that belong to the series, at most maxSiblings, the newest ones.
func (s *series) names() ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(s.path))
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", s.path, err)
	}
	var names []string
	for _, e := range entries {
		if s.concerns(e.Name()) && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if len(names) > maxSiblings {
		slices.SortFunc(names, func(a, b string) int { return newMember(a).order(newMember(b)) })
		names = names[len(names)-maxSiblings:]
	}
	return names, nil
}

// see looks at one of the files; those that are known and closed only when all is set.
func (s *series) see(name string, all bool) {
	m := s.byName[name]
	if m == nil {
		s.meet(name)
		return
	}
	m.here = true
	if m.due || m.gen == nil && !all && !m.unsure {
		return
	}
	n, err := lookPath(s.file(m))
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		s.unreadable(m, err)
	case err != nil || !n.regular: // gone since it was listed, as the next list will say
		m.here = false
	case m.gen == nil:
		s.recheck(m, n)
	case m.gen.node != n.key():
		s.replaced(m)
	}
}

// meet deals with a name that isn't known.
func (s *series) meet(name string) {
	m := newMember(name)
	if s.below(m) {
		return
	}
	n, err := lookPath(s.file(m))
	if err != nil || !n.regular { // gone again, or nothing that can be a log
		return
	}
	m.here = true
	if old := s.renamed(m, n); old != nil {
		s.remove(old)
		m.place, m.gen, m.was, m.due = old.place, old.gen, old.was, old.due
		if m.gen != nil {
			m.gen.of = m
		}
	} else {
		m.due = true
	}
	s.insert(m)
}

// below reports whether a file that isn't known isn't to be read.
func (s *series) below(m *member) bool {
	floor, ok := s.floors[m.log]
	return ok && m.order(newMember(floor)) <= 0
}

// renamed returns the known file that was given a new name, nil when there is none.
func (s *series) renamed(m *member, n node) *member {
	i := slices.IndexFunc(s.members, func(o *member) bool {
		id := o.place.File
		if o.gen != nil {
			id = o.gen.itself()
		}
		return id.node() == n.key() && n.key() != nodeKey{} && id.HeadLen > 0
	})
	if i < 0 {
		return nil
	}
	old := s.members[i]
	if now, err := lookPath(s.file(old)); err == nil && now.key() == n.key() {
		return nil // a second name for one file is another file
	}
	if old.gen != nil {
		return old
	}
	head, err := s.headOf(m)
	if err != nil || old.place.File.HeadLen < headMin || !old.place.File.matches(head) {
		return nil
	}
	return old
}

func (s *series) insert(m *member) {
	i, _ := slices.BinarySearchFunc(s.members, m, (*member).order)
	s.members = slices.Insert(s.members, i, m)
	s.byName[m.name] = m
}

func (s *series) remove(m *member) {
	s.members = slices.DeleteFunc(s.members, func(o *member) bool { return o == m })
	delete(s.byName, m.name)
}

// absent notes which files aren't in the list any more, and which ones are the newest of their logs.
func (s *series) absent(names []string) {
	listed := make(map[string]bool, len(names))
	for _, name := range names {
		listed[name] = true
	}
	newest := map[string]bool{}
	for _, m := range slices.Backward(s.members) {
		m.here = m.here && listed[m.name]
		live := m.here && !newest[m.log]
		newest[m.log] = newest[m.log] || m.here
		if m.live && !live && m.gen != nil {
			s.tell(Rotated, nil)
		}
		m.live = live
		if m.gen != nil {
			m.gen.live = live
		}
		if !m.here && m.due && m.place.Offset == 0 {
			s.remove(m) // it went before it could be opened
		}
	}
}

// prune forgets the oldest files that were read, when there are too many.
func (s *series) prune() {
	if len(s.members) > maxSiblings {
		s.floors = maps.Clone(s.floors) // cursors have the old one
	}
	for i := 0; i < len(s.members) && len(s.members) > maxSiblings; i++ {
		if m := s.members[i]; m.gen == nil && !m.due && !m.live {
			s.floors[m.log] = m.name
			s.remove(m)
			i--
		}
	}
}

// unreadable tells once that a file can't be read; it is tried again.
func (s *series) unreadable(m *member, err error) {
	if !m.told {
		m.told = true
		s.tell(Unreadable, err)
		s.state = Unreadable
	}
}
