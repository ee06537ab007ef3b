// Package access reads the tables of Microsoft Access databases (Jet 3, Jet 4, ACE) through mdb-tables and mdb-export
// of Debian's package mdbtools, and follows a table by its highest key. The programs are started directly, never
// through a shell, with a bounded time and a bounded output, on a copy of the database that nobody writes.
//
// It knows nothing of mail, writes nothing but its copy in a temporary folder, and reads no clock. The goroutines that
// os/exec needs end with the call or the Export that they serve.
package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Errors, for errors.Is.
var (
	ErrMissing  = errors.New("install Debian's package mdbtools")
	ErrNotOne   = errors.New("not an Access database")
	ErrDamaged  = errors.New("the database can't be read: it was perhaps being written, so copy it and try again, or is encrypted or damaged")
	ErrChanging = errors.New("the database was written while it was copied; try again, or give it a copy (a shadow copy, robocopy)")
	ErrTooLarge = errors.New("more bytes than are allowed")
	ErrTimeout  = errors.New("the time is up; allow more, or look what ails the database")
	ErrTable    = errors.New("mdb-export can't be asked for a table whose name is empty, begins with - or holds control characters; rename it")
)

// Defaults of Options. Access itself knows no database above 2 GiB.
const (
	DefaultMaxSize   = 2<<30 + 1<<20
	DefaultMaxOutput = 8 << 30
	DefaultTimeout   = 10 * time.Minute
)

const (
	maxStderr = 4 << 10 // bytes of a program's complaints that are kept
	maxList   = 4 << 20 // bytes of the list of tables
	maxTables = 10_000
	copyTries = 3
)

// Options bound what is done with a database. The zero value is good.
type Options struct {
	Programs  string        // folder of mdb-tables and mdb-export; "" looks them up in PATH
	Temp      string        // folder for the copy; "" is the system's
	MaxSize   int64         // bytes of the database; 0 is DefaultMaxSize
	MaxOutput int64         // bytes of one table's rows; 0 is DefaultMaxOutput
	Timeout   time.Duration // of each program's run; 0 is DefaultTimeout
}

func (o Options) withDefaults() Options {
	if o.MaxSize <= 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.MaxOutput <= 0 {
		o.MaxOutput = DefaultMaxOutput
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	return o
}

// IsDatabase reports whether a file with these first bytes, of which 20 are enough, is an Access database.
func IsDatabase(head []byte) bool {
	for _, magic := range []string{"\x00\x01\x00\x00Standard Jet DB\x00", "\x00\x01\x00\x00Standard ACE DB\x00"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}

// DB is a database, of which a copy was taken. It belongs to its caller, who closes it.
type DB struct {
	path  string // of the original, for messages
	copy  string
	dir   string
	o     Options
	stamp stamp
	names []string
}

// stamp tells one state of a file from another.
type stamp struct {
	size  int64
	mtime int64
}

func stampOf(i os.FileInfo) stamp { return stamp{i.Size(), i.ModTime().UnixNano()} }

// Open copies a database and reads the list of its tables. It returns ErrNotOne, ErrChanging, ErrDamaged, ErrTooLarge,
// ErrMissing or ErrTimeout, or what the file system says. An .ldb or .laccdb file beside the database, by which
// others who have it open keep out of each other's way, is left alone.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	d := &DB{path: path, o: o.withDefaults()}
	dir, err := os.MkdirTemp(o.Temp, "harvestwatch-access-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for a copy of %s: %w", path, err)
	}
	d.dir, d.copy = dir, filepath.Join(dir, "copy.mdb")
	if err = d.take(ctx); err == nil {
		d.names, err = d.list(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close removes the copy.
func (d *DB) Close() error {
	if err := os.RemoveAll(d.dir); err != nil {
		return fmt.Errorf("remove the copy of %s: %w", d.path, err)
	}
	return nil
}

// Tables returns the names of the database's tables, in its order, at most 10,000, without those of the system. The
// names can hold anything but line feeds.
func (d *DB) Tables() []string { return d.names }

// take copies the database, again when it was written meanwhile.
func (d *DB) take(ctx context.Context) error {
	for try := 1; ; try++ {
		err := d.copyOnce(ctx)
		if err == nil || !errors.Is(err, ErrChanging) || try == copyTries {
			return err
		}
	}
}

func (d *DB) copyOnce(ctx context.Context) (err error) {
	in, err := os.Open(d.path)
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	before, err := in.Stat()
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	switch {
	case !before.Mode().IsRegular():
		return fmt.Errorf("copy %s: %w", d.path, ErrNotOne)
	case before.Size() > d.o.MaxSize:
		return fmt.Errorf("copy %s: %d bytes, %d are allowed: %w", d.path, before.Size(), d.o.MaxSize, ErrTooLarge)
	}
	head := make([]byte, 32)
	if n, err := in.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) || !IsDatabase(head[:n]) {
		return errors.Join(fmt.Errorf("read %s: %w", d.path, ErrNotOne), ignoreEOF(err))
	}
	out, err := os.OpenFile(d.copy, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("copy %s: %w", d.path, err)
	}
	n, err := io.Copy(out, &bounded{ctx: ctx, r: in, left: d.o.MaxSize})
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("copy %s at %d: %w", d.path, n, err)
	}
	after, err := os.Stat(d.path)
	if err != nil {
		return fmt.Errorf("copy %s: %w", d.path, err)
	}
	d.stamp = stampOf(before)
	if stampOf(after) != d.stamp || n != before.Size() || !os.SameFile(before, after) {
		return fmt.Errorf("copy %s: %w", d.path, ErrChanging)
	}
	return nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// bounded reads at most left bytes, and none when its context has ended.
type bounded struct {
	ctx  context.Context
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// list asks mdb-tables for the tables: a copy that it can't read is no use to anybody.
func (d *DB) list(ctx context.Context) ([]string, error) {
	r, err := d.start(ctx, maxList, "mdb-tables", "-1", "-t", "table", "--", d.copy)
	if err != nil {
		return nil, fmt.Errorf("list the tables of %s: %w", d.path, err)
	}
	text, err := io.ReadAll(r)
	err = errors.Join(err, r.Close())
	switch {
	case errors.Is(err, errExit):
		return nil, fmt.Errorf("list the tables of %s: %w: %w", d.path, ErrDamaged, err)
	case err != nil:
		return nil, fmt.Errorf("list the tables of %s: %w", d.path, err)
	case r.said() != "":
		return nil, fmt.Errorf("list the tables of %s: %w: mdb-tables says %q", d.path, ErrDamaged, r.said())
	}
	var names []string
	for name := range strings.Lines(string(text)) {
		if name = strings.TrimSuffix(name, "\n"); name != "" && len(names) < maxTables {
			names = append(names, name)
		}
	}
	return names, nil
}

// checkTable refuses names that would be taken for an option, which mdb-export does even behind "--".
func checkTable(name string) error {
	if name == "" || name[0] == '-' || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("export the table %q: %w", name, ErrTable)
	}
	return nil
}
