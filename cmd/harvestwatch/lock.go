package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// errLocked says that another process holds a lock.
var errLocked = errors.New("locked by another process")

// lockState makes sure that one daemon alone writes to a state: two would count every line twice. The lock is a file
// beside the database; the system lets go of it when the process ends, however it ends. The file stays.
func lockState(state string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(state), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the state: %w", err)
	}
	if real, err := filepath.EvalSymlinks(state); err == nil { // two names of one file are one state
		state = real
	}
	path := state + ".lock"
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state: %w", err)
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("another harvestwatch already writes to %s (%w): stop it, or name another state", state, err), f.Close())
	}
	return f, nil
}
