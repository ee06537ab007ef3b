package main

import (
	"bufio"
	"context"
	"errors"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
)

func (p *program) eventsCommand() *cli.Command {
	return &cli.Command{
		Name:      "events",
		Usage:     "print what the logs say that clients did, one JSON object a line",
		ArgsUsage: "LOG...",
		Description: "The fields: time, kind, source, helo, sender, recipient, user, code, enhanced, session, input, line.\n" +
			"name (the client's verified name), null_sender, began, idle (a session without MAIL), no_user (the site has no\n" +
			"such user) and void (another log told the same deed: it does not count) are there where they say something.\n" +
			"Fields are added freely, none is renamed. --unparsed prints the lines that nobody understood instead.",
		Flags: append(readFlags(), &cli.BoolFlag{Name: "unparsed", Usage: "print the lines that were not understood"}),
		Action: func(c *cli.Context) error {
			o, err := p.readOptions(c)
			if err != nil {
				return err
			}
			return p.events(c.Context, o, c.Bool("unparsed"))
		},
	}
}

func (p *program) events(ctx context.Context, o readOptions, unparsed bool) error {
	logs, err := openLogs(ctx, o, p)
	if err != nil {
		return err
	}
	defer logs.close()
	out := &eventPrinter{w: bufio.NewWriterSize(p.stdout, 64<<10), logs: logs, quiet: unparsed}
	var heard func(harvestwatch.Pos, []byte)
	if unparsed {
		heard = out.unparsed
	}
	err = pipeline.Run(ctx, logs.source(ctx, heard), pipeline.Engine{Since: o.since, Until: o.until,
		Timeline: logs.timeline(), Missing: logs.missing()}, pipeline.Lane{Detector: nobody{}, Sink: out})
	if err = errors.Join(err, out.w.Flush()); err != nil {
		return err
	}
	return logs.failure()
}

// failure returns what could not be read, if anything.
func (l *logs) failure() error { return failed(errors.Join(l.problems()...)) }

// problems lists what could not be read, wholly or in part.
func (l *logs) problems() []error {
	list := l.errs
	for _, in := range l.inputs {
		if err := in.trouble(); err != nil {
			list = append(list, err)
		}
	}
	return list
}

// nobody is a detector that counts nothing.
type nobody struct{}

// Observe implements pipeline.Detector.
func (nobody) Observe(*harvestwatch.Event) harvestwatch.Outcome { return harvestwatch.Outcome{} }

// Settle implements pipeline.Detector.
func (nobody) Settle(*harvestwatch.Decision) {}

// eventPrinter is the sink that prints events.
type eventPrinter struct {
	w     *bufio.Writer
	logs  *logs
	quiet bool // events are not printed, only lines that were not understood
	buf   []byte
	err   error
}

// Event implements pipeline.Sink.
func (e *eventPrinter) Event(ev *harvestwatch.Event, out *harvestwatch.Outcome) {
	if e.quiet || e.err != nil {
		return
	}
	b := append(e.buf[:0], `{"time":"`...)
	b = ev.When().In(e.logs.opts.zone).AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","kind":"`...)
	b = append(b, ev.Kind.String()...)
	b = append(b, `","source":"`...)
	if ev.Addr.IsValid() {
		b = ev.Addr.AppendTo(b)
	}
	b = append(b, '"')
	if len(ev.Name) > 0 {
		b = appendField(b, "name", ev.Name)
	}
	b = appendField(b, "helo", ev.Helo)
	b = appendField(b, "sender", ev.Sender)
	b = appendField(b, "recipient", ev.Recipient)
	b = appendField(b, "user", ev.User)
	b = append(b, `,"code":`...)
	b = strconv.AppendUint(b, uint64(ev.Code), 10)
	b = append(b, `,"enhanced":"`...)
	b = append(b, ev.Status.String()...)
	b = append(b, `","session":"`...)
	if ev.Session != 0 {
		b = strconv.AppendUint(b, ev.Session, 16)
	}
	b = append(b, '"')
	b = appendField(b, "input", []byte(e.logs.inputs[ev.Pos.Input].Path))
	b = append(b, `,"line":`...)
	b = strconv.AppendInt(b, ev.Pos.Line, 10)
	if ev.Null {
		b = append(b, `,"null_sender":true`...)
	}
	if ev.Began != 0 {
		b = append(b, `,"began":"`...)
		b = time.Unix(0, ev.Began).In(e.logs.opts.zone).AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
	}
	if ev.Idle {
		b = append(b, `,"idle":true`...)
	}
	if ev.NoUser {
		b = append(b, `,"no_user":true`...)
	}
	if out.Void {
		b = append(b, `,"void":true`...)
	}
	e.write(append(b, '}', '\n'))
}

func (e *eventPrinter) write(b []byte) {
	e.buf = b
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
}

func (e *eventPrinter) unparsed(pos harvestwatch.Pos, line []byte) {
	b := append(e.buf[:0], `{"input":`...)
	b = appendString(b, []byte(e.logs.inputs[pos.Input].Path))
	b = append(b, `,"line":`...)
	b = strconv.AppendInt(b, pos.Line, 10)
	b = append(b, `,"text":`...)
	b = appendString(b, line[:min(len(line), evidenceBytes)])
	e.write(append(b, '}', '\n'))
}

// Decision implements pipeline.Sink.
func (e *eventPrinter) Decision(*harvestwatch.Decision) {}

// Notice implements pipeline.Sink.
func (e *eventPrinter) Notice(*harvestwatch.Notice) {}

// Commit implements pipeline.Sink. A reader that has seen enough ends the run.
func (e *eventPrinter) Commit(context.Context, *pipeline.Batch) error { return e.err }

func appendField(b []byte, name string, value []byte) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return appendString(b, value)
}

// appendString appends bytes from a log as a JSON string (RFC 8259 section 7). A byte that is no UTF-8 is read as Windows
// writes it in western Europe (code page 1252), or becomes U+FFFD where that has nothing there. Control characters, and
// the characters of Unicode that move a terminal's text about or break lines, are escaped.
func appendString(b, s []byte) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			switch {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c < ' ' || c == 0x7f:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			default:
				b = append(b, c)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n == 1 {
			r = windows1252(s[i])
		}
		if unsafeRune(r) {
			b = append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		} else {
			b = utf8.AppendRune(b, r)
		}
		i += n
	}
	return append(b, '"')
}

// windows1252 returns the character that a byte from 0x80 on stands for in code page 1252.
func windows1252(c byte) rune {
	// 0x80 to 0x9f
	const high = "€\ufffd‚ƒ„…†‡ˆ‰Š‹Œ\ufffdŽ\ufffd\ufffd‘’“”•–—˜™š›œ\ufffdžŸ"
	if c >= 0xa0 {
		return rune(c)
	}
	n := int(c - 0x80)
	for _, r := range high {
		if n == 0 {
			return r
		}
		n--
	}
	return utf8.RuneError
}

// unsafeRune reports whether a character must not reach a terminal: C1 controls, line and paragraph separators,
// directional marks and overrides, byte order marks. All are below U+10000.
func unsafeRune(r rune) bool {
	return r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e ||
		r >= 0x2060 && r <= 0x206f || r == 0xfeff || r == 0x061c
}
