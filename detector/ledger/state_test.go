package ledger

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"
)

// busyRecipients holds all that a set can hold: an outage that is over, denials since, mail, former users.
func busyRecipients(t testing.TB) (*Recipients, map[uint64][]byte) {
	r := NewRecipients(100)
	for hash := range uint64(20) {
		r.Deliver(10+hash, start+uint32(hash))
	}
	r.Import(99)
	for i := range uint32(4) {
		r.Refuse(10+uint64(i), start+100+i, uint64(i))
	}
	for hash := range uint64(3) {
		r.Deliver(10+hash, start+200)
	}
	r.Refuse(14, start+210, 1)
	r.Refuse(15, start+210, 2)
	store := map[uint64][]byte{}
	save(r, store)
	if o := &r.outage; !o.over || len(o.recent) != 2 || len(o.mails) != 3 || len(store) != 22 {
		t.Fatalf("over: %v, %d denied, %d received mail, %d values", o.over, len(o.recent), len(o.mails), len(store))
	}
	return r, store
}

func busyHours() (*Hours, map[uint64][]byte) {
	h := &Hours{}
	for sec := uint32(start); sec < start+40*day; sec += 700 {
		h.Deliver(sec)
	}
	store := map[uint64][]byte{}
	save(h, store)
	return h, store
}

func TestChangesTellOnlyWhatChanged(t *testing.T) {
	r, store := busyRecipients(t)
	if n := save(r, store); n != 0 {
		t.Errorf("%d values without a change", n)
	}
	r.Deliver(15, start+5) // known already
	if n := save(r, store); n != 0 {
		t.Errorf("%d values for a delivery that says nothing new", n)
	}
	r.Deliver(15, start+300)
	if n := save(r, store); n != 2 {
		t.Errorf("%d values for one recipient and the clock", n)
	}
	for hash := range uint64(3 * maxChanged) {
		r.Deliver(hash, start+301) // most find no room
	}
	if n := save(r, store); n != 101 || len(store) != 101 {
		t.Errorf("%d values, %d in the store", n, len(store))
	}
	big := NewRecipients(0)
	for hash := range uint64(3 * maxChanged) {
		big.Deliver(1+hash, start)
	}
	if n := save(big, map[uint64][]byte{}); n != 3*maxChanged+1 || big.all {
		t.Errorf("%d values for %d recipients", n, 3*maxChanged)
	}
	h, pages := busyHours()
	if len(pages) != dayPages+finePages+1 {
		t.Errorf("%d pages", len(pages))
	}
	h.Deliver(start + 40*day)
	size := 0
	n := 0
	h.Changes(func(_ uint64, value []byte) {
		n++
		size += len(value)
	})
	if n != 3 || size > 250 {
		t.Errorf("a delivery changes %d values with %d bytes", n, size)
	}
	if n := save(h, pages); n != 0 {
		t.Errorf("%d values without a change", n)
	}
}

// TestRestoredIsUnchanged holds that a restored ledger has nothing to tell, and tells the same when asked for all.
func TestRestoredIsUnchanged(t *testing.T) {
	_, store := busyRecipients(t)
	r := load(t, NewRecipients(100), store)
	if n := save(r, map[uint64][]byte{}); n != 0 {
		t.Errorf("a restored set has %d changes", n)
	}
	for i := range r.set.slots {
		if r.set.slots[i].key != 0 {
			r.touch(i)
		}
	}
	r.global = true
	again := map[uint64][]byte{}
	save(r, again)
	if !maps.EqualFunc(store, again, bytes.Equal) {
		t.Error("a restored set tells something else")
	}
	_, pages := busyHours()
	h := load(t, &Hours{}, pages)
	if n := save(h, map[uint64][]byte{}); n != 0 {
		t.Errorf("restored hours have %d changes", n)
	}
}

func TestASmallerSetForgetsTheRest(t *testing.T) {
	_, store := busyRecipients(t)
	small := load(t, NewRecipients(5), store)
	save(small, store)
	known, _ := small.Refuse(99, start+300, 99)
	if small.Len() != 5 || len(store) != 6 || !known {
		t.Errorf("%d recipients, %d values are left; the former user is known: %v", small.Len(), len(store), known)
	}
}

