package child

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain plays the daemon: asked for by its environment, it starts a program and prints what that may do.
func TestMain(m *testing.M) {
	how := os.Getenv("CHILD_TEST")
	if how == "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/bin/cat", "/proc/self/status")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	run := cmd.Start
	if how == "dropped" {
		run = func() error { return Start(cmd) }
	}
	if err := run(); err != nil || cmd.Wait() != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// A child of an unprivileged daemon with CAP_NET_ADMIN has no capability, where it would have inherited it otherwise.
func TestChildrenInheritNoCapability(t *testing.T) {
	if os.Geteuid() != 0 {
		if strings.Contains(os.Getenv("HARVESTWATCH_REQUIRE"), "netns") {
			t.Fatal("only root can give capabilities away, and this run asks for it")
		}
		t.Skip("only root can give capabilities away")
	}
	exe := t.TempDir() + "/daemon"
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, self, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := exe; strings.Count(dir, "/") > 2; { // another user must reach it
		dir = dir[:strings.LastIndexByte(dir, '/')]
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for how, want := range map[string]bool{"inherited": true, "dropped": false} {
		daemon := exec.Command(exe)
		daemon.Env = []string{"CHILD_TEST=" + how}
		daemon.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: []uintptr{unix.CAP_NET_ADMIN}}
		out, err := daemon.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", how, err, out)
		}
		if got := !bytes.Contains(out, []byte("CapEff:\t0000000000000000")); got != want {
			t.Errorf("%s: capabilities %v, want %v\n%s", how, got, want, out)
		}
	}
}
