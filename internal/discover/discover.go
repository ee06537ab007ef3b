// Package discover looks into a table or a text log that nobody has documented and says which columns look like the
// time, the client's address, the recipient, the sender, the verdict and the key, so that a person can confirm a mapping.
// It reads Access databases through internal/access, CSV with a header, and lines of text.
//
// What it proposes is a guess from the values: it decides nothing, and no mapping is used before somebody has read it.
// It writes no file, reads no clock and starts no goroutine of its own.
package discover

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/harvestwatch/harvestwatch/internal/access"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// Bounds of what is looked at.
const (
	maxRows    = 2000     // rows or lines of a table
	maxBytes   = 32 << 20 // bytes of a table that are read
	maxKept    = 8 << 20  // bytes of a text that are kept
	maxRow     = 64 << 10 // bytes of a line that are kept; what lies behind is left out
	maxLine    = 4 << 10  // bytes of a line of a log; what lies behind is not looked at
	maxTables  = 200      // tables of a database
	maxColumns = 512      // columns of a table
)

// Errors, for errors.Is.
var (
	ErrBinary = errors.New("neither text nor an Access database: mdbtools reads no ESE and no SQL CE files, and archives must be unpacked")
	ErrUTF16  = errors.New("the text is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8")
	ErrEmpty  = errors.New("there is nothing in it")
	ErrNoFile = errors.New("it is no regular file: copy what it holds to a file, and look into that")
)

// Kinds of files.
const (
	KindAccess = "Access database"
	KindCSV    = "CSV with a header"
	KindText   = "text log"
)

// Finding is what was found in a file.
type Finding struct {
	Path   string
	Kind   string  // KindAccess, KindCSV or KindText
	Tables []Table // the most promising first; one without a name for CSV and text
	Left   int     // tables that were not looked at, because there were too many
}

// Table is a table, or a text log, with what it seems to hold.
type Table struct {
	Name    string
	Err     error    // why it was not read; nil if it was
	Rows    int      // rows looked at, at most 2,000
	More    bool     // there are more
	Bad     int      // rows or lines that could not be taken apart
	Columns []Column // none for a text log
	Fields  site.Fields
	Lines   int      // of a text log: lines that the proposed pattern takes apart
	Reasons []string // why each part of the mapping was proposed, a sentence each
	Usable  bool     // a time and an address were found
	score   float64
}

// Confidence says in words how much the proposal is worth.
func (t *Table) Confidence() string {
	switch {
	case t.Err != nil:
		return "not read"
	case !t.Usable:
		return "no use: no time and address side by side"
	case t.score >= sureScore:
		return "likely"
	}
	return "possible"
}

// Best returns the most promising table, or nil where none has a time and an address.
func (f *Finding) Best() *Table {
	if len(f.Tables) == 0 || !f.Tables[0].Usable {
		return nil
	}
	return &f.Tables[0]
}

// Path looks into a file. It returns ErrNoFile for a pipe, a folder or a device, which it doesn't open, ErrBinary, ErrUTF16
// or ErrEmpty for files that hold no rows, the errors of package access for databases that can't be read, and those of the
// file system.
func Path(ctx context.Context, path string, o access.Options) (*Finding, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() { // to open a pipe could take for ever
		err = ErrNoFile
	}
	if err != nil {
		return nil, fmt.Errorf("look into %s: %w", path, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("look into the file: %w", err)
	}
	defer file.Close() //nolint:errcheck // it is only read
	in := bufio.NewReaderSize(io.LimitReader(file, maxBytes), 64<<10)
	head, err := in.Peek(4096)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("look into %s: %w", path, err)
	}
	f := &Finding{Path: path}
	switch {
	case access.IsDatabase(head):
		f.Kind = KindAccess
		err = f.database(ctx, o)
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		err = ErrUTF16
	case bytes.IndexByte(head, 0) >= 0:
		err = ErrBinary
	case len(bytes.TrimSpace(head)) == 0:
		err = ErrEmpty
	default:
		err = f.text(in)
	}
	if err != nil {
		return nil, fmt.Errorf("look into %s: %w", path, err)
	}
	f.rank()
	return f, nil
}