func TestRestoreRefusesWhatIsDamaged(t *testing.T) {
	r, store := busyRecipients(t)
	h, pages := busyHours()
	flip := func(p []byte, i int) []byte {
		p = slices.Clone(p)
		p[i] ^= 1
		return p
	}
	body := func(p []byte) []byte { return slices.Clone(p[:len(p)-4]) }
	set := func(p []byte, i int, x byte) []byte {
		p = body(p)
		p[i] = x
		return seal(p)
	}
	for _, c := range []struct {
		name  string
		of    keeper
		key   uint64
		value []byte
		want  error
	}{
		{"nothing", r, 10, nil, ErrDamaged}, {"a bit", r, 10, flip(store[10], 4), ErrDamaged}, {"a bit of the sum", r, 10, flip(store[10], 14), ErrDamaged},
		{"half", r, 10, store[10][:7], ErrDamaged}, {"more", r, 10, seal(append(body(store[10]), 0)), ErrDamaged},
		{"another version", r, 10, set(store[10], 0, 9), ErrVersion}, {"another version of all else", r, 0, set(store[0], 0, 1), ErrVersion},
		{"a recipient as all else", r, 0, store[10], ErrDamaged}, {"all else as a recipient", r, 10, store[0], ErrDamaged},
		{"an unknown flag", r, 10, set(store[10], 2, 2), ErrDamaged},
		{"a recipient without mail", r, 10, seal(append(begin(nil, 'R'), make([]byte, 9)...)), ErrDamaged},
		{"half over", r, 0, set(store[0], 26, 2), ErrDamaged}, {"too many denials", r, 0, set(store[0], 27, maxWitness+1), ErrDamaged},
		{"a denial more than there are", r, 0, set(store[0], 27, 3), ErrDamaged}, {"one denied twice", r, 0, set(set(store[0], 28, 7), 48, 7), ErrDamaged},
		{"nobody denied", r, 0, set(store[0], 28, 0), ErrDamaged}, {"denied in the future", r, 0, set(store[0], 39, 255), ErrDamaged},
		{"too much mail", r, 0, set(store[0], 68, maxWitness+1), ErrDamaged}, {"mail for one twice", r, 0, set(set(store[0], 69, 7), 81, 7), ErrDamaged},
		{"mail in the future", r, 0, set(store[0], 80, 255), ErrDamaged}, {"an end before the beginning", r, 0, set(store[0], 21, 0), ErrDamaged},
		{"an end that is too far off", r, 0, set(store[0], 21, 255), ErrDamaged}, {"a last denial after the end", r, 0, set(store[0], 25, 255), ErrDamaged},
		{"an outage of no time", r, 0, set(set(set(set(store[0], 14, 0), 15, 0), 16, 0), 17, 0), ErrDamaged}, {"nothing of the hours", h, 0, nil, ErrDamaged},
		{"a page in another's place", h, 3, pages[4], ErrDamaged}, {"a day as two hours", h, fineKey, pages[1], ErrDamaged},
		{"a key that is none", h, fineKey + finePages, pages[fineKey], ErrDamaged},
		{"a page of no time", h, 1, seal(append(begin(nil, 'D'), make([]byte, 100)...)), ErrDamaged},
		{"half a page", h, 1, seal(body(pages[1])[:50]), ErrDamaged}, {"hours of the future", h, 1, set(pages[1], 0, 2), ErrVersion},
		{"no first delivery", h, 0, seal(put32(begin(nil, 'H'), 0, 5)), ErrDamaged}, {"time backwards", h, 0, seal(put32(begin(nil, 'H'), 6, 5)), ErrDamaged},
	} {
		if err := c.of.Restore(c.key, c.value); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	for i := range r.set.slots {
		if r.set.slots[i].key != 0 {
			r.touch(i)
		}
	}
	r.global, h.changed = true, 1<<(fineKey+finePages)-1
	after, pagesAfter := map[uint64][]byte{}, map[uint64][]byte{}
	save(r, after)
	save(h, pagesAfter)
	if !maps.EqualFunc(store, after, bytes.Equal) || !maps.EqualFunc(pages, pagesAfter, bytes.Equal) {
		t.Error("a value that was refused left its mark")
	}
}

// FuzzRestore holds that whatever was taken in, the ledger goes on within its bounds.
func FuzzRestore(f *testing.F) {
	_, store := busyRecipients(f)
	_, pages := busyHours()
	for _, value := range [][]byte{store[0], store[10], store[99], pages[0], pages[1], pages[fineKey]} {
		f.Add(uint64(10), value)
	}
	f.Fuzz(func(t *testing.T, key uint64, value []byte) {
		r, _ := busyRecipients(t)
		h, _ := busyHours()
		if len(value) >= 4 {
			value = seal(slices.Clone(value[:len(value)-4]))
		}
		for _, key := range []uint64{key, key % 64, 0} {
			_ = r.Restore(key, value)
			_ = h.Restore(key, value)
		}
		for i := range uint32(200) {
			r.Deliver(uint64(i), start+40*day+10*i)
			r.Refuse(uint64(i%50), start+40*day+10*i, uint64(i%3))
			h.Deliver(start + 40*day + 10*i)
			h.Check(start + 40*day + 10*i)
		}
		if r.Len() > 100 || len(r.outage.recent) > maxWitness || len(r.outage.mails) > maxWitness {
			t.Errorf("%d recipients, %d and %d witnesses", r.Len(), len(r.outage.recent), len(r.outage.mails))
		}
		h.PerDay(0)
		again := map[uint64][]byte{}
		save(r, again)
		load(t, NewRecipients(100), again)
		again = map[uint64][]byte{}
		save(h, again)
		load(t, &Hours{}, again)
	})
}
