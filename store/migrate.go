package store

import (
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// applicationID marks the file as ours (https://www.sqlite.org/pragma.html#pragma_application_id): "HvWa".
const applicationID = 0x48765761

// migration is one numbered step of the schema. Its place in the list, from 1, is the version that it leads to.
type migration struct{ name, script string }

// migrations returns the embedded steps. Their files are part of the program, so a bad one is a mistake in it.
func migrations() []migration {
	list, err := readMigrations(migrationFiles)
	if err != nil {
		panic(err)
	}
	return list
}

// readMigrations reads migrations/NNNN_name.sql in order; the numbers must run from 1 without a gap.
func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql") // sorted
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var list []migration
	for i, name := range names {
		var n int
		if _, err := fmt.Sscanf(name, "migrations/%04d_", &n); err != nil || n != i+1 {
			return nil, fmt.Errorf("migration %s: its number is not %04d", name, i+1)
		}
		script, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", name, err)
		}
		list = append(list, migration{name, string(script)})
	}
	return list, nil
}

// migrate applies the steps that the database lacks, each in one transaction together with the number it leads to. It
// reports whether they threw away what the detector remembered of sources.
func migrate(db *sql.DB, list []migration) (forgot bool, err error) {
	version, err := schema(db)
	if err != nil {
		return false, err
	}
	if err := known(version, len(list)); err != nil {
		return false, err
	}
	if version == len(list) {
		return false, nil
	}
	before, err := remembers(db)
	if err != nil {
		return false, err
	}
	for i := version; i < len(list); i++ {
		if err := apply(db, list[i], i+1); err != nil {
			return false, fmt.Errorf("migrate the schema to %s: %w", list[i].name, err)
		}
	}
	after, err := remembers(db)
	return before && !after, err
}

// remembers reports whether the database holds anything of the detector's about a source. One that is new has no place
// for it yet.
func remembers(db *sql.DB) (yes bool, err error) {
	const table = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'windows')"
	if err = db.QueryRow(table).Scan(&yes); err == nil && yes {
		err = db.QueryRow("SELECT EXISTS (SELECT 1 FROM windows)").Scan(&yes)
	}
	if err != nil {
		return false, fmt.Errorf("look what the detector remembers: %w", err)
	}
	return yes, nil
}

func apply(db *sql.DB, m migration, version int) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after Commit
	if _, err := tx.Exec(m.script); err != nil {
		return err
	}
	// Both live in the file's header and so belong to the transaction.
	if _, err := tx.Exec(fmt.Sprintf("PRAGMA user_version=%d; PRAGMA application_id=%d", version, applicationID)); err != nil {
		return err
	}
	return tx.Commit()
}

// schema returns the version of the database: how many migrations have been applied to it, 0 for an empty one.
func schema(db *sql.DB) (int, error) {
	var version, app, objects int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	if err := db.QueryRow("PRAGMA application_id").Scan(&app); err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	if err := db.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&objects); err != nil {
		return 0, fmt.Errorf("read the schema: %w", err)
	}
	if app != applicationID && (app != 0 || version != 0 || objects != 0) {
		return 0, ErrForeign
	}
	return version, nil
}

// known refuses a version that this program has no migration for.
func known(version, newest int) error {
	if version > newest {
		return fmt.Errorf("schema %d, this program knows %d: %w", version, newest, ErrNewer)
	}
	return nil
}
