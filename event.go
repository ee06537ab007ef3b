// Package harvestwatch holds the nouns that every part of the program speaks of: Event, Source, Offence, Decision,
// Block, Pos and Lines. It uses the standard library only, does no I/O, reads no clock and starts no goroutine.
package harvestwatch

import (
	"strconv"
	"time"
)

// Kind says what a client did, together with the server's answer.
type Kind uint8

// The kinds of event. Their names, as String gives them, are part of the command line's contract (schema
// harvestwatch.event/1): names are added, never changed.
const (
	Connect         Kind = iota + 1 // a client connected
	Disconnect                      // a client's connection ended
	RcptUnknown                     // a recipient was refused because there is no such user
	RcptRelayDenied                 // a recipient was refused because the server does not relay for this client
	RcptRefused                     // the client, sender, HELO name or recipient was refused by policy (access map, block list, greylisting)
	RcptOK                          // a recipient was accepted; says nothing about delivery
	Accepted                        // a message was taken in (it has a queue id); not yet delivered
	Delivered                       // an accepted message reached a recipient: what speaks for a source
	SpamRefused                     // a content filter refused the message
	AuthFail                        // an authentication attempt failed
	AuthOK                          // an authentication attempt succeeded
	ProtocolError                   // the client broke the protocol or gave up: pipelining, early talking, too many errors, lost connection
	Throttled                       // a rate or concurrency limit of the server was reached
	ServerError                     // the server's own trouble: never evidence against a client
	kindEnd
)

// Kinds is the number of values that a Kind can take, the zero value included: the length for a table by kind.
const Kinds = int(kindEnd)

var kindNames = [Kinds]string{"", "connect", "disconnect", "rcpt_unknown", "rcpt_relay_denied", "rcpt_refused", "rcpt_ok",
	"accepted", "delivered", "spam_refused", "auth_fail", "auth_ok", "protocol_error", "throttled", "server_error"}

// String returns the kind's name in the event schema, or "" for a value that is no kind.
func (k Kind) String() string {
	if int(k) >= Kinds {
		return ""
	}
	return kindNames[k]
}

// KindOf returns the kind with that name in the event schema.
func KindOf(name string) (Kind, bool) {
	for k := Connect; k < kindEnd; k++ {
		if kindNames[k] == name {
			return k, true
		}
	}
	return 0, false
}

// Enhanced is an enhanced status code (RFC 3463): class, subject, detail. The zero value means that none was logged.
type Enhanced [3]uint16

// String returns the code as the log has it, "5.1.1", or "" for none.
func (e Enhanced) String() string {
	if e == (Enhanced{}) {
		return ""
	}
	b := make([]byte, 0, 12)
	b = strconv.AppendUint(b, uint64(e[0]), 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, uint64(e[1]), 10)
	b = append(b, '.')
	return string(strconv.AppendUint(b, uint64(e[2]), 10))
}

// Pos says where in the inputs something stands. It orders events of equal time.
type Pos struct {
	Input  int32 // which input, as the run numbers them; the order of equal times between inputs
	Line   int64 // the line's number in the input, from 1; 0 where it is not known (a daemon that resumed)
	Offset int64 // the line's first byte, from the start of the (decompressed) input
}

