package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch/internal/report"
	"github.com/harvestwatch/harvestwatch/parsers"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// TestGoldenLogs holds the whole way from the log to the decision against what the golden logs of all formats expect:
// every source that is listed is blocked by the rules listed for it, or would be by those on trial, and by no other, and
// nobody else is.
func TestGoldenLogs(t *testing.T) {
	formats := 0
	for _, format := range parsers.Formats() {
		dir := "../../testdata/logs/" + format
		for _, g := range golden.Load(t, dir) {
			t.Run(format+"/"+g.Name, func(t *testing.T) {
				s := scanJSON(t, append(flagsOf(t, &g), logOf(t, dir, g.Name))...)
				checkHits(t, s, g.Hits)
				if in := s.Inputs[0]; strconv.FormatInt(in.Unparsed, 10) != cmp.Or(g.Header["unparsed"], "0") || in.Format != cmp.Or(g.Header["recognised"], format) {
					t.Errorf("%s: format %q, %d lines not understood, want %s", in.Path, in.Format, in.Unparsed, cmp.Or(g.Header["unparsed"], "0"))
				}
			})
		}
		formats++
	}
	if formats < 13 {
		t.Errorf("golden logs of %d formats only", formats)
	}
}

// trial marks, among the sources that a golden log expects, those that a rule on trial would block.
const trial = " on trial"

// checkHits compares who is blocked, and whom a rule on trial would block, with who is to be.
func checkHits(t *testing.T, s *report.Scan, want []string) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("the expectations say nothing of who is to be blocked")
	}
	var got []string
	for _, o := range s.Offenders {
		who := o.Source + " " + o.Rule
		if o.Decision == "observe" && o.Guard == "" {
			who += trial
		} else if o.Decision != "block" {
			t.Errorf("%s: decision %s (%s)", who, o.Decision, o.Guard)
		}
		got = append(got, who)
		if len(o.Blocks) == 0 || len(o.Evidence) == 0 {
			t.Errorf("%s: %d blocks, %d lines of evidence", who, len(o.Blocks), len(o.Evidence))
		}
	}
	if len(got) == 0 {
		got = []string{"none"}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("blocked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if s.DeliveriesHit.Messages != 0 {
		t.Errorf("%d deliveries hit, of %v", s.DeliveriesHit.Messages, s.DeliveriesHit.Sources)
	}
}

// logOf returns the log beside the expectations of that name.
func logOf(t *testing.T, dir, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, name+".*"))
	found = slices.DeleteFunc(found, func(s string) bool { return strings.HasSuffix(s, ".expect") })
	if err != nil || len(found) != 1 {
		t.Fatalf("the logs of %s/%s are %v, %v", dir, name, found, err)
	}
	return found[0]
}

// flagsOf returns what a scan must be told of the log's site.
func flagsOf(t *testing.T, g *golden.Log) (args []string) {
	t.Helper()
	if at := g.Site.Reference; !at.IsZero() {
		// The log's first line is at most some days older than the reference, in the year before at the earliest.
		year := at.Year()
		if at.Month() == time.January {
			year--
		}
		args = append(args, "--year", strconv.Itoa(year))
	}
	if g.Site.Location != nil {
		args = append(args, "--zone", g.Site.Location.String())
	}
	for _, p := range g.Site.Own {
		args = append(args, "--own", p.String())
	}
	for _, d := range g.Site.Domains {
		args = append(args, "--local", d)
	}
	if g.Site.DateOrder != "" {
		args = append(args, "--date-order", g.Site.DateOrder)
	}
	if g.Format == parsers.Table {
		args = append(args, "--mapping", mappingOf(t, g))
	}
	return args
}

// mappingOf writes the mapping that the header lines map-... say.
func mappingOf(t *testing.T, g *golden.Log) string {
	t.Helper()
	var text, verdicts strings.Builder
	for key, value := range g.Header {
		name, ok := strings.CutPrefix(key, "map-")
		switch name = strings.ReplaceAll(name, "-", "_"); {
		case !ok:
		case name == "verdicts":
			for entry := range strings.SplitSeq(value, ";") {
				verdict, kind, _ := strings.Cut(strings.TrimSpace(entry), "=")
				fmt.Fprintf(&verdicts, "%q = %q\n", verdict, kind)
			}
		default:
			fmt.Fprintf(&text, "%s = '%s'\n", name, value)
		}
	}
	path := filepath.Join(t.TempDir(), "mapping.toml")
	if err := os.WriteFile(path, []byte(text.String()+"[verdicts]\n"+verdicts.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOneTimeline: a folder of one site's logs, of several servers and formats, gives each deed once.
func TestOneTimeline(t *testing.T) {
	g := golden.Load(t, "../../testdata/logs/mixed")[0]
	s := scanJSON(t, append(flagsOf(t, &g), "--zone", "UTC", "../../testdata/logs/mixed/half-hour")...)
	checkHits(t, s, g.Hits)
	for name, got := range map[string]int64{"connections": s.Totals.Connections, "unknown-recipients": s.Totals.UnknownRecipients,
		"deliveries": s.Totals.Deliveries, "auth-failures": s.Totals.AuthFailures, "sources": s.Totals.Sources} {
		if want := g.Header[name]; strconv.FormatInt(got, 10) != want {
			t.Errorf("%s: %d, want %s", name, got, want)
		}
	}
	if len(s.Inputs) != 10 || len(s.Errors) != 0 {
		t.Errorf("%d inputs, errors %v", len(s.Inputs), s.Errors)
	}
}

// TestProviderIsSparedAndTheReasonTold: a pool with hundreds of good deliveries and a few typos is not blocked, and a
// newsletter with dead readers that even reached a threshold neither; scan says why.
func TestProviderIsSparedAndTheReasonTold(t *testing.T) {
	for log, why := range map[string][]string{
		"provider":   {"deliveries raised what it takes"},
		"newsletter": {"HELD BACK BY", "and 42 deliveries: the rule", "not blocked (", "Reached a threshold and held back, sources by guard"},
	} {
		out, _, code := runCommand(t, "", "scan", "--exit-code", "../../testdata/logs/postfix/"+log+".log")
		if code != exitOK {
			t.Errorf("%s: exit code %d: somebody would be blocked", log, code)
		}
		for _, text := range append(why, "No offenders", "Not blocked, and why") {
			if !strings.Contains(out, text) {
				t.Errorf("%s: the scan does not say %q:\n%s", log, text, out)
			}
		}
	}
}
