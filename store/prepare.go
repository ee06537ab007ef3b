package store

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// errDamaged is the cause where a check, not SQLite itself, found the damage.
var errDamaged = errors.New("the file is damaged")

// prepare makes sure that a sound database of ours stands at path.
func prepare(path string, o *Options) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make its directory: %w; create %s and give it to the user that runs this program", err, dir)
	}
	err := exists(path)
	if errors.Is(err, fs.ErrNotExist) {
		return create(path)
	}
	if err != nil {
		return err
	}
	_, err = probe(path, true)
	if !Damaged(err) {
		return err
	}
	aside, moveErr := setAside(path, o.Now)
	if moveErr != nil {
		return fmt.Errorf("%w; set it aside: %w; move it away by hand", err, moveErr)
	}
	if o.Warn != nil {
		o.Warn(fmt.Sprintf("the database %s is damaged (%v): it was set aside as %s and an empty one takes its place",
			path, err, aside))
	}
	return create(path)
}

// exists returns nil for a regular file.
func exists(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &missing{path}
	}
	if err != nil {
		return fmt.Errorf("look at the database: %w; run as root or as the user that runs the daemon", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: name a file", path)
	}
	return nil
}

// missing is the error for a database that is not there.
type missing struct{ path string }

func (m *missing) Error() string {
	return fmt.Sprintf("no database at %s: is the daemon configured with this path?", m.path)
}

func (m *missing) Unwrap() error { return fs.ErrNotExist }

// probe looks at an existing file without changing it, and returns its schema's version. A thorough look reads all of
// it: about a second for a gigabyte.
func probe(path string, thorough bool) (int, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if info.Size() == 0 { // create never leaves one, and SQLite would take it for a new database and drop its log
		return 0, fmt.Errorf("it is empty: %w", errDamaged)
	}
	f, err := os.Open(path) // for an error that names the cause, which SQLite's does not
	if err != nil {
		return 0, fmt.Errorf("%w; run as root or as the user that runs the daemon", err)
	}
	_ = f.Close()
	db := pool(path, readingDSN, 1, nil)
	defer db.Close()
	version, err := schema(db)
	if err != nil {
		return 0, err
	}
	if err := known(version, len(migrations())); err != nil {
		return 0, err
	}
	if thorough {
		err = quickCheck(db)
	}
	return version, err
}

func quickCheck(db *sql.DB) error {
	var found string
	if err := db.QueryRow("PRAGMA quick_check(1)").Scan(&found); err != nil {
		return fmt.Errorf("check the file: %w", err)
	}
	if found != "ok" {
		return fmt.Errorf("check the file: %s: %w", found, errDamaged)
	}
	return nil
}

// companions are what SQLite puts beside a database. They go where it goes: another database must not find them.
var companions = [...]string{"-wal", "-shm", "-journal"}

// setAside renames the database and what belongs to it, and returns the new name.
func setAside(path string, now time.Time) (string, error) {
	aside := path + ".damaged-" + now.UTC().Format("20060102T150405Z")
	for n, base := 2, aside; ; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		}
		aside = fmt.Sprintf("%s-%d", base, n)
	}
	if err := os.Rename(path, aside); err != nil {
		return "", err
	}
	for _, end := range companions { // killed before this, create removes them
		if err := os.Rename(path+end, aside+end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return aside, nil
}

// create makes a database with the newest schema under another name and renames it, so that whatever stands at path
// was once whole.
func create(path string) error {
	draft := path + ".new"
	if err := removeAll(path, companions[:]); err != nil { // a log of another database would be read into the new one
		return err
	}
	if err := removeAll(draft, append(companions[:], "")); err != nil { // left by a creation that was killed
		return err
	}
	// SQLite gives its companions the mode of the database.
	f, err := os.OpenFile(draft, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("create it: %w; give its directory to the user that runs this program", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("create it: %w", err)
	}
	db := pool(draft, creatingDSN, 1, nil)
	_, err = migrate(db, migrations())
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("create it: %w", err)
	}
	if err := os.Rename(draft, path); err != nil {
		return fmt.Errorf("create it: %w", err)
	}
	return nil
}

// removeAll removes the files whose names are path and one of the ends.
func removeAll(path string, ends []string) error {
	for _, end := range ends {
		if err := os.Remove(path + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clear the place of the new database: %w", err)
		}
	}
	return nil
}
