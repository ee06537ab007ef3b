package main

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/tailer"
	"github.com/harvestwatch/harvestwatch/parsers"
	"github.com/harvestwatch/harvestwatch/store"
)

// problem is what hinders somebody, told to whoever asks. Safe for concurrent use.
type problem struct{ text atomic.Pointer[string] }

func (p *problem) set(text string) { p.text.Store(&text) }

func (p *problem) get() string {
	if t := p.text.Load(); t != nil {
		return *t
	}
	return ""
}

// heard tells the log, and whoever asks for the status, what happened to a followed log.
func (d *daemon) heard(in *liveInput, s tailer.Status) {
	hindered := s.State == tailer.Missing || s.State == tailer.Unreadable
	text := ""
	if hindered {
		text = s.State.String()
		if s.Err != nil {
			text = s.Err.Error()
		}
	}
	in.problem.set(text)
	switch {
	case hindered || s.State == tailer.Gone:
		d.log.Warn("a log can't be followed", "log", s.Path, "state", s.State.String(), "error", s.Err)
	default:
		d.log.Info("following", "log", s.Path, "state", s.State.String())
	}
}

// remember commits where following began, so that a kill before the first line does not move the beginning.
func (d *daemon) remember(ctx context.Context, in *liveInput, c mark) {
	var err error
	asked := d.do(ctx, func() {
		if in.cursor.IsZero() {
			in.cursor = c
			err = d.st.Commit(context.WithoutCancel(ctx), &store.Batch{Now: d.p.now(), Cursors: []store.Cursor{in.stored()}})
		}
	})
	if asked == nil && err != nil {
		d.log.Warn("where following began is not recorded", "log", in.cfg.Path, "error", err)
	}
}

// stored returns the input's cursor as the store keeps it: the whole of it as JSON, and the parts that people look for.
func (in *liveInput) stored() store.Cursor {
	b, err := json.Marshal(in.cursor)
	if err != nil { // numbers and a path
		b = nil
	}
	return store.Cursor{Path: in.cfg.Path, File: b, Offset: in.cursor.Offset, Line: in.cursor.Line}
}

// decodeCursor reads what stored wrote. What can't be read is no cursor: the log is read from where it is configured.
func decodeCursor(b []byte) mark {
	var c mark
	if json.Unmarshal(b, &c) != nil {
		return mark{}
	}
	return c
}

// housekeep prunes the database every hour, beginning soon after the start.
func (d *daemon) housekeep(ctx context.Context) error {
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			if _, err := d.st.Prune(ctx, d.p.now(), store.Policy{}); err != nil && ctx.Err() == nil {
				d.log.Warn("the database could not be pruned; it grows until that is mended", "error", err)
			}
			timer.Reset(time.Hour)
		}
	}
}

// encodeFile writes a file's identity as the store keeps it.
func encodeFile(id tailer.FileID) []byte {
	b, err := json.Marshal(id)
	if err != nil { // four numbers
		return nil
	}
	return b
}

// decodeFile reads what encodeFile wrote. What can't be read is no file: the log is then read from its beginning, or
// from its end if it is so configured.
func decodeFile(b []byte) tailer.FileID {
	var id tailer.FileID
	if json.Unmarshal(b, &id) != nil {
		return tailer.FileID{}
	}
	return id
}

// sample returns a parser for single lines of a log's evidence, nil while the log's format is not known.
func (d *daemon) sample(path string) parsers.Parser {
	if p := d.samples[path]; p != nil {
		return p
	}
	for _, in := range d.inputs {
		if in.cfg.Path == path && in.format != "" {
			p, err := parsers.Open(in.format, d.parserOptions(in))
			if err == nil {
				d.samples[path] = p
				return p
			}
		}
	}
	return nil
}

// lineTime returns the time of the event that a line of evidence gives.
func lineTime(parser parsers.Parser, line []byte) time.Time {
	var t time.Time
	lines := harvestwatch.Lines{Data: append(clone(line), '\n')}
	parser.Lex(&lines)
	parser.Fold(&lines, func(ev *harvestwatch.Event) {
		if t.IsZero() {
			t = ev.When()
		}
	}, nil)
	return t
}
