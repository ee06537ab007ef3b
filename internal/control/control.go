// Package control is the talk between the commands and the daemon: one JSON request and one JSON answer per
// connection over a unix socket. Who may open the socket may command the daemon, so the file is made for its owner
// only. The package knows nothing of what the commands do; Serve owns a goroutine per connection, bounded in number
// and in time.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Limits of one exchange.
const (
	maxMessage = 16 << 20         // bytes in a request or an answer
	maxTime    = 30 * time.Second // from the connection to the end of the answer
	maxClients = 32               // at once; more wait
	maxPath    = 103              // bytes in a socket's path: the least that a system takes (sun_path in sys/un.h)
)

// Request is what a command asks of the daemon.
type Request struct {
	Command string          `json:"command"`
	Args    json.RawMessage `json:"args,omitempty"`
}

type answer struct {
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// ErrNoDaemon says that nobody listens at the socket.
var ErrNoDaemon = errors.New("no daemon answers")

// RemoteError is an error that the daemon gave as its answer.
type RemoteError struct{ Text string }

// Error implements error.
func (e *RemoteError) Error() string { return e.Text }

// Handler answers a request. It is called from several goroutines. Its result is written as JSON.
type Handler func(ctx context.Context, r Request) (any, error)

// Listen makes the socket. A socket that a dead daemon left behind is replaced; if somebody answers there, the error
// says so. The directory must exist, or its parent, in which case it is made for the owner only.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("the path of the socket has %d bytes, the system takes %d: name a shorter one", len(path), maxPath)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		return nil, errors.Join(c.Close(), fmt.Errorf("another harvestwatch already answers at %s: stop it, or name another socket", path))
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("make the directory of the socket: %w", err)
	}
	if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("%s is there and is no socket: remove it, or name another socket", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the socket of an earlier run: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect the socket: %w", err), l.Close())
	}
	return l, nil
}

// Serve answers requests until ctx ends, then closes l and waits for the answers under way.
func Serve(ctx context.Context, l net.Listener, h Handler) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // the error of a second close says nothing
	defer stop()
	var clients sync.WaitGroup
	defer clients.Wait()
	places := make(chan struct{}, maxClients)
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept a command: %w", err)
		}
		places <- struct{}{}
		clients.Go(func() {
			defer func() { <-places }()
			serveOne(ctx, c, h)
		})
	}
}

// serveOne answers one client. What goes wrong with the connection is the client's to notice.
func serveOne(ctx context.Context, c net.Conn, h Handler) {
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	if deadline, ok := ctx.Deadline(); ok && c.SetDeadline(deadline) != nil {
		return
	}
	var r Request
	var a answer
	if err := json.NewDecoder(io.LimitReader(c, maxMessage)).Decode(&r); err != nil {
		a.Error = fmt.Sprintf("read the request: %v", err)
	} else if result, err := h(ctx, r); err != nil {
		a.Error = err.Error()
	} else if a.Result, err = json.Marshal(result); err != nil {
		a.Error = fmt.Sprintf("write the answer: %v", err)
	}
	_ = json.NewEncoder(c).Encode(a)
}

// Call asks the daemon at path and decodes its answer into result, which may be nil. The error is ErrNoDaemon when
// nobody listens there, a *RemoteError when the daemon refused.
func Call(ctx context.Context, path, command string, args, result any) error {
	d := net.Dialer{Timeout: 2 * time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("%w at %s (%w): start it with harvestwatch run, or name its socket with --socket", ErrNoDaemon, path, err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return fmt.Errorf("ask the daemon: %w", err)
		}
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	if err := json.NewEncoder(c).Encode(Request{Command: command, Args: raw}); err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	var a answer
	if err := json.NewDecoder(io.LimitReader(c, maxMessage)).Decode(&a); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	if a.Error != "" {
		return &RemoteError{a.Error}
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(a.Result, result); err != nil {
		return fmt.Errorf("understand the daemon's answer: %w", err)
	}
	return nil
}
