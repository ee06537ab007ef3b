package tracking

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// The wanted columns. Exchange 2007 lacks the last five, 2010 the network-message-id.
const (
	colTime = iota
	colClient
	colServer
	colContext
	colSource
	colEvent
	colInternal
	colMessage
	colRecipients
	colStatuses
	colRelated
	colReference
	colSender
	colReturnPath
	colNetwork
	colDirection
	colOriginal
	colCustom
)

var columns = []string{
	"date-time", "client-ip", "server-ip", "source-context", "source", "event-id", "internal-message-id", "message-id",
	"recipient-address", "recipient-status", "related-recipient-address", "reference", "sender-address", "return-path",
	"network-message-id", "directionality", "original-client-ip", "custom-data",
}

const usual = "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id," +
	"internal-message-id,message-id,network-message-id,recipient-address,recipient-status,total-bytes,recipient-count," +
	"related-recipient-address,reference,message-subject,sender-address,return-path,message-info,directionality,tenant-id," +
	"original-client-ip,original-server-ip,custom-data,transport-traffic-type,log-id,schema-version"

// op is what a row means for the fold.
type op uint8

const (
	opReceive op = iota + 1 // a message came in by SMTP
	opDeliver               // it reached mailboxes
	opFail                  // recipients failed in the server's own hands
	opBounce                // recipients failed at another server
	opFork                  // a part of its recipients goes on under another internal id
)

// row is what is kept of a row.
type row struct {
	op         op
	agent      bool // an agent failed it
	null       bool
	at         int64
	ip         address.IP // of the client, where the row names it
	session    uint64
	join       uint64
	fork       uint64 // Join of the message that this one was split off
	twin       uint64
	sender     []byte
	recipients []byte // the lists as the row has them
	statuses   []byte
}

func newSpec(o *site.Site) *csvlog.Spec[row] {
	return &csvlog.Spec[row]{
		Types: []string{"message tracking log"}, Columns: columns, Usual: usual,
		Row: func(c *csvlog.Cols, r *row, scratch *[]byte) csvlog.Verdict { return read(o, c, r, scratch) },
	}
}

func read(o *site.Site, c *csvlog.Cols, r *row, scratch *[]byte) csvlog.Verdict {
	at, ok := csvlog.Stamp(c.Get(colTime))
	if !ok || !word(c.Get(colSource)) || !word(c.Get(colEvent)) || !decimal(c.Get(colInternal)) || !guid(c.Get(colNetwork)) {
		return csvlog.Unparsed
	}
	r.op = opOf(c.Get(colSource), c.Get(colEvent))
	if r.op == 0 || bytes.EqualFold(c.Get(colDirection), []byte("Originating")) {
		return csvlog.Ignored
	}
	r.at = at
	r.agent = string(c.Get(colSource)) == "AGENT"
	r.join = joinOf(c, c.Get(colInternal))
	r.recipients = c.Get(colRecipients)
	switch r.op {
	case opReceive:
		return r.receive(o, c, scratch)
	case opFork:
		r.fork = joinOf(c, c.Get(colReference))
		if len(c.Get(colNetwork)) > 0 || len(c.Get(colReference)) == 0 || r.fork == r.join {
			return csvlog.Ignored
		}
		return csvlog.Kept
	case opDeliver:
		if r.join == 0 || probe(c.Get(colSender)) {
			return csvlog.Ignored
		}
	default:
		// A recipient that another one led to, a member of a group or the target of a redirection, is not of the sender's
		// choosing.
		r.statuses = c.Get(colStatuses)
		if r.join == 0 || len(c.Get(colRelated)) > 0 || len(r.statuses) == 0 {
			return csvlog.Ignored
		}
	}
	if r.ip, ok = clientOf(c, scratch); ok && o.IsOwn(r.ip.Addr()) {
		r.ip = address.IP{}
	}
	r.from(c)
	return csvlog.Kept
}

// receive reads the row of a message that came in by SMTP.
func (r *row) receive(o *site.Site, c *csvlog.Cols, scratch *[]byte) csvlog.Verdict {
	ip, ok := clientOf(c, scratch)
	switch {
	case !ok:
		return csvlog.Unparsed
	case ip.None(), o.IsOwn(ip.Addr()):
		return csvlog.Ignored
	}
	// A server that tests itself uses mailboxes with names of their own, but so can a stranger.
	if inside := ip.Private() || isServer(ip, c); inside && (probe(c.Get(colSender)) || probe(r.recipients)) {
		return csvlog.Ignored
	}
	if isServer(ip, c) {
		return csvlog.Ignored
	}
	r.ip = ip
	if id, _, _ := bytes.Cut(c.Get(colContext), []byte{';'}); len(id) > 0 {
		r.session = csvlog.Hash(id)
	}
	if id := c.Get(colMessage); len(id) > 0 {
		r.twin = twin.Message(ip, id)
	}
	r.from(c)
	return csvlog.Kept
}

// from reads the sender. Where the log has the column, an empty reverse path is the null one.
func (r *row) from(c *csvlog.Cols) {
	path := c.Get(colReturnPath)
	r.null = path != nil && len(bare(path)) == 0
	switch {
	case r.null:
	case path != nil:
		r.sender = bare(path)
	default:
		r.sender = bare(c.Get(colSender))
		r.null = len(c.Get(colSender)) == 2 && len(r.sender) == 0
	}
}

func opOf(source, event []byte) op {
	switch string(event) {
	case "RECEIVE":
		if string(source) == "SMTP" {
			return opReceive
		}
	case "DELIVER":
		if string(source) == "STOREDRIVER" {
			return opDeliver
		}
	case "FAIL":
		switch string(source) {
		case "ROUTING", "AGENT", "DSN":
			return opFail
		case "SMTP":
			return opBounce
		}
	case "TRANSFER":
		return opFork
	}
	return 0
}

// joinOf returns what all rows about one message have in common. Whoever sends a message chooses its Message-ID, and
// bulk mail repeats it, so that alone would make one sender answer for another: since 2013 there is an id that the
// organization gives (network-message-id), the same in all rows and on all servers. Before, a server gives a number
// (internal-message-id), and number and Message-ID together say which message it was. The server's name isn't taken in:
// server-hostname is that of the mailbox server in a row that tells of a delivery.
func joinOf(c *csvlog.Cols, internal []byte) uint64 {
	id := c.Get(colMessage)
	switch network := c.Get(colNetwork); {
	case len(network) > 0:
		return csvlog.Hash([]byte("network"), network)
	case len(internal) > 0 && string(internal) != "0":
		return csvlog.Hash([]byte("internal"), internal, id)
	case len(id) > 0:
		return twin.Join(id)
	}
	return 0
}
