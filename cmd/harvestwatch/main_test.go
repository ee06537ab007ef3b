package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/harvestwatch/harvestwatch/internal/report"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"harvestwatch": main})
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
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"daemon": daemonCmd, "await": awaitCmd},
	})
}

// daemonCmd starts the daemon in the background with the arguments of run, and ends it with the script.
func daemonCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("daemon can't be negated: use harvestwatch run")
	}
	stop := startDaemon(ts.Fatalf, ts.MkAbs("daemon.log"), args)
	ts.Defer(stop)
}

// awaitCmd repeats a command until its output holds a text: await TEXT COMMAND...
func awaitCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await TEXT COMMAND...")
	}
	var out bytes.Buffer
	ok := eventually(func() bool {
		out.Reset()
		p := &program{strings.NewReader(""), &out, &out, time.Now}
		p.run(context.Background(), append([]string{"harvestwatch"}, args[1:]...))
		return strings.Contains(out.String(), args[0])
	})
	if !ok {
		log, _ := os.ReadFile(ts.MkAbs("daemon.log"))
		ts.Fatalf("%q did not come; last output:\n%s\ndaemon:\n%s", args[0], out.String(), log)
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
