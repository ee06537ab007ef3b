package popimap

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// The wanted columns.
const (
	colTime = iota
	colSession
	colNumber
	colClient
	colUser
	colCommand
	colParameters
	colContext
)

var columns = []string{"dateTime", "sessionId", "seqNumber", "cIp", "user", "command", "parameters", "context"}

const usual = "dateTime,sessionId,seqNumber,sIp,cIp,user,duration,rqsize,rpsize,command,parameters,context,puid"

// row is what is kept of a row.
type row struct {
	at      int64
	ip      address.IP
	session uint64
	kind    harvestwatch.Kind
	user    []byte
}

func newSpec(o *site.Site) *csvlog.Spec[row] {
	return &csvlog.Spec[row]{
		Types: []string{"pop3 log", "imap4 log", "pop log", "imap log"}, Columns: columns, Usual: usual,
		Row: func(c *csvlog.Cols, r *row, scratch *[]byte) csvlog.Verdict { return read(o, c, r, scratch) },
	}
}

func read(o *site.Site, c *csvlog.Cols, r *row, scratch *[]byte) csvlog.Verdict {
	at, ok := csvlog.Stamp(c.Get(colTime))
	if !ok || !decimal(c.Get(colNumber)) || c.Get(colContext) == nil {
		return csvlog.Unparsed
	}
	r.kind = kindOf(c)
	if r.kind == 0 {
		return csvlog.Ignored
	}
	if r.ip, _, ok = address.Endpoint(c.Get(colClient)); !ok {
		return csvlog.Unparsed
	}
	if r.ip.None() || o.IsOwn(r.ip.Addr()) {
		return csvlog.Ignored
	}
	r.at = at
	if session := c.Get(colSession); len(session) > 0 {
		r.session = csvlog.Hash(session)
	}
	if user := c.Get(colUser); len(user) > 0 {
		r.user = site.Cut(user, scratch)
	}
	return csvlog.Kept
}

// kindOf returns the kind of event that a row tells of, 0 for none. Sessions that open and close are none: a connection
// is one to the mail exchanger, and an office behind one address opens hundreds of mailboxes in a minute.
func kindOf(c *csvlog.Cols) harvestwatch.Kind {
	command := c.Get(colCommand)
	is := func(name string) bool { return len(command) == len(name) && bytes.EqualFold(command, []byte(name)) }
	switch {
	case is("pass"), is("apop"), is("auth"):
		return logon(c, 0)
	case is("login"), is("authenticate"):
		return logon(c, 1)
	}
	return 0
}

// logon reads how a logon ended. The context begins with the server's answer: R=ok, or R="-ERR ..." and R="tag NO ...".
// What follows it quotes the client, and the tag is the client's own: so the answer's word number at decides, and
// nothing behind the answer.
func logon(c *csvlog.Cols, at int) harvestwatch.Kind {
	context := c.Get(colContext)
	rest, ok := bytes.CutPrefix(context, []byte("R="))
	if !ok {
		if bytes.HasPrefix(context, []byte("ErrMsg=AuthFailed")) || bytes.HasPrefix(context, []byte(`Msg="AuthFailed:`)) {
			return harvestwatch.AuthFail
		}
		return 0
	}
	if word, _, _ := bytes.Cut(rest, []byte{';'}); bytes.EqualFold(word, []byte("ok")) {
		return success(c)
	}
	rest = bytes.TrimPrefix(rest, []byte{'"'})
	for range at {
		_, rest, _ = bytes.Cut(rest, []byte{' '})
	}
	word, text, _ := bytes.Cut(rest, []byte{' '})
	word, _, _ = bytes.Cut(word, []byte{'"'})
	switch string(word) {
	case "+OK", "OK":
		return success(c)
	case "-ERR", "NO":
		if hasFold(text, "Server Unavailable") {
			return harvestwatch.ServerError
		}
		return harvestwatch.AuthFail
	}
	return 0
}

// success tells a logon from a question: AUTH without a mechanism only lists them.
func success(c *csvlog.Cols) harvestwatch.Kind {
	if len(c.Get(colUser)) == 0 || bytes.EqualFold(c.Get(colCommand), []byte("auth")) && len(bytes.TrimSpace(c.Get(colParameters))) == 0 {
		return 0
	}
	return harvestwatch.AuthOK
}

func hasFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && bytes.EqualFold(b[:len(prefix)], []byte(prefix))
}

// decimal reports whether b is a number.
func decimal(b []byte) bool {
	for _, c := range b {
		if c-'0' >= 10 {
			return false
		}
	}
	return len(b) > 0
}
