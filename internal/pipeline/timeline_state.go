package pipeline

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

// ErrState is returned by Timeline.Restore for bytes that Changes didn't give out.
var ErrState = errors.New("not the state of a timeline")

// The first byte of each stored key.
const (
	keyDeed    = 'd'
	keyMessage = 'm'
	keyAwaited = 'a'
	keyTrial   = 'p'
	keyTaken   = 't'
	keyBlamed  = 'b'
	keyTracked = 'k'
)

// Changes calls yield for each thing remembered that changed since the last call; a nil value means forgotten. The
// slices hold until yield returns.
func (t *Timeline) Changes(yield func(key, value []byte)) {
	var k, v []byte
	named := func(kind byte, key uint64) []byte { return binary.BigEndian.AppendUint64(append(k[:0], kind), key) }
	forgotten := func(kind byte) func(uint64) {
		return func(key uint64) { k = named(kind, key); yield(k, nil) }
	}
	set := func(kind byte, key, seq uint64, add func([]byte) []byte) {
		k = named(kind, key)
		v = add(binary.BigEndian.AppendUint64(v[:0], seq))
		yield(k, v)
	}
	t.deeds.Changes(forgotten(keyDeed), func(key, seq uint64, d *deed) { set(keyDeed, key, seq, d.append) })
	t.messages.Changes(forgotten(keyMessage), func(key, seq uint64, m *message) { set(keyMessage, key, seq, m.append) })
	t.awaited.Changes(forgotten(keyAwaited), func(key, seq uint64, a *awaited) { set(keyAwaited, key, seq, a.append) })
	t.trials.Changes(forgotten(keyTrial), func(key, seq uint64, a *awaited) { set(keyTrial, key, seq, a.append) })
	if t.tracked != t.stored {
		t.stored = t.tracked
		set(keyTracked, 0, uint64(t.tracked), func(b []byte) []byte { return b })
	}
	t.blamed.Changes(forgotten(keyBlamed), func(key, seq uint64, m *blame) { set(keyBlamed, key, seq, m.append) })
	t.taken.Changes(forgotten(keyTaken), func(key, seq uint64, _ *struct{}) {
		set(keyTaken, key, seq, func(b []byte) []byte { return b })
	})
}

// Restore takes back what Changes gave out, in any order, before the first Place. It returns ErrState for foreign
// bytes, which change nothing.
func (t *Timeline) Restore(key, value []byte) error {
	if len(key) != 9 {
		return fmt.Errorf("restore what was told: %w", ErrState)
	}
	number := binary.BigEndian.Uint64(key[1:])
	r := memory.NewReader(value)
	seq, ok := r.U64(), false
	switch key[0] {
	case keyDeed:
		ok = t.restoreDeed(r, number, seq)
	case keyMessage:
		m := readMessage(r)
		if ok = r.Done(); ok {
			*t.messages.Restore(number, seq) = m
		}
	case keyAwaited:
		ok = t.restoreAwaited(t.awaited, r, number, seq)
	case keyTrial:
		ok = t.restoreAwaited(t.trials, r, number, seq)
	case keyTracked:
		if ok = r.Done(); ok {
			t.tracked, t.stored = int64(seq), int64(seq)
		}
	case keyBlamed:
		b := blame{at: int64(r.U64()), by: r.U32()}
		if ok = r.Done(); ok {
			*t.blamed.Restore(number, seq) = b
		}
	case keyTaken:
		if ok = r.Done(); ok {
			t.taken.Restore(number, seq)
		}
	}
	if !ok {
		return fmt.Errorf("restore what was told: %w", ErrState)
	}
	return nil
}

func (d *deed) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, d.twin)
	b = binary.BigEndian.AppendUint64(append(b, byte(d.kind)), uint64(d.at))
	b = binary.BigEndian.AppendUint64(b, d.older)
	for _, id := range d.by {
		b = binary.BigEndian.AppendUint32(b, id)
	}
	return b
}

func (t *Timeline) restoreDeed(r *memory.Reader, number, seq uint64) bool {
	d := deed{twinKey: twinKey{r.U64(), harvestwatch.Kind(r.U8())}, at: int64(r.U64()), older: r.U64()}
	for i := range d.by {
		d.by[i] = r.U32()
	}
	if !r.Done() || number == 0 || d.older >= number {
		return false
	}
	t.room()
	*t.deeds.Restore(number, seq) = d
	t.latest[d.twinKey] = max(t.latest[d.twinKey], number)
	t.next = max(t.next, number+1)
	return true
}

