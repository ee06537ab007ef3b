package iis

import (
	"testing"
)

func TestNCSA(t *testing.T) {
	const stamp = ` [11/Oct/2006:13:16:41 -0600] `
	for _, c := range []struct{ line, want string }{
		{`203.0.113.5 - mx.example` + stamp + `"RCPT -?+TO:+<a@home.example> SMTP" 550 32`, "1 rcpt_unknown 203.0.113.5 550 to=a@home.example helo=mx.example"},
		{`2001:db8::5 - -` + stamp + `"rcpt -?+to:<a@far.example> SMTP" 550 32`, "1 rcpt_relay_denied 2001:db8::5 550 to=a@far.example"},
		{`203.0.113.5 - mx.example` + stamp + `"DATA - SMTP" 250 4`, "1 accepted 203.0.113.5 250 helo=mx.example"},
		{`203.0.113.5 - mx.example` + stamp + `"QUIT -?mx.example SMTP" 240 68`, "1 disconnect 203.0.113.5 240 helo=mx.example"},
		{`203.0.113.5 - -` + stamp + `"xxxx -?+pc.example SMTP" 500 32`, ""},
		{`203.0.113.5 - -` + stamp + `"HELO -?+pc.example SMTP" 250 -`, "1 connect 203.0.113.5 250 helo=pc.example"},
		// A query with quotation marks, codes and all.
		{`203.0.113.5 - x` + stamp + `"RCPT -?+TO:<"a"+SMTP"+250+32"@home.example> SMTP" 550 32`,
			`1 rcpt_unknown 203.0.113.5 550 to="a"+SMTP"+250+32"@home.example helo=x`},
		{`198.51.100.9 - OutboundConnectionResponse` + stamp + `"- -?354+END+WITH+"."+ON+A+LINE SMTP" 0 54`, ""},
		{`198.51.100.9 - OutboundConnectionCommand` + stamp + `"RCPT -?TO:<k@far.example> SMTP" 0 4`, ""},
		// Microsoft's example: a blank behind the sign, raw blanks, no closing quotation mark.
		{`203.0.113.5 - mx.example [18/Aug/2006:13:17:37 - 0800] "MAIL FROM -? FROM: maria HTTP/1.0 553 0`, "1 rcpt_refused 203.0.113.5 553 from=maria helo=mx.example"},
		{`203.0.113.5 - mx.example [18/Aug/2006:13:17:37 - 0800] "RCPT TO -? TO: <a@home.example> HTTP/1.0" 550 0`,
			"1 rcpt_unknown 203.0.113.5 550 to=a@home.example helo=mx.example"},
		{`203.0.113.5 - two words` + stamp + `"HELO -?+two+words SMTP" 250 1`, "1 connect 203.0.113.5 250 helo=two words"},
		{`203.0.113.5 - x+[192.0.2.9]` + stamp + `"HELO -?+x SMTP" 250 1`, "1 connect 203.0.113.5 250 helo=x+[192.0.2.9]"},
		{`203.0.113.5 - -` + stamp + `"GET /index.html HTTP/1.1" 500 1`, ""},
	} {
		want := []string{c.want}
		if c.want == "" {
			want = nil
		}
		expect(t, NewNCSA(home()), c.line+"\r\n", want...)
	}
}

func TestNCSABadRows(t *testing.T) {
	const stamp = ` [11/Oct/2006:13:16:41 -0600] `
	for _, line := range []string{
		`203.0.113.5 mx.example` + stamp + `"RCPT -?+TO:<a@home.example> SMTP" 550 32`,
		`mx.example - mx.example` + stamp + `"RCPT -?+TO:<a@home.example> SMTP" 550 32`,
		`203.0.113.5 - x` + stamp + `"RCPT -?+TO:<a@home.example> SMTP" 550`,
		`203.0.113.5 - x` + stamp + `"RCPT -?+TO:<a@home.example> SMTP"`,
		`203.0.113.5 - x` + stamp + `"RCPT -?+TO:<a@home.example> 550 32`,
		`203.0.113.5 - x` + stamp,
		`203.0.113.5 - x [31/Feb/2006:13:16:41 -0600] "RCPT -?+TO:<a@home.example> SMTP" 550 32`,
		`203.0.113.5 - x [11/Okt/2006:13:16:41 -0600] "RCPT -?+TO:<a@home.example> SMTP" 550 32`,
		`203.0.113.5 - x [11/Oct/2006:13:16:41 0600] "RCPT -?+TO:<a@home.example> SMTP" 550 32`,
		`203.0.113.5 - x [11/Oct/2006:13:16:41 -9900] "RCPT -?+TO:<a@home.example> SMTP" 550 32`,
		`203.0.113.5 - x [11/Oct/2006:13:16:41] "RCPT -?+TO:<a@home.example> SMTP" 550 32`,
		// A name with blanks that brings a stamp and a request of its own: what speaks for the client isn't told.
		`203.0.113.5 - x y [11/Oct/2036:13:16:41 -0600] "DATA - SMTP" 550 1` + stamp + `"RCPT -?+TO:<a@home.example> SMTP" 250 32`,
		`203.0.113.5 - x y [11/Oct/2036:13:16:41 -0600] "DATA - SMTP" 250 1` + stamp + `"DATA - SMTP" 250 32`,
		"203.0.113.5 - x [", "203.0.113.5 - ", "203.0.113.5", "-", `"`,
	} {
		if got, counts := read(NewNCSA(home()), line+"\n", show); len(got) != 0 || counts.Unparsed != 1 {
			t.Errorf("%s: %q, %+v", line, got, counts)
		}
	}
}

func TestNCSAOffsets(t *testing.T) {
	for stamp, want := range map[string]string{
		"11/Oct/2006:13:16:41 -0600":  "2006-10-11 19:16:41",
		"11/Oct/2006:01:16:41 +0530":  "2006-10-10 19:46:41",
		"31/Dec/2006:23:00:00 - 0800": "2007-01-01 07:00:00",
		"01/Jan/2007:00:00:00 +0000":  "2007-01-01 00:00:00",
	} {
		if got, _ := times(NewNCSA(home()), "203.0.113.5 - x ["+stamp+"] \"HELO -?+x SMTP\" 250 1\n"); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %s", stamp, got, want)
		}
	}
	if s := NewNCSA(home()).Assumed(); s != "" {
		t.Errorf("%q is assumed, though the stamps say all", s)
	}
}
