package agent

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/tracking/reply"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// The wanted columns. Exchange 2007 and 2010 write 17 columns, 2013 and later 20; the first 17 are the same.
const (
	colTime = iota
	colSession
	colRemote
	colEntered
	colMessage
	colSender
	colRecipient
	colAgent
	colEvent
	colAction
	colAnswer
	colReason
)

var columns = []string{
	"Timestamp", "SessionId", "RemoteEndpoint", "EnteredOrgFromIP", "MessageId", "P1FromAddress", "Recipient", "Agent", "Event",
	"Action", "SmtpResponse", "Reason",
}

const usual = "Timestamp,SessionId,LocalEndpoint,RemoteEndpoint,EnteredOrgFromIP,MessageId,P1FromAddress,P2FromAddresses," +
	"Recipient,NumRecipients,Agent,Event,Action,SmtpResponse,Reason,ReasonData,Diagnostics,NetworkMsgID,TenantID,Directionality"

// row is what is kept of a row that an agent's verdict stands in.
type row struct {
	at         int64
	ip         address.IP
	session    uint64
	join       uint64 // of a message that was refused for its contents: the Twin of its acceptance; 0 for none
	code       uint16
	kind       harvestwatch.Kind
	null       bool
	status     harvestwatch.Enhanced
	sender     []byte
	recipients []byte // the list as the row has it
}

func newSpec(o *site.Site) *csvlog.Spec[row] {
	return &csvlog.Spec[row]{
		Types: []string{"agent log"}, Columns: columns, Usual: usual,
		Row: func(c *csvlog.Cols, r *row, _ *[]byte) csvlog.Verdict { return read(o, c, r) },
	}
}

func read(o *site.Site, c *csvlog.Cols, r *row) csvlog.Verdict {
	at, ok := csvlog.Stamp(c.Get(colTime))
	event := c.Get(colEvent)
	if !ok || !bytes.HasPrefix(event, []byte("On")) {
		return csvlog.Unparsed
	}
	action := classOf(c.Get(colAction))
	if action == passed {
		return csvlog.Ignored
	}
	if r.ip, ok = client(c.Get(colEntered), c.Get(colRemote)); !ok {
		return csvlog.Unparsed
	}
	if r.ip.None() || o.IsOwn(r.ip.Addr()) {
		return csvlog.Ignored
	}
	r.at = at
	if session := c.Get(colSession); len(session) > 0 {
		r.session = csvlog.Hash(session)
	}
	answer(r, c.Get(colAnswer))
	r.kind = kindOf(action, c.Get(colAgent), c.Get(colReason), r)
	if r.kind != harvestwatch.AuthFail {
		r.recipients = c.Get(colRecipient)
	}
	if id := bare(c.Get(colMessage)); r.kind == harvestwatch.SpamRefused && len(id) > 0 {
		r.join = twin.Message(r.ip, id)
	}
	sender := c.Get(colSender)
	r.sender = bare(sender)
	// A recipient can only be named after the sender (RFC 5321 section 3.3): with one, an empty sender is the null
	// reverse path; without, it may not have been said yet.
	r.null = string(sender) == "<>" || len(sender) == 0 && len(r.recipients) > 0
	return csvlog.Kept
}

// class is what an agent's action comes to.
type class uint8

const (
	passed  class = iota // the mail goes on: accepted, marked, rewritten
	refused              // the client was told no
	dropped              // the mail was taken in and put away
	denied               // an authentication was refused
)

func classOf(action []byte) class {
	switch {
	case string(action) == "RejectAuthentication":
		return denied
	case bytes.HasPrefix(action, []byte("Reject")), string(action) == "Disconnect":
		return refused
	case bytes.HasPrefix(action, []byte("Delete")), bytes.HasPrefix(action, []byte("Quarantine")):
		return dropped
	}
	return passed
}

// kindOf returns the kind of event that a refusal is, by the agent and its reason. What an agent that is not known here
// refuses, was refused by policy. The content filter's level (SCL, in ReasonData) has no place in an event.
func kindOf(action class, agent, reason []byte, r *row) harvestwatch.Kind {
	temporary := r.code >= 400 && r.code < 500
	switch {
	case action == denied && temporary:
		return harvestwatch.ServerError
	case action == denied:
		return harvestwatch.AuthFail
	case bytes.EqualFold(agent, []byte("Recipient Filter Agent")):
		return recipientFilter(reason, r)
	case bytes.EqualFold(agent, []byte("Content Filter Agent")), bytes.HasPrefix(agent, []byte("Malware")):
		return harvestwatch.SpamRefused
	}
	return harvestwatch.RcptRefused
}

// recipientFilter reads the recipient filter's reason. Failures are those of the directory.
func recipientFilter(reason []byte, r *row) harvestwatch.Kind {
	switch string(reason) {
	case "RecipientDoesNotExist":
		return harvestwatch.RcptUnknown
	case "RecipientOnBlockList", "RecipientIsRestricted":
		return harvestwatch.RcptRefused
	case "TransientFailure", "PermanentFailure", "UnexpectedFailure":
		return harvestwatch.ServerError
	}
	switch {
	case reply.Unknown(r.status):
		return harvestwatch.RcptUnknown
	case r.code >= 400 && r.code < 500:
		return harvestwatch.ServerError
	}
	return harvestwatch.RcptRefused
}
