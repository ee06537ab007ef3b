package evaluate

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/detector"
	"github.com/harvestwatch/harvestwatch/rules"
)

// Answer is what a contender makes of an event.
type Answer struct {
	Until   int64                 // until when a block that begins now lasts, nanoseconds since 1970; 0: no block begins
	Prefix  netip.Prefix          // what is blocked; the zero Prefix for the event's source
	Session bool                  // the server hangs up: the rest of the event's session doesn't happen, at once and without a block
	Rule    string                // for what
	Release []harvestwatch.Source // whose blocks end now
}

// Contender looks at what reaches the server and says who is to be blocked.
type Contender interface {
	// See takes an event in, and reports whether it has something to say; it fills in the answer then, which is zero
	// before. id numbers the event's source, from 0 and without gaps, in the order of their first events; it is
	// negative for an event without a source. What a block keeps out is never shown. The event's bytes are borrowed.
	See(ev *harvestwatch.Event, id int32, a *Answer) bool
}

// Entry is a contender's entry in the tables, and how to make one for each world.
type Entry struct {
	Name string                    // short: the row's heading
	Note string                    // what it does, in a sentence
	New  func() (Contender, error) // a fresh one, which knows nothing
	Cell *Cell                     // its place in the sweep; nil elsewhere
}

// Setup says how our own contender is set up, besides its rules.
type Setup struct {
	Options detector.Options
	Policy  rules.Policy              // Enforce is set anyway
	Edit    func(*harvestwatch.Event) // changes each event before it is observed: what a world without a guard would see; may be nil
	Restart int                       // after so many events the state is saved, and a new detector and judge go on from it; 0: never
}

// Ours is the program's own detector and judge, in mode enforce.
type Ours struct {
	set    *rules.Set
	setup  Setup
	det    *detector.Detector
	judge  *rules.Judge
	own    harvestwatch.Event
	seen   int
	told   int                  // notices
	held   time.Duration        // how long they held back what the rules found
	until  time.Time            // until when they do
	saved  map[place][]byte     // the detector's state, where restarts are wanted
	blocks []harvestwatch.Block // the same of the judge
}

// place is where the detector's state has a value.
type place struct {
	space uint8
	key   uint64
}

// NewOurs returns a contender with that set of rules, which it only reads.
func NewOurs(set *rules.Set, s Setup) *Ours {
	s.Policy.Enforce = true
	return &Ours{set: set, setup: s, det: detector.New(set, s.Options), judge: rules.NewJudge(set, s.Policy),
		saved: map[place][]byte{}}
}

// OurEntry returns the entry of our own rules.
func OurEntry(name, note string, set *rules.Set, s Setup) Entry {
	return Entry{Name: name, Note: note, New: func() (Contender, error) { return NewOurs(set, s), nil }}
}

// See implements Contender. The detector leaves out by itself what a blocked source does before the block is in force.
func (o *Ours) See(ev *harvestwatch.Event, _ int32, a *Answer) bool {
	if o.setup.Edit != nil {
		o.own = *ev
		ev = &o.own
		o.setup.Edit(ev)
	}
	if o.seen++; o.setup.Restart > 0 && o.seen%o.setup.Restart == 0 {
		o.restart(ev.When())
	}
	out := o.det.Observe(ev)
	if n := out.Notice; n != nil {
		a.Release = n.Release
		o.told++
		if from := later(n.At, o.until); n.Until.After(from) {
			o.held, o.until = o.held+n.Until.Sub(from), n.Until
		}
	}
	if out.Offence != nil {
		dec := o.judge.Judge(out.Offence)
		o.det.Settle(&dec)
		if o.setup.Restart > 0 && (dec.Action == harvestwatch.ActBlock || dec.Action == harvestwatch.ActObserve) {
			o.blocks = append(o.blocks, harvestwatch.Block{From: dec.Offence.Fired, Until: dec.Until})
		}
		if dec.Action == harvestwatch.ActBlock {
			a.Until, a.Rule, a.Prefix = dec.Until.UnixNano(), dec.Offence.Rule, dec.Offence.Prefix
		}
	}
	return a.Until != 0 || len(a.Release) > 0
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Notices returns how often a guard of the whole site spoke up, and for how long it held back what the rules found.
func (o *Ours) Notices() (n int, held time.Duration) { return o.told, o.held }

// Stats returns the detector's figures of this moment.
func (o *Ours) Stats() detector.Stats { return o.det.Stats() }

// restart saves the state, as the daemon does, and goes on with what a new process would know.
func (o *Ours) restart(now time.Time) {
	o.det.Changes(func(space uint8, key uint64, value []byte) {
		if value == nil {
			delete(o.saved, place{space, key})
			return
		}
		o.saved[place{space, key}] = slices.Clone(value)
	})
	o.det, o.judge = detector.New(o.set, o.setup.Options), rules.NewJudge(o.set, o.setup.Policy)
	for at, value := range o.saved {
		if err := o.det.Restore(at.space, at.key, value); err != nil {
			clear(o.saved) // the decisions differ from here on, and the gate says so
			return
		}
	}
	o.blocks = slices.DeleteFunc(o.blocks, func(b harvestwatch.Block) bool { return b.Until.Before(now) && b.From.Before(now.Add(-time.Minute)) })
	o.judge.Resume(o.blocks)
}

// Footprint says what a detector's memory holds.
type Footprint struct {
	Sources int `json:"sources"`
	Bytes   int `json:"bytes"`
}

// atOnce is how many sources try at the same time while memory is measured; the others have done, or are to come.
const atOnce = 1 << 14

// MeasureFootprint has a detector know so many sources at a time, which asked for one to seven recipients each, four in
// the mean, and says what they take. They come in waves, as sources do: were all of them to try in turns, round by round,
// each list would grow beside the room that its smaller self left, and half as much again would be taken.
func MeasureFootprint(ctx context.Context, set *rules.Set, s Setup, sources int) (Footprint, error) {
	det := detector.New(set, s.Options)
	ev := harvestwatch.Event{Time: 1_800_000_000 * second, Kind: harvestwatch.RcptUnknown, Code: 550}
	var text [16]byte
	for wave := 0; wave < sources; wave += atOnce {
		if ctx.Err() != nil {
			return Footprint{}, ctx.Err()
		}
		for round := range 7 {
			for i := wave; i < min(wave+atOnce, sources); i++ {
				if i%7 < round {
					continue
				}
				ev.Addr = netip.AddrFrom4([4]byte{240 | byte(i>>24), byte(i >> 16), byte(i >> 8), byte(i)})
				ev.Recipient = strconv.AppendInt(text[:0], int64(8*i+round), 10)
				det.Observe(&ev)
			}
		}
	}
	st := det.Stats()
	return Footprint{Sources: st.Sources, Bytes: st.Bytes}, nil
}