// database looks at each table of an Access database.
func (f *Finding) database(ctx context.Context, o access.Options) (err error) {
	d, err := access.Open(ctx, f.Path, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	names := d.Tables()
	if len(names) > maxTables {
		f.Left, names = len(names)-maxTables, names[:maxTables]
	}
	for _, name := range names {
		t := Table{Name: name}
		t.Err = t.export(ctx, d)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.Tables = append(f.Tables, t)
	}
	return nil
}

// export looks at a table of an Access database.
func (t *Table) export(ctx context.Context, d *access.DB) (err error) {
	e, err := d.Export(ctx, t.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if err := t.rows(newCSV(e, '\t')); err != nil {
		return err
	}
	t.propose()
	t.Fields.Table = t.Name
	return nil
}

func newCSV(r io.Reader, delim rune) *csv.Reader {
	c := csv.NewReader(io.LimitReader(r, maxBytes))
	c.Comma, c.FieldsPerRecord, c.ReuseRecord = delim, -1, true
	return c
}

// rows reads the header and up to maxRows rows.
func (t *Table) rows(r *csv.Reader) error {
	header, err := r.Read()
	if err != nil {
		return fmt.Errorf("read the names of the columns: %w", err)
	}
	for _, name := range header[:min(len(header), maxColumns)] {
		t.Columns = append(t.Columns, newColumn(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))))
	}
	for {
		row, err := r.Read()
		var broken *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case t.Rows+t.Bad == maxRows:
			t.More = true
			return nil
		case errors.As(err, &broken) || err == nil && len(row) != len(header):
			t.Bad++
			continue
		case err != nil:
			return err
		case t.header(row): // another export behind this one, perhaps with its columns in another order
			t.More = true
			return nil
		}
		t.Rows++
		for i := range t.Columns {
			t.Columns[i].add(row[i])
		}
	}
}

// header reports whether a row holds the names of columns.
func (t *Table) header(row []string) bool {
	for _, text := range row[:min(len(row), maxColumns)] {
		text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
		if !slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Name == text }) {
			return false
		}
	}
	return true
}

// text looks at a file of lines: CSV if it has a header, a text log if not.
func (f *Finding) text(in *bufio.Reader) error {
	data, more, err := lines(in)
	if err != nil {
		return err
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	t := Table{More: more}
	if delim := delimiter(data); delim != 0 {
		f.Kind = KindCSV
		if line, rest, _ := bytes.Cut(data, []byte{'\n'}); bytes.HasPrefix(bytes.ToLower(line), []byte("sep=")) {
			data = rest
		}
		if err := t.rows(newCSV(bytes.NewReader(data), delim)); err != nil {
			return err
		}
		t.propose()
	} else {
		f.Kind = KindText
		t.lines(data)
	}
	f.Tables = []Table{t}
	return nil
}

// lines reads lines, of each at most maxRow bytes and together at most maxKept, the last one whole; more says that there
// are others. Lines that are longer are cut.
func lines(in *bufio.Reader) (data []byte, more bool, err error) {
	kept := 0 // bytes of the line
	for {
		part, err := in.ReadSlice('\n')
		whole := bytes.HasSuffix(part, []byte{'\n'})
		take := bytes.TrimSuffix(part, []byte{'\n'})
		take = take[:min(len(take), maxRow-kept)]
		if len(data)+len(take) >= maxKept {
			return data[:bytes.LastIndexByte(data, '\n')+1], true, nil
		}
		data, kept = append(data, take...), kept+len(take)
		switch {
		case whole:
			data, kept = append(data, '\n'), 0
		case errors.Is(err, io.EOF):
			return data, false, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}

// delimiter returns what divides the columns of a table, 0 if the text is none: a table has a header of at least two
// names, and most rows have as many fields.
func delimiter(data []byte) rune {
	if line, rest, _ := bytes.Cut(data, []byte{'\n'}); bytes.HasPrefix(bytes.ToLower(line), []byte("sep=")) {
		data = rest
	}
	best, width := rune(0), 1
	for _, delim := range []rune{',', ';', '\t'} {
		r := newCSV(bytes.NewReader(data), delim)
		header, err := r.Read()
		if err != nil || len(header) <= width || !names(header) {
			continue
		}
		n, same, all := len(header), 0, 0
		for ; all < 200; all++ {
			row, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil && len(row) == n {
				same++
			}
		}
		if same*10 >= all*8 {
			best, width = delim, n
		}
	}
	return best
}

// names reports whether the fields of a first row are names of columns, not values.
func names(row []string) bool {
	for _, name := range row {
		if name == "" || len(name) > 128 || isTime(name) || isAddr(name) || strings.Contains(name, "@") {
			return false
		}
	}
	return true
}
