package pipeline

import (
	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

// Bounds of what a Timeline remembers. Above them the oldest is forgotten: then a deed that a second log tells later
// counts twice, or a delivery is told without its client.
const (
	maxDeeds    = 1 << 17 // deeds that other logs may tell too
	maxChain    = 256     // deeds with one twin that are looked at
	maxMessages = 1 << 17 // messages whose client is known
	maxAwaited  = 1 << 13 // messages whose client isn't known yet
	maxHeld     = 1 << 16 // events of theirs, and deliveries on trial
	maxTrials   = 1 << 12 // messages whose deliveries are on trial
	maxTaken    = 1 << 16 // messages that another log knows more of
	maxBlamed   = 1 << 14 // clients whose unknown recipient a log named
)

// Spans of event time, in nanoseconds.
const (
	// trialTime is how long a delivery that only the dialogue's log tells is on trial: the clocks of one site's servers.
	trialTime = 2 * int64(1e9)
	// trialsAfter is how long after the last message that a log of deliveries told there are trials at all. A log that
	// covers another week, or can't be read, is no reason to doubt.
	trialsAfter = 3600 * int64(1e9)
	// blameTime is how long before a refusal of somebody a log that names him may have told it: a tarpit lies between.
	blameTime = 60 * int64(1e9)
)

// Timeline makes one story of what several logs of a site tell: a deed that several tell counts once (Event.Twin), and
// an event that names a message only gets the client from the event that brought the message in (Event.Join), whichever
// of the two comes first. Events without Twin and Join pass untouched. It belongs to the loop's goroutine.
type Timeline struct {
	ids      []uint32 // of the streams, by their numbers
	deeds    *memory.Table[uint64, deed]
	latest   map[twinKey]uint64 // number of the latest deed with that twin
	next     uint64             // number of the next deed
	messages *memory.Table[uint64, message]
	awaited  *memory.Table[uint64, awaited]
	trials   *memory.Table[uint64, awaited]  // deliveries on trial, by their Join
	taken    *memory.Table[uint64, struct{}] // Joins of messages that another log knows more of
	blamed   *memory.Table[uint64, blame]    // clients whose unknown recipient a log named
	tracked  int64                           // when a log of deliveries last told a message
	stored   int64                           // tracked, as last given out by Changes
	held     int
	twin     func(client harvestwatch.Addr, recipient []byte) uint64
}

type twinKey struct {
	twin uint64
	kind harvestwatch.Kind
}

// deed is something that was told, under the number in which it came.
type deed struct {
	twinKey
	at    int64
	older uint64               // number of the deed before it with the same twin, 0 for none
	by    [maxWitnesses]uint32 // ids of the streams that told it, 0 for none
}

// maxWitnesses is how many logs are noted for one deed; what more of them tell is taken for it, however often they do.
const maxWitnesses = 6

// message is whose message it was.
type message struct {
	addr    harvestwatch.Addr
	session uint64
	at      int64
	null    bool
}

// awaited are events of one message that wait: for its client, or for another log to know better.
type awaited struct {
	events  []harvestwatch.Event
	streams []uint32 // ids of the streams that told deliveries on trial
}

// NewTimeline returns the timeline of streams that the ids name, by their numbers. An id is not 0 and stays the same
// from run to run. twin gives the Twin that parsers give to what a client did to a recipient: what gets its client here
// gets it here too.
func NewTimeline(ids []uint32, twin func(client harvestwatch.Addr, recipient []byte) uint64) *Timeline {
	return &Timeline{
		ids: ids, next: 1, twin: twin,
		deeds:    memory.NewTable[uint64, deed](maxDeeds),
		latest:   map[twinKey]uint64{},
		messages: memory.NewTable[uint64, message](maxMessages),
		awaited:  memory.NewTable[uint64, awaited](maxAwaited),
		trials:   memory.NewTable[uint64, awaited](maxTrials),
		taken:    memory.NewTable[uint64, struct{}](maxTaken),
		blamed:   memory.NewTable[uint64, blame](maxBlamed),
	}
}

// Place puts an event in its place. It calls tell for the event, unless that waits for its client or is on trial, and for
// events whose waiting it ends. twin says that the event was told before by another stream.
func (t *Timeline) Place(ev *harvestwatch.Event, stream int, tell func(ev *harvestwatch.Event, twin bool)) {
	if t.trials.Len() > 0 {
		t.acquit(ev.Time-trialTime, tell)
	}
	switch {
	case ev.Twin == 0 && ev.Join == 0:
		tell(ev, false)
		return
	case ev.Join != 0 && !ev.Addr.IsValid():
		m := t.messages.Get(ev.Join)
		if m == nil {
			t.keep(t.awaited, ev, stream, func(oldest uint64) { t.giveUp(oldest, tell) })
			return
		}
		t.give(ev, m)
	case ev.Join != 0 && ev.Kind == harvestwatch.Delivered && len(t.ids) > 1:
		t.try(ev, stream, tell)
		return
	case ev.Join != 0 && ev.Kind == harvestwatch.RcptUnknown && len(t.ids) > 1:
		tell(ev, t.named(ev, t.ids[stream]))
		return
	}
	t.tell(ev, stream, tell)
	switch {
	case ev.Kind == harvestwatch.RcptUnknown && len(t.ids) > 1:
		b, _ := t.blamed.Put(t.twin(ev.Addr, nil))
		*b = blame{at: ev.Time, by: t.ids[stream]}
	case ev.Kind == harvestwatch.SpamRefused && ev.Join != 0:
		t.take(ev.Join)
	case ev.Kind == harvestwatch.Accepted && ev.Join != 0:
		if ev.Twin != 0 && ev.Code == 0 { // a log of deliveries: no reply stands in it
			t.take(ev.Twin)
			t.tracked = max(t.tracked, ev.Time)
		}
		t.learn(ev, tell)
	}
}

// blame is that a log named an unknown recipient of a client.
type blame struct {
	at int64
	by uint32 // id of the stream
}

// named reports whether another stream named what this one tells without a name: that one of several recipients of a
// message was unknown.
func (t *Timeline) named(ev *harvestwatch.Event, id uint32) bool {
	b := t.blamed.Get(t.twin(ev.Addr, nil))
	return b != nil && b.by != id && ev.Time-b.at <= blameTime && b.at-ev.Time <= trialTime
}

// tell tells an event, and whether another stream told the same before.
func (t *Timeline) tell(ev *harvestwatch.Event, stream int, tell func(*harvestwatch.Event, bool)) {
	tell(ev, ev.Twin != 0 && len(t.ids) > 1 && t.told(ev, t.ids[stream]))
}

// try puts a delivery on trial that the dialogue's log tells: it counts unless another log takes the message over, which
// knows whether it was spam, and to whom it came.
func (t *Timeline) try(ev *harvestwatch.Event, stream int, tell func(*harvestwatch.Event, bool)) {
	if t.taken.Get(ev.Join) != nil {
		return
	}
	if d := ev.Time - t.tracked; d > trialsAfter || d < -trialsAfter {
		t.tell(ev, stream, tell)
		return
	}
	t.keep(t.trials, ev, stream, func(oldest uint64) { t.release(oldest, tell) })
}

// keep adds an event to those of its message. Where there is no room, end is called for the message of the table that has
// waited longest.
func (t *Timeline) keep(in *memory.Table[uint64, awaited], ev *harvestwatch.Event, stream int, end func(join uint64)) {
	for t.held >= maxHeld && in.Len() > 0 {
		oldest, _ := in.Oldest()
		end(oldest)
	}
	a := in.Get(ev.Join)
	if a == nil {
		if oldest, full := in.Full(); full {
			end(oldest)
		}
		a, _ = in.Put(ev.Join)
		*a = awaited{}
	}
	in.Touch(ev.Join)
	a.events, a.streams = append(a.events, ev.Clone()), append(a.streams, t.ids[stream])
	t.held++
}

// acquit tells the deliveries whose trial began before a time.
func (t *Timeline) acquit(before int64, tell func(*harvestwatch.Event, bool)) {
	t.trials.Each(func(key uint64, a *awaited) bool {
		if a.events[0].Time >= before {
			return false
		}
		t.release(key, tell)
		return true
	})
}

// release tells the deliveries of a message.
func (t *Timeline) release(join uint64, tell func(*harvestwatch.Event, bool)) {
	a := *t.trials.Get(join)
	t.trials.Drop(join)
	t.held -= len(a.events)
	for i := range a.events {
		ev := &a.events[i]
		tell(ev, ev.Twin != 0 && t.told(ev, a.streams[i]))
	}
}

// take drops the deliveries on trial of a message that another log knows more of, those to come too.
func (t *Timeline) take(join uint64) {
	if a := t.trials.Get(join); a != nil {
		t.held -= len(a.events)
		t.trials.Drop(join)
	}
	t.taken.Put(join)
}

// give gives an event its message's client, and the twin that goes with it.
func (t *Timeline) give(ev *harvestwatch.Event, m *message) {
	ev.Addr, ev.Session, ev.Null, ev.Began = m.addr, m.session, m.null, m.at
	ev.Twin = t.twin(ev.Addr, ev.Recipient)
}

// told reports whether another stream told the deed before, and notes that this one did. Of several deeds with the same
// twin it is the oldest that this stream hasn't told yet: so n deeds that two logs tell each are n, in whatever order.
func (t *Timeline) told(ev *harvestwatch.Event, id uint32) bool {
	key := twinKey{ev.Twin, ev.Kind}
	var found *deed
	number, foundAt := t.latest[key], uint64(0)
	newest := number
	for range maxChain {
		d := t.deeds.Get(number)
		if d == nil || d.twinKey != key {
			break
		}
		if near(d.at, ev.Time) && d.misses(id) {
			found, foundAt = d, number
		}
		number = d.older
	}
	if found != nil {
		found.note(id)
		t.deeds.Touch(foundAt)
		return true
	}
	t.add(key, ev.Time, newest, id)
	return false
}

func near(a, b int64) bool { return a-b <= harvestwatch.TwinTime && b-a <= harvestwatch.TwinTime }

// misses reports whether a stream hasn't told the deed.
func (d *deed) misses(id uint32) bool {
	for _, by := range d.by {
		if by == id {
			return false
		}
	}
	return true
}

// note notes that a stream told the deed, while there is room.
func (d *deed) note(id uint32) {
	for i, by := range d.by {
		if by == 0 {
			d.by[i] = id
			return
		}
	}
}

func (t *Timeline) add(key twinKey, at int64, older uint64, id uint32) {
	t.room()
	d, _ := t.deeds.Put(t.next)
	*d = deed{twinKey: key, at: at, older: older}
	d.by[0] = id
	t.latest[key] = t.next
	t.next++
}

// room forgets the oldest deed if there is no room for another.
func (t *Timeline) room() {
	number, full := t.deeds.Full()
	if !full {
		return
	}
	if d := t.deeds.Get(number); t.latest[d.twinKey] == number {
		delete(t.latest, d.twinKey)
	}
	t.deeds.Drop(number)
}

// giveUp tells the events that wait for a message's client, without it.
func (t *Timeline) giveUp(join uint64, tell func(*harvestwatch.Event, bool)) {
	events := t.awaited.Get(join).events
	t.awaited.Drop(join)
	t.held -= len(events)
	for i := range events {
		tell(&events[i], false)
	}
}

// Rest tells what still waits when there are no more events: deliveries on trial, and what has no client.
func (t *Timeline) Rest(tell func(ev *harvestwatch.Event, twin bool)) {
	t.trials.Each(func(join uint64, _ *awaited) bool {
		t.release(join, tell)
		return true
	})
	t.awaited.Each(func(join uint64, _ *awaited) bool {
		t.giveUp(join, tell)
		return true
	})
}

// learn remembers whose message it was, and tells what waited for that.
func (t *Timeline) learn(ev *harvestwatch.Event, tell func(*harvestwatch.Event, bool)) {
	m, _ := t.messages.Put(ev.Join)
	*m = message{addr: ev.Addr, session: ev.Session, at: ev.Time, null: ev.Null}
	a := t.awaited.Get(ev.Join)
	if a == nil {
		return
	}
	events := a.events
	t.awaited.Drop(ev.Join)
	t.held -= len(events)
	given := *m
	for i := range events {
		t.give(&events[i], &given)
		tell(&events[i], len(t.ids) > 1 && t.told(&events[i], a.streams[i]))
	}
}
