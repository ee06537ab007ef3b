// Package report turns what a run found into something to read: text for a person, JSON for a program. It does no
// I/O but to the writer it is given, reads no clock, and quotes every byte that came from a log.
package report

import (
	"net/netip"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// ScanSchema is the name and version of the JSON that Scan is written as. Fields are added freely; none is renamed
// or removed without a new version.
const ScanSchema = "harvestwatch.scan/1"

// Scan is the result of a forensic scan, in the form in which JSON has it.
type Scan struct {
	Schema        string        `json:"schema"`
	Inputs        []Input       `json:"inputs"`
	Period        Period        `json:"period"`
	Totals        Totals        `json:"totals"`
	Concentration Concentration `json:"concentration"`
	Distributed   Distributed   `json:"distributed"`
	Offenders     []Offender    `json:"offenders"`
	Alerts        []Alert       `json:"alerts"`     // the first 100
	AlertsAll     int64         `json:"alerts_all"` // how often somebody would have been told
	Prevented     Prevented     `json:"prevented"`
	DeliveriesHit DeliveriesHit `json:"deliveries_hit"`
	Spared        []Spared      `json:"spared"`
	HeldBack      []Held        `json:"held_back"`   // by guard
	Notices       []Notice      `json:"notices"`     // the first 100
	NoticesAll    int64         `json:"notices_all"` // how many there were
	Notes         []string      `json:"notes,omitempty"`
	Errors        []string      `json:"errors,omitempty"`
	Interrupted   bool          `json:"interrupted,omitempty"`
	OnTrial       int           `json:"on_trial"` // offenders whose blocks are on trial only: Prevented and DeliveriesHit leave those out
	Found         int           `json:"found"`    // offenders in all, of which Offenders may hold fewer
}

// Input is a log that was read.
type Input struct {
	Path     string `json:"path"`
	Format   string `json:"format"` // "" where no format was recognised
	Assumed  string `json:"assumed,omitempty"`
	Lines    int64  `json:"lines"`
	Events   int64  `json:"events"`
	Ignored  int64  `json:"ignored"`
	Unparsed int64  `json:"unparsed"`
	Error    string `json:"error,omitempty"`

	Unrecognised bool   `json:"-"` // left out because its format is not known
	Why          string `json:"-"` // what more there is to say of that
}

// Period is the time between the first and the last event.
type Period struct {
	From Time `json:"from"`
	To   Time `json:"to"`
}

// Totals counts what happened in the period.
type Totals struct {
	Connections       int64 `json:"connections"`
	UnknownRecipients int64 `json:"unknown_recipients"` // refusals, a recipient tried twice counted twice
	Bounces           int64 `json:"bounces"`            // those of them that came from the null sender
	Deliveries        int64 `json:"deliveries"`
	AuthFailures      int64 `json:"auth_failures"`
	Sources           int64 `json:"sources"`
	Late              int64 `json:"late"`       // events too old for every window
	Void              int64 `json:"told_twice"` // events of deeds that another log told too, counted once
	Future            int64 `json:"future"`     // events whose stamps lie ahead of the clock
}

// Offender is a source that reached the threshold of a rule, with all that followed.
type Offender struct {
	Source             string   `json:"source"`
	Target             string   `json:"target,omitempty"` // the prefix, where it is more than the source: then all numbers are the prefix's
	Key                string   `json:"key,omitempty"`    // by what the rule adds up, where that is not the source
	Group              string   `json:"group,omitempty"`  // which one of those it was; may be text from a log
	Rule               string   `json:"rule"`
	First              Time     `json:"first"` // the first counted event of the first offence
	Fired              Time     `json:"fired"` // when the threshold was first reached
	Count              int      `json:"count"` // what the rule had counted when it first fired
	Threshold          int      `json:"threshold"`
	DistinctRecipients int      `json:"distinct_recipients"` // as Count, for rules that count recipients, else 0
	Deliveries         int64    `json:"deliveries"`          // messages that the source delivered in the whole period
	Tries              int64    `json:"tries"`               // unknown recipients that it tried in the whole period
	Connections        int64    `json:"connections"`
	AuthFailures       int64    `json:"auth_failures"`
	Decision           string   `json:"decision"`
	Guard              string   `json:"guard"`
	Reason             string   `json:"reason"` // one sentence
	Blocks             []Span   `json:"blocks"`
	Evidence           []string `json:"evidence"`
}

// Span is a block that was, or would have been, in force.
type Span struct {
	From  Time `json:"from"`
	Until Time `json:"until"`
	Level int  `json:"level"`
}

// Prevented counts what came in while its source was, or would have been, blocked.
type Prevented struct {
	Connections  int64 `json:"connections"`
	Recipients   int64 `json:"recipients"`
	AuthFailures int64 `json:"auth_failures"`
}

// DeliveriesHit are the good messages that a block would have kept out.
type DeliveriesHit struct {
	Messages int64    `json:"messages"`
	Sources  []string `json:"sources"`
}

// Spared is a source that looks like an offender and was not blocked, with the reason.
type Spared struct {
	Source       string `json:"source"` // or a prefix
	Rule         string `json:"rule"`
	Guard        string `json:"guard"`   // what held it back though it reached the rule's threshold; "" where it didn't
	Tries        int64  `json:"tries"`   // unknown recipients, without those of the null sender
	Bounces      int64  `json:"bounces"` // unknown recipients of the null sender
	AuthFailures int64  `json:"auth_failures"`
	Count        int    `json:"count"`     // at its nearest approach to the threshold
	Threshold    int    `json:"threshold"` // at that moment
	Deliveries   int64  `json:"deliveries"`
	Why          string `json:"why"`
}

// Time is a moment that JSON has in RFC 3339, and null when there is none. It is shown in the zone that it carries.
type Time struct{ time.Time }

// MarshalJSON writes the time with whole seconds, or null for the zero time.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + t.Format(time.RFC3339) + `"`), nil
}

// Want asks for the raw lines that these references name, as far as they concern the source.
type Want struct {
	Source harvestwatch.Source
	Refs   []uint32
	Prefix netip.Prefix // where valid, lines of any source within it are meant
	Any    bool         // lines of any source are meant
}

// Evidence resolves references to raw lines.
type Evidence interface {
	// Lines answers each want with its raw lines, in the order of the references. Lines that cannot be had any more
	// are left out.
	Lines(wants []Want) [][]string
}

// Standings tells how near a source came to a threshold.
type Standings interface {
	Standing(s harvestwatch.Source) harvestwatch.Standing
}
