//go:build cgo

package store

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"
)

func newDriver() driver.Driver { return &sqlite3.SQLiteDriver{ConnectHook: settle} }

// settle sets what only a writing connection obeys; on a reading one it changes nothing.
func settle(c *sqlite3.SQLiteConn) error {
	_, err := c.Exec(fmt.Sprintf("PRAGMA wal_autocheckpoint=%d; PRAGMA journal_size_limit=%d",
		checkpointPages, journalBytes), nil)
	return err
}

// driverSaysDamaged reports whether SQLite found damage.
func driverSaysDamaged(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && (e.Code == sqlite3.ErrCorrupt || e.Code == sqlite3.ErrNotADB)
}
