package access

import (
	"bufio"
	"bytes"
	"container/heap"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Errors of a Follower, for errors.Is.
var (
	ErrColumn     = errors.New("there is no such column")
	ErrKey        = errors.New("the column is no key: too many rows have the same value; choose one that grows with every row")
	ErrBackwards  = errors.New("the highest key fell: rows were deleted, or the table was begun anew; if so, follow it anew from the start")
	ErrIncomplete = errors.New("rows may be missing: the database was perhaps being written; it is read again next time")
)

// Defaults of FollowOptions.
const (
	DefaultMaxRows  = 1_000_000
	DefaultMaxBytes = 256 << 20
	maxRow          = 16 << 20 // bytes of one row; mdb-export's own limit is 200,000 bytes a value
)

// FollowOptions say which table is followed, and by what.
type FollowOptions struct {
	Options
	Table string
	// Key is the column that grows with every row, compared without regard to case: whole numbers from -2^63 to 2^63-1,
	// or times as Export writes them. Times can be the same in several rows, so the rows of the newest second wait until
	// a newer one is there.
	Key      string
	Last     string // the highest key that was given, as Poll returned it; "" for none
	FromEnd  bool   // without Last, the first Poll gives no rows but goes to the highest key
	Always   bool   // read at every Poll, for file systems that show no new time of modification while a file is open
	MaxRows  int    // rows that one Poll gives, those with the lowest keys; 0 is DefaultMaxRows
	MaxBytes int    // bytes that one Poll gives, or one row more; 0 is DefaultMaxBytes
}

// Follower gives the rows that a table got since it was last asked. It belongs to its caller and starts no goroutine
// that outlives Poll.
type Follower struct {
	path    string
	o       FollowOptions
	last    key    // the highest key given
	seen    stamp  // of the file when it was last read
	warned  stamp  // of the file when reading it gave a warning
	begun   bool   // it was read before
	more    bool   // rows were left over for the next Poll
	skipped int64  // rows without a key, in the last scan
	warning string // of the last scan
}

// NewFollower returns a follower of a table. It touches no file. It returns ErrTable, or ErrColumn where the key is
// not named, or an error for a Last that is no key.
func NewFollower(path string, o FollowOptions) (*Follower, error) {
	if err := checkTable(o.Table); err != nil {
		return nil, err
	}
	if o.Key == "" {
		return nil, fmt.Errorf("follow the table %q: %w: name the key", o.Table, ErrColumn)
	}
	f := &Follower{path: path, o: o}
	f.o.Options = o.Options.withDefaults()
	if f.o.MaxRows <= 0 {
		f.o.MaxRows = DefaultMaxRows
	}
	if f.o.MaxBytes <= 0 {
		f.o.MaxBytes = DefaultMaxBytes
	}
	if o.Last != "" {
		var ok bool
		if f.last, ok = parseKey([]byte(o.Last)); !ok {
			return nil, fmt.Errorf("follow the table %q from the key %q: neither a whole number nor a time like 2006-01-02 15:04:05", o.Table, o.Last)
		}
	}
	return f, nil
}

// Skipped returns how many rows of the last scan have no key that can be read: they are never given.
func (f *Follower) Skipped() int64 { return f.skipped }

// Warning returns what mdb-export complained of in the last scan, "" for nothing.
func (f *Follower) Warning() string { return f.warning }

// More reports whether the last Poll left rows for the next, which will not wait for the file to change.
func (f *Follower) More() bool { return f.more }

// Poll looks whether the database changed since the last call and returns the rows whose keys are higher than all that
// were given before, in the order of their keys, behind the header, as Export writes them; nil where there are none.
// highest is the highest key given so far, "" for none: stored with what came of the rows, it lets another follower go
// on. After an error nothing was given, and the next Poll reads again.
//
// An Export that ended with a warning is ErrIncomplete, because rows that were not readable would be passed over for
// ever; if the file is the same at the next Poll, nobody is writing it, and what can be read is given.
func (f *Follower) Poll(ctx context.Context) (rows []byte, highest string, err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, f.last.text, fmt.Errorf("follow the table %q: %w", f.o.Table, err)
	}
	if f.begun && !f.more && !f.o.Always && stampOf(info) == f.seen {
		return nil, f.last.text, nil
	}
	d, err := Open(ctx, f.path, f.o.Options)
	if err != nil {
		return nil, f.last.text, err
	}
	s := &scan{f: f, after: f.last}
	err = s.run(ctx, d)
	if err = errors.Join(err, d.Close()); err != nil {
		return nil, f.last.text, err
	}
	f.warning, f.skipped = s.warning, s.skipped
	if s.warning != "" && f.warned != d.stamp {
		f.warned = d.stamp
		return nil, f.last.text, fmt.Errorf("follow the table %q: %w; mdb-export says %q", f.o.Table, ErrIncomplete, s.warning)
	}
	rows, err = s.result()
	if err != nil && !errors.Is(err, ErrBackwards) {
		return nil, f.last.text, err
	}
	f.seen, f.begun, f.more = d.stamp, true, s.left
	return rows, f.last.text, err
}