func (m *blame) append(b []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, uint64(m.at)), m.by)
}

func (m *message) append(b []byte) []byte {
	b = memory.AppendText(b, m.addr.AsSlice())
	b = binary.BigEndian.AppendUint64(b, m.session)
	return appendBool(binary.BigEndian.AppendUint64(b, uint64(m.at)), m.null)
}

func appendBool(b []byte, is bool) []byte {
	if is {
		return append(b, 1)
	}
	return append(b, 0)
}

func readMessage(r *memory.Reader) message {
	addr, _ := netip.AddrFromSlice(r.Text())
	return message{addr: addr, session: r.U64(), at: int64(r.U64()), null: r.U8() != 0}
}

func (a *awaited) append(b []byte) []byte {
	for i := range a.events {
		b = AppendEvent(binary.BigEndian.AppendUint32(b, a.streams[i]), &a.events[i])
	}
	return b
}

// The flags of a stored event. The first version knew Null only; values of a version to come, which have other flags,
// are foreign.
const (
	flagNull   = 1 << 0
	flagIdle   = 1 << 1
	flagNoUser = 1 << 2
	flagSecond = 1 << 7 // the second version: the other flags may be set, and Name follows the other texts
)

// AppendEvent appends an event to b, for ReadEvent. Listed is left out: it says what is known when the event is told.
func AppendEvent(b []byte, ev *harvestwatch.Event) []byte {
	for _, n := range [...]uint64{uint64(ev.Time), uint64(ev.Began), ev.Session, ev.Twin, ev.Join, uint64(ev.Pos.Line), uint64(ev.Pos.Offset)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(ev.Pos.Input))
	b = binary.BigEndian.AppendUint32(b, ev.Ref)
	b = append(b, byte(ev.Kind), flagsOf(ev))
	for _, n := range [...]uint16{ev.Code, ev.Status[0], ev.Status[1], ev.Status[2]} {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	b = memory.AppendText(b, ev.Addr.AsSlice())
	for _, text := range [...][]byte{ev.Helo, ev.Sender, ev.Recipient, ev.User, ev.Name} {
		b = memory.AppendText(appendBool(b, text != nil), text)
	}
	return b
}

func flagsOf(ev *harvestwatch.Event) byte {
	flags := byte(flagSecond)
	if ev.Null {
		flags |= flagNull
	}
	if ev.Idle {
		flags |= flagIdle
	}
	if ev.NoUser {
		flags |= flagNoUser
	}
	return flags
}

// ReadEvent reads what AppendEvent wrote, in this version or the one before; r.Done tells whether bytes were missing or
// foreign.
func ReadEvent(r *memory.Reader) harvestwatch.Event {
	ev := harvestwatch.Event{Time: int64(r.U64()), Began: int64(r.U64()), Session: r.U64(), Twin: r.U64(), Join: r.U64()}
	ev.Pos.Line, ev.Pos.Offset = int64(r.U64()), int64(r.U64())
	ev.Pos.Input, ev.Ref = int32(r.U32()), r.U32()
	ev.Kind = harvestwatch.Kind(r.U8())
	flags, known := r.U8(), byte(flagNull)
	texts := []*[]byte{&ev.Helo, &ev.Sender, &ev.Recipient, &ev.User}
	if flags&flagSecond != 0 {
		texts, known = append(texts, &ev.Name), flagNull|flagIdle|flagNoUser|flagSecond
	}
	if flags&^known != 0 {
		r.Take(r.Rest() + 1) // more than there is: the rest can't be read
		return ev
	}
	ev.Null, ev.Idle, ev.NoUser = flags&flagNull != 0, flags&flagIdle != 0, flags&flagNoUser != 0
	ev.Code, ev.Status = r.U16(), harvestwatch.Enhanced{r.U16(), r.U16(), r.U16()}
	ev.Addr, _ = netip.AddrFromSlice(r.Text())
	for _, text := range texts {
		is := r.U8() != 0
		if b := r.Text(); is {
			*text = b
		}
	}
	return ev
}

func (t *Timeline) restoreAwaited(to *memory.Table[uint64, awaited], r *memory.Reader, join, seq uint64) bool {
	var a awaited
	for r.Rest() > 0 {
		a.streams = append(a.streams, r.U32())
		a.events = append(a.events, ReadEvent(r))
	}
	if !r.Done() || len(a.events) == 0 {
		return false
	}
	*to.Restore(join, seq) = a
	t.held += len(a.events)
	return true
}
