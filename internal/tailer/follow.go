package tailer

import (
	"context"
	"slices"
	"time"
)

// Place is how far one file generation has been read.
type Place struct {
	File   FileID `json:"file"`
	Offset int64  `json:"offset"` // of the first byte that is still to be read
	Line   int64  `json:"line"`   // number of the line that begins there, from 1; 0 unknown
}

// Cursor is what must be remembered to go on where reading stopped. It can be stored as JSON. The zero Cursor is none.
type Cursor struct {
	Path string `json:"path"`
	// File, Offset and Line are the place in the newest generation of the log.
	File   FileID `json:"file"`
	Offset int64  `json:"offset"`
	Line   int64  `json:"line"`
	// Time is when the newest generation was last changed as far as is known, in nanoseconds since 1970 by the file
	// system's clock. It tells which files came after it should it be gone.
	Time int64 `json:"time"`
	// Older are the generations before it that may still be written to or weren't read to their end, oldest first; at
	// most 31.
	Older []Place `json:"older,omitempty"`
	// Passed are rotated files that aren't to be read though they were last changed at Time or later: copies of what
	// was read. At most 32, nearly always none.
	Passed []FileID `json:"passed,omitempty"`
	// Files are those of a series that are being read or were read, oldest first; nearly always at most 128. Files of a
	// series that are neither here nor at or before a floor are still to be read.
	Files []FilePlace `json:"files,omitempty"`
	// Floors name, for each log of a series, the last file that isn't to be read unless Files has it.
	Floors map[string]string `json:"floors,omitempty"`
}

// FilePlace is how far one file of a series has been read.
type FilePlace struct {
	Name string `json:"name"` // within the folder
	Place
}

// IsZero reports whether the cursor is none.
func (c Cursor) IsZero() bool {
	return c.File == FileID{} && c.Offset == 0 && len(c.Older) == 0 && len(c.Files) == 0 && len(c.Floors) == 0
}

// Options say how to follow. The zero value is right for a log on a local disk.
type Options struct {
	// FromEnd begins with the lines that are written from now on when there is no cursor, instead of with the file's
	// first line.
	FromEnd bool
	// Poll looks at the file at every tick only, for file systems that don't notify (NFS and other network disks).
	Poll bool
	// Every is the time between two ticks; 0 means 250 ms when polling, and 1 s beside notifications, which is then
	// only for what they can't tell.
	Every time.Duration
	// Linger is how long a file that was rotated away must have been quiet before it is given up; 0 means 10 minutes.
	// Until then late lines of a logger that hasn't reopened yet are read, and a last line without line feed waits.
	Linger time.Duration
	// Status, where set, is told what happens to the log, from the goroutine that follows.
	Status func(Status)
	// Ticks replaces the ticker of Every. The values are the only clock that following has.
	Ticks <-chan time.Time
}

const (
	pollEvery  = 250 * time.Millisecond
	watchEvery = time.Second
	linger     = 10 * time.Minute
	maxOpen    = 32 // generations of one log that are open at a time
)

// State is what is known of a followed log.
type State uint8

// The states.
const (
	Following  State = iota + 1 // a file was opened at the path, its lines will be given; Cursor says from where
	Missing                     // there is no file at the path; it is waited for
	Unreadable                  // the file or its folder can't be read (Err says why); it is tried again at every tick
	Rotated                     // the file was renamed or deleted; what is left in it is still read
	Truncated                   // the file was emptied in place; it is read from its beginning
	Gone                        // a file that the cursor speaks of isn't there any more (ErrGone): lines may be lost
	Polling                     // notifications can't be had (Err says why): the file is looked at every tick
)

var stateNames = [...]string{"", "following", "missing", "unreadable", "rotated", "truncated", "gone", "polling"}

// String returns the state's name in lower case, or "" for a value that is none.
func (s State) String() string {
	if int(s) >= len(stateNames) {
		return ""
	}
	return stateNames[s]
}

// Status is told when the state of a followed log changes.
type Status struct {
	Path   string
	State  State
	Err    error  // for Unreadable, Missing, Gone and Polling
	Cursor Cursor // where following stands; to be stored when Follow began without one
}

// Follow gives the lines of the log at path as they are written, across rotation of any kind, until ctx ends, and
// returns its error, or until out returns an error, and returns that. Nothing else ends it. It runs in the caller's
// goroutine, and out is called in it; out owns the chunk, also when it fails.
//
// Following begins at the cursor, which is the Next of the last chunk that was dealt with: lines are then given
// exactly once, also when the log was renamed, compressed or emptied meanwhile. Only what was deleted or emptied before
// it was read is lost. A line is given when its line feed is there; in a file that was rotated away, the last one is
// given without when the file has been quiet for Linger. Older files are read before newer ones.
//
// A path whose last element has one of *?[ in it, and that is no file's name, is the pattern of a series, as
// filepath.Match has it: a log that goes on in a new file with a later name, as Exchange and IIS write theirs. All files
// that fit are followed, in the order of the dates and numbers in their names, each by its name and its first bytes: a
// longer copy that takes a file's place is that file, something else of the same name another one. A file that comes
// late, with an earlier name than others have, is read when it comes. Files whose names say that they are compressed or
// were renamed by rotation (.gz, .1, .old), and hidden ones, don't belong to a series. Where several logs fit, as
// MSGTRK*.LOG fits four of one server, the newest file of each counts as its current one.
func Follow(ctx context.Context, path string, from Cursor, opt Options, out func(*Chunk) error) error {
	f := newFollower(path, opt, out)
	defer f.end()
	if opt.Ticks == nil {
		t := time.NewTicker(f.opt.Every)
		defer t.Stop()
		f.opt.Ticks = t.C
	}
	f.files.begin(from)
	for {
		moved, err := f.round(ctx)
		if err == nil && f.ticked {
			err = f.expire()
		}
		if err == nil {
			err = f.wait(ctx, moved)
		}
		if err != nil {
			return err
		}
	}
}

