// Package site holds what a reader of logs must be told about the site that they come from, because no line says it:
// which addresses are the site's own, which domains it serves, and what the stamps leave open.
//
// It knows the nouns only, does no I/O and reads no clock.
package site

import (
	"bytes"
	"net/netip"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// Site says what the logs leave open. The zero value is a site that nothing is known of. It is not changed once a
// parser has it.
type Site struct {
	Reference time.Time      // the latest moment that the input can hold: its modification time, or now
	Year      int            // of the first stamp without a year; 0 takes the latest that doesn't lie after Reference
	Location  *time.Location // the zone of stamps that have none; nil is UTC
	// Own holds the site's servers and the gateways that hand it mail from others: never a client, so no event of
	// theirs is told.
	Own []netip.Prefix
	// Domains holds the domains that the site takes mail for, in lower case; one that begins with a dot stands for all
	// domains below it. Empty means not known.
	Domains []string
	// DateOrder is the order of day and month in dates that could be either: "mdy", "dmy" or "ymd"; "" means not known.
	DateOrder string
	// Fields maps a table's columns or a pattern's groups to what they mean, for the formats that need it; nil for none.
	Fields *Fields
}

// Fields says where a table or a text log that nobody has documented keeps what an event needs. Column names are
// compared without regard to case.
type Fields struct {
	Table string // name of the table, for databases with several
	Key   string // column that grows with every row, a number: where to go on
	// Pattern is a regular expression (RE2 syntax) for lines of text with the named groups time, source, recipient,
	// sender, helo, user and verdict, of which time and source must be there. "" for a table, whose columns are named below.
	Pattern    string
	Time       string // column of the time
	TimeLayout string // its form as Go's package time writes it; "" for what mdb-export and ISO 8601 write
	Source     string // column of the client's address
	Recipient  string
	Sender     string
	Helo       string
	User       string
	Verdict    string // column that says what was done with the mail
	// Verdicts maps what the verdict's column holds (compared without regard to case; a trailing * stands for any end)
	// to the kind of event; rows with another verdict are ignored. Where there is no Verdict, Kind is that of all rows.
	Verdicts map[string]harvestwatch.Kind
	Kind     harvestwatch.Kind // of rows without a verdict; 0 ignores them
}

// IsOwn reports whether an address is one of the site's own, or the host's own loopback.
func (s *Site) IsOwn(a harvestwatch.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() {
		return true
	}
	for _, p := range s.Own {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// IsLocal reports whether the site takes mail for a recipient's domain; known is false where Domains is empty, or the
// recipient has no domain.
func (s *Site) IsLocal(recipient []byte) (local, known bool) {
	at := bytes.LastIndexByte(recipient, '@')
	if len(s.Domains) == 0 || at < 0 || len(recipient) > harvestwatch.MaxField {
		return false, false
	}
	domain := strings.ToLower(string(bytes.TrimSuffix(recipient[at+1:], []byte{'.'})))
	for _, d := range s.Domains {
		if domain == d || len(d) > 1 && d[0] == '.' && strings.HasSuffix(domain, d) {
			return true, true
		}
	}
	return false, true
}
