package detector

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/detector/ledger"
)

// busy returns a detector that holds all that a record can hold, and its saved state.
func busy(t testing.TB) (*Detector, map[stateKey][]byte) {
	b := byDefault(t)
	b.fire(0, "a")
	b.see(1, delivered(bad, "jo@example.com"))
	b.see(2, authOK("192.0.2.5"))
	for i := range int64(4) {
		b.see(3+i, unknown("192.0.2.5", fmt.Sprintf("u%d@example.com", i)))
		b.see(3+i, authFail("192.0.2.5", fmt.Sprintf("u%d", i)))
		b.see(3+i, connect("2001:db8::5"))
	}
	b.d.Settle(&harvestwatch.Decision{Action: harvestwatch.ActSuppress, Offence: harvestwatch.Offence{Source: src("192.0.2.5"), Window: time.Hour,
		Fired: b.d.Now()}, Until: b.d.Now().Add(time.Hour)})
	store := map[stateKey][]byte{}
	save(b.d, store)
	return b.d, store
}

func TestChangesTellOnlyWhatChanged(t *testing.T) {
	d, store := busy(t)
	if n := sourcesIn(store); n != 3 {
		t.Fatalf("%d sources of %d values, want three", n, len(store))
	}
	told := 0
	d.Changes(func(space uint8, key uint64, _ []byte) {
		if space != 0 || key != 0 {
			told++
		}
	})
	if told != 0 {
		t.Errorf("%d sources told twice", told)
	}
	b := &bench{t: t, d: d, set: classic(t), act: true}
	b.see(100*day, connect("192.0.2.9")) // all else is dead now, and is swept
	for i := range int64(10) {
		b.see(100*day+i, connect("192.0.2.9"))
	}
	save(d, store)
	if n := sourcesIn(store); n != 1 || store[sourceKey("192.0.2.9")] == nil {
		t.Errorf("%d sources are left, want one", n)
	}
}

func TestRestoreRefusesWhatIsDamaged(t *testing.T) {
	d, store := busy(t)
	good, global := store[sourceKey(bad)], store[stateKey{}]
	flip := func(p []byte, i int) []byte {
		p = append([]byte{}, p...)
		p[i] ^= 1
		return p
	}
	old := seal(append([]byte{9}, good[1:len(good)-4]...))
	extra := seal(append(append([]byte{}, good[:len(good)-4]...), 0))
	for _, c := range []struct {
		name  string
		key   stateKey
		value []byte
		want  error
	}{
		{"nothing", sourceKey(bad), nil, ErrDamaged}, {"a bit", sourceKey(bad), flip(good, 9), ErrDamaged}, {"a bit of the sum", sourceKey(bad), flip(good, len(good)-1), ErrDamaged},
		{"half", sourceKey(bad), good[:len(good)/2], ErrDamaged}, {"more", sourceKey(bad), extra, ErrDamaged}, {"the global one as a source", sourceKey(bad), global, ErrDamaged},
		{"a source as the global one", stateKey{}, good, ErrDamaged}, {"another version", sourceKey(bad), old, ErrVersion},
		{"a source as a prefix", stateKey{1, 7}, good, ErrDamaged}, {"a source as a page", stateKey{spaceDictionary, 0}, good, ErrDamaged},
		{"a page too many", stateKey{spaceDictionary, wordPages}, good, ErrDamaged}, {"a ledger's", stateKey{spaceRecipients, 5}, good, ledger.ErrVersion},
		{"of a space to come", stateKey{15, 5}, good, nil},
	} {
		if err := d.Restore(c.key.space, c.key.key, c.value); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	other := New(classic(t), Options{Key: [16]byte{1}})
	if err := other.Restore(0, 0, global); !errors.Is(err, ErrKey) || !other.Now().IsZero() {
		t.Errorf("another key: %v", err)
	}
	after := map[stateKey][]byte{}
	save(restored(t, classic(t), Options{Key: testKey}, store), after)
	if len(after) != 1 {
		t.Errorf("a restored detector has %d changes, want only the global one", len(after))
	}
}

// TestStateOutlivesAChangeOfRules holds that windows are kept for what is still counted, and dropped for the rest.
func TestStateOutlivesAChangeOfRules(t *testing.T) {
	_, store := busy(t)
	def := classic(t)
	set := mustSet(t, def.Rules[3], def.Rules[1])
	d := restored(t, set, Options{Key: testKey}, store)
	if n := d.counted(src("192.0.2.5"), 1, 0); n != 4 {
		t.Errorf("%d unknown recipients are left of 4", n)
	}
	if n := d.counted(src("2001:db8::5"), 0, 0); n != 4 {
		t.Errorf("%d connections are left of 4", n)
	}
	if s := d.Standing(src("192.0.2.5")); s.Rule != "" {
		t.Errorf("a standing before a rule that is gone: %+v", s)
	}
	b := &bench{t: t, d: d, set: set, act: true}
	if out := b.see(50, unknown(bad, "x@example.com")); !out.Blocked {
		t.Error("the block is lost")
	}
}

func FuzzRestore(f *testing.F) {
	_, store := busy(f)
	for _, value := range store {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		d, _ := busy(t)
		b := &bench{t: t, d: d, set: classic(t), act: true}
		all := func(value []byte) {
			for space := range uint8(9) {
				_ = d.Restore(space, uint64(src(bad)), value)
				_ = d.Restore(space, 0, value)
			}
		}
		all(value)
		if len(value) >= 4 { // and once with a sum that is right
			value = seal(append([]byte{}, value[:len(value)-4]...))
		}
		all(value)
		if d.Restore(0, uint64(src("192.0.2.5")), value) == nil {
			again := map[stateKey][]byte{}
			save(d, again)
		}
		for i := range int64(30) { // whatever was taken in, the detector goes on
			b.see(20+i, unknown(bad, fmt.Sprintf("v%d@example.com", i)))
			b.see(20+i, delivered("192.0.2.5", fmt.Sprintf("v%d@example.com", i)))
			b.see(20+i, authFail("192.0.2.5", fmt.Sprintf("v%d", i)))
			b.see(20+i, connect(bad))
		}
		d.Standing(src(bad))
		save(d, map[stateKey][]byte{})
	})
}

func sourcesIn(store map[stateKey][]byte) int {
	n := 0
	for k := range store {
		if k.space == spaceSources && k.key != 0 {
			n++
		}
	}
	return n
}
