package tailer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestParseRotation(t *testing.T) {
	for _, tt := range []struct {
		base, stem string
		kind       suffixKind
	}{
		{"mail.log", "mail.log", noSuffix},
		{"mail.log.1", "mail.log", numbered},
		{"mail.log.0", "mail.log", numbered},
		{"mail.log.2.gz", "mail.log", numbered},
		{"mail.log.12.zst", "mail.log", numbered},
		{"mail.log.gz", "mail.log", noSuffix},
		{"mail.log.old", "mail.log", otherwise},
		{"mail.log-20260105", "mail.log", dated},
		{"mail.log-20260105.gz", "mail.log", dated},
		{"mail.log.20260105.gz", "mail.log", dated},
		{"mail.log-2026-01-05.xz", "mail.log", dated},
		{"mail.log-2026010517.bz2", "mail.log", dated},
		{"mail.log-20260105-1767600000", "mail.log", dated},
		{"mail.log-1767600000.gz", "mail.log", dated},
		{"mail-20260105.log.gz", "mail.log", dated},
		{"mail.1.log", "mail.log", numbered},
		{"maillog-20260105", "maillog", dated},
		{"RECV20260105-1.LOG", "RECV.LOG", dated},
		{"RECV2026010512-3.LOG", "RECV.LOG", dated},
		{"u_ex260105.log", "u_ex.log", dated},
		{"u_ex26010512.log", "u_ex.log", dated},
		{"20260105.log", ".log", dated},
		{"mail.log-20261305", "mail.log-20261305", noSuffix}, // no thirteenth month
		{"mail.log.123456", "mail.log.123456", noSuffix},
		{"host-192.0.2.1", "host-192.0.2", numbered}, // can't be told; harmless
		{".1", ".1", noSuffix},
		{".gz", ".gz", noSuffix},
		{"", "", noSuffix},
		{"mail.log.99999999999999999999999", "mail.log.99999999999999999999999", noSuffix},
	} {
		stem, s := parseRotation(tt.base)
		if stem != tt.stem || s.kind != tt.kind {
			t.Errorf("parseRotation(%q) = %q, %d, want %q, %d", tt.base, stem, s.kind, tt.stem, tt.kind)
		}
	}
}

func TestOlder(t *testing.T) {
	for _, order := range [][]string{
		{"mail.log.10.gz", "mail.log.9.gz", "mail.log.2", "mail.log.1"},
		{"mail.log-20251231.gz", "mail.log-20260101", "mail.log-2026-01-02", "mail.log-20260102-2"},
		{"mail.log-20260105-1767600000", "mail.log-20260105-1767600001", "mail.log-20260106-1767700000"},
		{"RECV20260105-1.LOG", "RECV20260105-2.LOG", "RECV20260105-10.LOG", "RECV20260106-1.LOG"},
	} {
		var list []sibling
		for _, name := range order {
			_, s := parseRotation(name)
			list = append(list, sibling{path: name, suffix: s})
		}
		slices.Reverse(list)
		slices.SortStableFunc(list, older)
		for i, name := range order {
			if list[i].path != name {
				t.Errorf("place %d is %s, want %s", i, list[i].path, name)
			}
		}
	}
}

func FuzzParseRotation(f *testing.F) {
	for _, s := range []string{"mail.log.2.gz", "mail-20260105.log", "RECV2026010512-3.LOG", "u_ex260105.log", "a.old", ".20000101",
		"POP32026010512-3.LOG", "ex0907.log", "extend3.log"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, base string) {
		stem, s := parseRotation(base)
		if stem == "" && base != "" {
			t.Errorf("parseRotation(%q) has no stem", base)
		}
		if s.kind == noSuffix && !s.packed && stem != base {
			t.Errorf("parseRotation(%q) = %q without a suffix", base, stem)
		}
		if base != "" && len(base) < 200 && s.kind == noSuffix && !s.packed {
			if again, r := parseRotation(base + ".1"); again != base || r.kind != numbered {
				t.Errorf("parseRotation(%q.1) = %q, %v", base, again, r)
			}
		}
		if older(sibling{suffix: s}, sibling{suffix: s}) != 0 {
			t.Errorf("%q is older than itself", base)
		}
	})
}

