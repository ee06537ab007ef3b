package tailer

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// shelf is a service that goes on in new files, and what administrators do to these.
type shelf struct {
	*daemon
	dir     string
	files   []*shelved // in the order of their names
	late    *shelved   // a file that isn't the current one any more and gets its last flush later
	hour    int
	counter int
	copies  int
	absent  []string // names that were left out, for files that come late
}

// shelved is one file of the series.
type shelved struct {
	name    string
	epoch   *epoch
	file    *os.File // while it is written to
	pending []byte   // the rest of a line that is half written
	torn    bool     // it ends in a line without line feed for good
	copied  int      // one more than it had lines when a copy took its place; 0 if none did
}

func newShelf(t *testing.T, seed uint64, poll bool) *shelf {
	s := &shelf{dir: filepath.Join(t.TempDir(), "SmtpReceive")}
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 3)), path: filepath.Join(s.dir, "RECV*.LOG"), byText: map[string]*line{}}
	s.daemon = &daemon{world: w}
	if seed%3 > 0 { // otherwise the folder isn't there when the follower begins
		w.must(os.Mkdir(s.dir, 0o755))
		s.roll()
	}
	s.daemon = newDaemonOf(t, w, poll, func(d *daemon) { d.linger, d.nudge = 1000*time.Hour, time.Minute }, func() {
		if seed%3 == 0 {
			w.must(os.Mkdir(s.dir, 0o755))
			s.roll()
		}
	})
	t.Cleanup(func() {
		for _, f := range s.files {
			_ = f.file.Close()
		}
	})
	return s
}

func (s *shelf) at(name string) string { return filepath.Join(s.dir, name) }

// name returns the next name, and leaves one out now and then.
func (s *shelf) name() string {
	for {
		s.counter++
		if s.rng.IntN(8) == 0 {
			s.hour, s.counter = s.hour+1, 1
		}
		name := fmt.Sprintf("RECV%08d%02d-%d.LOG", 20260105+s.hour/24, s.hour%24, s.counter)
		if s.rng.IntN(6) > 0 {
			return name
		}
		s.absent = append(s.absent, name)
	}
}

// current returns the file that is written to.
func (s *shelf) current() *shelved { return s.files[len(s.files)-1] }

// create begins a file; it is written to from now on.
func (s *shelf) create(name string) *shelved {
	f, err := os.OpenFile(s.at(name), os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o644)
	s.must(err)
	s.world.file = f
	s.epoch()
	return &shelved{name: name, epoch: s.cur, file: f}
}

// roll goes on in a new file. The one before gets the rest of its last line later, or never.
func (s *shelf) roll() {
	if len(s.files) > 0 {
		s.flushLate()
		last := s.current()
		switch s.rng.IntN(3) {
		case 0:
			s.complete()
		case 1:
			s.pending, last.torn = nil, s.tears() // the service died
			s.endEpoch(false)
		default:
			last.pending, s.pending, s.late = s.pending, nil, last
		}
	}
	s.files = append(s.files, s.create(s.name()))
}

// tears reports whether the current file doesn't end in a line feed.
func (s *shelf) tears() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.cur.buf) > 0
}

// within does something as if f were the current file.
func (s *shelf) within(f *shelved, do func()) {
	file, cur, pending := s.world.file, s.cur, s.pending
	s.set(f.file, f.epoch, f.pending)
	do()
	f.pending = s.pending
	s.set(file, cur, pending)
}

func (s *shelf) set(file *os.File, e *epoch, pending []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.file, s.cur, s.pending = file, e, pending
}

func (s *shelf) flushLate() {
	if s.late == nil {
		return
	}
	s.within(s.late, func() {
		s.complete()
		for range s.rng.IntN(5) {
			s.put(s.text())
		}
	})
	s.late = nil
}

// arrive copies files into the folder that were left out.
func (s *shelf) arrive() {
	if len(s.absent) == 0 {
		return
	}
	f := s.create(s.absent[0])
	s.absent = s.absent[1:]
	for range 1 + s.rng.IntN(300) {
		s.put(s.text())
	}
	s.set(s.current().file, s.current().epoch, s.pending)
	order := func(a, b *shelved) int { return newMember(a.name).order(newMember(b.name)) }
	i, _ := slices.BinarySearchFunc(s.files, f, order)
	s.files = slices.Insert(s.files, min(i, len(s.files)-1), f)
}

// swapped reports whether the follower surely has the file open that stands at the name, not the one it is a copy of.
func (s *shelf) swapped(f *shelved) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f.copied == 0 || slices.ContainsFunc(f.epoch.lines[f.copied-1:], func(l *line) bool { return l.got > 0 })
}

