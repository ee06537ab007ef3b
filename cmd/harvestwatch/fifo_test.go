//go:build unix

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// running is a command that runs in this process.
type running struct {
	out, errs bytes.Buffer // to be read when it has ended
	code      chan int
	stop      context.CancelFunc
}

// start starts a command that is expected to wait.
func start(t *testing.T, stdin *os.File, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{code: make(chan int, 1), stop: stop}
	p := &program{stdin, &r.out, &r.errs, time.Now}
	go func() { r.code <- p.run(ctx, append([]string{"harvestwatch"}, args...)) }()
	return r
}

// ended returns the exit code.
func (r *running) ended(t *testing.T) int {
	t.Helper()
	select {
	case code := <-r.code:
		return code
	case <-time.After(20 * time.Second):
		t.Fatal("it hangs")
		return 0
	}
}

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// writer opens a pipe for writing. It waits for a reader.
func writer(t *testing.T, path string) *os.File {
	t.Helper()
	opened := make(chan *os.File, 1)
	go func() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
		}
		opened <- f
	}()
	select {
	case f := <-opened:
		return f
	case <-time.After(20 * time.Second):
		t.Fatal("nobody opens the pipe for reading")
		return nil
	}
}

const golden1 = "../../testdata/logs/postfix/harvest-fast.log"

// TestScanOfASilentPipeCanBeInterrupted: whether nobody opens the pipe for writing, or somebody does and says nothing.
func TestScanOfASilentPipeCanBeInterrupted(t *testing.T) {
	for _, args := range [][]string{{"scan"}, {"events"}, {"scan", golden1}} {
		r := start(t, nil, append(args, fifo(t))...)
		r.stop()
		if code := r.ended(t); code != exitInterrupted || r.errs.Len() != 0 {
			t.Errorf("%v, nobody writes: exit code %d, %s", args, code, &r.errs)
		}
		t.Setenv("TMPDIR", t.TempDir())
		path := fifo(t)
		r = start(t, nil, append(args, path)...)
		w := writer(t, path)
		r.stop()
		if code := r.ended(t); code != exitInterrupted || r.errs.Len() != 0 {
			t.Errorf("%v, a silent writer: exit code %d, %s", args, code, &r.errs)
		}
		_ = w.Close() // nothing was written
		if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

// TestSilentStandardInputCanBeInterrupted: the same for the log on standard input.
func TestSilentStandardInputCanBeInterrupted(t *testing.T) {
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r := start(t, in, "scan", "-")
	r.stop()
	if code := r.ended(t); code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, &r.errs)
	}
}

// TestSilentListCanBeInterrupted: the list of recipients may come from a pipe too.
func TestSilentListCanBeInterrupted(t *testing.T) {
	r := start(t, nil, "scan", "--recipients", fifo(t), golden1)
	r.stop()
	if code := r.ended(t); code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, &r.errs)
	}
}

// TestScanWaitsForALateWriter: a pipe whose writer comes late and writes in parts is read as the file is, with evidence,
// and so is what a shell's process substitution gives.
func TestScanWaitsForALateWriter(t *testing.T) {
	log, err := os.ReadFile(golden1)
	if err != nil {
		t.Fatal(err)
	}
	flags := []string{"scan", "--zone", "UTC", "--evidence", "2"}
	want, _, _ := runCommand(t, "", append(flags, golden1)...)
	path := fifo(t)
	r := start(t, nil, append(flags, path)...)
	w := writer(t, path)
	for part := log; len(part) > 0; {
		n := min(len(part), 10_001)
		if _, err := w.Write(part[:n]); err != nil {
			t.Fatal(err)
		}
		part = part[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if code := r.ended(t); code != exitOK {
		t.Errorf("exit code %d: %s", code, &r.errs)
	}
	if got := strings.ReplaceAll(r.out.String(), path, golden1); got != want {
		t.Errorf("from the pipe\n%s\nfrom the file\n%s", got, want)
	}
}

// TestDiscoverRefusesWhatIsNoFile: it can't be read twice, and may never say anything.
func TestDiscoverRefusesWhatIsNoFile(t *testing.T) {
	for _, path := range []string{fifo(t), t.TempDir(), os.DevNull} {
		r := start(t, nil, "discover", path)
		if code := r.ended(t); code != exitFailed || !strings.Contains(r.errs.String(), "no regular file: copy what it holds to a file") {
			t.Errorf("%s: exit code %d: %s", path, code, &r.errs)
		}
	}
}
