package main

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestGoldenLogs holds the whole way from the log to the decision against what the golden logs expect: every source
// that is listed is blocked by the rules listed for it and by no other, and nobody else is.
func TestGoldenLogs(t *testing.T) {
	logs, err := filepath.Glob("../../testdata/logs/postfix/*.log")
	if err != nil || len(logs) < 10 {
		t.Fatalf("%d golden logs found: %v", len(logs), err)
	}
	for _, log := range logs {
		t.Run(strings.TrimSuffix(filepath.Base(log), ".log"), func(t *testing.T) {
			want, args := expectations(t, strings.TrimSuffix(log, ".log")+".expect")
			s := scanJSON(t, append(args, log)...)
			var got []string
			for _, o := range s.Offenders {
				got = append(got, o.Source+" "+o.Rule)
				if o.Decision != "block" || len(o.Blocks) == 0 || len(o.Evidence) == 0 {
					t.Errorf("%s %s: decision %s, %d blocks, %d lines of evidence", o.Source, o.Rule, o.Decision, len(o.Blocks), len(o.Evidence))
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("blocked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if s.DeliveriesHit.Messages != 0 {
				t.Errorf("%d deliveries hit, of %v", s.DeliveriesHit.Messages, s.DeliveriesHit.Sources)
			}
			if in := s.Inputs[0]; in.Unparsed != 0 || in.Format != "postfix" {
				t.Errorf("%s: format %q, %d lines not understood", in.Path, in.Format, in.Unparsed)
			}
		})
	}
}

// expectations reads the lines of a golden log's expectations that concern detection, and the flags its stamps need.
func expectations(t *testing.T, path string) (want, args []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	listed := false
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		if ref, ok := strings.CutPrefix(line, "# reference: "); ok {
			at, err := time.Parse(time.RFC3339, ref)
			if err != nil {
				t.Fatal(err)
			}
			// The log's first line is at most some days older than the reference, in the year before at the earliest.
			year := at.Year()
			if at.Month() == time.January {
				year--
			}
			args = append(args, "--year", time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Format("2006"))
		}
		if rest, ok := strings.CutPrefix(line, "! "); ok {
			listed = true
			if rest != "none" {
				want = append(want, rest)
			}
		}
	}
	if !listed {
		t.Fatalf("%s says nothing of who is to be blocked", path)
	}
	slices.Sort(want)
	return want, args
}

// TestProviderIsSparedAndTheReasonTold: a pool with hundreds of good deliveries and a few typos is not blocked, and
// scan says why.
func TestProviderIsSparedAndTheReasonTold(t *testing.T) {
	for _, log := range []string{"newsletter", "provider"} {
		out, _, code := runCommand(t, "", "scan", "--exit-code", "../../testdata/logs/postfix/"+log+".log")
		if code != exitOK {
			t.Errorf("%s: exit code %d: somebody would be blocked", log, code)
		}
		for _, text := range []string{"No offenders", "Not blocked, and why", "deliveries raised what it takes"} {
			if !strings.Contains(out, text) {
				t.Errorf("%s: the scan does not say %q:\n%s", log, text, out)
			}
		}
	}
}
