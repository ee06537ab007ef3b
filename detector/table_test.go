package detector

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// sipReference is SipHash-c-d as its paper describes it.
func sipReference(k0, k1 uint64, p []byte, c, d int) uint64 {
	v := [4]uint64{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	rounds := func(n int) {
		for range n {
			v[0] += v[1]
			v[2] += v[3]
			v[1] = bits.RotateLeft64(v[1], 13) ^ v[0]
			v[3] = bits.RotateLeft64(v[3], 16) ^ v[2]
			v[0] = bits.RotateLeft64(v[0], 32)
			v[2] += v[1]
			v[0] += v[3]
			v[1] = bits.RotateLeft64(v[1], 17) ^ v[2]
			v[3] = bits.RotateLeft64(v[3], 21) ^ v[0]
			v[2] = bits.RotateLeft64(v[2], 32)
		}
	}
	padded := append(append([]byte{}, p...), make([]byte, 8-len(p)%8)...)
	padded[len(padded)-1] = byte(len(p))
	for ; len(padded) > 0; padded = padded[8:] {
		m := binary.LittleEndian.Uint64(padded)
		v[3] ^= m
		rounds(c)
		v[0] ^= m
	}
	v[2] ^= 0xff
	rounds(d)
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}

func TestHashIsSipHash(t *testing.T) {
	var key [16]byte
	msg := make([]byte, 64)
	for i := range msg {
		msg[i] = byte(i)
	}
	copy(key[:], msg)
	h := newHasher(key)
	if got := sipReference(h.k0, h.k1, msg[:15], 2, 4); got != 0xa129ca6149be45e5 { // the paper's own example
		t.Fatalf("the reference is wrong: %x", got)
	}
	for n := range msg {
		if got, want := h.sum(msg[:n]), sipReference(h.k0, h.k1, msg[:n], 1, 3); got != want {
			t.Errorf("%d bytes: %x, want %x", n, got, want)
		}
	}
	var eight [8]byte
	binary.LittleEndian.PutUint64(eight[:], 12345)
	if h.source(12345) != h.sum(eight[:]) {
		t.Error("a source's hash is not that of its eight bytes")
	}
	other := newHasher([16]byte{9})
	if h.source(12345) == other.source(12345) || h.recipient([]byte("a@b")) == other.recipient([]byte("a@b")) {
		t.Error("the key makes no difference")
	}
}

// TestTableAgainstAMap holds that the table finds what a map finds, under insertions and deletions.
func TestTableAgainstAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	h := newHasher(testKey)
	tb := table{hash: &h, stride: wLists}
	model := map[harvestwatch.Source]uint32{}
	for range 200000 {
		key := harvestwatch.Source(1 + r.IntN(20000))
		if r.IntN(4) == 0 {
			key |= 0x20010db8 << 32
		}
		id := tb.find(key)
		if id != model[key] {
			t.Fatalf("source %x: record %d, want %d", uint64(key), id, model[key])
		}
		switch {
		case id == 0:
			model[key] = tb.insert(key)
		case r.IntN(2) == 0:
			tb.delete(id)
			delete(model, key)
		}
	}
	if tb.count != len(model) {
		t.Errorf("%d records, want %d", tb.count, len(model))
	}
	for key, id := range model {
		if tb.find(key) != id || tb.rec(id).key() != key {
			t.Fatalf("source %x is lost", uint64(key))
		}
	}
}

func TestSizesAreAsCounted(t *testing.T) {
	if unsafe.Sizeof(side{}) != sideBytes || unsafe.Sizeof(entry{}) != entryBytes {
		t.Errorf("side %d, entry %d bytes", unsafe.Sizeof(side{}), unsafe.Sizeof(entry{}))
	}
	longest := rules.MaxEntries + rules.MaxUsers + 1
	if last := classSizes[len(classSizes)-1]; last < longest || last > 2*chunkEntries || len(classSizes) > 32 {
		t.Errorf("the largest block holds %d entries, a list can have %d", last, longest)
	}
}

