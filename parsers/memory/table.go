// Package memory keeps what a parser remembers across lines: tables of bounded size that know what changed since they
// were last stored, and a reader of the stored bytes. It knows no format, does no I/O and belongs to its caller's
// goroutine.
package memory

// Table is a map of bounded size that forgets its oldest entry for a new one, keeps its entries' memory, and knows
// which of them changed since they were last stored. K is without pointers, so that a lookup allocates nothing.
type Table[K comparable, V any] struct {
	limit  int
	index  map[K]int32
	slots  []slot[K, V]
	free   []int32
	head   int32 // the oldest, -1 for none
	tail   int32 // the newest, -1 for none
	seq    uint64
	pushed int64   // entries that had to go for others, as counted by Put
	dirty  []int32 // slots that changed, each once
	gone   []K     // stored entries that are no more
}

type slot[K comparable, V any] struct {
	key        K
	value      V
	seq        uint64 // the order in which entries came
	prev, next int32
	used       bool
	dirty      bool // in the table's list of changed slots
	stored     bool // its key was given out by Changes
}

// NewTable returns an empty table that holds at most limit entries, from 1.
func NewTable[K comparable, V any](limit int) *Table[K, V] {
	return &Table[K, V]{limit: limit, index: map[K]int32{}, head: -1, tail: -1}
}

// Get returns the entry of a key, or nil. It holds until the next Put.
func (t *Table[K, V]) Get(key K) *V {
	if i, ok := t.index[key]; ok {
		return &t.slots[i].value
	}
	return nil
}

// Touch says that the entry of a key was changed.
func (t *Table[K, V]) Touch(key K) {
	if i, ok := t.index[key]; ok {
		t.mark(i)
	}
}

func (t *Table[K, V]) mark(i int32) {
	if s := &t.slots[i]; !s.dirty {
		s.dirty = true
		t.dirty = append(t.dirty, i)
	}
}

// Put returns the entry of a key as the newest one, made where there is none. fresh reports that it is new: its value
// is whatever the slot held before.
func (t *Table[K, V]) Put(key K) (v *V, fresh bool) {
	t.seq++
	if i, ok := t.index[key]; ok {
		t.unlink(i)
		t.link(i)
		t.mark(i)
		return &t.slots[i].value, false
	}
	i := t.take()
	s := &t.slots[i]
	s.key, s.used = key, true
	t.index[key] = i
	t.link(i)
	t.mark(i)
	return &s.value, true
}

// Full reports whether the next new entry pushes the oldest one out, and returns that one's key.
func (t *Table[K, V]) Full() (oldest K, ok bool) {
	if len(t.index) < t.limit {
		return oldest, false
	}
	return t.Oldest()
}

// take returns a slot that is not in use.
func (t *Table[K, V]) take() int32 {
	if oldest, ok := t.Full(); ok {
		t.Drop(oldest)
		t.pushed++
	}
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		return i
	}
	t.slots = append(t.slots, slot[K, V]{})
	return int32(len(t.slots) - 1)
}

// Drop forgets the entry of a key.
func (t *Table[K, V]) Drop(key K) {
	i, ok := t.index[key]
	if !ok {
		return
	}
	delete(t.index, key)
	t.unlink(i)
	s := &t.slots[i]
	if s.stored {
		t.gone = append(t.gone, key)
	}
	s.used, s.stored = false, false
	t.free = append(t.free, i)
}

func (t *Table[K, V]) link(i int32) {
	s := &t.slots[i]
	s.seq, s.prev, s.next = t.seq, t.tail, -1
	if t.tail >= 0 {
		t.slots[t.tail].next = i
	} else {
		t.head = i
	}
	t.tail = i
}

func (t *Table[K, V]) unlink(i int32) {
	s := &t.slots[i]
	if s.prev >= 0 {
		t.slots[s.prev].next = s.next
	} else {
		t.head = s.next
	}
	if s.next >= 0 {
		t.slots[s.next].prev = s.prev
	} else {
		t.tail = s.prev
	}
}

// Changes calls gone for each stored key that is no more, then set for each entry that changed since the last call.
func (t *Table[K, V]) Changes(gone func(K), set func(key K, seq uint64, v *V)) {
	for _, key := range t.gone {
		if _, again := t.index[key]; !again {
			gone(key)
		}
	}
	t.gone = t.gone[:0]
	for _, i := range t.dirty {
		s := &t.slots[i]
		s.dirty = false
		if s.used {
			s.stored = true
			set(s.key, s.seq, &s.value)
		}
	}
	t.dirty = t.dirty[:0]
}

// Restore puts a stored entry back at the place in the order that seq gives. Entries may come in any order; one that
// comes last in the order is put in at once.
func (t *Table[K, V]) Restore(key K, seq uint64) *V {
	t.Drop(key)
	i := t.take()
	s := &t.slots[i]
	s.key, s.used, s.stored = key, true, true
	t.index[key] = i
	after := t.tail
	for after >= 0 && t.slots[after].seq > seq {
		after = t.slots[after].prev
	}
	next := t.head
	if after >= 0 {
		next = t.slots[after].next
		t.slots[after].next = i
	} else {
		t.head = i
	}
	if next >= 0 {
		t.slots[next].prev = i
	} else {
		t.tail = i
	}
	s.seq, s.prev, s.next = seq, after, next
	t.seq = max(t.seq, seq)
	return &s.value
}

// Oldest returns the key of the oldest entry; false where there is none.
func (t *Table[K, V]) Oldest() (oldest K, ok bool) {
	if t.head < 0 {
		return oldest, false
	}
	return t.slots[t.head].key, true
}

// Len returns how many entries there are.
func (t *Table[K, V]) Len() int { return len(t.index) }

// Pushed returns how many entries had to go for others.
func (t *Table[K, V]) Pushed() int64 { return t.pushed }

// Each calls f for each entry, the oldest first, until f returns false. f may drop the entry it is given.
func (t *Table[K, V]) Each(f func(key K, v *V) bool) {
	for i := t.head; i >= 0; {
		s := &t.slots[i]
		next := s.next
		if !f(s.key, &s.value) {
			return
		}
		i = next
	}
}
