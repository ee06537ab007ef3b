package tailer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// tailing is a follower under test: what it gives and says arrives on channels.
type tailing struct {
	t      *testing.T
	path   string
	lines  chan Chunk0
	status chan Status
	ticks  chan time.Time
	now    time.Time
	stop   context.CancelFunc
	ended  chan error
}

// Chunk0 is what a test keeps of a chunk.
type Chunk0 struct {
	text         string
	offset, line int64
	cut          int64
	file         FileID
	next         Cursor
}

const patience = 5 * time.Second

func follow(t *testing.T, path string, from Cursor, opt Options) *tailing {
	t.Helper()
	f := &tailing{t: t, path: path, lines: make(chan Chunk0, 100), status: make(chan Status, 100),
		ticks: make(chan time.Time), now: time.Unix(1_700_000_000, 0), ended: make(chan error, 1)}
	opt.Ticks = f.ticks
	opt.Status = func(s Status) { f.status <- s }
	var ctx context.Context
	ctx, f.stop = context.WithCancel(t.Context())
	go func() {
		f.ended <- Follow(ctx, path, from, opt, func(c *Chunk) error {
			f.lines <- Chunk0{string(c.Data), c.Offset, c.Line, c.Cut, c.File, c.Next}
			c.Release()
			return nil
		})
	}()
	t.Cleanup(func() { f.end() })
	return f
}

func (f *tailing) end() {
	f.stop()
	select {
	case err := <-f.ended:
		if !errors.Is(err, context.Canceled) {
			f.t.Errorf("Follow ended with %v", err)
		}
		f.ended <- err
	case <-time.After(patience):
		f.t.Error("Follow doesn't end")
	}
}

// tick lets time pass; it returns when the follower has taken the tick and the one before is dealt with.
func (f *tailing) tick(d time.Duration) {
	f.t.Helper()
	f.now = f.now.Add(d)
	select {
	case f.ticks <- f.now:
	case <-time.After(patience):
		f.t.Fatal("the follower takes no tick")
	}
}

// want waits for that text, in as many chunks as it comes, and returns the last one.
func (f *tailing) want(text string) Chunk0 {
	f.t.Helper()
	got := ""
	for {
		select {
		case c := <-f.lines:
			if got += c.text; got == text {
				return c
			}
			if !strings.HasPrefix(text, got) {
				f.t.Fatalf("got %.200q, want %.200q", got, text)
			}
		case <-time.After(patience):
			f.t.Fatalf("got %.200q, want %.200q", got, text)
		}
	}
}

// quiet checks that two looks bring nothing.
func (f *tailing) quiet() {
	f.t.Helper()
	for range 3 {
		f.tick(time.Millisecond)
	}
	select {
	case c := <-f.lines:
		f.t.Fatalf("got %q, want nothing", c.text)
	default:
	}
}

func (f *tailing) wantState(want State) Status {
	f.t.Helper()
	for {
		select {
		case s := <-f.status:
			if s.State == want {
				return s
			}
		case <-time.After(patience):
			f.t.Fatalf("never said %v", want)
		}
	}
}

// logFile is a log that is written to.
type logFile struct {
	t *testing.T
	*os.File
}

func openLog(t *testing.T, path string) logFile {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return logFile{t, f}
}

func (l logFile) add(text string) {
	l.t.Helper()
	if _, err := l.WriteString(text); err != nil {
		l.t.Fatal(err)
	}
}

func (l logFile) rename(to string) {
	l.t.Helper()
	if err := os.Rename(l.Name(), to); err != nil {
		l.t.Fatal(err)
	}
}

func TestFollowWaitsAndKeepsHalfLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	f := follow(t, path, Cursor{}, Options{})
	if s := f.wantState(Missing); !errors.Is(s.Err, fs.ErrNotExist) {
		t.Errorf("error is %v", s.Err)
	}
	log := openLog(t, path)
	f.wantState(Following)
	log.add("one\ntw")
	f.want("one\n")
	f.quiet()
	log.add("o\nthree\n")
	if c := f.want("two\nthree\n"); c.next.Offset != 14 || c.next.Line != 4 || c.next.Path != path {
		t.Errorf("goes on at %+v", c.next)
	}
}

func TestFollowFromEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	log := openLog(t, path)
	log.add("old\nolder\nha")
	f := follow(t, path, Cursor{}, Options{FromEnd: true})
	if s := f.wantState(Following); s.Cursor.Offset != 10 {
		t.Errorf("begins at %+v", s.Cursor)
	}
	log.add("lf\nnew\n")
	if c := f.want("half\nnew\n"); c.line != 0 {
		t.Errorf("line %d isn't known", c.line)
	}
}

// A logger that is told late goes on writing into the renamed file: its lines come, before those of the new file.
func TestFollowLateHangup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	old := openLog(t, path)
	f := follow(t, path, Cursor{}, Options{Linger: time.Minute})
	old.add("1\n")
	f.want("1\n")
	old.rename(path + ".1")
	fresh := openLog(t, path)
	f.wantState(Rotated)
	old.add("2\n")
	f.want("2\n")
	old.add("3\n")
	fresh.add("4\n")
	f.want("3\n4\n")
	f.tick(50 * time.Second)
	old.add("5\nunfinished")
	last := f.want("5\n")
	if len(last.next.Older) != 1 || last.next.Older[0].Offset != 8 {
		t.Errorf("goes on at %+v", last.next)
	}
	f.tick(50 * time.Second)
	f.quiet()
	f.tick(61 * time.Second)
	f.tick(time.Second)
	if c := f.want("unfinished"); len(c.next.Older) != 1 {
		t.Errorf("goes on at %+v", c.next)
	}
	old.add("nobody listens any more\n")
	fresh.add("6\n")
	if c := f.want("6\n"); len(c.next.Older) != 0 {
		t.Errorf("goes on at %+v", c.next)
	}
}

// What was written while nobody followed is found under the names that rotation gave it, packed or not.
func TestFollowResumes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	long := strings.Repeat("the first line has to tell one file from another ", 3) + "\n"
	log := openLog(t, path)
	log.add("1 " + long)
	f := follow(t, path, Cursor{}, Options{})
	at := f.want("1 " + long).next
	f.end()
	log.add("1 second\n")
	log.rename(path + ".1")
	packed := packGzip(t, []byte("1 "+long+"1 second\n"))
	for i, name := range []string{path + ".3.gz", path + ".2", path + ".1"} {
		if err := os.RemoveAll(path + ".1"); err != nil {
			t.Fatal(err)
		}
		switch i {
		case 0:
			writeFile(t, name, packed)
		default:
			writeFile(t, name, fmt.Appendf(nil, "%d %s", i+1, long))
		}
	}
	writeFile(t, path+".2", []byte("2 "+long))
	writeFile(t, path, []byte("4 "+long))
	f = follow(t, path, at, Options{})
	c := f.want("1 second\n2 " + long + "3 " + long + "4 " + long)
	if len(c.next.Older) < 2 || c.next.Offset != int64(len(long)+2) {
		t.Errorf("goes on at %+v", c.next)
	}
	f.quiet()
}

// A folder that isn't mounted yet when the daemon starts is waited for; nothing is given again afterwards.
func TestFollowResumesLate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	path := filepath.Join(dir, "mail.log")
	writeFile(t, path, []byte("1\n"))
	f := follow(t, path, Cursor{}, Options{})
	at := f.want("1\n").next
	f.end()
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	f = follow(t, path, at, Options{})
	if s := f.wantState(Missing); s.Cursor.File != at.File {
		t.Errorf("stands at %+v", s.Cursor)
	}
	f.quiet()
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	openLog(t, path).add("2\n")
	f.tick(time.Second)
	f.want("2\n")
}

func TestFollowGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	writeFile(t, path, []byte("1\n"))
	f := follow(t, path, Cursor{}, Options{})
	at := f.want("1\n").next
	f.end()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path+".keep", nil) // so that the inode is perhaps another's
	writeFile(t, path, []byte("other\n"))
	f = follow(t, path, at, Options{})
	if s := f.wantState(Gone); !errors.Is(s.Err, ErrGone) {
		t.Errorf("error is %v", s.Err)
	}
	f.want("other\n")
}

