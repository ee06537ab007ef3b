// Package journal reads the journal of systemd by running journalctl: following it by cursor, and once. It is the only
// place of the program that starts journalctl; no shell is between, the arguments are fixed but for a cursor, matches, a
// folder or a file, all of which are checked, and the environment is empty but for the language.
//
// It doesn't know what entries mean; package parsers/journal does. Follow and Read run in their caller's goroutine and
// leave no goroutine and no process behind when they return; where the program is killed, Linux ends its journalctl too.
package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// MaxLine is the length in bytes, its line feed not counted, above which an entry's line is cut.
	MaxLine = 64 << 10
	// chunkSize is the size of a chunk above which no further line is waited for.
	chunkSize = 256 << 10
	// maxMatch is the length in bytes of the longest match that is taken.
	maxMatch = 256
)

var (
	// ErrCursor is returned for a text that is no cursor of a journal.
	ErrCursor = errors.New("not a cursor of a journal")
	// ErrMatch is returned for a match that isn't FIELD=VALUE.
	ErrMatch = errors.New("not a match of the form FIELD=VALUE")
)

// Options say which journal is read, and how. The zero value is the host's own, all of it.
type Options struct {
	// Program is the name or path of journalctl; "" is "journalctl".
	Program string
	// Directory is a folder with journal files to read instead of the host's own; "" for none.
	Directory string
	// Matches choose entries, each FIELD=VALUE as journalctl takes them: those of one field are alternatives, those of
	// several fields must all hold. Mail is the usual choice; none takes every entry.
	Matches []string
	// FromEnd begins with the entries that are written from now on when there is no cursor, instead of with the oldest.
	FromEnd bool
	// Status, where set, is told what happens, from the goroutine that follows.
	Status func(Status)
	// Retry is how long the first wait is after journalctl ended, doubled each time that it gave nothing, up to a minute;
	// 0 means a second.
	Retry time.Duration
}

// Mail returns the match for what programs log as mail, where Postfix and Dovecot do.
func Mail() []string { return []string{"SYSLOG_FACILITY=2"} }

// State is what is known of a followed journal.
type State uint8

// The states.
const (
	Following State = iota + 1 // journalctl was started; Cursor says from where
	Broken                     // it ended, or could not be started (Err says why); it is started again after a while
	Gone                       // the entry that the cursor names isn't there any more: entries may be lost
)

var stateNames = [...]string{"", "following", "broken", "gone"}

// String returns the state's name in lower case, or "" for a value that is none.
func (s State) String() string {
	if int(s) >= len(stateNames) {
		return ""
	}
	return stateNames[s]
}

// Status is told when the state of a followed journal changes.
type Status struct {
	State  State
	Err    error  // for Broken
	Cursor string // where following stands, "" for the oldest entry; to be stored when Follow began without one
}

// Chunk is a run of entries, each a line of JSON. Who receives it owns it.
type Chunk struct {
	// Data holds the lines, each ended by '\n'.
	Data []byte
	// Lines is how many lines Data holds, at least 1.
	Lines int
	// Cursor is that of the last entry: where following goes on when everything up to and including this chunk has been
	// dealt with.
	Cursor string
	// Cut is how many bytes were left out of lines longer than MaxLine, of which Data holds the first MaxLine bytes.
	Cut int64
}

// Follow gives the entries behind the cursor, and from then on those that are written, until ctx ends, and returns its
// error, or until out returns an error, and returns that. Nothing else ends it but a cursor or match that is none
// (ErrCursor, ErrMatch): when journalctl ends it is started again where it was. out is called in the caller's goroutine.
//
// A cursor is that of the last chunk that was dealt with; entries are then given exactly once. "" begins as FromEnd says.
// What the journal has deleted before it was read is lost, and told as Gone.
func Follow(ctx context.Context, opt Options, cursor string, out func(*Chunk) error) error {
	if err := opt.check(); err != nil {
		return err
	}
	if cursor != "" && !ValidCursor(cursor) {
		return fmt.Errorf("follow the journal from %.200q: %w; remove the stored cursor to begin anew", cursor, ErrCursor)
	}
	f := follower{opt: opt, cursor: cursor, out: out, placed: cursor != "" || !opt.FromEnd}
	wait := opt.Retry
	for {
		given, err := f.once(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case f.refused != nil:
			return f.refused
		case given:
			wait = opt.Retry
		}
		f.tell(Broken, err)
		if err := pause(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, time.Minute)
	}
}

