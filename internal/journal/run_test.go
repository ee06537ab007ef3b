package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func cursorNo(i int) string { return fmt.Sprintf("s=%032x;i=%x;b=%032x;m=1;t=2;x=3", 1, i, 2) }

// gather splits a stream and returns its lines, the cursors of its chunks, and how much was cut.
func gather(t testing.TB, r io.Reader) (lines []string, cursors []string, cut int64) {
	t.Helper()
	err := split(r, func(c *Chunk, first string) error {
		n := 0
		for line := range bytes.Lines(c.Data) {
			if len(line) > MaxLine+1 || line[len(line)-1] != '\n' {
				t.Errorf("a line of %d bytes", len(line))
			}
			if n == 0 && len(line) <= MaxLine && cursorOf(line) != first {
				t.Errorf("the first cursor is said to be %q: %.200q", first, line)
			}
			lines = append(lines, string(line))
			n++
		}
		if n != c.Lines || n == 0 || len(c.Data) > chunkSize+MaxLine+1 {
			t.Errorf("%d lines of %d bytes, said to be %d", n, len(c.Data), c.Lines)
		}
		cursors, cut = append(cursors, c.Cursor), cut+c.Cut
		return nil
	})
	if err != nil {
		t.Errorf("split: %v", err)
	}
	return lines, cursors, cut
}

// The cursor of an entry that is cut is found wherever it stands in it, also where two reads meet.
func TestLongEntriesAreCutAndKeepTheirCursor(t *testing.T) {
	for _, before := range []int{0, 100, MaxLine - 300, MaxLine - 60, MaxLine - 1, MaxLine, MaxLine + 1, 2*MaxLine - 50, 2 * MaxLine, 300_000} {
		whole := fmt.Sprintf(`{"A":"%s","__CURSOR":"%s","MESSAGE":"%s"}`, strings.Repeat("x", before), cursorNo(1), strings.Repeat("y", 200_000))
		text := whole + "\n{\"__CURSOR\" : \"" + cursorNo(2) + "\"}\ntorn"
		for _, r := range []io.Reader{strings.NewReader(text), iotest.HalfReader(strings.NewReader(text))} {
			lines, cursors, cut := gather(t, r)
			if len(lines) != 2 || lines[0] != whole[:MaxLine]+"\n" || cut != int64(len(whole)-MaxLine) {
				t.Fatalf("%d before: %d lines, %d cut of %d", before, len(lines), cut, len(whole))
			}
			if cursors[len(cursors)-1] != cursorNo(2) || len(cursors) == 2 && cursors[0] != cursorNo(1) {
				t.Errorf("%d before: %q", before, cursors)
			}
		}
		_, cursors, _ := gather(t, strings.NewReader(whole+"\n"))
		if cursors[0] != cursorNo(1) {
			t.Errorf("%d before: %q", before, cursors)
		}
	}
}

func TestMessageIsNoCursor(t *testing.T) {
	for _, line := range []string{
		`{"MESSAGE":"\"__CURSOR\":\"` + cursorNo(9) + `\"","__CURSOR":"` + cursorNo(1) + `"}`,
		`{"__CURSOR":"` + cursorNo(1) + `","MESSAGE":"\"__CURSOR\":\"` + cursorNo(9) + `\""}`,
	} {
		if got := cursorOf([]byte(line)); got != cursorNo(1) {
			t.Errorf("%s: %q", line, got)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte(`{"__CURSOR":"`+cursorNo(1)+"\"}\n\n{}\ntorn"), 3)
	f.Add(bytes.Repeat([]byte("x"), 10), 30_000)
	f.Fuzz(func(t *testing.T, part []byte, times int) {
		data := bytes.Repeat(part, 1+max(times, -times)%1000)
		lines, _, cut := gather(t, bytes.NewReader(data))
		whole := data[:bytes.LastIndexByte(data, '\n')+1]
		if n := bytes.Count(whole, []byte("\n")); n != len(lines) {
			t.Errorf("%d lines, want %d", len(lines), n)
		}
		if n := int64(len(strings.Join(lines, ""))); n+cut != int64(len(whole)) {
			t.Errorf("%d bytes and %d cut, want %d", n, cut, len(whole))
		}
	})
}

// A journalctl that can't work is started again and again, and what it says is told.
func TestBrokenIsToldAndTriedAgain(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for program, said := range map[string]string{self: "flag provided but not defined", "/nonexistent/journalctl": "install systemd's journalctl"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		broken := 0
		err = Follow(ctx, Options{Program: program, Retry: time.Millisecond, Status: func(s Status) {
			if s.State != Broken {
				return
			}
			if !strings.Contains(s.Err.Error(), said) || s.Cursor != cursorNo(1) {
				t.Errorf("%s: %q at %q", program, s.Err, s.Cursor)
			}
			if broken++; broken == 4 {
				cancel()
			}
		}}, cursorNo(1), func(*Chunk) error { return nil })
		if !errors.Is(err, context.Canceled) || broken != 4 {
			t.Errorf("%s: %v after %d times", program, err, broken)
		}
		cancel()
	}
}

// When Follow returns, its journalctl is gone.
func TestNoProcessIsLeftBehind(t *testing.T) {
	needJournal(t)
	dir := t.TempDir()
	record(t, filepath.Join(dir, "system.journal"), 0, 5)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := Follow(ctx, Options{Directory: dir}, "", func(*Chunk) error {
		if n := running(t, dir); n != 1 {
			t.Errorf("%d processes while following", n)
		}
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || running(t, dir) != 0 {
		t.Errorf("%v, %d processes left", err, running(t, dir))
	}
}

// running returns how many processes have a text in their arguments.
func running(t *testing.T, text string) (n int) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range lines {
		if args, err := os.ReadFile(name); err == nil && bytes.Contains(args, []byte(text)) { // it may have ended meanwhile
			n++
		}
	}
	return n
}

// A journalctl that somebody kills is started again where it was.
func TestKilledJournalctlIsResumed(t *testing.T) {
	needJournal(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "system.journal")
	record(t, file, 0, 5)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []int
	err := Follow(ctx, Options{Directory: dir, Retry: time.Millisecond}, "", func(c *Chunk) error {
		got = append(got, numbers(t, c.Data)...)
		if n := len(got); n == 5 || n == 10 {
			kill(t, dir)
			record(t, file, n, n+5)
		}
		if len(got) >= 15 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || !slices.Equal(got, span(0, 15)) {
		t.Errorf("%v, %v", got, err)
	}
}

// kill ends the processes that have a text in their arguments.
func kill(t *testing.T, text string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range lines {
		args, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(args, []byte(text)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			t.Fatal(err)
		}
		p, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
	}
}
