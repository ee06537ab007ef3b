package tailer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// recv returns the pattern of a series in a new folder and what makes a path of a name there.
func recv(t *testing.T) (string, func(string) string) {
	dir := t.TempDir()
	return filepath.Join(dir, "RECV*.LOG"), func(name string) string { return filepath.Join(dir, name) }
}

// restored is a cursor as it comes back from where it was stored.
func restored(t *testing.T, c Cursor) Cursor {
	t.Helper()
	b, err := json.Marshal(c)
	if err == nil {
		c = Cursor{}
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestIsSeries(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "odd[1].log"), nil)
	for _, tt := range []struct {
		path   string
		series bool
		bad    bool
	}{
		{"mail.log", false, false},
		{"odd[1].log", false, false}, // a file is called so
		{"odd[2].log", true, false},
		{"RECV*.LOG", true, false},
		{"RECV[.LOG", true, true},
		{"*/RECV*.LOG", true, true},
		{"*/mail.log", false, false},
	} {
		path := filepath.Join(dir, tt.path)
		if got := IsSeries(path); got != tt.series {
			t.Errorf("IsSeries(%s) is %v", tt.path, got)
		}
		if err := CheckPath(path); errors.Is(err, ErrPattern) != tt.bad {
			t.Errorf("CheckPath(%s) gives %v", tt.path, err)
		}
	}
}

func TestSeriesOrder(t *testing.T) {
	want := []string{"RECV.LOG", "extend2.log", "extend10.log", "ex0906.log", "ex090631.log", "ex0907.log", "ex090701.log",
		"ex09070100.log", "ex09070123.log", "ex090702.log", "RECV20230110-2.LOG", "RECV20230110-10.LOG", "RECV20230111-3.LOG",
		"RECV2023011105-2.LOG", "RECV2023011105-12.LOG", "RECV2023011112-1.LOG", "RECV2023011112-3.LOG"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b string) int { return newMember(a).order(newMember(b)) })
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestSeriesFits(t *testing.T) {
	for _, tt := range []struct {
		pattern, base string
		want          bool
	}{
		{"RECV*.LOG", "RECV2023011116-1.LOG", true},
		{"RECV*.LOG", "SEND2023011116-1.LOG", false},
		{"RECV*", "RECV2023011116-1.LOG.gz", false},
		{"*", ".RECV2023011116-1.LOG.Xy12", false}, // as rsync calls what it hasn't finished
		{"mail.log*", "mail.log.1", false},
		{"mail.log*", "mail.log.old", false},
		{"mail.log*", "mail.log", true},
		{"app*.log", "app.3.log", true},
	} {
		if got := fits(tt.pattern, tt.base); got != tt.want {
			t.Errorf("fits(%q, %q) is %v", tt.pattern, tt.base, got)
		}
	}
}

// One file after the other is read, in the order of dates and counters; the one before gets its last flush late.
func TestSeriesGoesOn(t *testing.T) {
	pattern, at := recv(t)
	writeFile(t, at("RECV2023011116-10.LOG"), []byte("3\n"))
	writeFile(t, at("RECV2023011116-2.LOG"), []byte("2\n"))
	writeFile(t, at("RECV2023011115-11.LOG"), []byte("1\n"))
	writeFile(t, at("RECV2023011114-1.LOG.gz"), packGzip(t, []byte("0\n")))
	writeFile(t, at("SEND2023011116-1.LOG"), []byte("no\n"))
	f := follow(t, pattern, Cursor{}, Options{Linger: time.Minute})
	f.wantState(Following)
	f.want("1\n2\n3\n")
	log := openLog(t, at("RECV2023011117-1.LOG"))
	log.add("4\nhalf a r")
	f.want("4\n")
	next := openLog(t, at("RECV2023011117-2.LOG"))
	next.add("6\n")
	f.want("6\n")
	log.add("ow\n5\n")
	c := f.want("half a row\n5\n")
	if filepath.Base(c.next.Path) != "RECV*.LOG" || c.next.Offset != 2 || len(c.next.Files) != 5 {
		t.Errorf("goes on at %+v", c.next)
	}
	f.end()
	log.add("late\n")
	next.add("7\n")
	f = follow(t, pattern, restored(t, c.next), Options{})
	f.want("late\n7\n")
	f.quiet()
}

