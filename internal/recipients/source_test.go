package recipients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// numbered is a list of n addresses of a domain, from the given number on.
func numbered(from, n int, domain string) []string {
	var lines []string
	for i := from; i < from+n; i++ {
		lines = append(lines, fmt.Sprintf("u%d@%s", i, domain))
	}
	return lines
}

func TestGuard(t *testing.T) {
	list := func(parts ...[]string) *List {
		var all []string
		for _, p := range parts {
			all = append(all, p...)
		}
		return parse(t, all...)
	}
	big := numbered(0, 1000, "firm.example")
	for _, c := range []struct {
		name       string
		guard      Guard
		old, fresh *List
		taken      bool
	}{
		{"first", Guard{}, nil, list(big), true},
		{"first, after an empty one", Guard{}, list(), list(big), true},
		{"empty", Guard{}, list(big), list(), false},
		{"nothing", Guard{}, list(big), nil, false},
		{"same", Guard{}, list(big), list(big), true},
		{"more", Guard{}, list(big[:10]), list(big), true},
		{"a fifth gone", Guard{}, list(big), list(big[:800]), true},
		{"more than a fifth gone", Guard{}, list(big), list(big[:799]), false},
		{"others, as many", Guard{}, list(big), list(numbered(1000, 1000, "firm.example")), false},
		{"a quarter of few", Guard{}, list(big[:36]), list(big[:27]), true},
		{"more than half of few", Guard{}, list(big[:7]), list(big[:3]), false},
		{"two of three", Guard{}, list(big[:3]), list(big[:1]), true},
		{"now a wildcard", Guard{}, list(big), list([]string{"u*@firm.example"}), true},
		{"now the whole domain", Guard{}, list(big), list([]string{"@firm.example"}), true},
		{"a domain gone", Guard{}, list(big, numbered(0, 50, "small.example")), list(big), true},
		{"most of a domain gone", Guard{}, list(big, numbered(0, 50, "small.example")), list(big, numbered(0, 2, "small.example")), false},
		{"all domains but a small one gone", Guard{}, list(big, numbered(0, 50, "small.example")), list(numbered(0, 50, "small.example")), false},
		{"strict", Guard{Share: 0.01, Few: 1}, list(big), list(big[:989]), false},
		{"generous", Guard{Share: 0.5}, list(big), list(big[:501]), true},
	} {
		use, why := c.guard.Next(c.old, c.fresh)
		if (use == c.fresh) != c.taken || (why == "") != c.taken {
			t.Errorf("%s: taken %v, %q", c.name, use == c.fresh, why)
		}
		if use != c.fresh && use != c.old {
			t.Errorf("%s: neither list", c.name)
		}
	}
	if _, why := (Guard{}).Next(list(big), list(big[:700])); !strings.HasPrefix(why, "300 of 1000 recipients are missing") {
		t.Error(why)
	}
}

func TestSourceOfFile(t *testing.T) {
	dir := t.TempDir()
	s := &Source{File: filepath.Join(dir, "list"), Cache: filepath.Join(dir, "cache")}
	ctx := context.Background()
	if err := s.Refresh(ctx); !errors.Is(err, os.ErrNotExist) || s.Current() != nil {
		t.Error("without the file:", err)
	}
	put := func(lines ...string) {
		t.Helper()
		next := filepath.Join(dir, "next")
		write(t, next, strings.Join(lines, "\n"))
		if err := os.Rename(next, s.File); err != nil {
			t.Fatal(err)
		}
	}
	refresh := func(want error, n int) *List {
		t.Helper()
		if err := s.Refresh(ctx); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%v, want %v", err, want)
		}
		if s.Current().Len() != n {
			t.Errorf("%d addresses, want %d", s.Current().Len(), n)
		}
		return s.Current()
	}
	put(numbered(0, 20, "firm.example")...)
	first := refresh(nil, 20)
	if first.exact([]byte("u1@firm.example")) != true || refresh(nil, 20) == nil {
		t.Error("the list isn't the file's")
	}
	parsed := s.file
	refresh(nil, 20)
	if s.file != parsed {
		t.Error("the file was read again although it is the same")
	}
	put(numbered(10, 20, "firm.example")...)
	refresh(ErrKept, 20)
	put(numbered(0, 30, "firm.example")...)
	refresh(nil, 30)
	put("nonsense")
	if err := s.Refresh(ctx); err == nil || !strings.Contains(err.Error(), "list:1: ") || s.Current().Len() != 30 {
		t.Error("a bad file:", err, s.Current().Len())
	}
	if err := os.Remove(s.File); err != nil {
		t.Fatal(err)
	}
	refresh(os.ErrNotExist, 30)
	s = &Source{File: s.File, Cache: s.Cache, Delimiter: "+"}
	refresh(os.ErrNotExist, 30)
	if v := s.Current().Has([]byte("u1+x@firm.example")); v != Valid {
		t.Error("the saved list has lost the delimiter:", v)
	}
	put(numbered(0, 30, "firm.example")...)
	s.Domains = []string{"other.example"}
	if err := s.Refresh(ctx); err == nil || !strings.Contains(err.Error(), "other.example: check the domains") {
		t.Error("no address is of the domains:", err)
	}
}

func TestDamagedCache(t *testing.T) {
	dir := t.TempDir()
	s := &Source{File: filepath.Join(dir, "list"), Cache: filepath.Join(dir, "cache")}
	write(t, s.File, "a@firm.example\n")
	write(t, s.Cache, "# "+s.note()+"\nx@firm.example\nnonsense\n")
	if err := s.Refresh(context.Background()); err == nil || s.Current().Len() != 1 || s.Current().Has([]byte("x@firm.example")) != Unknown {
		t.Error("a damaged saved list:", err, s.Current().Len())
	}
	again := &Source{File: s.File, Cache: s.Cache}
	if err := again.restore(); err != nil || again.Current().Len() != 1 {
		t.Error("it was not replaced:", err, again.Current().Len())
	}
}

func TestSourceOfNothing(t *testing.T) {
	if err := new(Source).Refresh(context.Background()); err == nil {
		t.Error("no error without a source")
	}
}

// TestSourceIsShared is for the race detector.
func TestSourceIsShared(t *testing.T) {
	dir := t.TempDir()
	s := &Source{File: filepath.Join(dir, "list"), Cache: filepath.Join(dir, "cache")}
	write(t, s.File, "a@firm.example\n")
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 20 {
				if i == 0 {
					write(t, s.File, strings.Join(numbered(0, j+1, "firm.example"), "\n")+"\na@firm.example\n")
				}
				if err := s.Refresh(context.Background()); err != nil && !errors.Is(err, ErrKept) {
					// A file that is just being written may be cut anywhere, which is an error or a smaller list.
					continue
				}
				if l := s.Current(); l.Len() > 0 && l.Has([]byte("b@firm.example")) == Valid {
					t.Error("an address that was never there")
				}
			}
		})
	}
	all.Wait()
}
