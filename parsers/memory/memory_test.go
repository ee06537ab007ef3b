package memory

import (
	"slices"
	"testing"
)

// The order in which the oldest is forgotten survives a restart.
func TestTableOrderSurvives(t *testing.T) {
	a := NewTable[int, int](4)
	for _, k := range []int{5, 3, 9, 1} {
		v, _ := a.Put(k)
		*v = k
	}
	a.Put(5) // the newest now
	type entry struct{ key, value int }
	saved := map[uint64]entry{}
	a.Changes(func(int) {}, func(key int, seq uint64, v *int) { saved[seq] = entry{key, *v} })
	b := NewTable[int, int](4)
	for seq, e := range saved {
		*b.Restore(e.key, seq) = e.value
	}
	for _, table := range []*Table[int, int]{a, b} {
		var order []int
		for _, k := range []int{20, 21, 22, 23} {
			oldest, full := table.Full()
			if !full {
				t.Fatal("not full")
			}
			order = append(order, oldest)
			table.Put(k)
		}
		if !slices.Equal(order, []int{3, 9, 1, 5}) || table.Pushed() != 4 {
			t.Errorf("forgotten in the order %v, %d pushed out", order, table.Pushed())
		}
	}
}

func TestReaderTellsWhatIsMissing(t *testing.T) {
	b := AppendText([]byte{7}, []byte("name"))
	r := NewReader(b)
	if n, text := r.U8(), r.Text(); n != 7 || string(text) != "name" || !r.Done() {
		t.Errorf("%d %q done %v", n, text, r.Done())
	}
	for cut := range b {
		r := NewReader(b[:cut])
		r.U8()
		r.Text()
		if r.Done() {
			t.Errorf("%d of %d bytes were enough", cut, len(b))
		}
	}
	if r := NewReader(append(b, 0)); r.U8() != 7 || r.Text() == nil || r.Done() || r.Rest() != 1 {
		t.Error("a byte too many was not told")
	}
}
