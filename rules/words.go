package rules

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// noun is what is counted, for one and for several.
type noun struct{ one, many string }

var (
	delivery = noun{"delivery", "deliveries"}
	source   = noun{"source", "sources"}
	user     = noun{"user", "users"}
)

// nouns are what the kinds of event are called when each event counts.
var nouns = [harvestwatch.Kinds]noun{
	harvestwatch.Connect:         {"connection", "connections"},
	harvestwatch.Disconnect:      {"ended connection", "ended connections"},
	harvestwatch.RcptUnknown:     {"try at an unknown recipient", "tries at unknown recipients"},
	harvestwatch.RcptRelayDenied: {"relay denial", "relay denials"},
	harvestwatch.RcptRefused:     {"refusal by policy", "refusals by policy"},
	harvestwatch.RcptOK:          {"accepted recipient", "accepted recipients"},
	harvestwatch.Accepted:        {"accepted message", "accepted messages"},
	harvestwatch.Delivered:       delivery,
	harvestwatch.SpamRefused:     {"message refused as spam", "messages refused as spam"},
	harvestwatch.AuthFail:        {"failed login", "failed logins"},
	harvestwatch.AuthOK:          {"successful login", "successful logins"},
	harvestwatch.ProtocolError:   {"breach of the protocol", "breaches of the protocol"},
	harvestwatch.Throttled:       {"limit reached", "limits reached"},
	harvestwatch.ServerError:     {"error of the server", "errors of the server"},
}

// count writes a number and what it is of.
func (n noun) count(k int) string {
	if k == 1 {
		return "1 " + n.one
	}
	return strconv.Itoa(k) + " " + n.many
}

// with adds words behind a noun.
func (n noun) with(more string) noun { return noun{n.one + more, n.many + more} }

// unit names one of what a condition of the rule counts.
func (r *Rule) unit(c *Condition) noun {
	switch {
	case c.Seconds > 0:
		return r.narrowed(noun{"connection-second", "connection-seconds"})
	case c.Open > 0:
		return noun{"open connection", "open connections"}
	case r.Blocks:
		return noun{"blocked source", "blocked sources"}
	}
	switch r.Distinct {
	case Recipient:
		if r.counts(harvestwatch.RcptUnknown) {
			return r.narrowed(noun{"unknown recipient", "unknown recipients"})
		}
		return r.of(noun{"recipient", "recipients"})
	case User:
		if c.NoUser {
			return noun{"user who failed to log in and does not exist here", "users who failed to log in and don't exist here"}
		}
		if r.counts(harvestwatch.AuthFail) {
			return noun{"user who failed to log in", "users who failed to log in"}
		}
		return r.of(user)
	case UserMinute:
		if r.counts(harvestwatch.AuthFail) {
			return nouns[harvestwatch.AuthFail]
		}
		return r.of(noun{"user and minute", "users and minutes"})
	case Domain:
		if r.counts(harvestwatch.RcptRelayDenied) {
			return noun{"foreign domain", "foreign domains"}
		}
		return r.of(noun{"domain of recipients", "domains of recipients"})
	case Client:
		return r.of(source)
	}
	return r.narrowed(r.each())
}

// each names one event of the rule's kinds.
func (r *Rule) each() noun {
	if r.counts(harvestwatch.Disconnect) && r.Only == IdleOnly {
		return nouns[harvestwatch.Connect]
	}
	var one, many []string
	for _, k := range r.Events {
		one, many = append(one, nouns[k].one), append(many, nouns[k].many)
	}
	return noun{either(one), either(many)}
}

// of says for something distinct in which events it was seen.
func (r *Rule) of(n noun) noun { return n.with(" of " + r.narrowed(r.each()).many) }

// narrowed adds what Only says.
func (r *Rule) narrowed(n noun) noun {
	switch r.Only {
	case NullSender:
		return n.with(" of bounces")
	case IdleOnly:
		return n.with(" without mail")
	}
	return n
}

// either joins names with commas and an "or".
func either(names []string) string { return joined(names, " or ") }

// joined joins names with commas, the last two with another word.
func joined(names []string, last string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + last + names[len(names)-1]
}

// words says a key as people do.
func (k Key) words() string {
	return [...]string{"source", "prefix", "HELO name", "sender domain", "user name"}[min(int(k), len(keyNames)-1)]
}

// within says " within 30d", and nothing for no time.
func within(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return " within " + FormatDuration(d)
}

// trimFloat writes a number with two decimals at most.
func trimFloat(x float64) string { return strconv.FormatFloat(math.Round(x*100)/100, 'f', -1, 64) }
