package iis

// verb is what a client commanded.
type verb uint8

const (
	verbOther   verb = iota // nothing that SMTP knows
	verbForeign             // another protocol's
	verbHelo                // EHLO too
	verbMail
	verbRcpt
	verbData
	verbBdat
	verbQuit
	verbAuth
	verbStartTLS
	verbVrfy
	verbRset
	verbIdle   // says nothing about a client, but is SMTP's alone
	verbShared // says nothing about a client, and other protocols have it too
)

// verbOf tells a command by its name, in capitals or not. A firewall that overwrites commands it doesn't know leaves as
// many x in their place (Cisco PIX, "fixup protocol smtp"): that is not the client's fault.
func verbOf(b []byte) verb {
	var up [12]byte
	if len(b) == 0 || len(b) > len(up) {
		return verbOther
	}
	for i, c := range b {
		if c-'a' < 26 {
			c -= 'a' - 'A'
		}
		up[i] = c
	}
	switch string(up[:len(b)]) {
	case "HELO", "EHLO":
		return verbHelo
	case "MAIL":
		return verbMail
	case "RCPT":
		return verbRcpt
	case "DATA":
		return verbData
	case "BDAT":
		return verbBdat
	case "QUIT":
		return verbQuit
	case "AUTH":
		return verbAuth
	case "STARTTLS":
		return verbStartTLS
	case "VRFY":
		return verbVrfy
	case "RSET":
		return verbRset
	case "XEXCH50", "X-LINK2STATE", "XEXPS", "ETRN", "ATRN", "TURN", "EXPN", "SAML", "SEND", "SOML":
		return verbIdle
	case "NOOP", "HELP", "-":
		return verbShared
	case "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND", "PROPPATCH", "MKCOL",
		"COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH", "DEBUG", "USER", "PASS", "LIST", "RETR", "STOR", "OPEN", "CLOSE", "DROP":
		return verbForeign
	}
	for _, c := range up[:len(b)] {
		if c != 'X' {
			return verbOther
		}
	}
	return verbIdle
}

// strong reports whether no other service has the command.
func (v verb) strong() bool {
	switch v {
	case verbHelo, verbMail, verbRcpt, verbData, verbBdat, verbStartTLS, verbVrfy, verbIdle:
		return true
	}
	return false
}

// quiet reports whether a command with that reply gives neither an event nor anything to remember.
func (v verb) quiet(code uint16) bool {
	switch v {
	case verbIdle, verbShared:
		return code != 421
	case verbRset: // with any other code it undoes nothing
		return code != 421 && code/100 != 2
	case verbAuth, verbStartTLS, verbData, verbBdat:
		return code >= 300 && code < 400
	}
	return false
}
