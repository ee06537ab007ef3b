// Package loggen makes up labelled mail traffic: a seeded, entity-based model of who talks to a mail server, rendered
// as the server's log, with the truth about every source beside it. Tests, benchmarks and the command that simulates
// traffic use it.
//
// It doesn't detect, parse or read anything, and it knows no rule: a label says what a sane rule set should do with a
// source, given how the source behaves. Addresses come from 240.0.0.0/4 and 2001:db8::/32 and names end in .example, so
// that a block list made of a generated log can hurt nobody. It starts no goroutine, reads no clock and has no state
// outside a call.
//
// The model is made of entities that wake up and give sessions, which are neutral to the format; class.go lists their
// classes, with the scenarios that they play. hostile.go, hostile_more.go and swarm.go have those that do harm, good.go
// the usual mail, tricky.go, tricky_lists.go and incidents.go what is harmless and looks otherwise. A renderer
// (postfix.go, exchange.go, iis.go) writes the lines of a session's steps, or tells its events (events.go). Another log
// format is another renderer, and an entry in format.go.
package loggen

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Stamp is the form of the time at the beginning of a line.
type Stamp uint8

// The forms of stamps.
const (
	StampRFC3339 Stamp = iota // 2026-03-02T09:14:07.120331+01:00
	StampBSD                  // Mar  2 09:14:07, in the start's zone
)

// Config says what traffic to make. The zero value of every field but Seed has a default.
type Config struct {
	Seed       uint64        // equal configurations with equal seeds give equal bytes
	Start      time.Time     // the first moment, in the zone that stamps show; by default 2026-03-02 00:00 UTC, a Monday
	Duration   time.Duration // how long clients go on to begin sessions; by default 72 hours; at least a minute
	Lines      int64         // how many lines to aim at, hit within some per cent, if Mix.Tricky leaves room; 0 means that JunkPerDay says it
	JunkPerDay int64         // hostile recipients, logins and bare connections a day where Lines is 0; by default 100,000
	GoodPerDay int64         // good messages a day; by default 1,700, and fewer where they would be over a sixth of Lines
	Mix        Mix           // who the hostile clients are; by default Classic
	Format     string        // the log's format, one of Formats; by default "postfix"
	Stamp      Stamp         // the form of the stamps; other formats than Postfix have one form only, and take the zero value
	Host       string        // the server's name in each line, by default mx1; no white space, and no comma, quotation mark or backslash
	Only       []string      // if set, only entities of these classes (as in Source.Class) take part, with the streams they have anyway
	Scenarios  []string      // as Only; beside, these take part even if Mix has none of them
	Also       []string      // classes that take part beside those that Mix has: what a mix leaves out, and "clock", "restart", "malformed"
	Warmup     time.Duration // how much of Duration passes before the hostile ones begin, so that the others have a history; by default 0
}

// ErrConfig is the kind of error that a configuration gets which can't be followed.
var ErrConfig = errors.New("traffic configuration")

func (c Config) withDefaults() (Config, error) {
	if c.Start.IsZero() {
		c.Start = time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)
	}
	if c.Duration == 0 {
		c.Duration = 72 * time.Hour
	}
	if c.JunkPerDay == 0 {
		c.JunkPerDay = 100_000
	}
	if c.GoodPerDay == 0 {
		c.GoodPerDay = 1_700
	}
	if c.Mix == (Mix{}) {
		c.Mix = Classic()
	}
	if c.Host == "" {
		c.Host = "mx1"
	}
	if c.Format == "" {
		c.Format = formatPostfix
	}
	f, ok := formatOf(c.Format)
	switch {
	case !ok:
		return c, fmt.Errorf("%w: there is no format %q; the formats are %s", ErrConfig, c.Format, strings.Join(Formats(), ", "))
	case c.Stamp != StampRFC3339 && c.Format != formatPostfix:
		return c, fmt.Errorf("%w: the stamps of %s have one form; leave Stamp at its default", ErrConfig, c.Format)
	case c.Duration < time.Minute || c.Duration > 10*365*24*time.Hour:
		return c, fmt.Errorf("%w: the duration is %v; take one from a minute to ten years", ErrConfig, c.Duration)
	case c.Warmup < 0 || c.Warmup > c.Duration-time.Minute:
		return c, fmt.Errorf("%w: the warm-up is %v of %v; take one that leaves a minute at least", ErrConfig, c.Warmup, c.Duration)
	case c.Lines < 0 || c.JunkPerDay < 0 || c.GoodPerDay < 0:
		return c, fmt.Errorf("%w: a number of lines or messages is negative; take 0 for the default", ErrConfig)
	case c.Start.Year() < 1971 || c.Start.Year() > 2200:
		return c, fmt.Errorf("%w: the start lies in the year %d; take one from 1971 to 2200", ErrConfig, c.Start.Year())
	case strings.ContainsAny(c.Host, " \t\r\n,\"\\") || len(c.Host) > 255:
		return c, fmt.Errorf("%w: %q is no host name; take one without white space, commas, quotation marks and backslashes", ErrConfig, c.Host)
	case total(f.shares(c.Mix)) <= 0:
		return c, fmt.Errorf("%w: the mix has no positive share; leave it empty for the classic one", ErrConfig)
	}
	for _, names := range [3][]string{c.Only, c.Scenarios, c.Also} {
		for _, name := range names {
			if _, ok := classOf(name); !ok {
				return c, fmt.Errorf("%w: there is no class %q; the classes are %s", ErrConfig, name, strings.Join(Classes(), ", "))
			}
		}
	}
	return c, nil
}

// Generate writes a log of the traffic that cfg asks for to w, in the order of time, and returns the truth about it.
// Memory is that of the sources and of the sessions that are open at one moment, whatever the number of lines. It
// returns an error that wraps ErrConfig for a configuration it can't follow, and w's error, wrapped, with the truth
// about what had been made until then.
func Generate(w io.Writer, cfg Config) (Truth, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Truth{}, err
	}
	f, _ := formatOf(cfg.Format)
	out := &sink{out: bufio.NewWriterSize(w, 1<<18)}
	world := newWorld(cfg, f)
	world.run(f.open(world, out))
	t := world.truth()
	t.Lines, t.Bytes = out.lines, out.bytes
	if err := out.out.Flush(); err != nil {
		return t, fmt.Errorf("write generated log after %d lines: %w", out.lines, err)
	}
	return t, nil
}
