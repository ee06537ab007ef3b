package ledger

import (
	"fmt"
	"math"
	"slices"
)

const (
	step      = 300 // a fine bucket, in seconds
	week      = 168 // hours
	weeks     = 4   // that the median looks back
	perPage   = 24  // counts of a page: the hours of a day, or the fine buckets of two hours
	dayPages  = 32  // 30 days and the current one, or 4 weeks before a day ago
	finePages = 16  // a day and the current two hours
	dayKey    = 1   // key of the first day page; that of all else is 0
	fineKey   = dayKey + dayPages
	leastMail = 30 // deliveries that must be expected before anything is said
	armAfter  = 14 * day
	knownDays = 30 // that PerDay looks back
)

// page holds counts of adjoining times.
type page struct {
	number uint32 // the number of days, or of two hours, since 1970, plus 1; 0: nothing is in it
	count  [perPage]uint32
}

// Hours counts the site's good deliveries by the hour for a month, and by five minutes for a day. Its zero value is
// ready for use. It takes about 5 kB. Time is UTC: where the site's clock changes with the seasons, the week after has
// its hours one off. It can't tell a silent input from silent mail: who calls Check, calls it with the time of events.
// It is not safe for concurrent use.
type Hours struct {
	first, now uint32 // seconds of the first delivery that came in, and of the latest; 0: none
	days       [dayPages]page
	fine       [finePages]page
	changed    uint64 // a bit for each key that Changes has to tell
	value      []byte
}

// Deliver counts a good delivery. A late one counts where its time is still kept: a month back for the hours, a day for
// the last day's five minutes.
func (h *Hours) Deliver(sec uint32) {
	sec = max(sec, 1)
	if h.first == 0 {
		h.first = sec
		h.changed |= 1
	}
	if sec > h.now {
		h.now = sec
		h.changed |= 1
	}
	if i, ok := bump(h.days[:], sec/hour); ok {
		h.changed |= 1 << (dayKey + i)
	}
	if i, ok := bump(h.fine[:], sec/step); ok {
		h.changed |= 1 << (fineKey + i)
	}
}

// bump counts one in the at-th count since 1970, and returns its page. What is older than the page's place holds is
// not counted. A count stops at the largest number.
func bump(pages []page, at uint32) (i uint32, ok bool) {
	n := at / perPage
	i = n % uint32(len(pages))
	p := &pages[i]
	if p.number > n+1 {
		return 0, false
	}
	if p.number < n+1 {
		*p = page{number: n + 1}
	}
	if p.count[at%perPage] < math.MaxUint32 {
		p.count[at%perPage]++
	}
	return i, true
}

// counted returns the at-th count since 1970.
func counted(pages []page, at uint32) uint32 {
	n := at / perPage
	if p := &pages[n%uint32(len(pages))]; p.number == n+1 {
		return p.count[at%perPage]
	}
	return 0
}

// Reading is what Check found.
type Reading struct {
	Expected float64 // deliveries that the same hours of earlier weeks had, the median of them
	Seen     int     // deliveries in the period
	Over     uint32  // the period, in seconds; 0: nothing can be said yet
	Low      bool    // so few that something is wrong
	Armed    bool    // two weeks have been observed: the reading may suspend blocks, and not only tell
}

// Check says how the good mail stands at a second. A second before the latest delivery stands for that.
//
// It looks at the shortest period in which 30 deliveries are expected. A period ends with the second, which it includes,
// and begins with a multiple of five minutes; the longest has 24 hours. An hour is expected to bring the median of what
// the same hour brought one, two, three and four weeks before, as far as these are known; a part of it brings its part.
// An hour is known when the observation began before it did. A period with an hour that is known from no week tells
// nothing, nor does a day in which 30 are not expected: then all but Armed is zero. The mail is low at 3/10 and less.
func (h *Hours) Check(now uint32) Reading {
	now = max(now, h.now)
	if h.first == 0 {
		return Reading{}
	}
	r := Reading{Armed: now-h.first >= armAfter}
	// In halves of a delivery times the seconds of an hour all is whole numbers: nothing depends on rounding.
	var expected, seen, usual uint64
	usualHour, end := uint32(math.MaxUint32), uint64(now)+1
	for b := now / step; ; b-- {
		start := b * step
		if end-uint64(start) > day {
			return r
		}
		if start/hour != usualHour {
			var ok bool
			usualHour = start / hour
			if usual, ok = h.usual(usualHour); !ok {
				return r
			}
		}
		expected += usual * (min(end, uint64(start)+step) - uint64(start))
		seen += uint64(counted(h.fine[:], b))
		if expected >= leastMail*2*hour {
			r.Expected, r.Seen, r.Over = float64(expected)/(2*hour), int(seen), uint32(end-uint64(start))
			r.Low = seen*10*2*hour <= 3*expected
			return r
		}
		if b == 0 {
			return r
		}
	}
}