func TestNoAllocation(t *testing.T) {
	b := byDefault(t)
	for i := range int64(240) {
		b.see(i, delivered("192.0.2.8", fmt.Sprintf("user%d@example.com", i)))
		b.see(i, authFail("192.0.2.3", "jo"))
	}
	b.fire(300, "x")
	events := []harvestwatch.Event{unknown(bad, "One+tag@example.com"), unknown("192.0.2.8", "One+tag@example.com"),
		delivered("192.0.2.8", "jo@example.com"), connect("192.0.2.4"), authFail("192.0.2.3", "jo"),
		authOK("192.0.2.3"), unknown("2001:db8::1", "two@example.com"), {Kind: harvestwatch.Disconnect, Addr: addr(bad)}}
	for i := range events {
		ev := &events[i]
		ev.Time = (start + 400) * int64(time.Second)
		for range 40 { // what is held back is told once
			b.see(400, *ev)
		}
		if n := testing.AllocsPerRun(100, func() {
			if out := b.d.Observe(ev); out.Offence != nil {
				t.Fatal("fired")
			}
			ev.Time += int64(time.Second)
		}); n != 0 {
			t.Errorf("%s: %v allocations", ev.Kind, n)
		}
	}
}

func TestDeadSourcesAreReclaimed(t *testing.T) {
	b := byDefault(t)
	for i := range uint32(200000) { // a new source each second: 86,400 of them are alive at a time
		ev := unknown("192.0.2.1", "jo@example.com")
		ev.Addr = bulk(i)
		b.see(int64(i), ev)
	}
	s := b.d.Stats()
	if s.Sources < day || s.Sources > day*3/2 || s.Reclaimed+uint64(s.Sources) != 200000 || s.Evicted != 0 {
		t.Errorf("%+v", s)
	}
}

func TestMaxSourcesIsHeld(t *testing.T) {
	d := New(classic(t), Options{Key: testKey, MaxSources: 1000})
	b := &bench{t: t, d: d, set: classic(t), act: true}
	b.see(0, delivered("192.0.2.1", "jo@example.com"))
	b.fire(0, "x")
	for i := range int64(7) {
		b.see(1, unknown("192.0.2.2", fmt.Sprintf("u%d@example.com", i)))
	}
	for i := range uint32(20000) {
		ev := connect("192.0.2.1")
		ev.Addr = bulk(i)
		b.see(2, ev)
	}
	s := d.Stats()
	if s.Sources != 1000 || s.Evicted < 18000 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
	if out := b.see(3, connect(bad)); !out.Blocked {
		t.Error("a blocked source was evicted")
	}
	if n := d.counted(src("192.0.2.2"), 0, 0); n != 7 {
		t.Errorf("the source with seven unknown recipients counts %d: a flood of sources with one try pushed it out", n)
	}
	if len(d.slabs.live(d.sides.at(d.table.rec(d.table.find(src("192.0.2.1"))).side()).good, 0)) != 1 {
		t.Error("a source with credit was evicted")
	}
	all := New(classic(t), Options{Key: testKey, MaxSources: 2})
	c := &bench{t: t, d: all, set: classic(t), act: true}
	for i := range int64(5) {
		c.see(i, delivered(fmt.Sprintf("192.0.2.%d", i+1), "jo@example.com"))
	}
	if s := all.Stats(); s.Sources != 2 || s.Refused != 3 {
		t.Errorf("when nothing may be forgotten: %+v", s)
	}
}

func TestTimesOutOfRange(t *testing.T) {
	d := New(classic(t), Options{Key: testKey})
	ev := unknown(bad, "a@example.com")
	ev.Time = -5
	if out := d.Observe(&ev); !out.Late {
		t.Errorf("before 1970: %+v", out)
	}
	ev.Time = (1 << 33) * int64(time.Second)
	if out := d.Observe(&ev); !out.Ignored {
		t.Errorf("after 2106: %+v", out)
	}
	if !d.Now().IsZero() {
		t.Errorf("the clock moved to %s", d.Now())
	}
	ev = harvestwatch.Event{Time: start * int64(time.Second), Kind: 200, Addr: addr(bad)}
	if out := d.Observe(&ev); !out.Ignored {
		t.Errorf("no such kind: %+v", out)
	}
	ev = harvestwatch.Event{Time: start * int64(time.Second), Kind: harvestwatch.RcptUnknown}
	if out := d.Observe(&ev); !out.Ignored || d.Now().Unix() != start {
		t.Errorf("no source: %+v, now %s", out, d.Now())
	}
}