// check fills in what was left open.
func (o *Options) check() error {
	if o.Program == "" {
		o.Program = "journalctl"
	}
	if o.Retry <= 0 {
		o.Retry = time.Second
	}
	for _, m := range o.Matches {
		if !validMatch(m) {
			return fmt.Errorf("read the journal with the match %.200q: %w; write it like SYSLOG_FACILITY=2", m, ErrMatch)
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// follower is one call of Follow.
type follower struct {
	opt     Options
	cursor  string // of the last entry that was given
	placed  bool   // it is known where to begin
	out     func(*Chunk) error
	refused error // what out returned
}

func (f *follower) tell(s State, err error) {
	if f.opt.Status != nil {
		f.opt.Status(Status{State: s, Err: err, Cursor: f.cursor})
	}
}

// once follows until journalctl ends. It reports whether it gave anything.
func (f *follower) once(ctx context.Context) (given bool, err error) {
	if !f.placed {
		if err := f.place(ctx); err != nil {
			return false, err
		}
	}
	args := append(f.opt.common(), "--follow", "--no-tail")
	if f.cursor != "" {
		// Not --after-cursor, which skips an entry unseen when the cursor's own is gone.
		args = append(args, "--cursor="+f.cursor)
	}
	after := f.cursor
	f.tell(Following, nil)
	err = run(ctx, f.opt.Program, f.opt.matched(args), func(c *Chunk, first string) error {
		if after != "" && first != after {
			f.tell(Gone, nil)
		}
		if after != "" && first == after {
			c.Data = c.Data[lineLen(c.Data):]
			c.Lines--
		}
		after = ""
		if c.Lines == 0 {
			return nil
		}
		if c.Cursor == "" {
			c.Cursor = f.cursor
		}
		if f.refused = f.out(c); f.refused != nil {
			return f.refused
		}
		f.cursor, given = c.Cursor, true
		return nil
	})
	return given, err
}

// place finds the newest entry, behind which to begin.
func (f *follower) place(ctx context.Context) error {
	args := append(f.opt.common(), "--lines=1")
	last := ""
	err := run(ctx, f.opt.Program, f.opt.matched(args), func(c *Chunk, _ string) error {
		last = c.Cursor
		return nil
	})
	if err != nil {
		return err
	}
	f.cursor, f.placed = last, true
	return nil
}

// Read gives all entries of a journal file, or of all journal files in a folder, the oldest first, and returns nil after
// the last. It returns out's error, ctx's error, or why journalctl could not read them. Of the options it uses Program
// and Matches. out is called in the caller's goroutine.
func Read(ctx context.Context, opt Options, path string, out func(*Chunk) error) error {
	if err := opt.check(); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read the journal %s: %w", path, err)
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("read the journal %s: %w", path, err)
	}
	opt.Directory = ""
	args := opt.common()
	if info.IsDir() {
		args = append(args, "--directory="+whole)
	} else {
		args = append(args, "--file="+literal(whole))
	}
	var refused error
	err = run(ctx, opt.Program, opt.matched(args), func(c *Chunk, _ string) error {
		refused = out(c)
		return refused
	})
	switch {
	case refused != nil:
		return refused
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("read the journal %s: %w", path, err)
	}
	return nil
}

// common returns the arguments of every call. Of an entry only what parsers/journal reads is printed; a field of more
// than 4096 bytes comes as null.
func (o *Options) common() []string {
	args := []string{"--output=json", "--no-pager", "--quiet", "--utc",
		"--output-fields=MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_HOSTNAME"}
	if o.Directory != "" {
		args = append(args, "--directory="+o.Directory)
	}
	return args
}

// matched appends the matches, behind which no argument can be an option.
func (o *Options) matched(args []string) []string {
	return append(append(args, "--"), o.Matches...)
}

// literal writes a path so that journalctl, which takes a pattern, means that one.
func literal(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// ValidCursor reports whether a text has the form of a cursor: "s=…;i=…;b=…;m=…;t=…;x=…", each a hexadecimal number.
func ValidCursor(cursor string) bool {
	parts := strings.Split(cursor, ";")
	if len(cursor) > 256 || len(parts) != 6 {
		return false
	}
	for i, name := range [...]string{"s=", "i=", "b=", "m=", "t=", "x="} {
		value, ok := strings.CutPrefix(parts[i], name)
		if !ok || value == "" || len(value) > 32 || strings.Trim(value, "0123456789abcdef") != "" {
			return false
		}
	}
	return true
}

// validMatch reports whether a text is FIELD=VALUE.
func validMatch(m string) bool {
	name, value, ok := strings.Cut(m, "=")
	if !ok || len(m) > maxMatch || strings.ContainsRune(value, 0) || name == "" || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}
