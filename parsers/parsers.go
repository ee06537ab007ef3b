// Package parsers turns the bytes of mail logs into events, one family of formats per package below it. A parser works
// in two phases: Lex takes lines apart and may run on every core; Fold, in the order of the input, adds what a format
// remembers across lines and tells the events.
//
// The package does no I/O, reads no clock and starts no goroutine; it doesn't judge what the events mean.
package parsers

import (
	"errors"
	"fmt"
	"strings"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/postfix"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// ErrUnknownFormat is returned by Open for a name that Formats doesn't list.
var ErrUnknownFormat = errors.New("unknown log format")

// Counts says what a parser made of the lines that it was given.
type Counts = harvestwatch.Counts

// Options says what the logs leave open.
type Options = site.Site

// Parser reads one stream: one log, with its rotated files in order. It belongs to its caller; only Lex may be called
// from several goroutines.
type Parser interface {
	// Lex takes the lines in l.Data apart and leaves what it found in l.Lexed, which it reuses. It touches nothing but l,
	// so it may run for several Lines at once and in any order.
	Lex(l *harvestwatch.Lines)
	// Fold turns what Lex left into events, in the order of the stream. emit is called for each event, and unparsed,
	// which may be nil, for each line that nobody understood; neither may keep what it is given. The events' texts hold
	// until l is released.
	Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(pos harvestwatch.Pos, line []byte)) Counts
	// Changes yields what is remembered across lines and changed since the last call; a nil value means forgotten. The
	// slices hold until yield returns. Stored together with the position of the next line, it lets another parser go on
	// with Restore as if nothing had happened.
	Changes(yield func(key, value []byte))
	// Restore takes back one thing that Changes yielded, before the first Fold, in any order. It returns an error for
	// bytes that Changes didn't yield; they change nothing.
	Restore(key, value []byte) error
	// Assumed says in one phrase for people which year and which zone were taken for stamps without; "" when the stamps
	// say all, or before the first.
	Assumed() string
}

// family is a family of formats.
type family struct {
	name  string
	open  func(o Options) Parser
	share func(head []byte) float64
}

var families = [...]family{
	{"postfix", func(o Options) Parser { return postfix.New(o.Reference, o.Year, o.Location) }, postfix.Share},
}

// Open returns a parser for one stream of a format. It returns ErrUnknownFormat for a name that Formats doesn't list.
func Open(format string, o Options) (Parser, error) {
	for i := range families {
		if families[i].name == format {
			return families[i].open(o), nil
		}
	}
	return nil, fmt.Errorf("open a parser for %q: %w; use one of: %s", format, ErrUnknownFormat, strings.Join(Formats(), ", "))
}

// Formats returns the names of all formats.
func Formats() []string {
	names := make([]string, len(families))
	for i := range families {
		names[i] = families[i].name
	}
	return names
}

// Sniff returns the format that understands the largest share of the whole lines in head, the first bytes of a log, and
// that share, from 0 to 1. It returns "" where no format understands a line: mail can make up very little of a log that
// all programs of a host write.
func Sniff(head []byte) (format string, share float64) {
	for i := range families {
		if s := families[i].share(head); s > share {
			format, share = families[i].name, s
		}
	}
	return format, share
}
