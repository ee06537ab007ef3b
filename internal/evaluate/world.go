package evaluate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/loggen"
)

// deed is what is counted of a source.
type deed uint8

const (
	tries    deed = iota // recipients asked for, whether there were such or not
	logins               // passwords tried
	messages             // messages that a filter refused
	connects             // connections
	counted              // the deeds before this one are counted as time passes

	good    = counted     // recipients delivered to
	learned = counted + 1 // recipients that exist, asked for
	deeds   = counted + 2
	none    = deeds
)

// deedOf says what an event counts as.
func deedOf(k harvestwatch.Kind) deed {
	switch k {
	case harvestwatch.RcptUnknown, harvestwatch.RcptOK:
		return tries
	case harvestwatch.AuthFail:
		return logins
	case harvestwatch.SpamRefused:
		return messages
	case harvestwatch.Connect:
		return connects
	case harvestwatch.Delivered:
		return good
	}
	return none
}

// known is what the whole world did, source by source, blocks or not.
type known struct {
	ids     map[harvestwatch.Source]int32
	sources []did
}

type did struct {
	source harvestwatch.Source
	counts [deeds]uint32
	first  [counted]int64 // when it did so first, nanoseconds; 0 for never
}

func (k *known) id(src harvestwatch.Source) int32 {
	id, ok := k.ids[src]
	if !ok {
		id = int32(len(k.sources))
		k.ids[src] = id
		k.sources = append(k.sources, did{source: src})
	}
	return id
}

// item is an event on its way to the lanes.
type item struct {
	ev   harvestwatch.Event
	at   int64           // when what it tells began: a delivery's acceptance; else its time
	so   [counted]uint32 // what the source has done so far, this included
	id   int32           // of the source, negative for none
	deed deed
}

// batch is a run of events with their bytes. A lane works through a whole batch before the next lane does, so that
// each finds its own memory in the processor's cache.
type batch struct {
	items []item
	text  []byte
}

const (
	batchItems = 256
	batchText  = batchItems * 192
)

func (b *batch) reset() { b.items, b.text = b.items[:0], b.text[:0] }

// keep copies bytes into the batch. There must be room, or what was kept before would move.
func (b *batch) keep(p []byte) []byte {
	if p == nil {
		return nil
	}
	lo := len(b.text)
	b.text = append(b.text, p...)
	return b.text[lo:len(b.text):len(b.text)]
}

// fits says whether there is room for an event.
func (b *batch) fits(ev *harvestwatch.Event) bool {
	n := len(ev.Helo) + len(ev.Name) + len(ev.Sender) + len(ev.Recipient) + len(ev.User)
	return len(b.items) < cap(b.items) && len(b.text)+n <= cap(b.text)
}

func (b *batch) add(ev *harvestwatch.Event) *item {
	b.items = b.items[:len(b.items)+1]
	it := &b.items[len(b.items)-1]
	it.ev = *ev
	for _, f := range []*[]byte{&it.ev.Helo, &it.ev.Name, &it.ev.Sender, &it.ev.Recipient, &it.ev.User} {
		*f = b.keep(*f)
	}
	return it
}

// note counts an event of the world and fills in what the lanes want to know of it.
func (k *known) note(it *item) {
	it.id, it.at, it.deed = -1, it.ev.Time, deedOf(it.ev.Kind)
	if it.deed == good && it.ev.Began > 0 {
		it.at = it.ev.Began
	}
	src, ok := harvestwatch.SourceOf(it.ev.Addr)
	if !ok {
		return
	}
	it.id = k.id(src)
	d := &k.sources[it.id]
	if it.deed != none {
		d.counts[it.deed]++
	}
	if it.deed < counted && d.first[it.deed] == 0 {
		d.first[it.deed] = it.at
	}
	if it.ev.Kind == harvestwatch.RcptOK {
		d.counts[learned]++
	}
	it.so = [counted]uint32(d.counts[:counted])
}

// ReplayOptions says how a world is replayed.
type ReplayOptions struct {
	Lag   time.Duration    // from a decision until the block is in force; 0: DefaultLag; negative: none
	Retry time.Duration    // blocks that follow one another within this time hold up a message together; 0: DefaultRetry
	Clock func() time.Time // for the speeds; nil: none are measured
}

// Replay shows a world to fresh contenders and returns the figures of each, in the entries' order, and the world's own.
// It works in its caller's goroutine. The error is ctx's,
// the world's, that of a contender which could not be made, or wraps ErrTruth.
func Replay(ctx context.Context, w World, entries []Entry, o ReplayOptions) ([]Metrics, Stats, error) {
	if o.Lag == 0 {
		o.Lag = DefaultLag
	}
	if o.Retry == 0 {
		o.Retry = DefaultRetry
	}
	k := &known{ids: map[harvestwatch.Source]int32{}}
	lanes := make([]*lane, len(entries))
	for i := range entries {
		c, err := entries[i].New()
		if err != nil {
			return nil, Stats{}, fmt.Errorf("make contender %s: %w", entries[i].Name, err)
		}
		lanes[i] = newLane(c, k, o)
	}
	b := &batch{items: make([]item, 0, batchItems), text: make([]byte, 0, batchText)}
	events := int64(0)
	truth, err := w(func(ev *harvestwatch.Event) bool {
		if !b.fits(ev) {
			run(lanes, b, o.Clock)
			if ctx.Err() != nil {
				return false
			}
		}
		k.note(b.add(ev))
		events++
		return true
	})
	if err != nil {
		return nil, Stats{}, fmt.Errorf("make events: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, Stats{}, err
	}
	run(lanes, b, o.Clock)
	said, err := labels(k, &truth)
	if err != nil {
		return nil, Stats{}, err
	}
	list, stats := reckon(entries, lanes, k, said)
	stats.Events, stats.Worlds = events, 1
	return list, stats, nil
}

// run has every lane work through the batch, and empties it.
func run(lanes []*lane, b *batch, clock func() time.Time) {
	for _, l := range lanes {
		if clock == nil {
			l.all(b)
			continue
		}
		began := clock()
		l.all(b)
		l.spent += clock().Sub(began)
	}
	b.reset()
}

// ErrTruth is the kind of error that a world gets whose truth leaves sources out.
var ErrTruth = errors.New("truth about a world")

// labels finds the truth about each source. Of two things said about one, that it must not be blocked weighs more.
func labels(k *known, t *loggen.Truth) ([]*loggen.Source, error) {
	list := make([]*loggen.Source, len(k.sources))
	for i := range t.Sources {
		src, ok := harvestwatch.SourceOf(t.Sources[i].Prefix.Addr())
		if !ok {
			continue
		}
		if id, ok := k.ids[src]; ok && (list[id] == nil || list[id].Label != loggen.MustNotBlock) {
			list[id] = &t.Sources[i]
		}
	}
	for id, s := range list {
		if s == nil {
			return nil, fmt.Errorf("%w: nothing is said about %s", ErrTruth, k.sources[id].source)
		}
	}
	return list, nil
}
