package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const patience = 30 * time.Second

// errEnough ends following in the tests.
var errEnough = errors.New("enough")

// follow follows until the entry with the number last was given, and returns all numbers and the last cursor.
func follow(t *testing.T, opt Options, cursor string, last int) ([]int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []int
	err := Follow(ctx, opt, cursor, func(c *Chunk) error {
		list := numbers(t, c.Data)
		if len(list) != c.Lines {
			t.Errorf("%d lines are said to be %d", len(list), c.Lines)
		}
		got, cursor = append(got, list...), c.Cursor
		if slices.Contains(list, last) {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("following ended with %v after %v", err, got)
	}
	return got, cursor
}

func TestFollowGoesOnByCursor(t *testing.T) {
	needJournal(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "system.journal")
	record(t, file, 0, 50)
	opt := Options{Directory: dir}
	got, cursor := follow(t, opt, "", 49)
	if !slices.Equal(got, span(0, 50)) {
		t.Fatalf("from the beginning: %v", got)
	}
	record(t, file, 50, 70) // while nobody follows
	got, cursor = follow(t, opt, cursor, 69)
	if !slices.Equal(got, span(50, 70)) {
		t.Fatalf("after the first cursor: %v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got = nil
	next := 70
	opt.Status = func(s Status) {
		if s.State == Following { // while somebody does
			record(t, file, next, next+5)
		}
	}
	err := Follow(ctx, opt, cursor, func(c *Chunk) error {
		got = append(got, numbers(t, c.Data)...)
		switch got[len(got)-1] {
		case 74:
			record(t, file, 75, 80)
		case 79:
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || !slices.Equal(got, span(70, 80)) {
		t.Fatalf("while it was written: %v, %v", got, err)
	}
}

// Following is killed after every chunk and goes on from its cursor: nothing is lost and nothing comes twice.
func TestFollowKilledAnywhere(t *testing.T) {
	needJournal(t)
	dir := t.TempDir()
	for part := range 4 { // as after three rotations
		record(t, filepath.Join(dir, "system@"+string(rune('a'+part))+".journal"), part*300, part*300+300)
	}
	var got []int
	cursor := ""
	for len(got) < 1200 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := Follow(ctx, Options{Directory: dir}, cursor, func(c *Chunk) error {
			if len(got) < 1199 && len(got)%2 == 0 {
				// Only a part is dealt with: as if the cursor of the middle had been stored.
				half := c.Data[:lineLen(c.Data)]
				got, cursor = append(got, numbers(t, half)...), cursorOf(half)
			} else {
				got, cursor = append(got, numbers(t, c.Data)...), c.Cursor
			}
			return errEnough
		})
		cancel()
		if !errors.Is(err, errEnough) {
			t.Fatalf("after %d entries: %v", len(got), err)
		}
	}
	if !slices.Equal(got, span(0, 1200)) {
		t.Errorf("%d entries, the first %v", len(got), got[:10])
	}
}

func TestFollowFromTheEnd(t *testing.T) {
	needJournal(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "system.journal")
	record(t, file, 0, 20)
	var begun string
	opt := Options{Directory: dir, FromEnd: true, Status: func(s Status) {
		if s.State == Following {
			begun = s.Cursor
			record(t, file, 20, 25)
		}
	}}
	got, _ := follow(t, opt, "", 24)
	if !slices.Equal(got, span(20, 25)) || !ValidCursor(begun) {
		t.Errorf("%v from %q", got, begun)
	}
	// Whoever stored only the cursor that was told at the beginning loses nothing.
	if got, _ = follow(t, Options{Directory: dir}, begun, 24); !slices.Equal(got, span(20, 25)) {
		t.Errorf("from the first cursor: %v", got)
	}
}

func TestFollowTellsThatEntriesAreGone(t *testing.T) {
	needJournal(t)
	dir := t.TempDir()
	record(t, filepath.Join(dir, "system@a.journal"), 0, 10)
	_, cursor := follow(t, Options{Directory: dir}, "", 9)
	if err := os.Remove(filepath.Join(dir, "system@a.journal")); err != nil {
		t.Fatal(err)
	}
	record(t, filepath.Join(dir, "system@b.journal"), 15, 25)
	gone := 0
	opt := Options{Directory: dir, Status: func(s Status) {
		if s.State == Gone {
			gone++
		}
	}}
	got, _ := follow(t, opt, cursor, 24)
	if !slices.Equal(got, span(15, 25)) || gone != 1 {
		t.Errorf("%v, told %d times", got, gone)
	}
}

func TestMatchesChoose(t *testing.T) {
	needJournal(t)
	dir := t.TempDir()
	record(t, filepath.Join(dir, "system.journal"), 0, 30)
	got, _ := follow(t, Options{Directory: dir, Matches: Mail()}, "", 28)
	if len(got) != 27 || slices.Contains(got, 9) {
		t.Errorf("%v", got)
	}
}

func TestReadFileAndFolder(t *testing.T) {
	needJournal(t)
	dir := filepath.Join(t.TempDir(), "-o odd [1] * name?")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "a [2]*.journal")
	record(t, filepath.Join(dir, "plain.journal"), 0, 10)
	if err := os.Rename(filepath.Join(dir, "plain.journal"), file); err != nil {
		t.Fatal(err)
	}
	record(t, filepath.Join(dir, "b.journal"), 10, 20)
	for path, want := range map[string][]int{file: span(0, 10), dir: span(0, 20)} {
		var got []int
		err := Read(t.Context(), Options{}, path, func(c *Chunk) error {
			got = append(got, numbers(t, c.Data)...)
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	err := Read(t.Context(), Options{}, file, func(*Chunk) error { return errEnough })
	if !errors.Is(err, errEnough) {
		t.Errorf("out's error: %v", err)
	}
	text := filepath.Join(dir, "text.journal")
	if err := os.WriteFile(text, []byte("no journal"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Read(t.Context(), Options{}, text, nil); err == nil || !strings.Contains(err.Error(), "text.journal") {
		t.Errorf("a text file: %v", err)
	}
	if err := Read(t.Context(), Options{}, filepath.Join(dir, "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestFollowRefusesWhatIsNoCursor(t *testing.T) {
	for _, cursor := range []string{"x", "s=1;i=1;b=1;m=1;t=1", "s=1;i=1;b=1;m=1;t=1;x=1 --file=/etc/passwd", "s=1;i=1;b=1;m=1;t=1;x=G",
		"s=;i=1;b=1;m=1;t=1;x=1", "s=1;i=1;b=1;m=1;t=1;x=1;", strings.Repeat("s=1;", 100)} {
		if err := Follow(t.Context(), Options{Program: "/nonexistent"}, cursor, nil); !errors.Is(err, ErrCursor) {
			t.Errorf("%q: %v", cursor, err)
		}
	}
	for _, match := range []string{"", "+", "--follow", "a=b", "1A=b", "=x", "A=" + strings.Repeat("x", 300), "A=\x00"} {
		if err := Follow(t.Context(), Options{Matches: []string{match}}, "", nil); !errors.Is(err, ErrMatch) {
			t.Errorf("%q: %v", match, err)
		}
	}
}
