package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/internal/report"
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
		if err := pipeline.Run(t.Context(), l.source(t.Context(), nil), pipeline.Engine{Detector: nobody{}}, &sink); err != nil {
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
