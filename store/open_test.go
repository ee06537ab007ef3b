package store

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

func TestOpenCreatesAndOpensAgain(t *testing.T) {
	// Every character that means something in a URI, and one that is no ASCII.
	name := "c#d%20?x=1&é"
	if runtime.GOOS == "windows" {
		name = "c#d%20&é"
	}
	path := filepath.Join(t.TempDir(), "a b", name, "harvestwatch.db")
	for range 3 {
		s, err := Open(path, Options{Now: noon})
		if err != nil {
			t.Fatal(err)
		}
		commit(t, s, &Batch{Totals: []DayTotal{{1, "connect", 1}}})
		if v := must(schema(s.w))(t); v != len(migrations()) {
			t.Errorf("schema %d, want %d", v, len(migrations()))
		}
		sound(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, path)
	if got := must(s.Totals(t.Context(), 0))(t); len(got) != 1 || got[0].N != 3 {
		t.Errorf("totals %v, want 3: an opening lost what was there", got)
	}
	if runtime.GOOS != "windows" {
		modes(t, path)
	}
	entries := must(os.ReadDir(filepath.Dir(path)))(t)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "harvestwatch.db") || strings.Contains(e.Name(), "new") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

func modes(t *testing.T, path string) {
	t.Helper()
	for name, want := range map[string]fs.FileMode{filepath.Dir(path): 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600} {
		if got := must(os.Stat(name))(t).Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestPragmasHoldOnEveryConnection(t *testing.T) {
	s := open(t)
	for _, db := range []struct {
		name string
		*sql.DB
		n      int
		pragma map[string]string
	}{
		{"writer", s.w, 1, map[string]string{"foreign_keys": "1", "synchronous": "1", "busy_timeout": "5000", "journal_mode": "wal",
			"auto_vacuum": "2", "query_only": "0", "wal_autocheckpoint": "8000", "journal_size_limit": "32768000", "application_id": "1215715169"}},
		{"reader", s.db, readers, map[string]string{"foreign_keys": "1", "synchronous": "1", "busy_timeout": "5000", "journal_mode": "wal",
			"query_only": "1"}},
	} {
		for i := range db.n { // all held at once, so that each is another connection
			c := must(db.Conn(t.Context()))(t)
			defer c.Close()
			for name, want := range db.pragma {
				var got string
				if err := c.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got); err != nil || got != want {
					t.Errorf("%s, connection %d: %s is %q (%v), want %q", db.name, i, name, got, err, want)
				}
			}
		}
	}
}

func TestMigrations(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	steps := fstest.MapFS{
		"migrations/0001_a.sql": file("CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1); -- end"),
		"migrations/0002_b.sql": file("ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 7; INSERT INTO a VALUES (2, 8);"),
		"migrations/0003_c.sql": file("INSERT INTO a VALUES (3, 9); INSERT INTO nowhere VALUES (1);"),
	}
	list := must(readMigrations(steps))(t)
	path := filepath.Join(t.TempDir(), "x.db")
	must(os.Create(path))(t).Close()
	db := pool(path, writingDSN, 1, nil)
	defer db.Close()
	for _, c := range []struct {
		name          string
		list          []migration
		fails         bool
		version, rows int
	}{{"first", list[:1], false, 1, 1}, {"again", list[:1], false, 1, 1}, {"second fails in the third", list, true, 2, 2},
		{"back to an older program", list[:1], true, 2, 2}, {"without the bad one", list[:2], false, 2, 2}} {
		_, err := migrate(db, c.list)
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.name == "back to an older program" && !errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v, want ErrNewer", c.name, err)
		}
		var rows int
		if err := db.QueryRow("SELECT count(*) FROM a").Scan(&rows); err != nil || rows != c.rows {
			t.Errorf("%s: %d rows (%v), want %d", c.name, rows, err, c.rows)
		}
		if v := must(schema(db))(t); v != c.version {
			t.Errorf("%s: version %d, want %d", c.name, v, c.version)
		}
	}
	delete(steps, "migrations/0002_b.sql")
	if _, err := readMigrations(steps); err == nil {
		t.Error("a gap in the numbers was accepted")
	}
}

// TestForgottenWindowsAreTold: a step that throws away what the detector remembered of sources says so, once, and leaves the
// blocks as they are; where nothing was remembered there is nothing to say.
func TestForgottenWindowsAreTold(t *testing.T) {
	for remembered, want := range map[string]int{"INSERT INTO windows VALUES (1, x'01')": 1, "": 0} {
		path := filepath.Join(t.TempDir(), "x.db")
		must(os.Create(path))(t).Close()
		db := pool(path, writingDSN, 1, nil)
		if _, err := migrate(db, migrations()[:1]); err != nil {
			t.Fatal(err)
		}
		net, bits := netOf(prefix("192.0.2.1/32"))
		if _, err := db.Exec(putBlock, "192.0.2.1/32", net, bits, nanos(noon), nanos(at(time.Hour)), "harvest", 1, "", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(remembered); err != nil {
			t.Fatal(err)
		}
		db.Close()
		var warned []string
		for range 2 {
			s := must(Open(path, Options{Now: noon, Warn: func(w string) { warned = append(warned, w) }}))(t)
			if got := active(t, &s.Reader, at(time.Minute)); len(got) != 1 {
				t.Errorf("blocks after the step: %v", got)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if len(warned) != want || want > 0 && (!strings.Contains(warned[0], "begins anew") || !strings.Contains(warned[0], path)) {
			t.Errorf("%q: warned %q", remembered, warned)
		}
	}
	silent := filepath.Join(t.TempDir(), "new.db") // open fails the test for any warning
	open(t, silent)
}

// change runs a statement on a database that nobody has open.
func change(t *testing.T, path, statement string) {
	t.Helper()
	db := pool(path, "mode=rwc", 1, nil)
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

func TestNewerAndForeignAreRefused(t *testing.T) {
	newer := filepath.Join(t.TempDir(), "newer.db")
	must(Open(newer, Options{Now: noon}))(t).Close()
	change(t, newer, "PRAGMA user_version=99; CREATE TABLE later (x)")
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	change(t, foreign, "CREATE TABLE people (name TEXT); INSERT INTO people VALUES ('x')")
	for path, want := range map[string]error{newer: ErrNewer, foreign: ErrForeign} {
		before := must(os.ReadFile(path))(t)
		if _, err := Open(path, Options{Now: noon}); !errors.Is(err, want) {
			t.Errorf("Open %s: %v, want %v", path, err, want)
		}
		if _, err := OpenReadOnly(path); !errors.Is(err, want) {
			t.Errorf("OpenReadOnly %s: %v, want %v", path, err, want)
		}
		if string(must(os.ReadFile(path))(t)) != string(before) {
			t.Errorf("%s was changed", path)
		}
		if aside := must(filepath.Glob(path + ".*"))(t); len(aside) != 0 {
			t.Errorf("beside %s: %v", path, aside)
		}
	}
	older := filepath.Join(t.TempDir(), "older.db")
	change(t, older, "PRAGMA application_id=1215715169")
	if _, err := OpenReadOnly(older); !errors.Is(err, ErrOlder) {
		t.Errorf("OpenReadOnly of an older one: %v", err)
	}
}

func TestOpenReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "harvestwatch.db")
	_, err := OpenReadOnly(path)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no database at "+path) {
		t.Errorf("missing: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a reader created the file")
	}
	if _, err := OpenReadOnly(filepath.Dir(path)); err == nil {
		t.Error("a directory was opened")
	}
	s := open(t, path)
	r := must(OpenReadOnly(path))(t)
	for n := range 20 { // beside the writer, each state as it is committed
		commit(t, s, &Batch{Windows: []Window{{harvestwatch.Source(n + 1), []byte{1}}}})
		if got := count(t, r); got != n+1 {
			t.Fatalf("a reader beside the writer sees %d windows, want %d", got, n+1)
		}
	}
	if _, err := r.db.Exec("DELETE FROM windows"); err == nil {
		t.Error("a reader could write")
	}
	if err := s.Close(); err != nil { // the daemon ends while the reader is there
		t.Fatal(err)
	}
	if got := count(t, r); got != 20 {
		t.Errorf("after the writer has gone: %d windows", got)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = must(OpenReadOnly(path))(t) // and with nobody beside it
	defer r.Close()
	if got := count(t, r); got != 20 {
		t.Errorf("alone: %d windows", got)
	}
}

// count returns the number of windows.
func count(t *testing.T, r *Reader) (n int) {
	t.Helper()
	err := r.LoadWindows(t.Context(), func(harvestwatch.Source, []byte) error { n++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpenSaysWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(os.Create(file))(t).Close()
	for _, path := range []string{filepath.Join(file, "sub", "x.db"), filepath.Dir(file)} {
		_, err := Open(path, Options{Now: noon})
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open %s: %v", path, err)
		}
	}
}
