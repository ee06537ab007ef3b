package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch/internal/child"
)

// errExit says that a program ended with a status other than 0.
var errExit = errors.New("the program gave up")

// output is a running program's standard output. Reading ends with io.EOF only after the program ended well.
type output struct {
	cmd    *exec.Cmd
	ctx    context.Context
	cancel context.CancelFunc
	pipe   io.ReadCloser
	stderr *head
	left   int64
	done   bool
	err    error
}

// start starts one of the programs with bounded time and output. Its arguments are handed over as they are.
func (d *DB) start(ctx context.Context, limit int64, name string, args ...string) (*output, error) {
	program := name
	if d.o.Programs != "" {
		program = filepath.Join(d.o.Programs, name)
	}
	program, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("find the program %s: %w: %w", name, err, ErrMissing)
	}
	r := &output{stderr: &head{}, left: limit}
	r.ctx, r.cancel = context.WithTimeout(ctx, d.o.Timeout)
	r.cmd = exec.CommandContext(r.ctx, program, args...)
	r.cmd.Dir = d.dir
	r.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "MDBICONV=UTF-8"}
	r.cmd.Stderr = r.stderr
	r.cmd.WaitDelay = time.Second // then the pipe is closed even if a child of the program holds it open
	if r.pipe, err = r.cmd.StdoutPipe(); err == nil {
		err = child.Start(r.cmd)
	}
	if err != nil {
		r.cancel()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return r, nil
}

// Read gives the program's output. It returns ErrTooLarge, ErrTimeout or what the program said instead of io.EOF.
func (r *output) Read(p []byte) (int, error) {
	if r.done {
		return 0, r.err
	}
	n, err := r.pipe.Read(p)
	r.left -= int64(n)
	switch {
	case r.left < 0:
		r.end(ErrTooLarge)
		return 0, r.err
	case err != nil && n > 0:
		return n, nil
	case err != nil:
		r.end(ignoreEOF(err))
		return 0, r.err
	}
	return n, nil
}

// end ends the program and settles what Read returns from now on.
func (r *output) end(err error) {
	r.done = true
	if err != nil {
		r.cancel()
	}
	timeout := r.ctx.Err()
	exit := r.cmd.Wait()
	if timeout == nil && err == nil {
		timeout = r.ctx.Err()
	}
	r.cancel()
	switch {
	case errors.Is(err, ErrTooLarge):
		r.err = err
	case errors.Is(timeout, context.DeadlineExceeded):
		r.err = fmt.Errorf("run %s: %w", filepath.Base(r.cmd.Path), ErrTimeout)
	case timeout != nil:
		r.err = timeout
	case exit != nil:
		r.err = fmt.Errorf("%w: %s: %w, says %q", errExit, filepath.Base(r.cmd.Path), exit, r.said())
	case err != nil:
		r.err = err
	default:
		r.err = io.EOF
	}
}

// Close ends the program, if it still runs. It returns nil: what went wrong was told by Read.
func (r *output) Close() error {
	if !r.done {
		r.end(context.Canceled)
	}
	return nil
}

// said returns the beginning of what the program wrote to its standard error, once it has ended.
func (r *output) said() string { return strings.TrimSpace(string(r.stderr.b)) }

// head keeps the first bytes that are written to it.
type head struct{ b []byte }

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), maxStderr-len(h.b))]...)
	return len(p), nil
}
