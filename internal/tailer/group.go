package tailer

import (
	"cmp"
	"path/filepath"
	"strings"
)

// suffixKind is how a rotated file says which generation it is.
type suffixKind uint8

const (
	noSuffix  suffixKind = iota // it doesn't: the live file, or none that was rotated
	numbered                    // mail.log.1: a larger number is older
	dated                       // mail.log-20260105, RECV2026010512-3.LOG: a smaller number is older
	otherwise                   // mail.log.old
)

// suffix is what rotation adds to a log's name.
type suffix struct {
	kind   suffixKind
	major  int64 // the number, or the date as yyyymmdd
	minor  int64 // what follows the date: hour, time, seconds since 1970 or a counter
	packed bool  // the name says that the file is compressed
}

const maxBase = 255 // longest base name that is looked at; longer ones have no suffix

// parseRotation splits a base name into the log's name and what rotation made of it. The forms are those of logrotate
// (numbers, dateext, extension), of newsyslog, of Exchange (RECV20260105-1.LOG) and of IIS (u_ex260105.log).
func parseRotation(base string) (string, suffix) {
	if len(base) > maxBase {
		return base, suffix{}
	}
	name, packed := cutPacked(base)
	stem, s := cutSuffix(name)
	if s.kind == noSuffix {
		if i := strings.LastIndexByte(name, '.'); i >= 0 && isLetters(name[i+1:]) {
			stem, s = cutInner(name[:i])
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
	if stem, s := cutDate(name, false); s.kind != noSuffix {
		return stem, s
	}
	i := strings.LastIndexByte(name, '.')
	if n, ok := number(name[i+1:]); i > 0 && ok && len(name)-i <= 5 {
		return name[:i], suffix{kind: numbered, major: n}
	}
	return name, suffix{}
}

// cutInner takes what rotation put before the extension off a name that has lost its extension.
func cutInner(name string) (string, suffix) {
	if rest, ok := strings.CutPrefix(name, "u_ex"); ok && len(rest) >= 6 {
		day, dayOK := date("20" + rest[:2] + rest[2:6])
		hour, hourOK := number("0" + rest[6:])
		if dayOK && hourOK {
			return "u_ex", suffix{kind: dated, major: day, minor: hour}
		}
	}
	if stem, s := cutDate(name, true); s.kind != noSuffix {
		return stem, s
	}
	return cutSuffix(name)
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
	digits := s[:8]
	rest := s[8:]
	if len(s) >= 10 && s[4] == s[7] && strings.IndexByte("-_.", s[4]) >= 0 {
		digits, rest = s[:4]+s[5:7]+s[8:10], s[10:]
	}
	day, ok := date(digits)
	if !ok {
		return suffix{}, false
	}
	var tail strings.Builder
	for i := range len(rest) {
		switch c := rest[i]; {
		case isDigit(c):
			tail.WriteByte(c)
		case strings.IndexByte("-._T", c) < 0:
			return suffix{}, false
		}
	}
	minor, ok := number("0" + tail.String())
	return suffix{kind: dated, major: day, minor: minor}, ok
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

// groupOf names the stream that a file is a part of: its folder and its name without what rotation added.
func groupOf(path string) string {
	stem, _ := parseRotation(filepath.Base(path))
	return filepath.Join(filepath.Dir(path), stem)
}

// older compares two generations of one log; the older one is the lesser. Names decide when both are numbered or both
// dated, the times of their last change otherwise.
func older(a, b sibling) int {
	switch {
	case a.suffix.kind == numbered && b.suffix.kind == numbered:
		return cmp.Or(cmp.Compare(b.suffix.major, a.suffix.major), cmp.Compare(a.mtime, b.mtime))
	case a.suffix.kind == dated && b.suffix.kind == dated:
		return cmp.Or(cmp.Compare(a.suffix.major, b.suffix.major), cmp.Compare(a.suffix.minor, b.suffix.minor))
	}
	return cmp.Compare(a.mtime, b.mtime)
}