// scan is one reading of the whole table.
type scan struct {
	f       *Follower
	after   key // rows with this key and below are known
	column  int
	head    []byte
	rows    rowHeap
	bytes   int
	seq     int // of the row that was kept last
	top     key // the highest key of all rows
	left    bool
	skipped int64
	cut     key // the lowest key that was left over; its rows wait whole
	warning string
}

// run reads the table and keeps the new rows with the lowest keys.
func (s *scan) run(ctx context.Context, d *DB) (err error) {
	e, err := d.Export(ctx, s.f.o.Table)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if s.column, err = columnOf(e.Columns(), s.f.o.Key); err != nil {
		return fmt.Errorf("follow the table %q: %w", s.f.o.Table, err)
	}
	in := bufio.NewReaderSize(e, 64<<10)
	for first := true; ; first = false {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			s.warning = e.Warning()
			return nil
		}
		switch {
		case err != nil:
			return err
		case first:
			s.head = bytes.Clone(line)
		default:
			s.row(line)
		}
	}
}

func columnOf(columns []string, name string) (int, error) {
	for i, c := range columns {
		if strings.EqualFold(c, name) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w as %q; there are %q", ErrColumn, name, columns)
}

// readLine reads one line of at most maxRow bytes; it holds until the next call.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		if len(line) > 0 && errors.Is(err, io.EOF) {
			return append(line, '\n'), nil
		}
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = in.ReadSlice('\n')
		if long = append(long, line...); len(long) > maxRow {
			return nil, fmt.Errorf("read a row: %w", ErrTooLarge)
		}
	}
	return long, err
}

// row keeps a row if it is new and there is room for it, or has a lower key than one that was kept.
func (s *scan) row(line []byte) {
	k, ok := parseKey(fieldAt(line, s.column))
	if !ok || s.top.kind != 0 && s.top.kind != k.kind || s.after.kind != 0 && s.after.kind != k.kind {
		s.skipped++
		return
	}
	if s.top.kind == 0 || s.top.less(k) {
		s.top = k
	}
	if s.after.kind != 0 && !s.after.less(k) || s.cut.kind != 0 && !k.less(s.cut) {
		return
	}
	s.seq++
	heap.Push(&s.rows, row{k, s.seq, bytes.Clone(line)})
	s.bytes += len(line)
	for len(s.rows) > 1 && (len(s.rows) > s.f.o.MaxRows || s.bytes > s.f.o.MaxBytes) {
		s.drop()
	}
}

// drop leaves the rows with the highest key that was kept for the next time.
func (s *scan) drop() {
	s.left, s.cut = true, s.rows[0].key
	for len(s.rows) > 0 && !s.rows[0].key.less(s.cut) {
		s.bytes -= len(heap.Pop(&s.rows).(row).line)
	}
}

// result gives the rows that were kept, and moves the follower's last key.
func (s *scan) result() ([]byte, error) {
	f := s.f
	if f.last.kind == 0 && f.o.FromEnd && !f.begun {
		f.last, s.left = s.top, false
		return nil, nil
	}
	if s.left && len(s.rows) == 0 {
		return nil, fmt.Errorf("follow the table %q by %q, at %q: %w", f.o.Table, f.o.Key, s.cut.text, ErrKey)
	}
	if f.last.kind != 0 && s.top.kind != 0 && s.top.less(f.last) {
		return nil, fmt.Errorf("follow the table %q: from %q to %q: %w", f.o.Table, f.last.text, s.top.text, ErrBackwards)
	}
	slices.SortFunc(s.rows, func(a, b row) int {
		switch {
		case a.key.less(b.key):
			return -1
		case b.key.less(a.key):
			return 1
		}
		return a.seq - b.seq
	})
	var out []byte
	for _, r := range s.rows {
		if r.key.kind == timeKey && !r.key.less(s.top) {
			break
		}
		if out == nil {
			out = append(make([]byte, 0, len(s.head)+s.bytes), s.head...)
		}
		out = append(out, r.line...)
		f.last = r.key
	}
	return out, nil
}

// fieldAt returns a field of a row as Export writes it, without its quotation marks: a tab within a text is escaped
// there, so each tab is a delimiter.
func fieldAt(line []byte, column int) []byte {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	for ; column > 0; column-- {
		i := bytes.IndexByte(line, '\t')
		if i < 0 {
			return nil
		}
		line = line[i+1:]
	}
	field, _, _ := bytes.Cut(line, []byte{'\t'})
	if n := len(field); n >= 2 && field[0] == '"' && field[n-1] == '"' {
		field = field[1 : n-1]
	}
	return field
}

// Header returns the line that stands before the rows that Poll gives, for a table with these columns.
func Header(columns []string) ([]byte, error) {
	var head bytes.Buffer
	w := csv.NewWriter(&head)
	w.Comma = '\t'
	if err := w.Write(columns); err != nil {
		return nil, fmt.Errorf("write the names of the columns: %w", err)
	}
	w.Flush()
	return head.Bytes(), nil
}
