package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/detector"
	"github.com/harvestwatch/harvestwatch/internal/control"
	"github.com/harvestwatch/harvestwatch/internal/loggen"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/internal/report"
	"github.com/harvestwatch/harvestwatch/store"
)

// startDaemon runs the daemon in this process and returns what ends it and waits for its end.
func startDaemon(fatalf func(string, ...any), logFile string, args []string) (stop func()) {
	f, err := os.Create(logFile)
	if err != nil {
		fatalf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	p := &program{strings.NewReader(""), io.Discard, f, time.Now}
	go func() { done <- p.run(ctx, append([]string{"harvestwatch", "run"}, args...)) }()
	return func() {
		cancel()
		<-done
		f.Close()
	}
}

// place is where a test's daemon keeps its things. A unix socket's path is short, so it is not the test's own folder.
type testPlace struct{ dir, log, state, socket, output string }

func newPlace(t *testing.T) testPlace {
	t.Helper()
	dir, err := os.MkdirTemp("", "hw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return testPlace{dir, filepath.Join(dir, "mail.log"), filepath.Join(dir, "s", "state.db"), filepath.Join(dir, "c.sock"), filepath.Join(dir, "out")}
}

func (pl *testPlace) flags() []string {
	return []string{"--state", pl.state, "--socket", pl.socket, pl.log}
}

// caughtUp waits until the daemon has committed all of its log.
func (pl *testPlace) caughtUp(t *testing.T, size int64) {
	t.Helper()
	var s statusAnswer
	ok := eventually(func() bool {
		err := control.Call(t.Context(), pl.socket, "status", nil, &s)
		return err == nil && len(s.Inputs) == 1 && s.Inputs[0].Offset == size
	})
	if ok { // the answer may come between the parsing of the last lines and what follows from them; a second one doesn't
		ok = control.Call(t.Context(), pl.socket, "status", nil, &s) == nil
	}
	if !ok {
		out, _ := os.ReadFile(pl.output)
		t.Fatalf("the daemon did not read the log: at %+v of %d\n%s", s.Inputs, size, out)
	}
}

// generated writes a made-up log.
func generated(t testing.TB, path string, lines int64, seed uint64) loggen.Truth {
	t.Helper()
	return generatedAs(t, "postfix", path, lines, seed)
}

// generatedAs writes such a log in another format.
func generatedAs(t testing.TB, format, path string, lines int64, seed uint64) loggen.Truth {
	t.Helper()
	var buf bytes.Buffer
	truth, err := loggen.Generate(&buf, loggen.Config{Format: format, Seed: seed, Lines: lines, Duration: 36 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return truth
}

// decided describes a decision by all that must not depend on how the log was read.
func decided(d *harvestwatch.Decision) string {
	o := &d.Offence
	return fmt.Sprintf("%s %s first %d fired %d until %d count %d of %d good %d level %d %v %s", o.Source, o.Rule, o.First.Unix(),
		o.Fired.Unix(), d.Until.Unix(), o.Count, o.Threshold, o.Deliveries, o.Level, o.Probation, d.Guard)
}

// decisions is a sink that remembers decisions only.
type decisions struct{ list []string }

func (d *decisions) Event(*harvestwatch.Event, *harvestwatch.Outcome) {}
func (d *decisions) Decision(dec *harvestwatch.Decision)              { d.list = append(d.list, decided(dec)) }
func (d *decisions) Notice(*harvestwatch.Notice)                      {}
func (d *decisions) Commit(context.Context, *pipeline.Batch) error    { return nil }

// scanDecisions returns what a scan of the logs decides.
func scanDecisions(t *testing.T, paths ...string) []string {
	t.Helper()
	return scanGuarded(t, guardOptions{}, paths...)
}

// scanGuarded is scanDecisions with guards.
func scanGuarded(t *testing.T, o guardOptions, paths ...string) []string {
	t.Helper()
	p := &program{strings.NewReader(""), io.Discard, io.Discard, time.Now}
	set, err := loadRules("")
	if err != nil {
		t.Fatal(err)
	}
	with, err := o.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := openLogs(t.Context(), readOptions{paths: paths, zone: time.UTC, now: time.Now()}, p)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	var sink decisions
	if err := pipeline.Run(t.Context(), l.source(t.Context(), nil), pipeline.Engine{}, with.lane(set, &sink, detector.Options{}).Lane); err != nil {
		t.Fatal(err)
	}
	return sink.list
}

// storedDecisions returns what a daemon has recorded, oldest first.
func storedDecisions(t *testing.T, state string) []string {
	t.Helper()
	var list []string
	for _, r := range records(t, state) {
		list = append(list, decided(&r.Decision))
	}
	return list
}

// records returns a daemon's decisions, oldest first, without their evidence.
func records(t *testing.T, state string) []store.Record {
	t.Helper()
	st, err := store.OpenReadOnly(state)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	list, err := st.History(t.Context(), store.Query{Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) >= store.MaxRecords {
		t.Fatal("more records than one query gives: make the test's log smaller")
	}
	slices.Reverse(list)
	return list
}

// TestScanDecidesAsTheDaemonDid: one code path, event time only.
func TestScanDecidesAsTheDaemonDid(t *testing.T) {
	pl := newPlace(t)
	generated(t, pl.log, 60_000, 3)
	info, err := os.Stat(pl.log)
	if err != nil {
		t.Fatal(err)
	}
	stop := startDaemon(t.Fatalf, pl.output, pl.flags())
	pl.caughtUp(t, info.Size())
	stop()
	got, want := storedDecisions(t, pl.state), scanDecisions(t, pl.log)
	slices.Sort(got) // the store orders decisions of one second its own way
	slices.Sort(want)
	if len(want) < 100 {
		t.Fatalf("only %d decisions: the log is too tame for this test", len(want))
	}
	if !slices.Equal(got, want) {
		t.Errorf("daemon: %d decisions, scan: %d; first differences:\n%s", len(got), len(want), firstDifference(got, want))
	}
}

func firstDifference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		g, w := "(none)", "(none)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			return fmt.Sprintf("%d: got  %s\n%d: want %s", i, g, i, w)
		}
	}
	return ""
}

// TestScanAgreesWithTheTruth: of a made-up log in any format everybody is blocked who must be, and nobody who must not.
func TestScanAgreesWithTheTruth(t *testing.T) {
	for _, format := range loggen.Formats() {
		t.Run(format, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "mail.log")
			truth := generatedAs(t, format, log, 120_000, 11)
			s := scanJSON(t, "--local", "kontor.example", "--local", ".kontor.example", "--local", "kontor-gruppe.example", log)
			if n := mustBlock(t, s, truth); n < 20 || s.DeliveriesHit.Messages != 0 || s.Inputs[0].Unparsed != 0 {
				t.Errorf("%d offenders found, %d deliveries hit, %d lines not understood", n, s.DeliveriesHit.Messages, s.Inputs[0].Unparsed)
			}
			for what, n := range map[string][2]int64{
				"connections": {s.Totals.Connections, truth.Total.Connects}, "unknown recipients": {s.Totals.UnknownRecipients, truth.Total.Unknown},
				"deliveries": {s.Totals.Deliveries, truth.Total.Delivered}, "failed logins": {s.Totals.AuthFailures, truth.Total.AuthFails},
			} {
				overlap := int64(0)
				if format == "iis-w3c" && what == "deliveries" {
					overlap = n[1] / 200 // sessions of one address that overlap can't be told apart there
				}
				if n[0] > n[1] || n[0] < n[1]-overlap {
					t.Errorf("%s: %d counted, %d made", what, n[0], n[1])
				}
			}
		})
	}
}

