package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSeeds(t *testing.T) {
	for text, want := range map[string][]uint64{
		"7": {7}, "101-103": {101, 102, 103}, "1-2, 9": {1, 2, 9}, "5-5": {5},
		"": nil, "a": nil, "3-1": nil, "1-": nil, "-1": nil, "1,,2": nil, "0-99999999": nil,
	} {
		got, err := seeds(text)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestFlags(t *testing.T) {
	s, err := parse(nil, os.Stderr)
	if err != nil || s.seeds != "101-120" || s.tuning != "1-4" || s.days != 7 || s.junk != 550_000 || s.quick {
		t.Errorf("%+v, %v", s, err)
	}
	s, err = parse([]string{"-quick", "-days", "3"}, os.Stderr)
	if err != nil || s.days != 3 || s.junk != 60_000 || s.seeds != "101-102" {
		t.Errorf("%+v, %v", s, err)
	}
	if p, err := plan(s); err != nil || len(p.Mixes) != 3 || len(p.Entries) != 8 || len(p.Sweep) != 54 || len(p.Ablation) < 5 || p.Restarted == nil {
		t.Errorf("%+v, %v", p, err)
	}
}

// once runs the command on next to nothing.
func once(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

func TestExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		errs string
	}{
		"help":         {[]string{"-h"}, 0, "-quick"},
		"unknown flag": {[]string{"-fast"}, exitUsage, "-fast"},
		"argument":     {[]string{"now"}, exitUsage, `argument "now"`},
		"bad seeds":    {[]string{"-seeds", "x"}, exitUsage, "101-120"},
		"bad tuning":   {[]string{"-tuning", "x"}, exitUsage, "101-120"},
		"shared seed":  {[]string{"-seeds", "3"}, exitUsage, "seed 3"},
	} {
		code, _, errs := once(t, c.args...)
		if code != c.code || !strings.Contains(errs, c.errs) {
			t.Errorf("%s: exit code %d, %s", name, code, errs)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var o, e bytes.Buffer
	if code := run(ctx, []string{"-quick"}, &o, &e); code != exitInterrupted {
		t.Errorf("interrupted: exit code %d, %s", code, e.String())
	}
}

func TestResultGoesToFiles(t *testing.T) {
	dir := t.TempDir()
	text, js := filepath.Join(dir, "out.txt"), filepath.Join(dir, "out.json")
	args := []string{"-seeds", "990", "-days", "1", "-junk", "500", "-gates-only", "-good", "200", "-sources", "1000", "-out", text, "-json", js}
	code, out, errs := once(t, args...)
	if code != exitGate { // so little traffic can't pass: at 500 a day an evader leaks most of what it tries
		t.Errorf("exit code %d, %s", code, errs)
	}
	if !strings.Contains(out, "GATES") || !strings.Contains(out, "FAIL") || !strings.Contains(errs, "6 of 6 worlds") {
		t.Errorf("%s\n%s", out, errs)
	}
	written, err := os.ReadFile(text)
	if err != nil || string(written) != out {
		t.Errorf("the file differs from what was printed: %v", err)
	}
	var figures struct{ Mixes []any }
	written, err = os.ReadFile(js)
	if err := json.Unmarshal(written, &figures); err != nil || len(figures.Mixes) != 3 {
		t.Errorf("%v: %s", err, written)
	}
	if err != nil {
		t.Error(err)
	}
	if code, _, errs := once(t, append(args, "-out", filepath.Join(dir, "none", "out.txt"))...); code != exitFailed || !strings.Contains(errs, "none") {
		t.Errorf("no such directory: exit code %d, %s", code, errs)
	}
}
