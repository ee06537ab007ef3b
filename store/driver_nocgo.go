//go:build !cgo

package store

import (
	"database/sql/driver"

	"github.com/mattn/go-sqlite3"
)

// newDriver returns a driver that opens nothing and says that the program was built without cgo. A program built so
// still reads logs; it keeps no state.
func newDriver() driver.Driver { return &sqlite3.SQLiteDriver{} }

func driverSaysDamaged(error) bool { return false }
