package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch/internal/child"
)

// killDelay is how long journalctl may live on after it closed its output, and something may keep its outputs open
// after its end.
const killDelay = 2 * time.Second

// run runs journalctl and gives its lines, with the cursor of the first of each chunk, until it ends, ctx does or out
// returns an error. It returns out's error, or why journalctl ended; nil when that says that all is well. The process is
// gone when it returns.
func run(ctx context.Context, program string, args []string, out func(c *Chunk, first string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"LC_ALL=C.UTF-8"}
	cmd.WaitDelay = killDelay
	var said complaint
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	defer bind(cmd)()
	if err := child.Start(cmd); err != nil {
		return fmt.Errorf("start %s: %w; install systemd's journalctl, or read the log from files", program, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = stdout.Close() }) // somebody else may hold its other end
	defer stop()
	err = split(stdout, out)
	if err != nil {
		cancel()
	}
	linger := time.AfterFunc(killDelay, cancel)
	defer linger.Stop()
	ended := cmd.Wait()
	switch {
	case err != nil:
		return err
	case ended != nil:
		return fmt.Errorf("run %s: %w; it said: %s", program, ended, said.text())
	}
	return nil
}

// split gives the lines of a stream, as many at once as there are without waiting. A last line without its line feed is
// torn and not given.
func split(r io.Reader, out func(c *Chunk, first string) error) error {
	in := bufio.NewReaderSize(r, MaxLine+1)
	c, first := &Chunk{}, ""
	for {
		whole := len(c.Data)
		line, err := in.ReadSlice('\n')
		cursor, cut := "", int64(0)
		if errors.Is(err, bufio.ErrBufferFull) {
			c.Data = append(c.Data, line[:MaxLine]...)
			cursor, cut, err = rest(in, line)
			line = []byte{'\n'}
		} else {
			cursor = cursorOf(line)
		}
		if err != nil {
			if c.Data = c.Data[:whole]; whole > 0 {
				if err := out(c, first); err != nil {
					return err
				}
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read what journalctl writes: %w", err)
		}
		c.Data = append(c.Data, line...)
		c.Cut += cut
		if c.Lines++; c.Lines == 1 {
			first = cursor
		}
		if cursor != "" {
			c.Cursor = cursor
		}
		if in.Buffered() == 0 || len(c.Data) >= chunkSize {
			if err := out(c, first); err != nil {
				return err
			}
			c = &Chunk{Cursor: c.Cursor}
		}
	}
}

// rest passes the rest of a line of which the beginning is given, finds its cursor in it, and returns how many bytes
// don't fit into MaxLine.
func rest(in *bufio.Reader, begin []byte) (cursor string, cut int64, err error) {
	cursor = cursorOf(begin)
	cut = int64(len(begin)) - MaxLine
	seam := bytes.Clone(begin[len(begin)-overlap:])
	for {
		piece, err := in.ReadSlice('\n')
		cut += int64(len(piece))
		if cursor == "" {
			if cursor = cursorOf(append(seam, piece[:min(len(piece), overlap)]...)); cursor == "" {
				cursor = cursorOf(piece)
			}
			seam = append(seam, piece...)
			seam = append(seam[:0], seam[max(len(seam)-overlap, 0):]...)
		}
		if err == nil {
			return cursor, cut - 1, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", 0, err
		}
	}
}

// overlap is more than a cursor with its name needs.
const overlap = 512

var cursorName = []byte(`"__CURSOR"`)

// cursorOf returns the cursor of an entry, "" where the line has none. A field's text can't hold the name with its
// quotation marks: they are escaped there.
func cursorOf(line []byte) string {
	i := bytes.Index(line, cursorName)
	if i < 0 || i > 0 && line[i-1] == '\\' {
		return ""
	}
	b := bytes.TrimLeft(line[i+len(cursorName):], " ")
	if len(b) == 0 || b[0] != ':' {
		return ""
	}
	b = bytes.TrimLeft(b[1:], " ")
	if len(b) == 0 || b[0] != '"' {
		return ""
	}
	n := bytes.IndexByte(b[1:], '"')
	if n < 0 || n > overlap {
		return ""
	}
	if cursor := string(b[1 : 1+n]); ValidCursor(cursor) {
		return cursor
	}
	return ""
}

// lineLen returns the length of the first line with its line feed.
func lineLen(b []byte) int { return bytes.IndexByte(b, '\n') + 1 }

// complaint keeps the beginning of what journalctl says about its errors. One goroutine writes it, before Wait returns.
type complaint struct{ b []byte }

const maxComplaint = 512

// Write keeps what there is room for. It never fails.
func (c *complaint) Write(b []byte) (int, error) {
	c.b = append(c.b, b[:min(len(b), maxComplaint-len(c.b))]...)
	return len(b), nil
}

func (c *complaint) text() string {
	if text := strings.Join(strings.Fields(strings.ToValidUTF8(string(c.b), "?")), " "); text != "" {
		return text
	}
	return "nothing"
}
