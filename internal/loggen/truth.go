package loggen

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Label says what should become of a source.
type Label string

// The labels.
const (
	MustBlock    Label = "must_block"     // it does harm and shows it plainly
	MayBlock     Label = "may_block"      // it does harm, but can't be told from the harmless by itself, or stopped too early
	MustNotBlock Label = "must_not_block" // blocking it would cost legitimate mail
)

// Counts says what a source did, as the log shows it: what a format never shows counts nothing.
type Counts struct {
	Connects    int64 `json:"connects"`     // connections; in an IIS log, which shows none, HELO and EHLO
	Unknown     int64 `json:"unknown"`      // recipients refused because there is no such user, each refusal counted
	Refused     int64 `json:"refused"`      // recipients refused by policy
	Accepted    int64 `json:"accepted"`     // transactions that got a queue id; in the logs of Windows servers, messages taken in
	Delivered   int64 `json:"delivered"`    // recipients whose message was delivered; in the logs of Windows servers, was taken in
	SpamRefused int64 `json:"spam_refused"` // messages refused by the content filter
	AuthFails   int64 `json:"auth_fails"`   // failed authentications; IIS shows none
	AuthOKs     int64 `json:"auth_oks"`     // transactions of an authenticated user; of Exchange, authentications; IIS shows none
}

func (c *Counts) add(o Counts) {
	c.Connects += o.Connects
	c.Unknown += o.Unknown
	c.Refused += o.Refused
	c.Accepted += o.Accepted
	c.Delivered += o.Delivered
	c.SpamRefused += o.SpamRefused
	c.AuthFails += o.AuthFails
	c.AuthOKs += o.AuthOKs
}

// Source is the truth about one source: an IPv4 address, as a /32, or the /64 of an IPv6 client.
type Source struct {
	Prefix netip.Prefix `json:"source"`
	Entity string       `json:"entity"` // whose it is: class and number; several sources can belong to one entity
	Class  string       `json:"class"`
	Label  Label        `json:"label"`
	// Scenario is the number of what it plays in the list of scenarios, 1 to 34; 0 for what belongs to none.
	Scenario int `json:"scenario,omitempty"`

	First time.Time `json:"first"` // its first connect
	Last  time.Time `json:"last"`  // its last connect
	Counts
}

// Truth is what is known of a generated log.
type Truth struct {
	Lines    int64     // lines written
	Bytes    int64     // bytes written, line feeds included
	Events   int64     // events told, where events were asked for
	Sessions int64     // connections
	Harvests int64     // those of them that were made to harvest
	Good     int64     // legitimate messages that were taken in, each counted once however many recipients it had
	First    time.Time // when the first session began
	Last     time.Time // when the last session began
	Total    Counts    // of all sources together
	Sources  []Source  // every source that connected at least once, in no order that matters but always the same one
}

// WriteJSON writes the truth about each source as one JSON object a line.
func (t *Truth) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	for i := range t.Sources {
		if err := enc.Encode(&t.Sources[i]); err != nil {
			return fmt.Errorf("write truth about source %d of %d: %w", i+1, len(t.Sources), err)
		}
	}
	return nil
}