func names(inputs []Input, dir string) []string {
	var list []string
	for _, in := range inputs {
		list = append(list, filepath.ToSlash(strings.TrimPrefix(in.Path, dir+string(filepath.Separator))))
	}
	return list
}

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b/mail.log", "b/mail.log.1", "b/mail.log.2.gz", "b/.hidden", "b/.d/x", "a.log", "b/c/deep", "odd[1].log"} {
		writeFile(t, filepath.Join(dir, name), []byte("x\n"))
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, tt := range []struct {
		name       string
		args, want []string
		missing    []string
	}{
		{name: "folder", args: []string{dir},
			want: []string{"a.log", "b/c/deep", "b/mail.log", "b/mail.log.1", "b/mail.log.2.gz", "odd[1].log"}},
		{name: "pattern", args: []string{in("b/mail.log*")}, want: []string{"b/mail.log", "b/mail.log.1", "b/mail.log.2.gz"}},
		{name: "twice", args: []string{in("a.log"), in("b/../a.log"), in("a*")}, want: []string{"a.log"}},
		{name: "pattern that is a name", args: []string{in("odd[1].log")}, want: []string{"odd[1].log"}},
		{name: "named and hidden", args: []string{in("b/.hidden")}, want: []string{"b/.hidden"}},
		{name: "missing", args: []string{in("nope"), in("a.log"), in("no*pe")}, want: []string{"a.log"}, missing: []string{"nope", "no*pe"}},
		{name: "bad pattern", args: []string{in("a[")}, missing: []string{"a["}},
		{name: "standard input", args: []string{"-", in("a.log"), "-"}, want: []string{"-", "a.log"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inputs, err := Expand(tt.args)
			if got := names(inputs, dir); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if (err != nil) != (len(tt.missing) > 0) {
				t.Errorf("error is %v", err)
			}
			for _, m := range tt.missing {
				if !strings.Contains(fmt.Sprint(err), m) {
					t.Errorf("%v doesn't name %s", err, m)
				}
			}
			if tt.name == "missing" && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%v isn't os.ErrNotExist", err)
			}
		})
	}
}

func TestExpandGroups(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"mail.log", "mail.log.1", "mail.log.2.gz", "mail.log-20260105.xz", "other.log", "sub/mail.log"} {
		writeFile(t, filepath.Join(dir, name), []byte("x\n"))
	}
	inputs, err := Expand([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string]int{}
	for _, in := range inputs {
		groups[in.Group]++
		if in.Size != 2 || in.ModTime.IsZero() {
			t.Errorf("%+v", in)
		}
	}
	want := map[string]int{filepath.Join(dir, "mail.log"): 4, filepath.Join(dir, "other.log"): 1, filepath.Join(dir, "sub", "mail.log"): 1}
	if fmt.Sprint(groups) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", groups, want)
	}
}

// Links are followed, loops of them end, hard links are one file, and dangling ones nobody's log.
func TestExpandLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // links need a privilege there that nothing else of ours needs
	}
	dir := t.TempDir()
	real := writeFile(t, filepath.Join(dir, "d", "a.log"), []byte("x\n"))
	for link, to := range map[string]string{"d/loop": dir, "d/again": real, "d/gone": filepath.Join(dir, "nope"), "e": filepath.Join(dir, "d")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(real, filepath.Join(dir, "z.log")); err != nil {
		t.Fatal(err)
	}
	inputs, err := Expand([]string{dir})
	if got := names(inputs, dir); err != nil || !slices.Equal(got, []string{"d/a.log"}) {
		t.Errorf("got %q, %v", got, err)
	}
}
