package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/internal/report"
	"github.com/harvestwatch/harvestwatch/store"
)

// refusals is a sink that remembers the references of refused recipients, and where their lines are.
type refusals struct {
	wants []report.Want
	at    []int64
}

func (r *refusals) Event(ev *harvestwatch.Event, _ *harvestwatch.Outcome) {
	if src, ok := harvestwatch.SourceOf(ev.Addr); ok && ev.Kind == harvestwatch.RcptUnknown {
		r.wants = append(r.wants, report.Want{Source: src, Refs: []uint32{ev.Ref}})
		r.at = append(r.at, ev.Pos.Offset)
	}
}
func (r *refusals) Decision(*harvestwatch.Decision)               {}
func (r *refusals) Notice(*harvestwatch.Notice)                   {}
func (r *refusals) Commit(context.Context, *pipeline.Batch) error { return nil }

// TestEvidenceIsTheVeryLine finds every refusal of a log again by its reference, in the plain file, in an archive and on
// standard input.
func TestEvidenceIsTheVeryLine(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "mail.log")
	generated(t, plain, 5000, 21)
	text, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(dir, "old.log.gz")
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(packed, gz.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, input := range []string{plain, packed, "-"} {
		p := &program{bytes.NewReader(text), io.Discard, io.Discard, time.Now}
		l, err := openLogs(t.Context(), readOptions{paths: []string{input}, zone: time.UTC, now: time.Now()}, p)
		if err != nil {
			t.Fatal(err)
		}
		var sink refusals
		if err := pipeline.Run(t.Context(), l.source(t.Context(), nil), pipeline.Engine{}, pipeline.Lane{Detector: nobody{}, Sink: &sink}); err != nil {
			t.Fatal(err)
		}
		found := (&evidence{logs: l}).Lines(sink.wants)
		for i, lines := range found {
			want, _, _ := strings.Cut(string(text[sink.at[i]:]), "\n")
			if len(lines) != 1 || lines[0] != want {
				t.Fatalf("%s: reference %d gives %q, want %q", input, i, lines, want)
			}
		}
		if len(found) < 1000 {
			t.Errorf("%s: only %d refusals", input, len(found))
		}
		l.close()
	}
}

// crowd is a log of a campaign (thirty sources that guess twice each, under one HELO name and sender domain) and of a
// network of which nine addresses guess ten names each.
func crowd() []byte {
	var b strings.Builder
	at := time.Date(2026, time.March, 2, 8, 0, 0, 0, time.UTC)
	line := func(from, sender, helo, recipient string) {
		at = at.Add(5 * time.Second)
		fmt.Fprintf(&b, "%s mx1 postfix/smtpd[101]: NOQUEUE: reject: RCPT from unknown[%s]: 550 5.1.1 <%s>: Recipient address rejected: "+
			"User unknown in local recipient table; from=<%s> to=<%s> proto=ESMTP helo=<%s>\n", at.Format(time.RFC3339Nano), from, recipient, sender, recipient, helo)
	}
	for i := range 60 {
		line(fmt.Sprintf("240.0.%d.7", i%30), "s@bulk.example", "mail.bulk.example", fmt.Sprintf("bulk%d@kontor.example", i))
	}
	for i := range 120 {
		line(fmt.Sprintf("198.51.100.%d", 10+i/10), fmt.Sprintf("s%d@rented%d.example", i, i), fmt.Sprintf("h%d.example", i), fmt.Sprintf("name%d@kontor.example", i))
	}
	return []byte(b.String())
}

// sourcesOf returns from how many different clients lines are.
func sourcesOf(lines []string) int {
	clients := map[string]bool{}
	for _, l := range lines {
		_, rest, _ := strings.Cut(l, "RCPT from unknown[")
		client, _, _ := strings.Cut(rest, "]")
		clients[client] = true
	}
	return len(clients)
}

// TestEvidenceOfMany: an offence that several sources committed together rests on the lines of all of them, in a scan's
// result as in the daemon's records.
func TestEvidenceOfMany(t *testing.T) {
	pl := newPlace(t)
	appendTo(t, pl.log, crowd())
	want := map[string]string{"campaign": "from=<s@bulk.example>", "prefix": "unknown[198.51.100."}
	found := map[string]bool{}
	for _, o := range scanJSON(t, pl.log).Offenders {
		text, ok := want[o.Rule]
		if !ok {
			continue
		}
		found[o.Rule] = true
		if n := sourcesOf(o.Evidence); n < 5 || slices.ContainsFunc(o.Evidence, func(l string) bool { return !strings.Contains(l, text) }) {
			t.Errorf("scan: %s of %s rests on the lines of %d sources:\n%s", o.Rule, o.Source, n, strings.Join(o.Evidence, "\n"))
		}
	}
	if len(found) != len(want) {
		t.Errorf("scan found %v only", found)
	}
	stop := startDaemon(t.Fatalf, pl.output, pl.flags())
	pl.caughtUp(t, size(t, pl.log))
	stop()
	r, err := store.OpenReadOnly(pl.state)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := r.History(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	clear(found)
	for _, rec := range all {
		var lines []string
		for _, l := range rec.Evidence {
			lines = append(lines, l.Text)
		}
		text, ok := want[rec.Decision.Offence.Rule]
		if !ok || rec.Decision.Action != harvestwatch.ActObserve {
			continue
		}
		found[rec.Decision.Offence.Rule] = true
		if n := sourcesOf(lines); n < 5 || slices.ContainsFunc(lines, func(l string) bool { return !strings.Contains(l, text) }) {
			t.Errorf("daemon: %s rests on the lines of %d sources:\n%s", rec.Decision.Reason, n, strings.Join(lines, "\n"))
		}
	}
	if len(found) != len(want) {
		t.Errorf("the daemon found %v only", found)
	}
}
