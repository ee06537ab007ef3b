package store

import (
	"math"
	"time"
)

// nanos is how a time is stored: 0 for the zero Time, and the nearest that 64 bits hold (1677 and 2262) for times
// beyond those.
func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Year() < 1678:
		return math.MinInt64
	case t.Year() > 2261:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// moment is what nanos stored, in UTC.
func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// Day is a calendar day, counted from 1970-01-01.
type Day int32

// DayOf returns the calendar day of t in t's own zone: who wants days in UTC passes t.UTC().
func DayOf(t time.Time) Day {
	y, m, d := t.Date()
	return Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// Time returns the day's beginning in UTC.
func (d Day) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// String returns the day as 2006-01-02.
func (d Day) String() string { return d.Time().Format(time.DateOnly) }
