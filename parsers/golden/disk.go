package golden

import (
	"bytes"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// Disk plays the daemon's store: what a parser gave out, by its keys.
type Disk map[string]string

// Take takes what the parser's Changes give out.
func (d Disk) Take(p Stateful) {
	p.Changes(func(key, value []byte) {
		if value == nil {
			delete(d, string(key))
			return
		}
		d[string(key)] = string(value)
	})
}

// Give gives a new parser all that was taken, in any order.
func (d Disk) Give(t testing.TB, p Stateful) {
	t.Helper()
	for key, value := range d {
		if err := p.Restore([]byte(key), []byte(value)); err != nil {
			t.Fatalf("restore %q: %v", key, err)
		}
	}
}

// Pieces cuts a log into Lines behind the lines, counted from 1, for which cut returns true. The last piece ends with the
// log.
func Pieces(data []byte, cut func(line int) bool) (list []*harvestwatch.Lines) {
	start, at, first := 0, 0, 1
	for n, line := range bytes.SplitAfter(data, []byte{'\n'}) {
		if at += len(line); at > start && (cut(n+1) || at == len(data)) {
			list = append(list, &harvestwatch.Lines{Data: data[start:at], Pos: harvestwatch.Pos{Line: int64(first), Offset: int64(start)}})
			start, first = at, n+2
		}
	}
	return list
}
