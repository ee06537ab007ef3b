package ledger

import (
	"cmp"
	"slices"
)

const (
	witnesses   = 3       // so many recipients, denied to as many sources, make an outage, and so many of the denied end it
	denialSpan  = 600     // within which they must be denied, in seconds
	holdTime    = 30 * 60 // for how long each further one holds the breaker, in seconds
	answers     = 5       // so many known recipients who get mail end it, denied or not
	maxWitness  = 12      // so many denied recipients are weighed, and so many that got mail: the latest
	recentMail  = 7 * day // a recipient bears witness whose latest mail is no older
	day         = 86400
	hour        = 3600
	oldMail     = 30 * day // a recipient may be forgotten for a new one when its latest mail is as old
	sample      = 16       // among so many
	maxChanged  = 4096     // so many changed recipients are listed; beyond, Changes looks at all
	defaultSize = 262144
	maxSize     = 1 << 24
)

// witness is a recipient and the latest second at which it was denied, or received mail.
type witness struct {
	hash   uint64
	source uint64 // who asked for it when it was denied
	sec    uint32
}

const witnessBytes = 24

// outage is the directory-outage breaker. It is held from since up to, but not including, until. Both lists hold a
// recipient once, and when there are more than maxWitness, the latest of them.
//
// A directory that is away denies everybody. So what shows an outage is a run: all denials of recent from one second on,
// to at least three sources, and fewer recipients that got mail after that second than such sources. It is the sources
// that count, each with a recipient of its own: one that goes through a stale list is one voice, however long the list.
// Any denial may begin the run; mail that outweighs older denials only leaves these out of it. They stay in recent for
// their ten minutes, and may be part of a run when enough further ones come.
type outage struct {
	since  uint32    // the first denial of the latest outage; 0: there was none
	until  uint32    // holdTime after the last denial, or when the directory was back
	last   uint32    // the latest denial in it
	over   bool      // the directory was back: nothing prolongs this outage
	recent []witness // denials within denialSpan that make no outage yet
	mails  []witness // known recipients that received mail
}

func (o *outage) held(now uint32) bool { return o.since <= now && now < o.until }

// sane says whether the seconds fit together.
func (o *outage) sane() bool {
	if o.since == 0 {
		return o.until == 0 && o.last == 0 && !o.over
	}
	return o.since <= o.last && o.last <= o.until && o.until <= add(o.last, holdTime)
}

// deny takes in that a recipient that received mail lately was denied. It reports false when that is too long ago to
// say anything. A denial belongs to the latest outage when it lies in it, or, being late, just before it.
func (o *outage) deny(w witness, now uint32) bool {
	late := w.sec <= before(now, denialSpan)
	if w.sec < o.until && (w.sec >= o.since || !late) {
		o.since = min(o.since, w.sec)
		if !o.over && w.sec > o.last {
			o.last, o.until = w.sec, add(w.sec, holdTime)
		}
		return true
	}
	if late {
		return false
	}
	o.recent = slices.DeleteFunc(o.recent, func(r witness) bool { return r.sec <= before(now, denialSpan) })
	o.recent = note(o.recent, w)
	since, last, ok := o.run()
	if ok {
		o.since, o.last, o.until, o.over, o.recent = since, last, add(last, holdTime), false, o.recent[:0]
	}
	return true
}

// run returns the first and the last second of the longest run that shows an outage.
func (o *outage) run() (first, last uint32, ok bool) {
	for _, w := range o.recent {
		last = max(last, w.sec)
		if (!ok || w.sec < first) && o.shows(w.sec) {
			first, ok = w.sec, true
		}
	}
	return first, last, ok
}

// shows says whether the denials from a second on show an outage.
func (o *outage) shows(first uint32) bool {
	var asking [maxWitness]uint64 // the sources
	n, served := 0, 0
	for _, w := range o.recent {
		if w.sec >= first && !slices.Contains(asking[:n], w.source) {
			asking[n] = w.source
			n++
		}
	}
	for _, m := range o.mails {
		if m.sec > first {
			served++
		}
	}
	return n >= witnesses && served < n
}

// note adds what a witness says. Of what it has said already the later stands; when there is no room, the earliest goes,
// and of those in one second the one with the smallest hash.
func note(list []witness, w witness) []witness {
	for i := range list {
		if list[i].hash == w.hash {
			if w.sec > list[i].sec {
				list[i] = w
			}
			return list
		}
	}
	if len(list) < maxWitness {
		return append(list, w)
	}
	first := 0
	for i := range list {
		if earlier(list[i], list[first]) < 0 {
			first = i
		}
	}
	if earlier(list[first], w) < 0 {
		list[first] = w
	}
	return list
}

func earlier(a, b witness) int {
	return cmp.Or(cmp.Compare(a.sec, b.sec), cmp.Compare(a.hash, b.hash))
}