// lineage says which files a log consists of: one that is renamed by rotation, or a series of names.
type lineage interface {
	begin(from Cursor)         // is called once, before anything else
	look()                     // finds out what there is and opens it
	vet() bool                 // closes what turned out not to be the log; reports whether it measured anything
	cursor() Cursor            // where following stands
	restart(i int)             // begins generation i again, which isn't the file any more that was read
	forgotten(g *generation)   // is told that a generation was closed
	concerns(base string) bool // reports whether a file of that name in a watched folder belongs to the log
}

// follower is one call of Follow.
type follower struct {
	path  string
	opt   Options
	out   func(*Chunk) error
	pool  *pool
	wake  *waker
	files lineage
	gens  []*generation // open files, oldest first
	seen  int64         // when the current file had last been changed when it was last found unharmed

	now    time.Time // of the last tick
	again  bool      // there is more to do at once
	ticked bool      // a tick woke us
	state  State     // what was last said about the path
}

func newFollower(path string, opt Options, out func(*Chunk) error) *follower {
	if opt.Every <= 0 {
		opt.Every = watchEvery
		if opt.Poll {
			opt.Every = pollEvery
		}
	}
	if opt.Linger <= 0 {
		opt.Linger = linger
	}
	f := &follower{path: path, opt: opt, out: out, pool: newPool(), ticked: true}
	if IsSeries(path) {
		f.files = newSeries(f)
	} else {
		f.files = newRotation(f)
	}
	f.wake = newWaker(path, opt.Poll, f.files.concerns, func(err error) { f.tell(Polling, err) })
	return f
}

// end closes everything.
func (f *follower) end() {
	f.wake.close()
	for _, g := range f.gens {
		g.close()
	}
}

// tell reports a state.
func (f *follower) tell(s State, err error) {
	if f.opt.Status != nil {
		f.opt.Status(Status{Path: f.path, State: s, Err: err, Cursor: f.files.cursor()})
	}
}

// found reports what was found at the path, when it isn't what was found before.
func (f *follower) found(s State, err error) {
	if f.state != s {
		f.state = s
		f.tell(s, err)
	}
}

// round looks once at everything and gives the lines that are there. It reports whether it should look again at once.
func (f *follower) round(ctx context.Context) (bool, error) {
	f.again = false
	if f.ticked {
		f.wake.cover()
	}
	f.files.look()
	f.measure()
	if f.files.vet() {
		f.measure()
	}
	for i, g := range f.gens {
		if g.harmed {
			f.files.restart(i)
			return true, nil
		}
		moved, err := f.drain(ctx, g)
		if err != nil {
			return true, err
		}
		f.again = f.again || moved || g.harmed
	}
	err := f.retire()
	return f.again, err
}

// measure measures all open files, the newest first: what stands in it then was written after the older ones' last
// lines, which the older ones, measured and read later, hold.
func (f *follower) measure() {
	for _, g := range slices.Backward(f.gens) {
		g.measure()
		if g.live && !g.harmed {
			f.seen = g.mtime
		}
	}
}

// wait returns at the next tick or notification, at once when busy is set, with an error when ctx ends.
func (f *follower) wait(ctx context.Context, busy bool) error {
	f.ticked = false
	if busy {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f.now = <-f.opt.Ticks:
			f.ticked = true
		default:
		}
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f.now = <-f.opt.Ticks:
			f.ticked = true
			return nil
		case ev := <-f.wake.events:
			if f.wake.concerns(ev) {
				f.wake.flush()
				return nil
			}
		case <-f.wake.errors: // events were lost: look
			f.wake.stirred = true
			return nil
		}
	}
}

// retire closes copies that have been read to their end and files that had to make room.
func (f *follower) retire() error {
	for i := 0; i < len(f.gens); i++ {
		g := f.gens[i]
		if !g.spent && (!g.finite || g.fresh && g.failed == nil) {
			continue
		}
		if !g.live { // the current file isn't at its end
			if err := f.finish(g); err != nil {
				return err
			}
		}
		f.forget(i)
		i--
	}
	return nil
}

// forget closes generation i.
func (f *follower) forget(i int) {
	g := f.gens[i]
	g.close()
	f.gens = slices.Delete(f.gens, i, i+1)
	f.again = true
	f.files.forgotten(g)
}

// expire gives up, at a tick, the files that were rotated away and have been quiet for Linger.
func (f *follower) expire() error {
	for i := 0; i < len(f.gens); i++ {
		g := f.gens[i]
		if g.live || g.arch != nil || g.fresh && g.failed == nil || g.quietSince.IsZero() || g.size != g.quietSize {
			g.quietSince, g.quietSize = f.now, g.size
			continue
		}
		if f.now.Sub(g.quietSince) < f.opt.Linger {
			continue
		}
		if err := f.finish(g); err != nil {
			return err
		}
		f.forget(i)
		i--
	}
	return nil
}
