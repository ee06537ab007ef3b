package control

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func socket(t *testing.T) string {
	t.Helper()
	// A unix socket's path is limited to about 100 bytes, which a test's own directory can exceed.
	dir, err := os.MkdirTemp("", "hw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "c.sock")
}

func serve(t *testing.T, path string, h Handler) {
	t.Helper()
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestCallAndAnswer(t *testing.T) {
	path := socket(t)
	serve(t, path, func(_ context.Context, r Request) (any, error) {
		if r.Command == "refuse" {
			return nil, errors.New("not today")
		}
		return map[string]string{"command": r.Command, "args": string(r.Args)}, nil
	})
	var got map[string]string
	if err := Call(context.Background(), path, "hello", []int{1, 2}, &got); err != nil {
		t.Fatal(err)
	}
	if got["command"] != "hello" || got["args"] != "[1,2]" {
		t.Errorf("got %v", got)
	}
	var remote *RemoteError
	if err := Call(context.Background(), path, "refuse", nil, nil); !errors.As(err, &remote) || remote.Text != "not today" {
		t.Errorf("got %v, want the daemon's own words", err)
	}
}

func TestNobodyListens(t *testing.T) {
	if err := Call(context.Background(), socket(t), "status", nil, nil); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("got %v, want ErrNoDaemon", err)
	}
}

func TestListenRefusesASecondDaemonAndReplacesADeadOne(t *testing.T) {
	path := socket(t)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v %v, want mode 0600", st.Mode(), err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "already answers") {
		t.Errorf("second Listen: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	l, err = Listen(path)
	if err != nil {
		t.Fatalf("after a crash: %v", err)
	}
	l.Close()
}

func TestListenSparesAFile(t *testing.T) {
	path := socket(t)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil {
		t.Error("a plain file was replaced by a socket")
	}
}

func TestGarbageGetsAnError(t *testing.T) {
	path := socket(t)
	serve(t, path, func(context.Context, Request) (any, error) { return nil, nil })
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 200)
	n, _ := c.Read(buf)
	if !strings.Contains(string(buf[:n]), "read the request") {
		t.Errorf("got %q", buf[:n])
	}
}