// usual returns twice the median of what an hour brought in earlier weeks, hours being counted from 1970. ok is false
// when it is known from none.
func (h *Hours) usual(at uint32) (twice uint64, ok bool) {
	var list [weeks]uint64
	n := 0
	for k := uint32(1); k <= weeks && at >= k*week && at-k*week > h.first/hour; k++ {
		list[n] = uint64(counted(h.days[:], at-k*week))
		n++
	}
	if n == 0 {
		return 0, false
	}
	slices.Sort(list[:n])
	return list[(n-1)/2] + list[n/2], true
}

// PerDay returns the site's good deliveries a day, over the days that are known, at most 30; 0 where none is known. Days
// are counted back from the beginning of the current hour, 24 hours each.
func (h *Hours) PerDay(now uint32) float64 {
	if h.first == 0 {
		return 0
	}
	end := max(now, h.now) / hour
	known := before(end, h.first/hour+1)
	n := min(known/24, knownDays)
	if n == 0 {
		return 0
	}
	var sum uint64
	for at := end - 24*n; at < end; at++ {
		sum += uint64(counted(h.days[:], at))
	}
	return float64(sum) / float64(n)
}

// Days returns for how many days deliveries have been observed, fractions included; at least three, because what happened
// once on the first day says little of how often it happens.
func (h *Hours) Days(now uint32) float64 {
	if h.first == 0 || now <= h.first {
		return 3
	}
	return max(3, float64(now-h.first)/day)
}

// Changes yields what changed since the last call, in a form that Restore takes: a value of about 100 bytes for each
// day and each two hours of the last day that a delivery changed, and one for all else under key 0. Values take the
// place of older ones under their key; none is ever nil. A value holds until yield returns.
func (h *Hours) Changes(yield func(key uint64, value []byte)) {
	for key := uint64(1); key < fineKey+finePages; key++ {
		switch {
		case h.changed&(1<<key) == 0:
		case key < fineKey:
			yield(key, h.encode(kindDay, &h.days[key-dayKey]))
		default:
			yield(key, h.encode(kindFine, &h.fine[key-fineKey]))
		}
	}
	if h.changed&1 != 0 {
		h.value = seal(put32(begin(h.value, kindHours), h.first, h.now))
		yield(0, h.value)
	}
	h.changed = 0
}

func (h *Hours) encode(kind byte, p *page) []byte {
	h.value = seal(put32(put32(begin(h.value, kind), p.number), p.count[:]...))
	return h.value
}

// Restore takes in what Changes yielded for a key, in place of what is known under it. After all values, in any order,
// the hours are as those that were saved. The value is not kept. On an error, which wraps ErrDamaged or ErrVersion, they
// are as they were.
func (h *Hours) Restore(key uint64, value []byte) error {
	var err error
	switch {
	case key == 0:
		err = h.restoreGlobal(value)
	case key < fineKey:
		err = restorePage(h.days[:], key-dayKey, kindDay, value)
	case key < fineKey+finePages:
		err = restorePage(h.fine[:], key-fineKey, kindFine, value)
	default:
		err = ErrDamaged
	}
	if err != nil {
		return fmt.Errorf("restore the hours, key %d: %w", key, err)
	}
	h.changed &^= 1 << key
	return nil
}

func (h *Hours) restoreGlobal(value []byte) error {
	in, err := open(value, kindHours)
	if err != nil {
		return err
	}
	first, now := in.u32(), in.u32()
	if !in.ok() || first == 0 || now < first {
		return ErrDamaged
	}
	h.first, h.now = first, now
	return nil
}

func restorePage(pages []page, i uint64, kind byte, value []byte) error {
	in, err := open(value, kind)
	if err != nil {
		return err
	}
	p := page{number: in.u32()}
	for k := range p.count {
		p.count[k] = in.u32()
	}
	if !in.ok() || p.number == 0 || uint64(p.number-1)%uint64(len(pages)) != i {
		return ErrDamaged
	}
	pages[i] = p
	return nil
}
