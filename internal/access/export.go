package access

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

const maxHeader = 1 << 20 // bytes of a table's column names

// Export is a table on its way out of the database, as tab-separated values with a header: one row a line, texts in
// quotation marks with doubled ones inside, times as 2006-01-02 15:04:05 in the zone of whoever wrote them, yes and no
// as 1 and 0, binary columns in hexadecimal, NULL as nothing. Line feeds, carriage returns and tabs within a text are
// the two characters \n, \r and \t. It belongs to its caller, who closes it.
type Export struct {
	columns []string
	out     *output
	r       io.Reader
	table   string
	path    string
}

// Export starts mdb-export for one table. ctx and the time limit hold until the Export is closed.
func (d *DB) Export(ctx context.Context, table string) (*Export, error) {
	if err := checkTable(table); err != nil {
		return nil, err
	}
	out, err := d.start(ctx, d.o.MaxOutput, "mdb-export", "-e", "-D", "%Y-%m-%d", "-T", "%Y-%m-%d %H:%M:%S", "-d", `\t`, "-b", "hex",
		"--", d.copy, table)
	if err != nil {
		return nil, fmt.Errorf("export the table %q of %s: %w", table, d.path, err)
	}
	e := &Export{out: out, table: table, path: d.path}
	in := bufio.NewReaderSize(out, 64<<10)
	if err := e.header(in); err != nil {
		return nil, errors.Join(fmt.Errorf("export the table %q of %s: %w", table, d.path, err), out.Close())
	}
	return e, nil
}

// header reads the names of the columns, which mdb-export writes without quotation marks whatever they hold, and makes
// of them a line that can be read back.
func (e *Export) header(in *bufio.Reader) error {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				return fmt.Errorf("read the names of the columns: %w", io.ErrUnexpectedEOF)
			}
			return err
		}
		if len(line) > maxHeader {
			return fmt.Errorf("read the names of the columns: %w", ErrTooLarge)
		}
	}
	e.columns = strings.Split(strings.TrimSuffix(string(line), "\n"), "\t")
	head, err := Header(e.columns)
	if err != nil {
		return err
	}
	e.r = io.MultiReader(bytes.NewReader(head), bufio.NewReaderSize(&unescape{r: in}, 64<<10))
	return nil
}

// Columns returns the names of the table's columns.
func (e *Export) Columns() []string { return e.columns }

// Read gives the table's bytes, the header first. An error instead of io.EOF says that the table is not complete.
func (e *Export) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("export the table %q of %s: %w", e.table, e.path, err)
	}
	return n, err
}

// Warning returns what mdb-export complained of although it ended well, once Read returned io.EOF; "" for nothing. Rows
// may be missing then: it goes on behind a page that can't be read.
func (e *Export) Warning() string {
	if !e.out.done {
		return ""
	}
	return e.out.said()
}

// Close ends mdb-export, if it still runs.
func (e *Export) Close() error { return e.out.Close() }

// unescape takes back the doubling of backslashes by mdb-export -e.
type unescape struct {
	r   io.Reader
	esc bool // the last byte was the first of an escape and was not given yet
}

func (u *unescape) Read(p []byte) (int, error) {
	if len(p) < 2 {
		return 0, io.ErrShortBuffer
	}
	n, err := u.r.Read(p[1:])
	w := 0
	for _, c := range p[1 : 1+n] {
		switch {
		case !u.esc && c == '\\':
			u.esc = true
			continue
		case u.esc && c != '\\':
			p[w] = '\\'
			w++
		}
		p[w], u.esc = c, false
		w++
	}
	if err != nil && u.esc {
		u.esc = false
		p[w] = '\\'
		w++
	}
	return w, err
}
