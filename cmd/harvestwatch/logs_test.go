package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
)

// interrupter is a sink that interrupts the run at its third event.
type interrupter struct {
	decisions
	seen int
	stop context.CancelFunc
}

// Event implements pipeline.Sink.
func (i *interrupter) Event(*harvestwatch.Event, *harvestwatch.Outcome) {
	if i.seen++; i.seen == 3 {
		i.stop()
	}
}

// zoneless writes a log whose lines, an hour apart or more, have stamps without a zone: the parser notes so at each of them.
func zoneless(t *testing.T, path string, from time.Time, apart time.Duration, lines int) {
	t.Helper()
	var text []byte
	for n := range lines {
		line := refusal(from, "192.0.2.7", fmt.Sprintf("guess%d@target.example", n))
		text = append(text, strings.Replace(line, stampOf(from), from.Add(time.Duration(n)*apart).Format("2006-01-02T15:04:05"), 1)...)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// An interrupted run is reported on while the reading and the folding, which nobody waits for, may still go on. What
// the parser assumed, which they write, is not read beside them, as the race detector would see.
func TestReportBesideTheReading(t *testing.T) {
	dir := t.TempDir()
	start := time.Date(2020, time.March, 2, 12, 0, 0, 0, time.UTC)
	zoneless(t, filepath.Join(dir, "long", "mail.log"), start, time.Hour, 10_000)
	zoneless(t, filepath.Join(dir, "short", "mail.log"), start.Add(-time.Hour), 10*24*time.Hour, 50)
	for range 3 {
		ctx, stop := context.WithCancel(t.Context())
		p := &program{strings.NewReader(""), nil, nil, time.Now}
		l, err := openLogs(ctx, readOptions{paths: []string{dir}, zone: time.UTC, now: time.Now()}, p)
		if err != nil {
			t.Fatal(err)
		}
		src := l.source(ctx, nil)
		err = pipeline.Run(ctx, src, pipeline.Engine{}, pipeline.Lane{Detector: nobody{}, Sink: &interrupter{stop: stop}})
		if !errors.Is(err, context.Canceled) || len(l.streams) != 2 {
			t.Errorf("the run of %d streams was not interrupted: %v", len(l.streams), err)
		}
		for _, in := range l.inputs {
			if r := in.report(); !strings.Contains(r.Assumed, "no zone") || r.Error != "" {
				t.Errorf("%s: assumed %q, error %q", in.Path, r.Assumed, r.Error)
			}
		}
		l.close()
	}
}
