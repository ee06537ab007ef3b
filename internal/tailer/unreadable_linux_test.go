package tailer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// A folder that is closed to us is reported and tried again; it doesn't end anything, and nothing is given twice.
func TestFollowUnreadable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	path := filepath.Join(dir, "mail.log")
	writeFile(t, path, []byte("1\n"))
	states, ticks, lines := make(chan Status, 10), make(chan time.Time), make(chan string, 10)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if os.Getuid() == 0 {
			// Only this thread reads files as nobody.
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); errno != 0 {
				ended <- errno
				return
			}
		}
		ended <- Follow(ctx, path, Cursor{}, Options{Ticks: ticks, Status: func(s Status) { states <- s }},
			func(c *Chunk) error { lines <- string(c.Data); c.Release(); return nil })
	}()
	for _, parent := range []string{filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	wantLine(t, lines, ticks, "1\n")
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	for s := (Status{}); s.State != Unreadable; {
		select {
		case s = <-states:
		case ticks <- time.Time{}:
		case err := <-ended:
			t.Fatal(err)
		}
		if s.State == Unreadable && !errors.Is(s.Err, fs.ErrPermission) {
			t.Errorf("error is %v", s.Err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	openLog(t, path).add("2\n")
	wantLine(t, lines, ticks, "2\n")
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Follow ended with %v", err)
	}
}

func wantLine(t *testing.T, lines chan string, ticks chan time.Time, want string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case got := <-lines:
			if got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
			return
		case ticks <- time.Time{}:
		case <-deadline:
			t.Fatalf("never got %q", want)
		}
	}
}
