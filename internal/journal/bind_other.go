//go:build !linux

package journal

import "os/exec"

// bind does nothing: only Linux has a journal.
func bind(*exec.Cmd) (release func()) { return func() {} }
