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
	"github.com/harvestwatch/harvestwatch/parsers/dovecot"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/agent"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/popimap"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/receive"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/tracking"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/tracking2003"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/winevent"
	"github.com/harvestwatch/harvestwatch/parsers/gfi"
	"github.com/harvestwatch/harvestwatch/parsers/iis"
	"github.com/harvestwatch/harvestwatch/parsers/journal"
	"github.com/harvestwatch/harvestwatch/parsers/maillog"
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

// Names of formats that the program asks for itself.
const (
	Table   = "table"   // a table, or lines of text, whose fields Options.Fields names
	Journal = "journal" // what journalctl -o json prints

)

// format is one format of logs.
type format struct {
	name  string
	open  func(o *Options) (Parser, error)
	share func(head []byte) float64 // of the lines in head that are understood, 0 to 1
}

// simple makes an opener of a constructor that can't fail.
func simple[P Parser](open func(o *Options) P) func(o *Options) (Parser, error) {
	return func(o *Options) (Parser, error) { return open(o), nil }
}

// formats lists all formats. Where two understand equal shares of a log it is the first one's.
var formats = [...]format{
	{"postfix", simple(maillog.New), maillog.Share},
	{"dovecot", simple(dovecot.New), dovecot.Share},
	{Journal, simple(journal.New), journal.Share},
	{"exchange-receive", simple(receive.New), receive.Share},
	{"exchange-agent", simple(agent.New), agent.Share},
	{"exchange-tracking", simple(tracking.New), tracking.Share},
	{"exchange-popimap", simple(popimap.New), popimap.Share},
	{"exchange-1035", simple(winevent.New), winevent.Share},
	{"exchange-2003-tracking", simple(tracking2003.New), tracking2003.Share},
	{"iis-w3c", simple(iis.NewW3C), iis.ShareW3C},
	{"iis-ncsa", simple(iis.NewNCSA), iis.ShareNCSA},
	{"iis-native", simple(iis.NewNative), iis.ShareNative},
	{Table, openTable, func([]byte) float64 { return 0 }},
}

// openTable opens a parser for what Options.Fields names.
func openTable(o *Options) (Parser, error) {
	p, err := gfi.New(o)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Open returns a parser for one stream of a format. It returns ErrUnknownFormat for a name that Formats doesn't list,
// and another error where the options lack what the format needs.
func Open(name string, o Options) (Parser, error) {
	for i := range formats {
		if formats[i].name == name {
			return formats[i].open(&o)
		}
	}
	return nil, fmt.Errorf("open a parser for %q: %w; use one of: %s", name, ErrUnknownFormat, strings.Join(Formats(), ", "))
}

// Formats returns the names of all formats.
func Formats() []string {
	names := make([]string, len(formats))
	for i := range formats {
		names[i] = formats[i].name
	}
	return names
}

// Sniff returns the format that understands the largest share of the whole lines in head, the first bytes of a log, and
// that share, from 0 to 1. It returns "" where no format understands a line: mail can make up very little of a log that
// all programs of a host write.
func Sniff(head []byte) (format string, share float64) {
	for i := range formats {
		if s := formats[i].share(head); s > share {
			format, share = formats[i].name, s
		}
	}
	return format, share
}
