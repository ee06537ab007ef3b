package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/harvestwatch/harvestwatch/internal/nstest"
	"github.com/harvestwatch/harvestwatch/internal/report"
)

// isolated runs the tests in a network namespace of their own, where that can be had. The command itself, which scripts
// and tests start from the same binary, is not concerned.
type isolated struct{ m *testing.M }

// Run implements testscript.TestingM.
func (i isolated) Run() int { return nstest.Main(i.m) }

func TestMain(m *testing.M) {
	testscript.Main(isolated{m}, map[string]func(){"harvestwatch": main})
}

// TestScripts runs the commands as a user would: each archive in testdata is one story.
func TestScripts(t *testing.T) {
	golden, err := filepath.Abs("../../testdata/logs/postfix")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("GOLDEN", golden)
			e.Setenv("TZ", "UTC")
			e.Setenv("SUDO_USER", "")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"await": awaitCmd},
	})
}

// awaitCmd repeats a command until its output holds a text: await TEXT COMMAND...
func awaitCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await TEXT COMMAND...")
	}
	var out string
	ok := eventually(func() bool {
		err := ts.Exec("harvestwatch", args[1:]...)
		out = ts.ReadFile("stdout")
		return err == nil && strings.Contains(out, args[0])
	})
	if !ok {
		ts.Fatalf("%q did not come; last output:\n%s", args[0], out)
	}
}

// eventually waits until ok holds; false after a long while.
func eventually(ok func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		if ok() {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
}

// runCommand runs a command in this process and returns its output and exit code.
func runCommand(t testing.TB, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	p := &program{strings.NewReader(stdin), &out, &errs, time.Now}
	code = p.run(t.Context(), append([]string{"harvestwatch"}, args...))
	return out.String(), errs.String(), code
}

// scanJSON scans and decodes the result.
func scanJSON(t testing.TB, args ...string) *report.Scan {
	t.Helper()
	out, errs, code := runCommand(t, "", append([]string{"scan", "--json", "--zone", "UTC"}, args...)...)
	if code != exitOK {
		t.Fatalf("scan %v: exit code %d\n%s", args, code, errs)
	}
	var s report.Scan
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	return &s
}
