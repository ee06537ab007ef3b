package tailer

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
)

// suffixKind is how a rotated file says which generation it is.
type suffixKind uint8

const (
	noSuffix  suffixKind = iota // it doesn't: the live file, or none that was rotated
	numbered                    // mail.log.1: a larger number is older
	counted                     // extend3.log: a larger number is newer
	dated                       // mail.log-20260105, RECV2026010512-3.LOG: a smaller number is older
	otherwise                   // mail.log.old
)

// suffix is what rotation adds to a log's name.
type suffix struct {
	kind   suffixKind
	major  int64 // the number, or the date as yyyymmdd
	minor  minor // what follows the date
	packed bool  // the name says that the file is compressed
}

// minor is what follows a date in a name: first the digits that are joined to it (the hour, or a time), then the groups
// after separators (a time, seconds since 1970, a counter), each plus one. What isn't there is 0, so less.
type minor [5]int64

const maxBase = 255 // longest base name that is looked at; longer ones have no suffix

// parseRotation splits a base name into the log's name and what rotation made of it. The forms are those of logrotate
// (numbers, dateext, extension), of newsyslog, of Exchange (RECV20260105-1.LOG, POP32026010512-1.LOG, 20260105.log) and
// of IIS (u_ex260105.log, in26010512.log, nc2601.log, extend3.log).
func parseRotation(base string) (string, suffix) {
	if len(base) > maxBase {
		return base, suffix{}
	}
	name, packed := cutPacked(base)
	stem, s := cutSuffix(name)
	if s.kind == noSuffix {
		if i := strings.LastIndexByte(name, '.'); i >= 0 && isLetters(name[i+1:]) {
			stem, s = cutInner(name[:i], strings.EqualFold(name[i:], ".log"))
			stem += name[i:]
		}
	}
	if stem == "" {
		stem, s = name, suffix{}
	}
	s.packed = packed
	return stem, s
}

// cutPacked takes the extension of a compressed file off a name.
func cutPacked(name string) (string, bool) {
	for _, ext := range [...]string{".gz", ".zst", ".bz2", ".xz"} {
		if n := len(name) - len(ext); n > 0 && strings.EqualFold(name[n:], ext) {
			return name[:n], true
		}
	}
	return name, false
}

// cutSuffix takes what rotation appended off a name.
func cutSuffix(name string) (string, suffix) {
	if stem, ok := strings.CutSuffix(name, ".old"); ok && stem != "" {
		return stem, suffix{kind: otherwise}
	}
	if stem, s := cutDate(name, false); stem != "" && s.kind != noSuffix {
		return stem, s
	}
	i := strings.LastIndexByte(name, '.')
	if n, ok := number(name[i+1:]); i > 0 && ok && len(name)-i <= 5 {
		return name[:i], suffix{kind: numbered, major: n}
	}
	return name, suffix{}
}

// cutInner takes what rotation put before the extension off a name that has lost its extension, which was .log if log
// is set.
func cutInner(name string, log bool) (string, suffix) {
	if stem, s := cutIIS(name); log && s.kind != noSuffix {
		return stem, s
	}
	for _, service := range [...]string{"POP3", "IMAP4"} { // whose digit stands right before the date
		n := len(service)
		if len(name) <= n || !strings.EqualFold(name[:n], service) {
			continue
		}
		if s, ok := parseDate(name[n:]); ok {
			return name[:n], s
		}
	}
	if stem, s := cutDate(name, true); s.kind != noSuffix {
		return stem, s
	}
	return cutSuffix(name)
}

// cutIIS takes the date or the number off a name that IIS gives to its logs. Nothing may stand before its beginning.
func cutIIS(name string) (string, suffix) {
	i := len(name)
	for i > 0 && isDigit(name[i-1]) {
		i--
	}
	switch strings.TrimPrefix(strings.ToLower(name[:i]), "u_") { // u_ when they are in UTF-8
	case "ex", "in", "nc":
		if s, ok := parseShortDate(name[i:]); ok {
			return name[:i], s
		}
	case "extend", "inetsv", "ncsa":
		if n, ok := number(name[i:]); ok {
			return name[:i], suffix{kind: counted, major: n}
		}
	}
	return name, suffix{}
}

