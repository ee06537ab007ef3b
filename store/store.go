// Package store keeps the one SQLite file that is the truth of a daemon: how far each input was read, what parsers and
// detector remember, every decision with its evidence, the blocks, and daily counts. Everything that follows from one
// batch of lines is written in one transaction with the cursor behind that batch, so that a kill at any moment loses
// nothing and counts nothing twice. A loss of power may undo the last commits, each of them whole (WAL with
// synchronous=NORMAL); the cursor goes back with them.
//
// The package decides nothing, reads no log and no clock, and starts no goroutine; those of database/sql end with
// Close. One Store may write to a file at a time; any number of Readers, in other processes too, may read beside it.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Options are what Open must be told. The zero Options lacks Now.
type Options struct {
	Now  time.Time    // the time of the opening; names the file that a damaged database is set aside under
	Warn func(string) // told in a sentence of a damaged database set aside, and of a new version that forgets; nil tells nobody

	wrap func(driver.Connector) driver.Connector // tests put a failing driver in here
}

// Reader reads a database. It is safe for concurrent use. What its methods return belongs to the caller. A read sees
// all commits that ended before it began, and never half of one.
type Reader struct {
	path string
	db   *sql.DB
}

// Store writes and reads a database. It is safe for concurrent use; writers take turns. Who opened it calls Close.
type Store struct {
	Reader
	w *sql.DB // one connection, the only one that writes
}

// Sizes of what is kept between commits.
const (
	readers = 4 // connections
	// A write-ahead log is carried over into the database when it has grown to this many pages, and cut to this many
	// bytes afterwards. SQLite's own 1,000 pages would make nearly every large batch wait for the disk.
	checkpointPages = 8000
	journalBytes    = checkpointPages * pageBytes
	pageBytes       = 4096
)

// Open opens the database at path for writing and brings its schema up to date. A missing file is created with mode
// 0600, its directory with 0700. A file that is damaged or no SQLite database is renamed to
// path.damaged-20061102T150405Z (Options.Now in UTC), Options.Warn is told, and an empty database takes its place. A
// database of a newer version of this program gives ErrNewer, one of another program ErrForeign; both are left as
// they are.
func Open(path string, o Options) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if err := prepare(path, &o); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	s := &Store{Reader: Reader{path: path, db: pool(path, readingDSN, readers, nil)}, w: pool(path, writingDSN, 1, o.wrap)}
	if err := s.begin(o.Warn); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return s, nil
}

// begin opens the connections for the first time and migrates.
func (s *Store) begin(warn func(string)) error {
	var mode string
	if err := s.w.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("journal mode is %s, not wal: put the database on a local disk", mode)
	}
	forgot, err := migrate(s.w, migrations())
	if err != nil {
		return err
	}
	if forgot && warn != nil {
		warn(fmt.Sprintf("the database %s was brought up to date: what the detector remembered of sources can't be used by this version and "+
			"begins anew, so counting starts from nothing; blocks and their history stay", s.path))
	}
	return s.db.Ping()
}

// OpenReadOnly opens the database at path for reading, while a daemon writes to it or while none does. A missing file
// gives an error that matches fs.ErrNotExist, and is not created. A database of another version of this program
// gives ErrNewer or ErrOlder, one of another program ErrForeign.
func OpenReadOnly(path string) (*Reader, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if err := exists(abs); err != nil {
		return nil, err
	}
	version, err := probe(abs, false)
	switch {
	case Damaged(err):
		return nil, fmt.Errorf("open database %s: %w; start the daemon, which sets a damaged database aside", abs, err)
	case err != nil:
		return nil, fmt.Errorf("open database %s: %w", abs, err)
	case version < len(migrations()):
		return nil, fmt.Errorf("open database %s: schema %d, this program knows %d: %w; restart the daemon with this version",
			abs, version, len(migrations()), ErrOlder)
	}
	return &Reader{path: abs, db: pool(abs, readingDSN, readers, nil)}, nil
}

// Close waits for reads that are under way and closes the connections.
func (r *Reader) Close() error {
	if err := r.db.Close(); err != nil {
		return fmt.Errorf("close database %s: %w", r.path, err)
	}
	return nil
}

// Close waits for reads and writes that are under way, carries the write-ahead log over into the database unless
// another process still reads it, and closes the connections.
func (s *Store) Close() error {
	err := s.Reader.Close() // first: only the writing connection can put the log away, and only as the last one
	if werr := s.w.Close(); werr != nil && err == nil {
		err = fmt.Errorf("close database %s: %w", s.path, werr)
	}
	return err
}

// Pragmas of the connections. They stand in the DSN because a PRAGMA statement would reach one connection of a pool.
// The reader's mode=ro keeps it from creating the file and from writing to it. A negative size of the cache is in KiB.
const (
	writingDSN  = "mode=rw&_journal_mode=WAL&_txlock=immediate&_stmt_cache_size=64&_cache_size=-16384&" + commonDSN
	creatingDSN = writingDSN + "&_auto_vacuum=incremental"
	readingDSN  = "mode=ro&_query_only=1&_stmt_cache_size=16&" + commonDSN
	commonDSN   = "_synchronous=NORMAL&_foreign_keys=1&_busy_timeout=5000"
)

// pool returns at most n connections to the file. wrap may be nil.
func pool(path, pragmas string, n int, wrap func(driver.Connector) driver.Connector) *sql.DB {
	c := driver.Connector(&connector{dsn: dsn(path, pragmas)})
	if wrap != nil {
		c = wrap(c)
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db
}

// dsn returns the URI of an absolute path, https://www.sqlite.org/uri.html.
func dsn(path, pragmas string) string {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") { // C:/dir/file
		p = "/" + p
	}
	return (&url.URL{Scheme: "file", Path: p, RawQuery: pragmas}).String()
}

// connector opens connections with a hook for the pragmas that a DSN can't hold, without a driver registered under a
// global name.
type connector struct{ dsn string }

func (c *connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.dsn) }

func (c *connector) Driver() driver.Driver { return newDriver() }

// Errors that a caller may branch on.
var (
	// ErrNewer says that the database was made by a newer version of this program.
	ErrNewer = errors.New("made by a newer version of this program; install that version, or name another file")
	// ErrOlder says that the database was last opened by an older version of this program.
	ErrOlder = errors.New("made by an older version of this program")
	// ErrForeign says that the file is a database of another program.
	ErrForeign = errors.New("a database of another program; name another file")
	// ErrNoBlock says that no block has that ID.
	ErrNoBlock = errors.New("no such block; list shows their names")
)

// Damaged reports whether err says that the database's file is damaged. A daemon that meets it closes the store and
// opens it again: Open sets the file aside.
func Damaged(err error) bool { return errors.Is(err, errDamaged) || driverSaysDamaged(err) }
