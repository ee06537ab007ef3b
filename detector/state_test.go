package detector

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// busy returns a detector that holds all that a record can hold, and its saved state.
func busy(t testing.TB) (*Detector, map[harvestwatch.Source][]byte) {
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
	store := map[harvestwatch.Source][]byte{}
	save(b.d, store)
	return b.d, store
}

func TestChangesTellOnlyWhatChanged(t *testing.T) {
	d, store := busy(t)
	if len(store) != 4 {
		t.Fatalf("%d values, want three sources and the global one", len(store))
	}
	told := 0
	d.Changes(func(src harvestwatch.Source, _ []byte) {
		if src != 0 {
			told++
		}
	})
	if told != 0 {
		t.Errorf("%d sources told twice", told)
	}
	b := &bench{t, d, rules.Default(), true}
	b.see(100*day, connect("192.0.2.9")) // all else is dead now, and is swept
	for i := range int64(10) {
		b.see(100*day+i, connect("192.0.2.9"))
	}
	save(d, store)
	if len(store) != 2 || store[src("192.0.2.9")] == nil {
		t.Errorf("%d values are left, want one source and the global one", len(store))
	}
}

func TestRestoreRefusesWhatIsDamaged(t *testing.T) {
	d, store := busy(t)
	good, global := store[src(bad)], store[0]
	flip := func(p []byte, i int) []byte {
		p = append([]byte{}, p...)
		p[i] ^= 1
		return p
	}
	old := seal(append([]byte{9}, good[1:len(good)-4]...))
	extra := seal(append(append([]byte{}, good[:len(good)-4]...), 0))
	for _, c := range []struct {
		name  string
		src   harvestwatch.Source
		value []byte
		want  error
	}{
		{"nothing", src(bad), nil, ErrDamaged}, {"a bit", src(bad), flip(good, 9), ErrDamaged}, {"a bit of the sum", src(bad), flip(good, len(good)-1), ErrDamaged},
		{"half", src(bad), good[:len(good)/2], ErrDamaged}, {"more", src(bad), extra, ErrDamaged}, {"the global one as a source", src(bad), global, ErrDamaged},
		{"a source as the global one", 0, good, ErrDamaged}, {"another version", src(bad), old, ErrVersion},
	} {
		if err := d.Restore(c.src, c.value); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	other := New(rules.Default(), Options{Key: [16]byte{1}})
	if err := other.Restore(0, global); !errors.Is(err, ErrKey) || !other.Now().IsZero() {
		t.Errorf("another key: %v", err)
	}
	after := map[harvestwatch.Source][]byte{}
	save(restored(t, rules.Default(), Options{Key: testKey}, store), after)
	if len(after) != 1 {
		t.Errorf("a restored detector has %d changes, want only the global one", len(after))
	}
}

// TestStateOutlivesAChangeOfRules holds that windows are kept for what is still counted, and dropped for the rest.
func TestStateOutlivesAChangeOfRules(t *testing.T) {
	_, store := busy(t)
	def := rules.Default()
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
	b := &bench{t, d, set, true}
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
		b := &bench{t, d, rules.Default(), true}
		_ = d.Restore(src(bad), value)
		_ = d.Restore(0, value)
		if len(value) >= 4 { // and once with a sum that is right
			value = seal(append([]byte{}, value[:len(value)-4]...))
		}
		_ = d.Restore(src(bad), value)
		_ = d.Restore(0, value)
		if d.Restore(src("192.0.2.5"), value) == nil {
			again := map[harvestwatch.Source][]byte{}
			save(d, again)
		}
		for i := range int64(30) { // whatever was taken in, the detector goes on
			b.see(20+i, unknown(bad, fmt.Sprintf("v%d@example.com", i)))
			b.see(20+i, delivered("192.0.2.5", fmt.Sprintf("v%d@example.com", i)))
			b.see(20+i, authFail("192.0.2.5", fmt.Sprintf("v%d", i)))
			b.see(20+i, connect(bad))
		}
		d.Standing(src(bad))
		save(d, map[harvestwatch.Source][]byte{})
	})
}
