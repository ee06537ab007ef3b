// Package gfi turns tables and text logs that nobody has documented into events, by a mapping that the administrator
// gives: which column, or which group of a pattern, holds the time, the client's address, the recipient and the
// verdict. GFI MailEssentials is what it was made for: neither its reports' tables nor its filters' logs are published.
// A table is CSV with a header, as mdb-export, a spreadsheet or a database writes it.
//
// The client's address is taken from the mapped column only, and only where that column holds an address and nothing
// else. Lex is pure and may run on several goroutines at once; everything else belongs to one. The package does no I/O,
// reads no clock and starts no goroutine.
package gfi

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// Bounds of what is read. A record beyond them is unparsed.
const (
	maxRecord     = 64 << 10 // bytes of a record or a line
	maxLines      = 1000     // lines of a record
	maxColumns    = 512      // columns of a table
	maxRecipients = 1000     // events of a record; recipients above are not told
	maxVerdicts   = 1000     // entries of the mapping
	maxPattern    = 4096     // bytes of the pattern
	maxName       = 256      // bytes of a column's name
)

// Errors of New, for errors.Is.
var (
	ErrNoMapping = errors.New("no mapping of columns is given; `harvestwatch discover PATH` writes one to confirm")
	ErrMapping   = errors.New("the mapping is incomplete")
)

// Parser reads one stream of a table or of a text log. It implements the interface Parser of the package parsers.
type Parser struct {
	site     *site.Site
	fields   site.Fields
	zone     *time.Location
	pattern  *regexp.Regexp
	groups   [roles]int // the pattern's group of each role, 0 for none
	names    [roles]string
	verdicts verdicts
	naive    bool // a time without a zone was read

	delim   byte       // of the table; 0 before the header
	header  []byte     // the header's record as it stands
	columns int        // of the header
	column  [roles]int // the column of each role, -1 for none
	pending []byte     // the lines of a record that is not complete
	open    int        // how many those are
	skip    bool       // the record is too long: lines are dropped until it ends

	changed [kinds]bool // what Changes has to yield
	stored  [kinds]bool // what Changes has yielded and not withdrawn

	// Set while Fold runs.
	out      *lexed
	pos      harvestwatch.Pos
	emit     func(*harvestwatch.Event)
	unparsed func(harvestwatch.Pos, []byte)
	counts   harvestwatch.Counts
	ev       harvestwatch.Event
	spans    []span
	lower    []byte
}

// role is what a column or a group means.
type role int

const (
	roleTime role = iota
	roleSource
	roleRecipient
	roleSender
	roleHelo
	roleUser
	roleVerdict
	roles
)

// groupNames are the names of the pattern's groups.
var groupNames = [roles][]string{{"time"}, {"source", "ip"}, {"recipient", "rcpt"}, {"sender"}, {"helo"}, {"user"}, {"verdict"}}

// New returns a parser for one stream; o.Fields is the mapping, o.Location the zone of times without one. The site is
// not changed afterwards. It returns ErrNoMapping where there is no mapping and ErrMapping where one can give no event.
func New(o *site.Site) (*Parser, error) {
	if o == nil || o.Fields == nil {
		return nil, fmt.Errorf("open a table: %w", ErrNoMapping)
	}
	p := &Parser{site: o, fields: *o.Fields, zone: o.Location}
	if p.zone == nil {
		p.zone = time.UTC
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("read the mapping: %w", err)
	}
	if p.fields.Pattern != "" {
		if err := p.compile(); err != nil {
			return nil, fmt.Errorf("read the mapping's pattern: %w", err)
		}
	}
	return p, nil
}

// check holds the mapping against what a row needs to give an event.
func (p *Parser) check() error {
	f := &p.fields
	names := [roles]string{f.Time, f.Source, f.Recipient, f.Sender, f.Helo, f.User, f.Verdict}
	for i, name := range names {
		p.names[i] = strings.TrimSpace(name)
		if len(name) > maxName {
			return fmt.Errorf("%w: a column's name has %d bytes, %d are allowed", ErrMapping, len(name), maxName)
		}
	}
	if f.Pattern == "" && (p.names[roleTime] == "" || p.names[roleSource] == "") {
		return fmt.Errorf("%w: name the columns of the time and of the client's address", ErrMapping)
	}
	judged := p.names[roleVerdict] != "" || f.Pattern != "" && strings.Contains(f.Pattern, "<verdict>")
	switch {
	case judged && len(f.Verdicts) == 0:
		return fmt.Errorf("%w: say under [verdicts] which kind of event a verdict is", ErrMapping)
	case !judged && f.Kind == 0:
		return fmt.Errorf("%w: there is no verdict, so say with kind which kind of event all rows are", ErrMapping)
	}
	if !hasYear(f.TimeLayout) {
		return fmt.Errorf("%w: the time layout %q has no year", ErrMapping, f.TimeLayout)
	}
	var err error
	p.verdicts, err = newVerdicts(f.Verdicts)
	return err
}

// hasYear reports whether a layout tells years apart.
func hasYear(layout string) bool {
	if layout == "" {
		return true
	}
	day := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC) // a Sunday, as is the first of January 2034
	return day.Format(layout) != time.Date(2034, 1, 1, 0, 0, 0, 0, time.UTC).Format(layout)
}

// compile reads the pattern. It is held against a line from its first byte on, so that no part of a line that a client
// wrote is taken for a line.
func (p *Parser) compile() error {
	text := p.fields.Pattern
	if len(text) > maxPattern {
		return fmt.Errorf("%w: it has %d bytes, %d are allowed", ErrMapping, len(text), maxPattern)
	}
	if _, err := regexp.Compile(text); err != nil {
		return fmt.Errorf("%w: %w", ErrMapping, err)
	}
	re, err := regexp.Compile(`\A(?:` + text + `)`)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMapping, err)
	}
	for i, name := range re.SubexpNames() {
		r := slices.IndexFunc(groupNames[:], func(names []string) bool { return slices.Contains(names, name) })
		switch {
		case name == "":
		case r < 0:
			return fmt.Errorf("%w: no group is called %q; use time, source, recipient, sender, helo, user and verdict", ErrMapping, name)
		case p.groups[r] != 0:
			return fmt.Errorf("%w: the groups %q are the same", ErrMapping, groupNames[r])
		default:
			p.groups[r] = i
		}
	}
	if p.groups[roleTime] == 0 || p.groups[roleSource] == 0 {
		return fmt.Errorf("%w: it needs the groups (?P<time>...) and (?P<source>...)", ErrMapping)
	}
	p.pattern = re
	return nil
}

// Assumed says in one phrase which zone was taken for times without; "" when the times say all, or before the first.
func (p *Parser) Assumed() string {
	if !p.naive {
		return ""
	}
	return "times without a zone are taken for " + p.zone.String()
}
