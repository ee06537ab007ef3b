package csvlog

import (
	"bytes"
	"strings"
)

// layout says where a row's fields stand, and whether the rows are a log's of another type.
type layout struct {
	fields  string // what the #Fields directive said
	foreign bool   // the #Log-type directive named another log: its rows are passed over
	at      []int8 // place of each wanted column in a row, -1 where it has none
	n       int    // how many columns the directive named
}

// newLayout reads the value of a #Fields directive. Names are compared without regard to case.
func newLayout(fields string, wanted []string, foreign bool) *layout {
	l := &layout{fields: fields, foreign: foreign, at: make([]int8, len(wanted))}
	names := strings.Split(fields, ",")
	for l.n = len(names); l.n > 0 && strings.TrimSpace(names[l.n-1]) == ""; l.n-- {
	}
	for i, want := range wanted {
		l.at[i] = -1
		for j, name := range names[:min(len(names), MaxColumns)] {
			if strings.EqualFold(strings.TrimSpace(name), want) {
				l.at[i] = int8(j)
				break
			}
		}
	}
	return l
}

// same reports whether two layouts read rows alike.
func (l *layout) same(o *layout) bool {
	return l == o || l.fields == o.fields && l.foreign == o.foreign
}

// Cols are the wanted columns of a row.
type Cols struct {
	row Row
	at  []int8
	n   int
}

// Torn reports whether the row has fewer fields than the directive named columns, as the last row of a file that was
// being written.
func (c *Cols) Torn() bool { return c.row.n < c.n }

// Get returns a wanted column by its number in Spec.Columns; nil where the log, or this row, has no such column.
func (c *Cols) Get(column int) []byte {
	i := c.at[column]
	if i < 0 || int(i) >= c.row.n {
		return nil
	}
	return c.row.fields[i]
}

// cutMark takes a byte order mark off the beginning of a line.
func cutMark(line []byte) []byte {
	return bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
}

// directive reads "#Name: value".
func directive(line []byte) (name, value string) {
	if len(line) > maxDirective {
		return "", ""
	}
	n, v, _ := bytes.Cut(line[1:], []byte{':'})
	return strings.ToLower(string(bytes.TrimSpace(n))), string(bytes.TrimSpace(v))
}

// maxDirective is the length in bytes above which a line that begins with # says nothing.
const maxDirective = 4096
