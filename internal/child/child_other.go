//go:build !linux

package child

import "os/exec"

// start has nothing to drop where there are no ambient capabilities.
func start(cmd *exec.Cmd) error { return cmd.Start() }
