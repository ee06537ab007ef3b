package syslog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrState is returned by UnmarshalBinary for bytes that MarshalBinary didn't write.
var ErrState = errors.New("not the state of a clock")

// Clock turns the stamps of one stream, given in its order, into moments. What a stamp leaves open it takes from what
// came before: the year nearest to the previous time, and in the hour that a change from summer time repeats, the pass
// nearest to it. Not safe for concurrent use.
type Clock struct {
	reference time.Time
	year      int
	zone      *time.Location

	last      int64 // the previous time, nanoseconds since 1970
	started   bool  // last means something
	firstYear int   // the year that was assumed for the first stamp without one; 0 while there was none
	zoneless  bool  // a stamp without a zone was seen

	prev    int64 // the packed stamp of the previous call, and its seconds
	prevSec int64
	hour    int64 // a packed stamp's hour, and the seconds at its beginning; only hours without a change of offset
	hourSec int64
}

// NewClock returns a clock for one stream. reference is the latest moment that the stream can hold; from it the year of
// the first stamp without a year is decided, unless year, which may be 0, gives it. zone holds for stamps that have
// none; nil is UTC. Where neither a reference nor a year is given, the year is 2000.
func NewClock(reference time.Time, year int, zone *time.Location) *Clock {
	if zone == nil {
		zone = time.UTC
	}
	return &Clock{reference: reference, year: year, zone: zone, prev: -1, hour: -1}
}

// aDay is how far a stamp with a year may lie ahead in a log whose other stamps have none.
const aDay = 24 * time.Hour

// Time returns the moment that a stamp means, in nanoseconds since 1970 UTC, and remembers it. For no stamp it returns
// the previous moment.
func (c *Clock) Time(s Stamp) int64 {
	var sec int64
	switch {
	case s.form == formAbsolute:
		sec = s.value
		if c.hour >= 0 && apart(sec, c.hourSec) > 90*24*3600 {
			c.prev, c.hour = -1, -1 // the same stamp may mean another year by now
		}
		if at := sec*int64(time.Second) + int64(s.nanos); c.zoneless && at > c.last+int64(aDay) {
			return at // a stray stamp of another clock must not choose the year of those without
		}
	case s.form == formNone:
		return c.last
	case s.value == c.prev:
		sec = c.prevSec
	case s.value>>12 == c.hour:
		sec = c.hourSec + s.value>>6&63*60 + s.value&63
		c.prev, c.prevSec = s.value, sec
	default:
		sec = c.resolve(s)
	}
	c.last, c.started = sec*int64(time.Second)+int64(s.nanos), true
	return c.last
}

// resolve finds the moment of a stamp without a zone, and caches its hour where that has no change of offset.
func (c *Clock) resolve(s Stamp) int64 {
	year, month, day, hour, minute, second := unpack(s.value)
	c.zoneless = true
	if s.form == formYearless {
		year = c.decide(month, day, hour, minute, second)
	}
	base, plain := c.moment(year, month, day, hour, 0, 0)
	half, plain2 := c.moment(year, month, day, hour, 30, 0)
	end, plain3 := c.moment(year, month, day, hour, 59, 59)
	if plain && plain2 && plain3 && half-base == 1800 && end-base == 3599 {
		c.hour, c.hourSec = s.value>>12, base
		sec := base + int64(minute*60+second)
		c.prev, c.prevSec = s.value, sec
		return sec
	}
	c.prev = -1
	sec, _ := c.moment(year, month, day, hour, minute, second)
	return sec
}

// moment returns the seconds since 1970 of a local time, and whether it means one moment only. Of two it takes the one
// nearest to the previous time, the first where there was none.
func (c *Clock) moment(year, month, day, hour, minute, second int) (int64, bool) {
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, c.zone)
	sec, plain := t.Unix(), true
	for _, shift := range [...]int64{-7200, -3600, -1800, 1800, 3600, 7200} {
		u := time.Unix(t.Unix()+shift, 0).In(c.zone)
		if u.Hour() != t.Hour() || u.Minute() != t.Minute() || u.Day() != t.Day() {
			continue
		}
		plain = false
		if !c.started {
			sec = min(sec, u.Unix())
		} else if last := c.last / int64(time.Second); apart(u.Unix(), last) < apart(sec, last) {
			sec = u.Unix()
		}
	}
	return sec, plain
}

func apart(a, b int64) int64 { return max(a-b, b-a) }

// decide returns the year of a stamp that has none.
func (c *Clock) decide(month, day, hour, minute, second int) int {
	if c.started {
		return c.nearest(month, day, hour, minute, second)
	}
	year := c.year
	if year == 0 && c.reference.IsZero() {
		year = 2000
	}
	if year == 0 {
		limit := c.reference.Add(24 * time.Hour)
		year = limit.In(c.zone).Year() + 1
		for range 9 { // from one 29 February to the one before can take eight years
			t := time.Date(year, time.Month(month), day, hour, minute, second, 0, c.zone)
			if !t.After(limit) && t.Day() == day {
				break
			}
			year--
		}
	}
	c.firstYear = year
	return year
}

// nearest returns the year that brings the stamp nearest to the previous time.
func (c *Clock) nearest(month, day, hour, minute, second int) int {
	last := time.Unix(0, c.last).In(c.zone)
	best, least := last.Year(), time.Duration(1<<63-1)
	for year := last.Year() - 1; year <= last.Year()+1; year++ {
		t := time.Date(year, time.Month(month), day, hour, minute, second, 0, c.zone)
		if d := t.Sub(last).Abs(); d < least && t.Day() == day {
			best, least = year, d
		}
	}
	if c.firstYear == 0 {
		c.firstYear = best
	}
	return best
}

// Assumed says in one phrase which year and zone were taken for stamps without; "" when the stamps said all.
func (c *Clock) Assumed() string {
	switch {
	case c.firstYear != 0:
		return fmt.Sprintf("the stamps have no year and no zone: %d taken for the first, %s for all", c.firstYear, c.zone)
	case c.zoneless:
		return fmt.Sprintf("the stamps have no zone: %s taken", c.zone)
	}
	return ""
}

// Last returns the previous moment in nanoseconds since 1970, 0 where there was none.
func (c *Clock) Last() int64 { return c.last }

// MarshalBinary returns what the clock remembers: 11 bytes. It never fails.
func (c *Clock) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, 11)
	flags := byte(0)
	if c.started {
		flags |= 1
	}
	if c.zoneless {
		flags |= 2
	}
	b = append(b, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(c.last))
	return binary.BigEndian.AppendUint16(b, uint16(c.firstYear)), nil
}

// UnmarshalBinary makes the clock go on where another one stopped. It returns ErrState for foreign bytes.
func (c *Clock) UnmarshalBinary(b []byte) error {
	if len(b) != 11 || b[0] > 3 {
		return fmt.Errorf("read the clock's %d bytes: %w", len(b), ErrState)
	}
	c.started, c.zoneless = b[0]&1 != 0, b[0]&2 != 0
	c.last = int64(binary.BigEndian.Uint64(b[1:]))
	c.firstYear = int(binary.BigEndian.Uint16(b[9:]))
	c.prev, c.hour = -1, -1
	return nil
}
