package access

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const testdata = "../../testdata/access"

const blocked = "Blocked mail"

// need ends the test where mdbtools is missing: it fails it when HARVESTWATCH_REQUIRE names interop.
func need(t testing.TB) {
	t.Helper()
	for _, name := range []string{"mdb-tables", "mdb-export"} {
		if _, err := exec.LookPath(name); err != nil {
			needed := strings.FieldsFunc(os.Getenv("HARVESTWATCH_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' })
			if slices.Contains(needed, "interop") {
				t.Fatalf("interop is required, and mdbtools is missing: %v", err)
			}
			t.Skipf("needs mdbtools: %v", err)
		}
	}
}

func open(t testing.TB, path string, o Options) *DB {
	t.Helper()
	need(t)
	if o.Temp == "" {
		o.Temp = t.TempDir()
	}
	d, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(o.Temp); err != nil || len(left) != 0 {
			t.Errorf("left in the temporary folder: %v, %v", left, err)
		}
	})
	return d
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// export returns a table's rows, the header first.
func export(t testing.TB, d *DB, table string) [][]string {
	t.Helper()
	e, err := d.Export(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(e)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil || e.Warning() != "" {
		t.Errorf("%v, warning %q", err, e.Warning())
	}
	return records(t, text)
}

func records(t testing.TB, text []byte) [][]string {
	t.Helper()
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma = '\t'
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != bytes.Count(text, []byte("\n")) {
		t.Errorf("%d rows in %d lines: a row must be one line", len(rows), bytes.Count(text, []byte("\n")))
	}
	return rows
}

// byKey sorts rows behind the header by their first field.
func byKey(rows [][]string) {
	slices.SortStableFunc(rows[1:], func(a, b []string) int {
		x, _ := strconv.Atoi(a[0])
		y, _ := strconv.Atoi(b[0])
		return x - y
	})
}

func golden(t testing.TB, name string) [][]string {
	t.Helper()
	return records(t, []byte(read(t, filepath.Join(testdata, name))))
}

func TestTables(t *testing.T) {
	want := strings.Fields(strings.ReplaceAll(read(t, filepath.Join(testdata, "mail.tables.txt")), " ", "_"))
	for _, name := range []string{"mail.mdb", "mail.accdb"} {
		var got []string
		for _, table := range open(t, filepath.Join(testdata, name), Options{}).Tables() {
			got = append(got, strings.ReplaceAll(table, " ", "_"))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Every table of both formats comes out as it was written, odd names, texts, dates and NULLs included.
func TestExport(t *testing.T) {
	for _, name := range []string{"mail.mdb", "mail.accdb"} {
		d := open(t, filepath.Join(testdata, name), Options{})
		for table, file := range map[string]string{blocked: "blocked.tsv", "Settings": "settings.tsv", "Nothing yet": "empty.tsv", d.Tables()[1]: "odd.tsv"} {
			got, want := export(t, d, table), golden(t, file)
			if table == blocked {
				if got[1][0] == "1" && got[2][0] == "2" {
					t.Errorf("%s: the rows are in order, so this says nothing of tables that are not", name)
				}
				byKey(got)
			}
			if len(got) != len(want) {
				t.Errorf("%s, %q: %d rows, want %d", name, table, len(got), len(want))
				continue
			}
			for i := range want {
				if !slices.Equal(got[i], want[i]) {
					t.Errorf("%s, %q, row %d:\n got %q\nwant %q", name, table, i, got[i], want[i])
				}
			}
		}
	}
}

// A date beyond the calendar comes out with day 00, not as an error: whoever reads rows must expect it.
func TestOutOfRangeDate(t *testing.T) {
	d := open(t, filepath.Join(testdata, "mail.mdb"), Options{})
	for _, row := range export(t, d, blocked)[1:] {
		if row[0] == "10" && row[1] != "1900-01-00 00:00:00" || row[0] == "20" && row[1] != "" {
			t.Errorf("row %q", row)
		}
	}
}

func TestColumnsWithoutRows(t *testing.T) {
	d := open(t, filepath.Join(testdata, "mail.mdb"), Options{})
	e, err := d.Export(t.Context(), d.Tables()[1])
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"A, B", `"C"`, "D;E", "Yes"}; !slices.Equal(e.Columns(), want) {
		t.Errorf("%q, want %q", e.Columns(), want)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if _, err := e.Read(make([]byte, 10)); err != nil && errors.Is(err, io.EOF) {
		t.Error("a table that was closed early looks complete")
	}
}

func TestBadTables(t *testing.T) {
	d := open(t, filepath.Join(testdata, "mail.mdb"), Options{})
	for _, name := range []string{"--help", "-T", "-", "", "a\nb", "\x00"} {
		if _, err := d.Export(t.Context(), name); !errors.Is(err, ErrTable) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"no such table", "$(touch x)", "Blocked mail; rm -rf /", "`id`"} {
		_, err := d.Export(t.Context(), name)
		if err == nil || !strings.Contains(err.Error(), "does not exist") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// mdb-export takes a name that begins with - for an option, or for too many arguments, even behind --. When a version
// no longer does, checkTable can allow it.
func TestDashTableStillNeedsRefusing(t *testing.T) {
	need(t)
	if out, err := exec.Command("mdb-export", "--", filepath.Join(testdata, "mail.mdb"), "--help").Output(); err == nil {
		t.Errorf("it works now: %q", out)
	}
}

func TestPathThatLooksLikeAnOption(t *testing.T) {
	data := read(t, filepath.Join(testdata, "mail.mdb"))
	t.Chdir(t.TempDir())
	for _, name := range []string{"--help", "-1", "a b; $(touch x).mdb", "x.mdb\n"} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if n := len(export(t, open(t, name, Options{}), "Settings")); n != 4 {
			t.Errorf("%q: %d rows", name, n)
		}
	}
	if _, err := os.Stat("x"); err == nil {
		t.Error("a shell was at work")
	}
}

func TestIsDatabase(t *testing.T) {
	for text, want := range map[string]bool{
		"\x00\x01\x00\x00Standard Jet DB\x00\x01": true, "\x00\x01\x00\x00Standard ACE DB\x00": true, "\x00\x01\x00\x00Standard ACE DB": false,
		"Standard Jet DB": false, "": false, "\x00\x01\x00\x00MSISAM Database\x00": false,
	} {
		if got := IsDatabase([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestCopyIsPrivate(t *testing.T) {
	d := open(t, filepath.Join(testdata, "mail.mdb"), Options{})
	info, err := os.Stat(d.copy)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestBadDatabases(t *testing.T) {
	need(t)
	data := []byte(read(t, filepath.Join(testdata, "mail.mdb")))
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	wiped := bytes.Clone(data)
	clear(wiped[2*4096 : 3*4096])
	for name, c := range map[string]struct {
		path string
		o    Options
		want error
	}{
		"no file":       {filepath.Join(dir, "none"), Options{}, os.ErrNotExist},
		"a folder":      {dir, Options{}, ErrNotOne},
		"text":          {write("t", []byte("Standard Jet DB")), Options{}, ErrNotOne},
		"empty":         {write("e", nil), Options{}, ErrNotOne},
		"large":         {write("l", data), Options{MaxSize: 1000}, ErrTooLarge},
		"one page":      {write("p", data[:4096]), Options{}, ErrDamaged},
		"half a page":   {write("h", data[:2000]), Options{}, ErrDamaged},
		"no catalogue":  {write("c", wiped), Options{}, ErrDamaged},
		"no programs":   {write("n", data), Options{Programs: dir}, ErrMissing},
		"nothing there": {write("m", data), Options{Programs: filepath.Join(dir, "x")}, ErrMissing},
	} {
		c.o.Temp = t.TempDir()
		d, err := Open(t.Context(), c.path, c.o)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if d != nil {
			t.Errorf("%s: a database beside an error", name)
		}
		if left, _ := os.ReadDir(c.o.Temp); len(left) > 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
	if _, err := Open(t.Context(), write("n", data), Options{Programs: dir}); !strings.Contains(err.Error(), "install Debian's package mdbtools") {
		t.Error(err)
	}
}

// A copy that lacks its end gives an error or a warning, never a table that looks complete.
func TestTornDatabase(t *testing.T) {
	need(t)
	data := []byte(read(t, filepath.Join(testdata, "mail.mdb")))
	whole := len(golden(t, "blocked.tsv"))
	torn := filepath.Join(t.TempDir(), "torn.mdb")
	read := 0
	for pages := 3; pages < len(data)/4096; pages++ {
		if err := os.WriteFile(torn, data[:pages*4096-7], 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Open(t.Context(), torn, Options{})
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%d pages: %v", pages, err)
			}
			continue
		}
		e, err := d.Export(t.Context(), blocked)
		if err == nil {
			var text []byte
			text, err = io.ReadAll(e)
			if n := bytes.Count(text, []byte("\n")); err == nil && n < whole && e.Warning() == "" {
				t.Errorf("%d pages: %d rows and not a word", pages, n)
			}
			read++
			_ = e.Close()
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d torn databases could be opened", read)
}

func TestHugeOutputIsCut(t *testing.T) {
	d := open(t, filepath.Join(testdata, "mail.mdb"), Options{MaxOutput: 10_000})
	e, err := d.Export(t.Context(), blocked)
	if err == nil { // the limit was not yet reached with the first bytes that the program wrote
		var text []byte
		if text, err = io.ReadAll(e); len(text) > 11_000 {
			t.Errorf("%d bytes", len(text))
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// fake puts programs of ours in the place of mdbtools'.
func fake(t testing.TB, tables, export string) Options {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell for the programs that stand in for mdbtools")
	}
	dir := t.TempDir()
	for name, script := range map[string]string{"mdb-tables": tables, "mdb-export": export} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return Options{Programs: dir, Temp: t.TempDir()}
}

func TestHangingProgramIsEnded(t *testing.T) {
	path := filepath.Join(testdata, "mail.mdb")
	for name, script := range map[string]string{
		"at once":         "exec sleep 60",
		"in a child":      "echo a; sleep 60; echo b",
		"output for ever": "echo a; while :; do echo 1; done",
		"closed output":   "echo a; exec >&-; exec sleep 60",
	} {
		o := fake(t, "echo x", script)
		o.Timeout = 300 * time.Millisecond
		d, err := Open(t.Context(), path, o)
		if err != nil {
			t.Fatal(name, err)
		}
		began := time.Now()
		e, err := d.Export(t.Context(), "x")
		if err == nil {
			_, err = io.Copy(io.Discard, e)
			_ = e.Close()
		}
		if !errors.Is(err, ErrTimeout) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: it took %s", name, took)
		}
		_ = d.Close()
	}
	o := fake(t, "exec sleep 60", "")
	o.Timeout = 200 * time.Millisecond
	if _, err := Open(t.Context(), path, o); !errors.Is(err, ErrTimeout) {
		t.Errorf("the list of tables: %v", err)
	}
}

func TestCallerGivesUp(t *testing.T) {
	o := fake(t, "echo x", "echo a; exec sleep 60")
	d, err := Open(t.Context(), filepath.Join(testdata, "mail.mdb"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ctx, cancel := context.WithCancel(t.Context())
	e, err := d.Export(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(e); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Open(ctx, filepath.Join(testdata, "mail.mdb"), o); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestProgramThatFails(t *testing.T) {
	long := `i=0; while [ $i -lt 3000 ]; do echo "complaint $i" >&2; i=$((i+1)); done`
	o := fake(t, "echo x", long+"; echo a; echo 1; exit 3")
	d, err := Open(t.Context(), filepath.Join(testdata, "mail.mdb"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	e, err := d.Export(t.Context(), "x")
	if err == nil {
		_, err = io.ReadAll(e)
	}
	if err == nil || !strings.Contains(err.Error(), "status 3") || !strings.Contains(err.Error(), "complaint 0") || len(err.Error()) > 3*maxStderr {
		t.Errorf("%.300v", err)
	}
}

// The programs get their arguments one by one and an environment without what could make them print otherwise.
func TestArguments(t *testing.T) {
	t.Setenv("MDBOPTS", "debug_all")
	t.Setenv("MDB_JET3_CHARSET", "cp866")
	o := fake(t, "echo x", `printf '%s|' "$@"; echo; env | grep -c MDB_ ; env | grep -c MDBOPTS; true`)
	d, err := Open(t.Context(), filepath.Join(testdata, "mail.mdb"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	e, err := d.Export(t.Context(), `a "b" $c`)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(e)
	_, rest, _ := strings.Cut(string(text), "\n")
	want := `-e|-D|%Y-%m-%d|-T|%Y-%m-%d %H:%M:%S|-d|\t|-b|hex|--|` + d.copy + `|a "b" $c|`
	if err != nil || e.Columns()[0] != want || rest != "0\n0\n" {
		t.Errorf("%v: %q and %q", err, e.Columns()[0], rest)
	}
}

func FuzzUnescape(f *testing.F) {
	f.Add([]byte(`a\\b\nc\`), 3)
	f.Add([]byte(`\\\\\`), 1)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		escaped := bytes.ReplaceAll(text, []byte{'\\'}, []byte(`\\`))
		got, err := io.ReadAll(&unescape{r: &small{escaped, max(size%7, 1)}})
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if _, err := io.ReadAll(&unescape{r: bytes.NewReader(text)}); err != nil {
			t.Error(err)
		}
	})
}

// small reads few bytes at a time.
type small struct {
	b []byte
	n int
}

func (s *small) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.n)], s.b)
	s.b = s.b[n:]
	return n, nil
}