// What copytruncate copied but nobody had read yet comes from the copy.
func TestFollowCopyTruncate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	first := strings.Repeat("a first line of some length ", 4) + "\n"
	log := openLog(t, path)
	log.add(first)
	f := follow(t, path, Cursor{}, Options{})
	at := f.want(first).next
	f.end()
	writeFile(t, path+".1", []byte(first+"copied\ntorn"))
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	log.add("new\n")
	f = follow(t, path, at, Options{})
	c := f.want("copied\nnew\n")
	b, err := ReadAt(path, at.File, int64(len(first)), 6)
	if err != nil || string(b) != "copied" {
		t.Errorf("evidence from the copy: %q, %v", b, err)
	}
	b, err = ReadAt(path, c.file, 0, 100)
	if err != nil || string(b) != "new\n" {
		t.Errorf("evidence from the file: %q, %v", b, err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	f.wantState(Truncated)
	log.add("again\n")
	f.want("again\n")
}

// An inode is used again after a deletion; the first bytes tell.
func TestReadAtGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	writeFile(t, path, sample(50))
	r := openInput(t, path)
	id := r.ID()
	writeFile(t, path, []byte("the same inode, something else\n"))
	if b, err := ReadAt(path, id, 0, 10); !errors.Is(err, ErrGone) {
		t.Errorf("got %q, %v", b, err)
	}
	if _, err := ReadAt(path, FileID{}, 0, 10); !errors.Is(err, ErrGone) {
		t.Errorf("no file: %v", err)
	}
	if _, err := ReadAt(filepath.Join(path, "nope"), id, 0, 10); err == nil {
		t.Error("a folder that isn't one")
	}
}

// A line without end costs no memory, and what follows it keeps its place.
func TestFollowLongLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	log := openLog(t, path)
	f := follow(t, path, Cursor{}, Options{})
	log.add("short\n")
	f.want("short\n")
	for range 40 {
		log.add(strings.Repeat("x", 20_000))
	}
	f.quiet()
	log.add("\nafter\n")
	c := f.want(strings.Repeat("x", MaxLine) + "\n")
	if c.cut != 800_000-MaxLine || c.line != 2 || c.next.Offset != 800_007 {
		t.Errorf("cut %d, line %d, goes on at %d", c.cut, c.line, c.next.Offset)
	}
	if c := f.want("after\n"); c.line != 3 || c.offset != 800_007 {
		t.Errorf("line %d at %d", c.line, c.offset)
	}
}

func TestFollowNeedsAFile(t *testing.T) {
	dir := t.TempDir()
	f := follow(t, dir, Cursor{}, Options{Poll: true})
	if s := f.wantState(Unreadable); !errors.Is(s.Err, errNotRegular) {
		t.Errorf("error is %v", s.Err)
	}
	f.quiet()
}

// The log may be named through a link, and the link may be put elsewhere.
func TestFollowLink(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // links need a privilege there that nothing else of ours needs
	}
	dir := t.TempDir()
	one, two := openLog(t, filepath.Join(dir, "one")), openLog(t, filepath.Join(dir, "two"))
	path := filepath.Join(t.TempDir(), "mail.log")
	if err := os.Symlink(one.Name(), path); err != nil {
		t.Fatal(err)
	}
	f := follow(t, path, Cursor{}, Options{})
	f.wantState(Following)
	one.add("1\n")
	f.want("1\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(two.Name(), path); err != nil {
		t.Fatal(err)
	}
	two.add("2\n")
	f.tick(time.Second) // the line may have come before the other folder was watched: a tick sees it then
	f.want("2\n")
}

// Out's error ends following, and nothing keeps running.
func TestFollowEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	writeFile(t, path, []byte("1\n"))
	before := runtime.NumGoroutine()
	boom := errors.New("boom")
	for _, poll := range []bool{false, true} {
		err := Follow(t.Context(), path, Cursor{}, Options{Poll: poll}, func(c *Chunk) error { c.Release(); return boom })
		if !errors.Is(err, boom) {
			t.Errorf("Follow ended with %v", err)
		}
	}
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
