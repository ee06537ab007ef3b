// Package child starts the programs that read what others wrote (mdb-export, journalctl), without the privileges that the
// daemon has for its firewall: a damaged file that takes such a program over gets nothing by it.
//
// It chooses no program and no argument, and starts no goroutine.
package child

import "os/exec"

// Start is cmd.Start for a program that is to inherit no capability. Those of the calling process stay as they are.
func Start(cmd *exec.Cmd) error { return start(cmd) }
