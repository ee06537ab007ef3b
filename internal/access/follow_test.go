package access

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// place writes a database to a file, with a time of modification of its own.
func place(t testing.TB, path, from string, at int64) {
	t.Helper()
	if err := os.WriteFile(path, []byte(read(t, filepath.Join(testdata, from))), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Unix(at, 0), time.Unix(at, 0)); err != nil {
		t.Fatal(err)
	}
}

func follow(t testing.TB, path string, o FollowOptions) *Follower {
	t.Helper()
	if o.Temp == "" {
		o.Temp = t.TempDir()
	}
	if o.Table == "" {
		o.Table, o.Key = blocked, "id"
	}
	f, err := NewFollower(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// poll returns the rows behind the header.
func poll(t testing.TB, f *Follower) ([][]string, string) {
	t.Helper()
	text, highest, err := f.Poll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if text == nil {
		return nil, highest
	}
	rows := records(t, text)
	if rows[0][0] != "ID" {
		t.Fatalf("no header: %q", rows[0])
	}
	return rows[1:], highest
}

func TestFollowByHighestKey(t *testing.T) {
	need(t)
	path := filepath.Join(t.TempDir(), "m.mdb")
	place(t, path, "mail.mdb", 1000)
	f := follow(t, path, FollowOptions{})
	rows, highest := poll(t, f)
	want := golden(t, "later.tsv")[1:]
	if !slices.EqualFunc(rows, want[:360], slices.Equal) || highest != "360" {
		t.Fatalf("%d rows, up to %q", len(rows), highest)
	}
	for range 2 {
		if rows, highest = poll(t, f); rows != nil || highest != "360" {
			t.Errorf("%d rows though nothing changed, up to %q", len(rows), highest)
		}
	}
	place(t, path, "mail-later.mdb", 1000)
	if err := os.Chtimes(path, time.Unix(1001, 0), time.Unix(1001, 0)); err != nil {
		t.Fatal(err)
	}
	rows, highest = poll(t, f)
	if !slices.EqualFunc(rows, want[360:], slices.Equal) || highest != "400" {
		t.Errorf("%d new rows, up to %q", len(rows), highest)
	}
	other := follow(t, path, FollowOptions{Options: Options{}, Table: "blocked MAIL", Key: "ID", Last: "395"})
	if rows, highest = poll(t, other); len(rows) != 5 || rows[0][0] != "396" || highest != "400" {
		t.Errorf("after a restart: %d rows, up to %q", len(rows), highest)
	}
}

func TestFollowFromTheEnd(t *testing.T) {
	need(t)
	path := filepath.Join(t.TempDir(), "m.mdb")
	place(t, path, "mail.mdb", 1000)
	f := follow(t, path, FollowOptions{FromEnd: true})
	if rows, highest := poll(t, f); rows != nil || highest != "360" {
		t.Errorf("%d rows, %q", len(rows), highest)
	}
	place(t, path, "mail-later.mdb", 1001)
	if rows, highest := poll(t, f); len(rows) != 40 || highest != "400" {
		t.Errorf("%d rows, %q", len(rows), highest)
	}
	empty := follow(t, path, FollowOptions{FromEnd: true, Table: "Nothing yet", Key: "ID"})
	if rows, highest := poll(t, empty); rows != nil || highest != "" || empty.More() {
		t.Errorf("%d rows, %q", len(rows), highest)
	}
}

// However few rows a poll may give, all polls together give each row once, in order.
func TestFollowInSmallSteps(t *testing.T) {
	need(t)
	path := filepath.Join(testdata, "mail.mdb")
	for _, o := range []FollowOptions{{MaxRows: 1}, {MaxRows: 97}, {MaxRows: 360}, {MaxBytes: 5000}, {MaxBytes: 1}} {
		if o.MaxRows == 1 || o.MaxBytes == 1 {
			o.Last = "340"
		}
		f := follow(t, path, o)
		next := 1
		if o.Last != "" {
			next = 341
		}
		for polls := 0; polls == 0 || f.More(); polls++ {
			rows, highest := poll(t, f)
			for _, r := range rows {
				if r[0] != strconv.Itoa(next) {
					t.Fatalf("%+v: row %s, want %d", o, r[0], next)
				}
				next++
			}
			if highest != strconv.Itoa(next-1) || o.MaxRows > 0 && len(rows) > o.MaxRows {
				t.Fatalf("%+v: %d rows up to %s", o, len(rows), highest)
			}
		}
		if next != 361 {
			t.Errorf("%+v: up to %d", o, next-1)
		}
	}
}

// With times as keys, the rows of the newest second wait: others of the same second may follow. Rows without a time
// that can be read are counted.
func TestFollowByTime(t *testing.T) {
	need(t)
	path := filepath.Join(t.TempDir(), "m.mdb")
	place(t, path, "mail.mdb", 1000)
	f := follow(t, path, FollowOptions{Table: blocked, Key: "received"})
	want := golden(t, "later.tsv")[1:]
	rows, highest := poll(t, f)
	if len(rows) != 357 || highest != want[358][1] || f.Skipped() != 2 {
		t.Errorf("%d rows up to %q, %d skipped", len(rows), highest, f.Skipped())
	}
	place(t, path, "mail-later.mdb", 1001)
	if rows, highest = poll(t, f); len(rows) != 40 || rows[0][0] != "360" || highest != want[398][1] {
		t.Errorf("%d rows up to %q", len(rows), highest)
	}
}

func TestFollowErrors(t *testing.T) {
	need(t)
	path := filepath.Join(testdata, "mail.mdb")
	for name, c := range map[string]struct {
		o    FollowOptions
		want error
	}{
		"no such column": {FollowOptions{Table: blocked, Key: "nr"}, ErrColumn},
		"no key":         {FollowOptions{Table: blocked, Key: "Test", MaxRows: 5}, ErrKey},
		"begun anew":     {FollowOptions{Table: blocked, Key: "ID", Last: "5000"}, ErrBackwards},
	} {
		f := follow(t, path, c.o)
		for range 2 {
			rows, highest, err := f.Poll(t.Context())
			if rows != nil || highest != c.o.Last || err != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: %d rows, %q, %v", name, len(rows), highest, err)
			}
			if err == nil && c.want != ErrBackwards {
				t.Errorf("%s: no error", name)
			}
		}
	}
	for _, o := range []FollowOptions{{Table: "-x", Key: "a"}, {Table: "x"}, {Table: "x", Key: "a", Last: "yesterday"}} {
		if _, err := NewFollower(path, o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	f := follow(t, filepath.Join(t.TempDir(), "none"), FollowOptions{})
	if _, _, err := f.Poll(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A warning of mdb-export holds the rows back until the file is the same at a second look.
func TestFollowWaitsForATornDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.mdb")
	o := fake(t, "echo t", `echo ID; echo 3; echo 1; if [ -e "`+path+`.torn" ]; then echo torn >&2; else echo 2; fi`)
	place(t, path, "mail.mdb", 1000)
	flag := path + ".torn"
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := follow(t, path, FollowOptions{Options: o, Table: "t", Key: "ID"})
	if rows, highest, err := f.Poll(t.Context()); rows != nil || highest != "" || !errors.Is(err, ErrIncomplete) {
		t.Errorf("%q, %q, %v", rows, highest, err)
	}
	place(t, path, "mail.mdb", 1001)
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	if rows, highest, err := f.Poll(t.Context()); string(rows) != "ID\n1\n2\n3\n" || highest != "3" || err != nil {
		t.Errorf("%q, %q, %v", rows, highest, err)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := follow(t, path, FollowOptions{Options: o, Table: "t", Key: "ID"})
	if _, _, err := damaged.Poll(t.Context()); !errors.Is(err, ErrIncomplete) {
		t.Error(err)
	}
	if rows, _, err := damaged.Poll(t.Context()); string(rows) != "ID\n1\n3\n" || err != nil || damaged.Warning() != "torn" {
		t.Errorf("%q, %v, %q", rows, err, damaged.Warning())
	}
}

// A file that changes while it is copied is not taken.
func TestFollowSeesAFileThatGrows(t *testing.T) {
	need(t)
	path := filepath.Join(t.TempDir(), "m.mdb")
	place(t, path, "mail.mdb", 1000)
	d := &DB{path: path, dir: t.TempDir(), o: Options{}.withDefaults()}
	d.copy = filepath.Join(d.dir, "copy")
	ctx := &touching{Context: t.Context(), path: path}
	if err := d.take(ctx); !errors.Is(err, ErrChanging) || ctx.times < copyTries {
		t.Errorf("%v after %d reads", err, ctx.times)
	}
}

// The scan keeps the same rows as sorting the whole table does, for any keys and bounds.
func TestScanAgainstSorting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var keys []int64
		f := &Follower{o: FollowOptions{MaxRows: 1 + rng.IntN(20), MaxBytes: 1 << 20}}
		if rng.IntN(2) == 0 {
			f.last, _ = parseKey([]byte(strconv.Itoa(rng.IntN(50))))
		}
		s := &scan{f: f, after: f.last, head: []byte("h\n")}
		for range rng.IntN(60) {
			k := int64(rng.IntN(100))
			s.row(fmt.Appendf(nil, "%d\n", k))
			if f.last.kind == 0 || k > f.last.number {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		last := f.last
		out, err := s.result()
		if errors.Is(err, ErrBackwards) {
			continue
		}
		got := strings.Fields(strings.TrimPrefix(string(out), "h\n"))
		if errors.Is(err, ErrKey) {
			if n := f.o.MaxRows + 1; len(keys) < n || keys[0] != keys[n-1] {
				t.Fatalf("%v for %v", err, keys)
			}
			continue
		}
		if err != nil || len(got) > f.o.MaxRows || len(got) > len(keys) || !s.left && len(got) != len(keys) {
			t.Fatalf("%v: %v of %v, at most %d", err, got, keys, f.o.MaxRows)
		}
		for i, k := range got {
			if k != strconv.FormatInt(keys[i], 10) {
				t.Fatalf("%v of %v after %q", got, keys, last.text)
			}
		}
		if n := len(got); n > 0 && n < len(keys) && keys[n] == keys[n-1] {
			t.Fatalf("cut between equal keys: %v of %v", got, keys)
		}
	}
}

func TestKeys(t *testing.T) {
	for text, ok := range map[string]bool{
		"0": true, "-9223372036854775808": true, "9223372036854775807": true, "9223372036854775808": false, " 7 ": true, "": false, "1.5": false,
		"2026-03-12 09:00:00": true, "1900-01-00 00:00:00": false, "2026-02-30 00:00:00": false, "2026-03-12": false, "x": false,
	} {
		if _, got := parseKey([]byte(text)); got != ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzFieldAt(f *testing.F) {
	f.Add([]byte("1\t\"a \"\"b\"\"\"\t\n"), 1)
	f.Fuzz(func(t *testing.T, line []byte, column int) {
		column &= 15
		field := fieldAt(line, column)
		if bytes.ContainsRune(field, '\t') || len(field) > len(line) {
			t.Errorf("%q of %q", field, line)
		}
	})
}
