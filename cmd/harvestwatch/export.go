package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/harvestwatch/harvestwatch/internal/access"
	"github.com/harvestwatch/harvestwatch/internal/journal"
	"github.com/harvestwatch/harvestwatch/internal/recipients"
	"github.com/harvestwatch/harvestwatch/parsers"
)

// exporter makes lines of an input that isn't text. What it gives is read once, into a copy.
type exporter struct {
	format string
	open   func(ctx context.Context, path string) (io.ReadCloser, error)
}

// noMapping says why a database is left out.
const noMapping = "an Access database, left out: --mapping names what its columns mean, and harvestwatch discover writes one"

// exporter returns how to read an input that begins with head, or nil where it is text.
func (l *logs) exporter(in *logInput, head []byte) *exporter {
	switch {
	case in.spool != nil: // no file that another program could read
		return nil
	case access.IsDatabase(head) && l.opts.site.Fields == nil:
		in.why = noMapping
	case access.IsDatabase(head):
		return &exporter{parsers.Table, l.openTable}
	case bytes.HasPrefix(head, []byte(journalMagic)):
		return &exporter{parsers.Journal, openJournal}
	}
	return nil
}

// journalMagic begins each journal file (systemd, JOURNAL_FILE_FORMAT).
const journalMagic = "LPKSHHRH"

// openJournal reads the entries of a journal file.
func openJournal(ctx context.Context, path string) (io.ReadCloser, error) {
	from, to := io.Pipe()
	ctx, stop := context.WithCancel(ctx)
	j := &exportedJournal{PipeReader: from, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(j.done)
		err := journal.Read(ctx, journal.Options{}, path, func(c *journal.Chunk) error {
			_, err := to.Write(c.Data)
			return err
		})
		to.CloseWithError(err) // nil is io.EOF
	}()
	return j, nil
}

// exportedJournal is a journal file on its way through journalctl.
type exportedJournal struct {
	*io.PipeReader
	stop context.CancelFunc
	done chan struct{}
}

// Close implements io.Closer. It waits until journalctl has ended.
func (j *exportedJournal) Close() error {
	j.stop()
	err := j.PipeReader.Close()
	<-j.done
	return err
}

// openTable exports the mapped table of a database.
func (l *logs) openTable(ctx context.Context, path string) (io.ReadCloser, error) {
	db, err := access.Open(ctx, path, access.Options{})
	if err != nil {
		return nil, err
	}
	table, err := db.Export(ctx, l.opts.site.Fields.Table)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &exportedTable{table, db}, nil
}

// exportedTable is a table on its way out of a database that goes with it.
type exportedTable struct {
	*access.Export
	db *access.DB
}

// Close implements io.Closer.
func (t *exportedTable) Close() error { return errors.Join(t.Export.Close(), t.db.Close()) }

// export makes the input one that is read from a copy of the lines that e makes of it.
func (in *logInput) export(ctx context.Context, e *exporter) error {
	src, err := e.open(ctx, in.Path)
	if err != nil {
		return fmt.Errorf("export %s: %w", in.Path, err)
	}
	in.format = e.format
	if in.spool, err = newSpool(ctx, src); err != nil {
		return errors.Join(fmt.Errorf("keep a copy of %s: %w", in.Path, err), src.Close())
	}
	in.spool.source = src
	return nil
}

// openPipe opens what may wait for somebody at its other end, such as a named pipe, as long as ctx lasts.
func openPipe(ctx context.Context, path string) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	done := make(chan opened, 1)
	go func() { // hangs as long as nobody writes; the process ends before, or somebody does
		f, err := os.Open(path)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		return o.file, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for somebody who writes to %s: %w", path, ctx.Err())
	}
}

// patience reads from what may never say anything. It is used by one goroutine.
type patience struct {
	ctx context.Context // nil when the patience has ended
	src io.Reader
}

// patientBytes is the most that one patient read takes.
const patientBytes = 64 << 10

// Read implements io.Reader. It ends with the context: then a goroutine still waits, and what it gets is lost.
func (p *patience) Read(b []byte) (int, error) {
	if p.ctx == nil {
		return p.src.Read(b)
	}
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	own := make([]byte, min(len(b), patientBytes))
	go func() {
		n, err := p.src.Read(own)
		done <- result{own[:n], err}
	}()
	select {
	case r := <-done:
		return copy(b, r.data), r.err
	case <-p.ctx.Done():
		return 0, p.ctx.Err()
	}
}

// end makes the reads that follow wait as long as it takes, whatever the context: who reads then can't be held up.
func (p *patience) end() { p.ctx = nil }

// missing makes what says whether a recipient is missing of what says whether it is valid.
func missing(has func([]byte) recipients.Verdict, any bool) func([]byte) bool {
	if !any {
		return nil
	}
	return func(rcpt []byte) bool { return has(rcpt) == recipients.Unknown }
}
