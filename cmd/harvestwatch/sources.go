package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/access"
	"github.com/harvestwatch/harvestwatch/internal/journal"
	"github.com/harvestwatch/harvestwatch/internal/tailer"
)

// mark is how far an input has been read: in files, or up to an entry of a journal or a key of a table.
type mark struct {
	tailer.Cursor
	Entry string `json:"entry,omitempty"` // the journal's cursor, or the highest key of the table
	Read  int64  `json:"read,omitempty"`  // bytes of lines that were read so far, where they stand in no file
}

// IsZero reports whether nothing was read yet.
func (m *mark) IsZero() bool { return m.Cursor.IsZero() && m.Entry == "" }

// arrival is a run of lines of a followed input on its way to the loop.
type arrival struct {
	input *liveInput
	lines harvestwatch.Lines // its Pos lacks the input's number
	count int                // lines
	file  tailer.FileID      // where they stand; zero for none
	path  string             // that file's name
	next  mark               // where to go on when they were dealt with
	free  func()             // gives the buffer back
	taken chan struct{}      // closed when they were observed
}

// deliver hands lines to the loop, and waits until they were observed.
func (d *daemon) deliver(ctx context.Context, a arrival) error {
	a.taken = make(chan struct{})
	select {
	case d.live.arrivals <- a:
	case <-ctx.Done():
		a.free()
		return ctx.Err()
	}
	select {
	case <-a.taken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// journalScheme begins the path of an input that is a systemd journal: that of this host, or of the folder behind it.
const journalScheme = "journald:"

// follow delivers what an input says to the loop. It runs in a goroutine of its own.
func (d *daemon) follow(ctx context.Context, in *liveInput, from mark) error {
	d.awaitRecipients(ctx)
	switch {
	case strings.HasPrefix(in.cfg.Path, journalScheme):
		return d.followJournal(ctx, in, from)
	case in.cfg.fields != nil && isDatabase(in.cfg.Path):
		return d.followTable(ctx, in, from)
	}
	return d.followFile(ctx, in, from)
}

func (d *daemon) followFile(ctx context.Context, in *liveInput, from mark) error {
	o := tailer.Options{Poll: in.cfg.Wake == "poll", FromEnd: in.cfg.Start == "end"}
	o.Status = func(s tailer.Status) {
		d.heard(in, s)
		if s.State == tailer.Following && from.IsZero() {
			d.remember(ctx, in, mark{Cursor: s.Cursor})
		}
	}
	return tailer.Follow(ctx, in.cfg.Path, from.Cursor, o, func(c *tailer.Chunk) error {
		a := arrival{input: in, count: c.Lines, file: c.File, path: c.Path, next: mark{Cursor: c.Next}, free: c.Release}
		a.lines = harvestwatch.Lines{Data: c.Data, Pos: harvestwatch.Pos{Line: c.Line, Offset: c.Offset}}
		return d.deliver(ctx, a)
	})
}

// followJournal follows a systemd journal by its cursor.
func (d *daemon) followJournal(ctx context.Context, in *liveInput, from mark) error {
	o := journal.Options{Directory: strings.TrimPrefix(in.cfg.Path, journalScheme), Matches: journal.Mail(), FromEnd: in.cfg.Start == "end"}
	read := from.Read
	o.Status = func(s journal.Status) {
		switch s.State {
		case journal.Following:
			in.problem.set("")
			d.log.Info("following", "log", in.cfg.Path)
			if from.IsZero() && s.Cursor != "" {
				d.remember(ctx, in, mark{Entry: s.Cursor})
			}
		case journal.Gone:
			d.log.Warn("the journal has deleted entries that were not read yet", "log", in.cfg.Path)
		default:
			in.problem.set(fmt.Sprintf("%s: %v", s.State, s.Err))
			d.log.Warn("a log can't be followed", "log", in.cfg.Path, "state", s.State.String(), "error", s.Err)
		}
	}
	return journal.Follow(ctx, o, from.Entry, func(c *journal.Chunk) error {
		a := d.arrivalOf(in, c.Data, c.Lines, &read)
		a.next.Entry = c.Cursor
		return d.deliver(ctx, a)
	})
}

// arrivalOf makes an arrival of lines that stand in no file.
func (d *daemon) arrivalOf(in *liveInput, data []byte, count int, read *int64) arrival {
	a := arrival{input: in, count: count, free: func() {}}
	a.lines = harvestwatch.Lines{Data: data, Pos: harvestwatch.Pos{Offset: *read}}
	*read += int64(len(data))
	a.next.Read = *read
	return a
}

// tableEvery is how often a database is looked at, but in tests.
const tableEvery = 15 * time.Second

// followTable follows a table of an Access database by its highest key.
func (d *daemon) followTable(ctx context.Context, in *liveInput, from mark) error {
	o := access.FollowOptions{Table: in.cfg.fields.Table, Key: in.cfg.fields.Key, Last: from.Entry, FromEnd: in.cfg.Start == "end",
		Always: in.cfg.Wake == "poll"}
	f, err := access.NewFollower(in.cfg.Path, o)
	if err != nil {
		return fmt.Errorf("%w; name the table and its key in %s", err, in.cfg.Mapping)
	}
	read := from.Read
	var backwards error // the highest key fell, and there were no new rows since
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		rows, highest, err := f.Poll(ctx)
		if err == nil && len(rows) == 0 {
			err = backwards // told once for each state of the file
		}
		if backwards = nil; errors.Is(err, access.ErrBackwards) {
			backwards = err
		}
		d.heardTable(in, err)
		if len(rows) > 0 {
			a := d.arrivalOf(in, rows, strings.Count(string(rows), "\n"), &read)
			a.next.Entry = highest
			if err := d.deliver(ctx, a); err != nil {
				return err
			}
		}
		if timer.Reset(d.tableEvery); err == nil && f.More() {
			timer.Reset(0)
		}
	}
}

// heardTable tells the log, and whoever asks for the status, whether a database could be read.
func (d *daemon) heardTable(in *liveInput, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if err != nil && text != in.problem.get() && !errors.Is(err, context.Canceled) {
		d.log.Warn("a database can't be read", "database", in.cfg.Path, "error", err)
	}
	in.problem.set(text)
}

// isDatabase reports whether a file is an Access database, as far as can be seen.
func isDatabase(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return namesDatabase(path)
	}
	defer f.Close()
	head := make([]byte, 64)
	n, _ := io.ReadFull(f, head) // what is shorter is no database
	return access.IsDatabase(head[:n])
}

// recentBytes is how much is kept of lines that stand in no file, for evidence.
const recentBytes = 4 << 20

// recent keeps the latest lines of an input that can't be read again. It belongs to the loop's goroutine.
type recent struct {
	data  []byte
	start int64 // offset of data[0] in what was read
}

// add adds lines that begin at an offset.
func (r *recent) add(offset int64, lines []byte) {
	if offset != r.start+int64(len(r.data)) { // the first after a start
		r.data, r.start = r.data[:0], offset
	}
	r.data = append(r.data, lines...)
	if over := len(r.data) - recentBytes; over > 0 {
		r.data = append(r.data[:0], r.data[over:]...)
		r.start += int64(over)
	}
}

// window returns up to n bytes from an offset; nil where they are gone.
func (r *recent) window(offset int64, n int) []byte {
	from := offset - r.start
	if from < 0 || from >= int64(len(r.data)) {
		return nil
	}
	return r.data[from:min(from+int64(n), int64(len(r.data)))]
}