// Event is one thing that one client did, with the server's answer. The byte slices are borrowed from the parser's
// buffer and hold until the batch that carried the event is done with: who keeps an event calls Clone. Every one of
// them may hold what an attacker wrote; the parser bounds each at MaxField bytes and nothing else is promised of them.
type Event struct {
	Time    int64    // when, in nanoseconds since 1970 UTC, by the log's own stamp
	Began   int64    // when that which ends here began (a disconnect's connect, a delivery's acceptance), as Time; 0 where unknown
	Session uint64   // the connection, unique for a while within an input; 0 where unknown
	Twin    uint64   // what the same deed has in every log that tells it (a hash); 0 where no other log does
	Join    uint64   // the message (a hash of its id), by which another line names the client; 0 for none
	Addr    Addr     // the client's address as the server saw it; the zero Addr where the line names no client
	Pos     Pos      // the line that told
	Ref     uint32   // where the evidence lies, for the one who numbered the inputs; the detector only keeps it
	Code    uint16   // the server's reply code (RFC 5321 section 4.2), 0 where none was logged
	Kind    Kind     // what was done
	Null    bool     // the sender is the null reverse path <> (RFC 5321 section 4.5.5): a bounce or a probe
	Idle    bool     // of a Disconnect: the log says that the session brought no MAIL command
	NoUser  bool     // of an AuthFail: the site certainly has no such user
	Listed  bool     // a block list that the site asks has the client's address
	Status  Enhanced // the server's enhanced status code

	Helo      []byte // the name in HELO or EHLO
	Name      []byte // the client's reverse name, where it is verified: the name leads back to the address (RFC 8601 section 2.7.3)
	Sender    []byte // the reverse path without its angle brackets; nil where the line names none
	Recipient []byte // the forward path without its angle brackets
	User      []byte // the name given for authentication
}

// Twin and Join, for events that several logs of one site tell, each in part:
//
// Events of different streams with the same Kind and the same Twin within TwinTime are one deed that was logged twice,
// so each but the first is dropped; two such events of one stream are two deeds. An Accepted event with a Join and an
// Addr says whose message it was; an event with the same Join but no Addr takes its Addr, Session and Null from there. A
// Delivered with Join and Addr is what the dialogue's log takes for delivered, Join being the Twin of its Accepted: it
// counts unless a log that knows better takes the message over. An RcptUnknown with Join and Addr says that one of several
// recipients was unknown, not which: it counts unless another log names one.
// Twin and Join need not be kept secret, but the log's texts go into them: they are hashes of at least 64 bits.

// TwinTime is how far apart two logs may date the same deed, in nanoseconds: one log may tell a refusal when it is
// decided, another when it was sent, after a tarpit's delay.
const TwinTime = 60 * int64(time.Second)

// MaxField is the length in bytes at which a parser cuts any text of an event. RFC 5321 section 4.5.3.1.3 allows a
// path of 256 bytes, angle brackets included.
const MaxField = 256

// When returns the event's time in UTC.
func (e *Event) When() time.Time { return time.Unix(0, e.Time).UTC() }

// Seconds returns the event's time in whole seconds since 1970 UTC, rounded down: the resolution of all windows.
func (e *Event) Seconds() int64 {
	s := e.Time / int64(time.Second)
	if e.Time < 0 && e.Time%int64(time.Second) != 0 {
		s--
	}
	return s
}

// Clone returns a copy that owns its bytes.
func (e *Event) Clone() Event {
	c := *e
	for _, f := range []*[]byte{&c.Helo, &c.Name, &c.Sender, &c.Recipient, &c.User} {
		if *f != nil {
			*f = append([]byte{}, *f...)
		}
	}
	return c
}

// Lines is a run of whole lines of one input, as a reader gives them to a parser. Data ends with a line feed, except
// at the end of an input that lacks its last one. Who made the Lines owns them and may reuse them after release.
type Lines struct {
	Data  []byte // the lines, each ended by '\n'; a carriage return before it belongs to the line
	Pos   Pos    // of the first line in Data
	Lexed any    // what the parser's Lex leaves for its Fold; reused with the Lines
}

// Counts says what a parser made of the lines that it was given.
type Counts struct {
	Lines    int64 // lines read
	Events   int64 // events that came of them; one line can give several
	Ignored  int64 // lines that were understood and say nothing about a client, and lines of other programs
	Unparsed int64 // lines that nobody understood
}

// Add adds other to the counts.
func (c *Counts) Add(other Counts) {
	c.Lines += other.Lines
	c.Events += other.Events
	c.Ignored += other.Ignored
	c.Unparsed += other.Unparsed
}

// Understood returns the share of the lines that were understood, from 0 to 1; 1 where there were none.
func (c Counts) Understood() float64 {
	if c.Lines == 0 {
		return 1
	}
	return 1 - float64(c.Unparsed)/float64(c.Lines)
}
