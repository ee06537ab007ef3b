package syslog

// Stamp is a time as a line gives it, not yet a moment where the line leaves its year or its zone open. The zero Stamp
// is none.
type Stamp struct {
	value int64  // absolute: seconds since 1970 UTC; else year, month, day, hour, minute, second, packed
	nanos uint32 // fraction of the second
	form  uint8
}

const (
	formNone     = iota
	formAbsolute // the stamp says its offset from UTC
	formDated    // date and time without a zone
	formYearless // month, day and time
)

// None reports whether there is no stamp.
func (s Stamp) None() bool { return s.form == formNone }

// pack puts a date and time into one number that sorts as they do, for years of 0 to 9999.
func pack(year, month, day, hour, minute, second int) int64 {
	return ((((int64(year)<<4|int64(month))<<5|int64(day))<<5|int64(hour))<<6|int64(minute))<<6 | int64(second)
}

func unpack(v int64) (year, month, day, hour, minute, second int) {
	return int(v >> 26), int(v >> 22 & 15), int(v >> 17 & 31), int(v >> 12 & 31), int(v >> 6 & 63), int(v & 63)
}

// parseStamp reads a stamp and the one space behind it.
func parseStamp(b []byte, s *Stamp) ([]byte, bool) {
	if len(b) < 16 {
		return nil, false
	}
	if b[0]-'0' < 10 {
		return parseISO(b, s)
	}
	return parseBSD(b, s)
}

// parseBSD reads "Nov 22 16:02:13 ", with one or two places for the day, and with a year behind the day where a
// daemon puts one there.
func parseBSD(b []byte, s *Stamp) ([]byte, bool) {
	m := month(b)
	if m == 0 || b[3] != ' ' {
		return nil, false
	}
	i := 4
	if b[i] == ' ' {
		i++
	}
	day := int(b[i] - '0')
	if day > 9 {
		return nil, false
	}
	i++
	if d := b[i] - '0'; d < 10 {
		day = day*10 + int(d)
		i++
	}
	if b[i] != ' ' || day < 1 || day > 31 {
		return nil, false
	}
	b = b[i+1:]
	year, form := 0, uint8(formYearless)
	if len(b) > 5 && b[4] == ' ' {
		if year = digits(b, 0, 4); year < 0 {
			return nil, false
		}
		b, form = b[5:], formDated
	}
	h, mi, sec, ok := clockTime(b)
	if !ok || len(b) < 9 || b[8] != ' ' {
		return nil, false
	}
	*s = Stamp{value: pack(year, m, day, h, mi, sec), form: form}
	return b[9:], true
}

// parseISO reads "2024-08-26T01:33:38.572449+00:00 ", with a space for the T, and without fraction or offset.
func parseISO(b []byte, s *Stamp) ([]byte, bool) {
	if len(b) < 20 || b[4] != '-' || b[7] != '-' || b[10] != 'T' && b[10] != ' ' && b[10] != 't' {
		return nil, false
	}
	year, m, day := digits(b, 0, 4), digits(b, 5, 2), digits(b, 8, 2)
	h, mi, sec, ok := clockTime(b[11:])
	if !ok || year < 0 || m < 1 || m > 12 || day < 1 || day > 31 {
		return nil, false
	}
	b = b[19:]
	var nanos uint32
	if b[0] == '.' || b[0] == ',' {
		b, nanos = fraction(b[1:])
	}
	if len(b) == 0 {
		return nil, false
	}
	if b[0] == ' ' {
		*s = Stamp{value: pack(year, m, day, h, mi, sec), nanos: nanos, form: formDated}
		return b[1:], true
	}
	b, offset, ok := zone(b)
	if !ok || len(b) == 0 || b[0] != ' ' {
		return nil, false
	}
	*s = Stamp{value: seconds(year, m, day, h, mi, sec) - int64(offset), nanos: nanos, form: formAbsolute}
	return b[1:], true
}

// zone reads "Z", "+02:00", "+0200" or "+02", and returns the offset in seconds east of UTC.
func zone(b []byte) ([]byte, int, bool) {
	if b[0] == 'Z' || b[0] == 'z' {
		return b[1:], 0, true
	}
	if len(b) < 3 || b[0] != '+' && b[0] != '-' {
		return nil, 0, false
	}
	h, m := digits(b, 1, 2), 0
	rest := b[3:]
	if len(rest) > 2 && rest[0] == ':' {
		m, rest = digits(rest, 1, 2), rest[3:]
	} else if len(rest) > 1 && rest[0] != ' ' {
		m, rest = digits(rest, 0, 2), rest[2:]
	}
	if h < 0 || h > 23 || m < 0 || m > 59 {
		return nil, 0, false
	}
	offset := h*3600 + m*60
	if b[0] == '-' {
		offset = -offset
	}
	return rest, offset, true
}

// fraction reads digits as a fraction of a second; those beyond the ninth are cut off.
func fraction(b []byte) ([]byte, uint32) {
	n, scale := uint32(0), uint32(100_000_000)
	i := 0
	for ; i < len(b) && b[i]-'0' < 10; i++ {
		n += uint32(b[i]-'0') * scale
		scale /= 10
	}
	return b[i:], n
}

// clockTime reads "16:02:13"; a leap second is allowed.
func clockTime(b []byte) (h, m, s int, ok bool) {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0, 0, 0, false
	}
	h, m, s = digits(b, 0, 2), digits(b, 3, 2), digits(b, 6, 2)
	return h, m, s, h >= 0 && h < 24 && m >= 0 && m < 60 && s >= 0 && s <= 60
}

// digits returns the number that the n digits at b[i:] write, or a negative number where one of them is none. b holds them.
func digits(b []byte, i, n int) int {
	v := 0
	for _, c := range b[i : i+n] {
		d := c - '0'
		if d > 9 {
			return -1
		}
		v = v*10 + int(d)
	}
	return v
}

// month returns the number of the English month name that b begins with, or 0.
func month(b []byte) int {
	switch uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) {
	case 'J'<<16 | 'a'<<8 | 'n':
		return 1
	case 'F'<<16 | 'e'<<8 | 'b':
		return 2
	case 'M'<<16 | 'a'<<8 | 'r':
		return 3
	case 'A'<<16 | 'p'<<8 | 'r':
		return 4
	case 'M'<<16 | 'a'<<8 | 'y':
		return 5
	case 'J'<<16 | 'u'<<8 | 'n':
		return 6
	case 'J'<<16 | 'u'<<8 | 'l':
		return 7
	case 'A'<<16 | 'u'<<8 | 'g':
		return 8
	case 'S'<<16 | 'e'<<8 | 'p':
		return 9
	case 'O'<<16 | 'c'<<8 | 't':
		return 10
	case 'N'<<16 | 'o'<<8 | 'v':
		return 11
	case 'D'<<16 | 'e'<<8 | 'c':
		return 12
	}
	return 0
}

// seconds returns the seconds from 1970 to a UTC date and time of the Gregorian calendar.
func seconds(year, month, day, hour, minute, second int) int64 {
	y, m := int64(year), int64(month)
	if m <= 2 {
		y, m = y-1, m+12
	}
	days := 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + int64(day) - 719469
	return ((days*24+int64(hour))*60+int64(minute))*60 + int64(second)
}
