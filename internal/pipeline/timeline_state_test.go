package pipeline

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

// notKept are the fields of an event that AppendEvent leaves out, and why.
var notKept = map[string]string{
	"Listed": "no log tells it: Engine.Annotate sets it, by what is known then, when the event is told",
}

// fill gives a field a value that is not its zero value.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch {
	case v.Type() == reflect.TypeFor[harvestwatch.Addr]():
		v.Set(reflect.ValueOf(netip.MustParseAddr("2001:db8::7")))
	case v.Type() == reflect.TypeFor[[]byte]():
		v.SetBytes([]byte("field.example"))
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(7)
	case v.CanUint():
		v.SetUint(7)
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	default:
		t.Fatalf("a field of type %s: teach the test to fill it", v.Type())
	}
}

func stored(t *testing.T, ev *harvestwatch.Event) harvestwatch.Event {
	t.Helper()
	r := memory.NewReader(AppendEvent(nil, ev))
	got := ReadEvent(r)
	if !r.Done() {
		t.Fatalf("%+v is not read as it was written", ev)
	}
	return got
}

// Each field of an event, alone and together with all the others, is what it was when it comes back, or is named above.
func TestEveryFieldOfAnEventIsKept(t *testing.T) {
	kind := reflect.TypeFor[harvestwatch.Event]()
	for name := range notKept {
		if _, ok := kind.FieldByName(name); !ok {
			t.Errorf("an event has no field %s any more", name)
		}
	}
	var all harvestwatch.Event
	fill(t, reflect.ValueOf(&all).Elem())
	whole := reflect.ValueOf(stored(t, &all))
	for i := range kind.NumField() {
		name := kind.Field(i).Name
		var one harvestwatch.Event
		fill(t, reflect.ValueOf(&one).Elem().Field(i))
		alone := stored(t, &one)
		want := reflect.ValueOf(one).Field(i)
		if _, left := notKept[name]; left {
			want = reflect.Zero(kind.Field(i).Type)
			reflect.ValueOf(&one).Elem().Field(i).SetZero()
		}
		if !reflect.DeepEqual(alone, one) {
			t.Errorf("%s alone: %+v is now %+v", name, one, alone)
		}
		if got := whole.Field(i); !reflect.DeepEqual(got.Interface(), want.Interface()) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// An empty text is not the same as none.
func TestEmptyTextsAreKept(t *testing.T) {
	ev := harvestwatch.Event{Helo: []byte{}, Name: []byte{}, Sender: []byte{}, Recipient: []byte{}, User: []byte{}}
	if got := stored(t, &ev); !reflect.DeepEqual(got, ev) {
		t.Errorf("%#v", got)
	}
}

// firstVersion is an event as it was stored before events had a verified name.
const firstVersion = "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03" +
	"\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x07" +
	"\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x06\x00\x00\x00\x09\x08\x01\x00\xfa\x00\x02\x00\x01\x00\x05" +
	"\x00\x04\xc0\x00\x02\x07\x01\x00\x0cmail.example\x01\x00\x00\x01\x00\x13rcpt@target.example\x00\x00\x00"

// What the version before wrote is read, also where it stands beside newer ones, and with what holds the event.
func TestEventsOfTheFirstVersionAreRead(t *testing.T) {
	old := harvestwatch.Event{Time: 1, Began: 2, Session: 3, Twin: 4, Join: 5, Addr: client, Pos: harvestwatch.Pos{Input: 6, Line: 7, Offset: 8},
		Ref: 9, Code: 250, Kind: harvestwatch.Delivered, Null: true, Status: harvestwatch.Enhanced{2, 1, 5}, Helo: []byte("mail.example"),
		Sender: []byte{}, Recipient: []byte("rcpt@target.example")}
	fresh := old
	fresh.Null, fresh.Idle, fresh.Name = false, true, []byte("out.example")
	r := memory.NewReader(append(AppendEvent([]byte(firstVersion), &fresh), firstVersion...))
	for i, want := range []harvestwatch.Event{old, fresh, old} {
		if got := ReadEvent(r); !reflect.DeepEqual(got, want) {
			t.Errorf("event %d: %+v, want %+v", i, got, want)
		}
	}
	if !r.Done() {
		t.Error("there is more, or less")
	}
	s := newStory()
	held := fmt.Sprintf("%s\x00\x00\x00\x16%s", binary.BigEndian.AppendUint64(nil, 1), firstVersion)
	if err := s.t.Restore(binary.BigEndian.AppendUint64([]byte{keyAwaited}, 5), []byte(held)); err != nil {
		t.Fatal(err)
	}
	s.accepted(0, 5, client)
	s.expect(t, "0 accepted 192.0.2.7", "0 delivered 192.0.2.7 rcpt@target.example")
}

// What no version wrote is foreign.
func TestForeignEventsAreRefused(t *testing.T) {
	whole := AppendEvent(nil, &harvestwatch.Event{Addr: client, Name: []byte("out.example"), NoUser: true})
	for n := range len(whole) {
		r := memory.NewReader(whole[:n])
		if ReadEvent(r); r.Done() {
			t.Errorf("%d of %d bytes were taken", n, len(whole))
		}
	}
	const flags = 7*8 + 4 + 4 + 1 // behind the numbers and the kind
	for bad := 2; bad < 256; bad++ {
		b := []byte(firstVersion)
		b[flags] = byte(bad)
		r := memory.NewReader(b)
		if ReadEvent(r); r.Done() {
			t.Errorf("the flags %#x were taken", bad)
		}
	}
}
