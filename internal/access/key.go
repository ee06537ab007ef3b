package access

import (
	"bytes"
	"strconv"
	"time"
)

// Kinds of keys.
const (
	numberKey = 1
	timeKey   = 2
)

// key is what orders a table's rows. The zero key is none.
type key struct {
	kind   uint8
	number int64 // the number, or the time's seconds since 1970 as if it were UTC
	text   string
}

func (k key) less(other key) bool { return k.number < other.number }

// keyLayout is how Export writes times.
const keyLayout = "2006-01-02 15:04:05"

// parseKey reads a whole number or a time as Export writes it. A time that is none (day 0, which mdb-export writes for
// what lies beyond its calendar) is no key.
func parseKey(text []byte) (key, bool) {
	text = bytes.TrimSpace(text)
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return key{numberKey, n, string(text)}, true
	}
	if t, err := time.Parse(keyLayout, string(text)); err == nil && len(text) == len(keyLayout) {
		return key{timeKey, t.Unix(), string(text)}, true
	}
	return key{}, false
}

// row is a row that was kept.
type row struct {
	key  key
	seq  int // the order in the database, for equal keys
	line []byte
}

// rowHeap has the row with the highest key first.
type rowHeap []row

func (h rowHeap) Len() int           { return len(h) }
func (h rowHeap) Less(i, j int) bool { return h[j].key.less(h[i].key) }
func (h rowHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push adds a row.
func (h *rowHeap) Push(x any) { *h = append(*h, x.(row)) }

// Pop takes the last row off.
func (h *rowHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	old[len(old)-1] = row{}
	*h = old[:len(old)-1]
	return r
}
