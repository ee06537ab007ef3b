package nstest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// inside marks the process that runs in the new namespaces; its value says which they are.
const inside = "HARVESTWATCH_NSTEST"

// Main is for TestMain, which passes its result to os.Exit. It runs the tests in a new user and network namespace,
// or, where users may not make those but root is at work, in a new network namespace. Where neither is allowed the
// tests run where they are, and Inside reports why.
func Main(m *testing.M) int {
	if os.Getenv(inside) != "" {
		return m.Run()
	}
	id := func(of int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: of, Size: 1}}
	}
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET, UidMappings: id(os.Getuid()), GidMappings: id(os.Getgid())}
	code, err := again(attr, "user")
	if err != nil {
		code, err = again(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}, "net")
	}
	if err == nil {
		return code
	}
	if err := os.Setenv(refused, err.Error()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return m.Run()
}

// refused holds why no namespace could be made.
const refused = "HARVESTWATCH_NSTEST_REFUSED"

// again runs this binary in the namespaces and returns its exit code; the error is for when it can't be started.
func again(attr *syscall.SysProcAttr, what string) (int, error) {
	runtime.LockOSThread() // the child dies with the thread that made it
	defer runtime.UnlockOSThread()
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	attr.Pdeathsig = syscall.SIGKILL
	cmd := &exec.Cmd{Path: exe, Args: os.Args, Env: append(os.Environ(), inside+"="+what),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, SysProcAttr: attr}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start in new namespaces: %w", err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 2, nil // ended by a signal
}

// Inside makes sure that the test runs in namespaces of its own, and skips or fails it by Need otherwise.
func Inside(t testing.TB) {
	t.Helper()
	if os.Getenv(inside) == "" {
		Need(t, "netns", "no network namespace could be made: "+os.Getenv(refused))
	}
}