// A row that was never finished is given when the next file has begun and Linger has passed, and not before.
func TestSeriesTornTail(t *testing.T) {
	pattern, at := recv(t)
	log := openLog(t, at("RECV20230111-1.LOG"))
	log.add("1\nnever fini")
	f := follow(t, pattern, Cursor{}, Options{Linger: time.Minute})
	f.want("1\n")
	f.tick(time.Hour)
	f.tick(time.Hour)
	f.quiet()
	openLog(t, at("RECV20230111-2.LOG")).add("2\n")
	f.want("2\n")
	f.tick(50 * time.Second)
	f.quiet()
	f.tick(time.Minute)
	f.tick(time.Minute)
	at2 := f.want("never fini").next
	f.end()
	f = follow(t, pattern, restored(t, at2), Options{})
	f.quiet()
}

func TestSeriesFromEnd(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"MSGTRK20240125-1.LOG", "MSGTRK20240125-2.LOG", "MSGTRKMD20240124-1.LOG"} {
		writeFile(t, at(name), []byte("old\nhalf"))
	}
	f := follow(t, at("MSGTRK*.LOG"), Cursor{}, Options{FromEnd: true})
	c := restored(t, f.wantState(Following).Cursor)
	if c.IsZero() || len(c.Files) != 2 {
		t.Errorf("begins at %+v", c)
	}
	f.quiet()
	f.end()
	openLog(t, at("MSGTRK20240125-1.LOG")).add("not this one\n")
	openLog(t, at("MSGTRK20240125-2.LOG")).add(" 1\n")
	openLog(t, at("MSGTRKMD20240124-1.LOG")).add(" 2\n")
	writeFile(t, at("MSGTRKMD20240125-1.LOG"), []byte("3\n"))
	writeFile(t, at("MSGTRKMS20240123-1.LOG"), []byte("0\n"))
	f = follow(t, at("MSGTRK*.LOG"), c, Options{FromEnd: true})
	f.want("0\nhalf 2\n3\nhalf 1\n")
}

// A folder with more files than can be open, or be remembered, is read in order, and none of it twice.
func TestSeriesManyFiles(t *testing.T) {
	pattern, at := recv(t)
	const files = maxKept + 3*maxOpen
	var want strings.Builder
	for i := range files {
		line := fmt.Sprintf("file %d\n", i+1)
		writeFile(t, at(fmt.Sprintf("RECV20230111-%d.LOG", i+1)), []byte(line))
		want.WriteString(line)
	}
	f := follow(t, pattern, Cursor{}, Options{})
	c := f.want(want.String())
	f.end()
	at2 := restored(t, c.next)
	if len(at2.Files) != maxKept || at2.Floors["RECV.LOG"] != fmt.Sprintf("RECV20230111-%d.LOG", files-maxKept) {
		t.Errorf("remembers %d files, floor %q", len(at2.Files), at2.Floors)
	}
	openLog(t, at(fmt.Sprintf("RECV20230111-%d.LOG", files-maxKept+5))).add("grown\n")
	f = follow(t, pattern, at2, Options{})
	f.want("grown\n")
	f.quiet()
}