// parseShortDate reads yymm, yymmdd (or yymmww, the week of the month) or yymmddhh. Years from 90 on are of the last
// century.
func parseShortDate(s string) (suffix, bool) {
	if len(s) != 4 && len(s) != 6 && len(s) != 8 {
		return suffix{}, false
	}
	century, day := "20", "01"
	if s[0] == '9' {
		century = "19"
	}
	if len(s) > 4 {
		day = s[4:6]
	}
	n, ok := date(century + s[:4] + day)
	if !ok {
		return suffix{}, false
	}
	r := suffix{kind: dated, major: n}
	switch len(s) {
	case 4:
		r.major-- // before its days
	case 8:
		hour, ok := number(s[6:])
		if !ok || hour > 23 {
			return suffix{}, false
		}
		r.minor[0] = hour + 1
	}
	return r, true
}

// cutDate takes a date, with what may follow it, off the end of a name. The date stands after a separator or, where
// bare is set, after anything that isn't a digit.
func cutDate(name string, bare bool) (string, suffix) {
	for i := max(0, len(name)-32); i+8 <= len(name); i++ {
		if !isDigit(name[i]) || i > 0 && isDigit(name[i-1]) {
			continue
		}
		sep := i > 0 && strings.IndexByte("-._", name[i-1]) >= 0
		if !sep && !bare {
			continue
		}
		if s, ok := parseDate(name[i:]); ok {
			if sep {
				i--
			}
			return name[:i], s
		}
	}
	return name, suffix{}
}

// parseDate reads yyyymmdd or yyyy-mm-dd, followed by digits in groups, or seconds since 1970.
func parseDate(s string) (suffix, bool) {
	if n, ok := number(s); ok && len(s) == 10 && s[0] == '1' && s[1] >= '4' {
		return suffix{kind: dated, major: n}, true // 14… to 17…: 2014 and later
	}
	if len(s) < 8 {
		return suffix{}, false
	}
	digits, rest := s[:8], s[8:]
	if len(s) >= 10 && s[4] == s[7] && strings.IndexByte("-_.", s[4]) >= 0 {
		digits, rest = s[:4]+s[5:7]+s[8:10], s[10:]
	}
	day, ok := date(digits)
	if !ok {
		return suffix{}, false
	}
	m, ok := parseMinor(rest)
	return suffix{kind: dated, major: day, minor: m}, ok
}

// parseMinor reads what follows a date: groups of digits, the first of which may be joined to it.
func parseMinor(s string) (m minor, ok bool) {
	for i := 0; len(s) > 0; {
		n := 0
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		if n > 0 {
			v, ok := number(s[:n])
			if !ok || i == len(m) {
				return minor{}, false
			}
			m[i] = v + 1
		}
		if n == len(s) {
			break
		}
		if strings.IndexByte("-._T", s[n]) < 0 {
			return minor{}, false
		}
		if n > 0 || i == 0 {
			i++
		}
		s = s[n+1:]
	}
	return m, true
}

// date reads yyyymmdd of this century or the last.
func date(s string) (int64, bool) {
	n, ok := number(s)
	month, day := n/100%100, n%100
	return n, ok && n/1000000 >= 19 && n/1000000 <= 20 && month >= 1 && month <= 12 && day >= 1 && day <= 31
}

// number reads 1 to 18 decimal digits.
func number(s string) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetters(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return s != ""
}

// groupOf names the stream that a file is a part of: its folder and its name without what rotation added. Where the
// name is nothing but a date (20260105.log, as Exchange 2003 tracks messages) it is the folder.
func groupOf(path string) string {
	dir, base := filepath.Dir(path), filepath.Base(path)
	stem, s := parseRotation(base)
	if s.kind == dated && isDigit(base[0]) && stem[0] == '.' {
		return dir
	}
	return filepath.Join(dir, stem)
}

// older compares two generations of one log; the older one is the lesser. Names decide when both are numbered or both
// dated, the times of their last change otherwise.
func older(a, b sibling) int {
	switch {
	case a.suffix.kind == numbered && b.suffix.kind == numbered:
		return cmp.Or(cmp.Compare(b.suffix.major, a.suffix.major), cmp.Compare(a.mtime, b.mtime))
	case a.suffix.kind == b.suffix.kind && (a.suffix.kind == dated || a.suffix.kind == counted):
		return a.suffix.compare(b.suffix)
	}
	return cmp.Compare(a.mtime, b.mtime)
}

// compare compares two dates or two numbers that count upwards; the older one is the lesser.
func (s suffix) compare(o suffix) int {
	return cmp.Or(cmp.Compare(s.major, o.major), slices.Compare(s.minor[:], o.minor[:]))
}
