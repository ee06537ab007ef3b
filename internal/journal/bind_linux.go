package journal

import (
	"os/exec"
	"runtime"
	"syscall"
)

// bind makes the process end with ours, however that ends. The kernel goes by the thread that started it, so the
// goroutine keeps its thread until release is called.
func bind(cmd *exec.Cmd) (release func()) {
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return runtime.UnlockOSThread
}