// remove deletes a file. What a follower hasn't read is lost, unless it has it open.
func (s *shelf) remove(f *shelved) {
	if f == s.late {
		s.flushLate()
	}
	s.within(f, func() {
		if s.isOpen(f.epoch) && s.swapped(f) && len(s.files) < maxOpen-2 {
			s.fragile = true
		} else {
			s.excuse()
		}
		s.endEpoch(true)
		s.mu.Lock()
		for _, l := range f.epoch.lines { // it takes long to be given, and isn't if there is a kill before
			if l.tail && l.got == 0 {
				s.owe(l, -1)
				l.canLose = true
			}
		}
		s.mu.Unlock()
		f.pending = nil
		s.pending = nil
	})
	s.must(os.Remove(s.at(f.name)))
	s.must(f.file.Close())
	s.files = slices.DeleteFunc(s.files, func(o *shelved) bool { return o == f })
}

// removeCurrent deletes the file that is being written; another of the same name takes its place, or the next.
func (s *shelf) removeCurrent() {
	f := s.current()
	s.pending = nil
	s.remove(f)
	if s.rng.IntN(2) == 0 {
		s.files = append(s.files, s.create(f.name))
	} else {
		s.files = append(s.files, s.create(s.name()))
	}
}

// copyOver puts a copy in the place of a file, with more at its end if that isn't torn.
func (s *shelf) copyOver() {
	f := s.files[s.rng.IntN(len(s.files))]
	if f == s.late {
		s.flushLate()
	}
	all, err := os.ReadFile(s.at(f.name))
	s.must(err)
	s.copies++
	temp := s.at(fmt.Sprintf(".%s.%d", f.name, s.copies))
	s.must(os.WriteFile(temp, all, 0o644))
	fresh, err := os.OpenFile(temp, os.O_APPEND|os.O_WRONLY, 0o644)
	s.must(err)
	f.copied = len(f.epoch.lines) + 1
	current := f == s.current()
	if current {
		f.pending = s.pending
	}
	s.must(f.file.Close())
	f.file = fresh
	s.within(f, func() {
		for range s.rng.IntN(100) {
			if f.torn {
				break
			}
			s.complete()
			s.put(s.text())
		}
	})
	s.must(os.Rename(temp, s.at(f.name)))
	if current {
		s.set(f.file, f.epoch, f.pending)
	}
}

// copyInPlace writes a file anew, piece by piece, after making it as long as it will be, or not.
func (s *shelf) copyInPlace() {
	f := s.files[s.rng.IntN(len(s.files))]
	all, err := os.ReadFile(s.at(f.name))
	s.must(err)
	s.must(os.Truncate(s.at(f.name), 0))
	if s.rng.IntN(2) == 0 {
		s.must(os.Truncate(s.at(f.name), int64(len(all))))
	}
	out, err := os.OpenFile(s.at(f.name), os.O_WRONLY, 0o644)
	s.must(err)
	for len(all) > 0 {
		n := 1 + s.rng.IntN(min(len(all), 30_000))
		_, err = out.Write(all[:n])
		s.must(err)
		all = all[n:]
	}
	s.must(out.Close())
}

func (s *shelf) step() {
	n := s.rng.IntN(100)
	if os.Getenv("TRACE") != "" {
		s.t.Log("op", n, s.running, len(s.files), s.seq, s.fragile)
	}
	switch {
	case n < 35:
		s.write()
	case n < 45:
		s.partial()
	case n < 50:
		s.complete()
	case n < 62:
		s.roll()
	case n < 66:
		s.flushLate()
	case n < 69:
		s.arrive()
	case n < 76 && len(s.files) > 20:
		s.remove(s.files[0])
	case n < 78:
		s.removeCurrent()
	case n < 82:
		s.copyOver()
	case n < 84:
		s.copyInPlace()
	case n < 94 && s.running:
		if n < 90 {
			s.settle(false)
			s.fragile = false
			return
		}
		s.kill()
	default:
		if !s.running {
			s.start()
		}
	}
}

// Whatever happens to the files of a series and to the follower, every line is delivered exactly once, in the order of
// its file, but for those that were deleted before they could be read.
func TestSeriesModel(t *testing.T) {
	for _, poll := range []bool{false, true} {
		for seed := range modelSeeds(t) {
			t.Run(fmt.Sprintf("poll=%v/seed=%d", poll, seed), func(t *testing.T) {
				s := newShelf(t, seed, poll)
				for range 400 {
					s.step()
				}
				s.flushLate()
				written, lost := s.finish()
				evidence := s.checkEvidence()
				t.Logf("%d files, %d left, %d kills: written %d, delivered %d, destroyed before they could be read %d, "+
					"lost 0; %d chunks read again", len(s.epochs), len(s.files), s.kills, written, written-lost, lost, evidence)
			})
		}
	}
}
