package child

import (
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// start drops the ambient capabilities (capabilities(7)), which are all that a program without file capabilities
// inherits from a process that isn't root. They are a thread's own, and a child is forked by one thread; what our
// threads may do does not depend on them.
func start(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("drop the privileges of %s: %w", cmd.Path, err)
	}
	return cmd.Start()
}
