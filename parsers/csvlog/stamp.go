package csvlog

import "time"

// Stamp reads a time as Exchange writes it: 2026-01-11T16:00:04.113Z, in UTC. The fraction may have up to nine digits or
// be missing. It returns nanoseconds since 1970.
func Stamp(b []byte) (int64, bool) {
	if len(b) < 20 || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[len(b)-1] != 'Z' {
		return 0, false
	}
	year := int(two(b[0:])*100 + two(b[2:]))
	month, day, hour, minute, second := two(b[5:]), two(b[8:]), two(b[11:]), two(b[14:]), two(b[17:])
	if bad := month-1 > 11 || day-1 > 30 || hour > 23 || minute > 59 || second > 60 || year < 1970 || year > 2200; bad {
		return 0, false
	}
	if day > 28 && int(day) > daysIn(year, month) {
		return 0, false
	}
	nanos, ok := fraction(b[19 : len(b)-1])
	if !ok {
		return 0, false
	}
	seconds := days(year, month, day)*86400 + int64(hour)*3600 + int64(minute)*60 + int64(second)
	return seconds*int64(time.Second) + nanos, true
}

// two reads two digits; what is no number gives one above 99.
func two(b []byte) uint32 {
	tens, ones := uint32(b[0]-'0'), uint32(b[1]-'0')
	if tens > 9 || ones > 9 {
		return 10_000
	}
	return tens*10 + ones
}

// fraction reads ".113", or nothing.
func fraction(b []byte) (int64, bool) {
	if len(b) == 0 {
		return 0, true
	}
	if b[0] != '.' || len(b) < 2 || len(b) > 10 {
		return 0, false
	}
	n := int64(0)
	for i := 1; i < 10; i++ {
		n *= 10
		if i < len(b) {
			if b[i]-'0' > 9 {
				return 0, false
			}
			n += int64(b[i] - '0')
		}
	}
	return n, true
}

func daysIn(year int, month uint32) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// days returns the number of days from 1970-01-01 to a date of the Gregorian calendar, by counting years that begin in
// March, so that the day which leap years add is their last.
func days(year int, month, day uint32) int64 {
	y, m := int64(year), int64(month)
	if m <= 2 {
		y--
		m += 12
	}
	return y*365 + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + int64(day) - 1 - 719468
}
