package iis

import (
	"fmt"
	"time"
)

// order is the order of the numbers in a date of the Microsoft IIS format, which depends on the server's language.
type order uint8

const (
	orderUnknown order = iota
	orderMDY
	orderDMY
	orderYMD
	orderEnd
)

var orderNames = [orderEnd]string{"", "mdy", "dmy", "ymd"}
var orderWords = [orderEnd]string{"", "month/day/year", "day/month/year", "year/month/day"}

func orderOf(name string) order {
	for o := orderMDY; o < orderEnd; o++ {
		if orderNames[o] == name {
			return o
		}
	}
	return orderUnknown
}

// numbers unpacks what date packed. long says which of them, from 1, has four digits, 0 for none.
func numbers(packed uint32) (n [3]int, long int, dots bool) {
	n = [3]int{int(packed >> 20), int(packed >> 12 & 0xff), int(packed >> 2 & 0x3ff)}
	for i := range n {
		if n[i] >= longYear {
			n[i] += 1900 - longYear
			long = i + 1
		}
	}
	return n, long, packed&1 != 0
}

// in returns the days since 1970 of a date in an order. It reports false where it is no date then.
func (o order) in(packed uint32) (days int64, ok bool) {
	n, long, _ := numbers(packed)
	y, m, d := n[2], n[0], n[1]
	switch {
	case long == 1 || o == orderYMD && long == 0: // nobody writes a year of four digits and then the day
		y, m, d = n[0], n[1], n[2]
	case o == orderYMD:
		return 0, false
	case o == orderDMY:
		m, d = n[1], n[0]
	}
	if long == 0 {
		if y > 99 {
			return 0, false
		}
		if y += 1900; y < 1980 {
			y += 100
		}
	}
	return daysOf(y, m, d)
}

// decide returns the order that a date shows: month/day/year, or with dots day/month/year, unless that is no date or
// one that lies after reference, the latest moment that the log can hold; year/month/day only where the
// first number can be nothing but a year.
func decide(packed uint32, reference time.Time) order {
	n, long, dots := numbers(packed)
	if long == 1 {
		return orderUnknown // says nothing of dates that begin otherwise
	}
	orders := [...]order{orderMDY, orderDMY, orderYMD}
	if dots {
		orders = [...]order{orderDMY, orderMDY, orderYMD}
	}
	for _, o := range orders[:2] {
		days, ok := o.in(packed)
		if ok && (reference.IsZero() || days <= reference.Unix()/daySeconds+1) {
			return o
		}
	}
	for _, o := range orders {
		if _, ok := o.in(packed); ok && (o != orderYMD || n[0] > 31) {
			return o
		}
	}
	return orders[0]
}

// zoned turns local times into moments, and keeps what is the same for many rows.
type zoned struct {
	location *time.Location
	date     uint32 // the latest row's date and minute, and the moment at which that minute began
	minute   int64
	moment   int64
	twice    int64 // by how many seconds later the same local time came again, 0 for never
	known    bool
}

// local returns the moment of a row of the Microsoft IIS format. It reports false where the date is none in the order
// in force. Where a local time came twice, as the clocks were put back, it is the first time, unless later rows were seen.
func (p *Parser) local(t *token) (moment int64, ok bool) {
	s, z := &p.stream, &p.zoned
	o := s.order
	if o == orderUnknown {
		o = decide(t.date, p.site.Reference)
	}
	if !z.known || z.date != t.date || z.minute != t.at/60 {
		days, ok := o.in(t.date)
		if !ok {
			s.misread = true
			return 0, false
		}
		z.known, z.date, z.minute = true, t.date, t.at/60
		z.moment, z.twice = moments(days*daySeconds+z.minute*60, z.location)
	}
	if _, long, _ := numbers(t.date); long != 1 {
		s.order = o
	}
	moment = z.moment + t.at%60
	if z.twice != 0 && moment < s.last-600 {
		moment += z.twice
	}
	s.last = max(s.last, moment)
	return moment, true
}

// moments returns the first moment at which the clocks of a zone showed a time, given as if it were UTC, and how much
// later they showed it again, or 0.
func moments(wall int64, zone *time.Location) (first, twice int64) {
	var offsets [2]int64
	for i, at := range []int64{wall - daySeconds, wall + daySeconds} {
		_, offset := time.Unix(at, 0).In(zone).Zone()
		offsets[i] = int64(offset)
	}
	early, late := max(offsets[0], offsets[1]), min(offsets[0], offsets[1])
	first = wall - early
	_, offset := time.Unix(first, 0).In(zone).Zone()
	_, again := time.Unix(wall-late, 0).In(zone).Zone()
	switch {
	case int64(offset) != early: // only the later one, or none where clocks were put forward
		return wall - late, 0
	case int64(again) == late && early != late:
		return first, early - late
	}
	return first, 0
}

// assumedDates says how dates are read.
func (p *Parser) assumedDates() string {
	said := fmt.Sprintf("stamps without a zone read in %s", p.zoned.location)
	if o := p.stream.order; o != orderUnknown {
		said += ", dates as " + orderWords[o]
		if p.site.DateOrder == "" {
			said += ": set date_order if that is wrong"
		}
	}
	if p.stream.misread {
		said += "; some dates can't be read so"
	}
	return said
}