// mustBlock holds who was blocked against the labels, and returns how many had to be.
func mustBlock(t *testing.T, s *report.Scan, truth loggen.Truth) (must int) {
	t.Helper()
	blocked := map[string]bool{}
	for _, o := range s.Offenders {
		blocked[o.Source] = blocked[o.Source] || len(o.Blocks) > 0
	}
	for _, src := range truth.Sources {
		name := src.Prefix.String()
		if src.Prefix.IsSingleIP() {
			name = src.Prefix.Addr().String()
		}
		switch {
		case src.Label == loggen.MustBlock && !blocked[name]:
			t.Errorf("%s (%s) is not blocked", name, src.Entity)
		case src.Label == loggen.MustNotBlock && blocked[name]:
			t.Errorf("%s (%s) is blocked", name, src.Entity)
		case src.Label == loggen.MustBlock:
			must++
		}
	}
	return must
}

// spoil overwrites what the parser of an input remembered.
func spoil(t *testing.T, state, input string) {
	t.Helper()
	st, err := store.Open(state, store.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	batch := &store.Batch{Now: time.Now(), Parser: []store.State{{Input: input, Key: []byte("nonsense"), Value: []byte{0}}}}
	if err := errors.Join(st.Commit(t.Context(), batch), st.Close()); err != nil {
		t.Fatal(err)
	}
}