// A kill while a folder is read for the first time neither loses nor repeats a file.
func TestSeriesKilledInBetween(t *testing.T) {
	pattern, at := recv(t)
	const files = maxKept + 3*maxOpen
	for i := range files {
		writeFile(t, at(fmt.Sprintf("RECV20230111-%d.LOG", i+1)), fmt.Appendf(nil, "file %d\n", i+1))
	}
	var from Cursor
	boom := errors.New("boom")
	for i := range files {
		got := ""
		err := Follow(t.Context(), pattern, from, Options{Poll: true}, func(c *Chunk) error {
			defer c.Release()
			if got != "" {
				return boom
			}
			got, from = string(c.Data), restored(t, c.Next)
			if i == files-1 {
				return boom
			}
			return nil
		})
		if want := fmt.Sprintf("file %d\n", i+1); !errors.Is(err, boom) || got != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
}

// Who copies a file in its place may first make it as long as it will be.
func TestSeriesCopiedInPlace(t *testing.T) {
	pattern, at := recv(t)
	path := at("RECV20230111-1.LOG")
	text := string(sample(40))
	writeFile(t, path, []byte(text))
	f := follow(t, pattern, Cursor{}, Options{})
	f.want(text)
	whole := text + string(sample(50))[len(text):]
	for _, n := range []int{0, 100, 2000, len(text) + 30, len(whole) - 10} {
		writeFile(t, path, append([]byte(whole[:n]), make([]byte, len(whole)-n)...))
		f.tick(time.Millisecond)
	}
	writeFile(t, path, []byte(whole))
	f.tick(time.Millisecond)
	f.want(whole[len(text):])
	f.quiet()
}

// A file that is deleted is read to its end, and another one of its name from its beginning.
func TestSeriesSameNameAgain(t *testing.T) {
	pattern, at := recv(t)
	path := at("RECV20230111-1.LOG")
	log := openLog(t, path)
	log.add(string(sample(20)))
	f := follow(t, pattern, Cursor{}, Options{})
	f.want(string(sample(20)))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	log.add("the last\n")
	openLog(t, path).add("the first\n")
	f.want("the last\nthe first\n")
	f.quiet()
}

func TestSeriesRenamed(t *testing.T) {
	pattern, at := recv(t)
	log := openLog(t, at("RECV20230111-1.LOG"))
	log.add(string(sample(5)))
	f := follow(t, pattern, Cursor{}, Options{})
	f.want(string(sample(5)))
	log.rename(at("RECV20230111-1-kept.LOG"))
	log.add("more\n")
	at2 := f.want("more\n").next
	f.quiet()
	f.end()
	if err := os.Rename(at("RECV20230111-1-kept.LOG"), at("RECV20230111-1-again.LOG")); err != nil {
		t.Fatal(err)
	}
	f = follow(t, pattern, restored(t, at2), Options{})
	f.quiet()
}

func TestSeriesTells(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	f := follow(t, filepath.Join(dir, "POP3*.LOG"), Cursor{}, Options{})
	f.wantState(Missing)
	writeFile(t, filepath.Join(dir, "POP320220120-1.LOG"), []byte("1\n"))
	f.tick(time.Second)
	c := f.want("1\n").next
	f.end()
	if err := os.Remove(filepath.Join(dir, "POP320220120-1.LOG")); err != nil {
		t.Fatal(err)
	}
	f = follow(t, filepath.Join(dir, "POP3*.LOG"), restored(t, c), Options{})
	if s := f.wantState(Gone); !errors.Is(s.Err, ErrGone) {
		t.Errorf("error is %v", s.Err)
	}
	f.wantState(Missing)
	writeFile(t, filepath.Join(dir, "POP320220121-1.LOG"), packGzip(t, []byte("1\n")))
	f.tick(time.Second)
	if s := f.wantState(Unreadable); !errors.Is(s.Err, errPacked) {
		t.Errorf("error is %v", s.Err)
	}
	bad := follow(t, filepath.Join(dir, "*", "["), Cursor{}, Options{})
	if s := bad.wantState(Unreadable); !errors.Is(s.Err, ErrPattern) {
		t.Errorf("error is %v", s.Err)
	}
}

// A log that is followed can't be in UTF-16, and says so, in a series and alone.
func TestFollowWide(t *testing.T) {
	pattern, at := recv(t)
	path := at("RECV20230111-1.LOG")
	writeFile(t, path, encodeWide("one\ntwo\n", little, true))
	for _, p := range []string{pattern, path} {
		f := follow(t, p, Cursor{}, Options{})
		if s := f.wantState(Unreadable); !errors.Is(s.Err, errWide) {
			t.Errorf("error is %v", s.Err)
		}
		f.quiet()
		f.end()
	}
}
