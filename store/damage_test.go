package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// filled makes a database of a few hundred pages and returns its bytes and those of its log.
func filled(t *testing.T) (file, log []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "whole.db")
	s := must(Open(path, Options{Now: noon}))(t)
	commit(t, s, large(rand.New(rand.NewPCG(1, 1)), 2000, 5000))
	log = must(os.ReadFile(path + "-wal"))(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return must(os.ReadFile(path))(t), log
}

func TestDamagedFileIsSetAside(t *testing.T) {
	file, log := filled(t)
	garbage := make([]byte, 50_000)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range garbage {
		garbage[i] = byte(r.Uint32())
	}
	hole := bytes.Clone(file) // a page in the middle overwritten
	copy(hole[len(hole)/8192*4096:], garbage[:4096])
	header := bytes.Clone(file)
	copy(header[16:], "\xff\xff\xff\xff")
	for name, content := range map[string][]byte{
		"empty": nil, "garbage": garbage, "short": file[:50], "one page": file[:4096], "truncated": file[:len(file)/2/4096*4096],
		"torn": file[:len(file)/2+1000], "hole": hole, "header": header,
		"text": []byte(strings.Repeat("Nov 22 12:00:00 mx postfix/smtpd[1]: connect from unknown[192.0.2.1]\n", 100)),
		"zero": make([]byte, 8192),
	} {
		t.Run(name, func(t *testing.T) {
			if !bytes.HasPrefix(content, []byte("SQLite format 3\x00")) || len(content) < 4096 {
				setAsideTest(t, content, log)
				return
			}
			setAsideTest(t, content, nil) // the log would mend it: it holds every page
		})
	}
}

func setAsideTest(t *testing.T, content, log []byte) {
	path := filepath.Join(t.TempDir(), "harvestwatch.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, aside := range []string{path + ".damaged-20261122T120000Z", path + ".damaged-20261122T120000Z-2"} {
		// What an old log holds must not get into the new database.
		if err := os.WriteFile(path+"-wal", log, 0o600); err != nil {
			t.Fatal(err)
		}
		var warned []string
		s, err := Open(path, Options{Now: noon, Warn: func(w string) { warned = append(warned, w) }})
		if err != nil {
			t.Fatal(err)
		}
		if len(warned) != 1 || !strings.Contains(warned[0], aside) {
			t.Fatalf("opening warned %q, want one sentence with %s", warned, aside)
		}
		if got := must(os.ReadFile(aside))(t); !bytes.Equal(got, content) {
			t.Error("what was set aside is not what was there")
		}
		if got := must(os.ReadFile(aside + "-wal"))(t); !bytes.Equal(got, log) {
			t.Errorf("the log that was set aside has %d bytes, not the %d that were there", len(got), len(log))
		}
		if got := count(t, &s.Reader); got != 0 {
			t.Errorf("the new database has %d windows", got)
		}
		commit(t, s, &Batch{Totals: []DayTotal{{1, "connect", 1}}})
		sound(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMendedByItsLog: a file that was cut off while its log still holds every page is not damaged.
func TestMendedByItsLog(t *testing.T) {
	file, log := filled(t)
	path := filepath.Join(t.TempDir(), "harvestwatch.db")
	for name, content := range map[string][]byte{path: file[:len(file)/2], path + "-wal": log} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, path)
	if got := count(t, &s.Reader); got == 0 {
		t.Error("what the log held is gone")
	}
	sound(t, s)
}

// TestReaderOfDamage: a command that only looks says so and touches nothing.
func TestReaderOfDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "harvestwatch.db")
	for _, content := range []string{"", "short", strings.Repeat("no database\n", 1000)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenReadOnly(path); !Damaged(err) {
			t.Errorf("%.20q: %v", content, err)
		}
		if got := string(must(os.ReadFile(path))(t)); got != content {
			t.Errorf("%.20q became %.20q", content, got)
		}
	}
}

// TestLogWithoutDatabase: the database was deleted, its log was not.
func TestLogWithoutDatabase(t *testing.T) {
	_, log := filled(t)
	path := filepath.Join(t.TempDir(), "harvestwatch.db")
	for _, name := range []string{path + "-wal", path + ".new", path + ".new-wal"} {
		if err := os.WriteFile(name, log, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, path)
	if got := count(t, &s.Reader); got != 0 {
		t.Errorf("%d windows came out of an old log", got)
	}
	sound(t, s)
}

// TestDamageWhileOpen: what a commit meets later is told apart, so that a daemon can open anew.
func TestDamageWhileOpen(t *testing.T) {
	file, _ := filled(t)
	path := filepath.Join(t.TempDir(), "harvestwatch.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s := must(Open(path, Options{Now: noon}))(t)
	if err := os.WriteFile(path, append(file[:4096:4096], make([]byte, len(file)-4096)...), 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.Commit(t.Context(), large(rand.New(rand.NewPCG(1, 2)), 1000, 5000))
	if !Damaged(err) || !Damaged(fmt.Errorf("wrapped: %w", err)) {
		t.Errorf("commit to a damaged file: %v", err)
	}
	_ = s.Close()
	warned := 0
	s = must(Open(path, Options{Now: noon, Warn: func(string) { warned++ }}))(t)
	defer s.Close()
	if warned != 1 {
		t.Errorf("warned %d times", warned)
	}
}
