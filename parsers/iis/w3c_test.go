package iis

import (
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// w3c makes a log of rows with the columns of most tests: address, name, method, query, status.
func w3c(rows ...string) string {
	b := fmt.Sprintf(header, "2009-07-13 10:00:00", "date time c-ip cs-username cs-method cs-uri-query sc-status")
	for i, r := range rows {
		b += fmt.Sprintf("2009-07-13 10:00:%02d %s\r\n", i, r)
	}
	return b
}

func TestCommands(t *testing.T) {
	for _, c := range []struct {
		row, want string // want without the line and the address
	}{
		{"HELO +mx.example 250", "connect 250 helo=mx.example"},
		{"EHLO +mx.example 250", "connect 250 helo=mx.example"},
		{"HELO - 501", "protocol_error 501 helo=mx.example"},
		{"EHLO +mx.example 550", "rcpt_refused 550 helo=mx.example"},
		{"MAIL +FROM:<a@b.example> 250", ""},
		{"MAIL +FROM:<a@b.example>+SIZE=10 554", "rcpt_refused 554 from=a@b.example helo=mx.example"},
		{"MAIL +FROM:+<> 530", "rcpt_refused 530 null helo=mx.example"},
		{"MAIL +FROM:<a@b.example> 503", "protocol_error 503 from=a@b.example helo=mx.example"},
		{"MAIL +FROM:<a@b.example> 452", "server_error 452 from=a@b.example helo=mx.example"},
		{"RCPT +TO:<a@home.example> 250", "rcpt_ok 250 to=a@home.example helo=mx.example"},
		{"RCPT +TO:<a@home.example> 550", "rcpt_unknown 550 to=a@home.example helo=mx.example"},
		{"RCPT +to:+<a@HOME.Example>+NOTIFY=<x> 551", "rcpt_unknown 551 to=a@HOME.Example helo=mx.example"},
		{"RCPT +TO:<a@west.branch.example> 553", "rcpt_unknown 553 to=a@west.branch.example helo=mx.example"},
		{"RCPT +TO:<a@far.example> 550", "rcpt_relay_denied 550 to=a@far.example helo=mx.example"},
		{"RCPT +TO:<a@home.example@far.example> 550", "rcpt_relay_denied 550 to=a@home.example@far.example helo=mx.example"},
		{"RCPT +TO:a+b@home.example+NOTIFY=NEVER 550", "rcpt_unknown 550 to=a+b@home.example helo=mx.example"},
		{"RCPT +TO:<a+b@home.example> 550", "rcpt_unknown 550 to=a+b@home.example helo=mx.example"},
		{"RCPT +TO:<\"a>@x.example\"@home.example> 550", `rcpt_unknown 550 to="a>@x.example"@home.example helo=mx.example`},
		{"RCPT +TO:<adam> 550", "rcpt_unknown 550 to=adam helo=mx.example"},
		{"RCPT - 550", "rcpt_refused 550 helo=mx.example"},
		{"RCPT +TO:<a@home.example> 554", "rcpt_refused 554 to=a@home.example helo=mx.example"},
		{"RCPT +TO:<a@home.example> 552", "rcpt_refused 552 to=a@home.example helo=mx.example"},
		{"RCPT +TO:<a@home.example> 503", "protocol_error 503 to=a@home.example helo=mx.example"},
		{"RCPT +TO:<a@home.example> 450", "server_error 450 to=a@home.example helo=mx.example"},
		{"RCPT +TO:<a@home.example> 452", "server_error 452 to=a@home.example helo=mx.example"},
		{"rcpt +TO:<a@home.example> 421", "server_error 421 to=a@home.example helo=mx.example"},
		{"VRFY +adam@home.example 550", "rcpt_unknown 550 to=adam@home.example helo=mx.example"},
		{"VRFY +adam@home.example 252", ""},
		{"DATA +<1@x.example> 250", "accepted 250 helo=mx.example"},
		{"DATA - 354", ""},
		{"DATA - 554", "rcpt_refused 554 helo=mx.example"},
		{"DATA - 503", "protocol_error 503 helo=mx.example"},
		{"BDAT +8192 250", ""},
		{"BDAT +8192+LAST 250", "accepted 250 helo=mx.example"},
		{"BDAT +<1@x.example> 250", "accepted 250 helo=mx.example"},
		{"QUIT mx.example 240", "disconnect 240 helo=mx.example"},
		{"QUIT - 221", "disconnect 221 helo=mx.example"},
		{"AUTH +LOGIN 334", ""},
		{"AUTH +LOGIN 535", "auth_fail 535 helo=mx.example"},
		{"AUTH +LOGIN 235", "auth_ok 235 helo=mx.example"},
		{"AUTH +LOGIN 454", "server_error 454 helo=mx.example"},
		{"AUTH +X 504", "protocol_error 504 helo=mx.example"},
		{"xxxx +pc.example 500", ""},
		{"XXXX +pc.example 500", ""},
		{"XEXCH50 +1024+2 504", ""},
		{"X-LINK2STATE - 500", ""},
		{"RSET - 250", ""},
		{"NOOP - 421", "server_error 421 helo=mx.example"},
		{"HACKME +now 500", "protocol_error 500 helo=mx.example"},
		{"HACKME +now 250", ""},
		{"STARTTLS - 220", ""},
		{"RCPT +TO:<a@home.example> 0", ""},
		{"RCPT +TO:<a@home.example> -", ""},
	} {
		t.Run(c.row, func(t *testing.T) {
			var want []string
			if c.want != "" {
				kind, rest, _ := strings.Cut(c.want, " ")
				want = []string{"5 " + kind + " 203.0.113.5 " + rest}
			}
			expect(t, NewW3C(home()), w3c("203.0.113.5 mx.example "+c.row), want...)
		})
	}
}

func TestUnknownDomainsAreSaid(t *testing.T) {
	p := NewW3C(nil)
	log := w3c("203.0.113.5 x RCPT +TO:<a@home.example> 250")
	expect(t, p, log, "5 rcpt_ok 203.0.113.5 250 to=a@home.example helo=x")
	if s := p.Assumed(); s != "" {
		t.Errorf("%q is said for nothing", s)
	}
	expect(t, p, w3c("203.0.113.5 x RCPT +TO:<a@home.example> 550"), "5 rcpt_refused 203.0.113.5 550 to=a@home.example helo=x")
	if s := p.Assumed(); !strings.Contains(s, "local domains") {
		t.Errorf("%q doesn't say that domains are missing", s)
	}
}

func TestSendersAreRemembered(t *testing.T) {
	expect(t, NewW3C(home()), w3c(
		"203.0.113.5 x RCPT +TO:<a@home.example> 550",
		"203.0.113.5 x MAIL +FROM:+<s@there.example> 250",
		"203.0.113.6 y MAIL +From:<> 250",
		"203.0.113.5 x RCPT +TO:<b@home.example> 550",
		"203.0.113.6 y RCPT +TO:<b@home.example> 550",
		"203.0.113.6 y DATA - 250",
		"203.0.113.6 y MAIL +From:<t@there.example> 250",
		"203.0.113.6 y MAIL +From:<u@there.example> 550",
		"203.0.113.6 y RCPT +TO:<c@home.example> 250",
	),
		"5 rcpt_unknown 203.0.113.5 550 to=a@home.example helo=x",
		"8 rcpt_unknown 203.0.113.5 550 from=s@there.example to=b@home.example helo=x",
		"9 rcpt_unknown 203.0.113.6 550 null to=b@home.example helo=y",
		"10 accepted 203.0.113.6 250 null helo=y",
		"12 rcpt_refused 203.0.113.6 550 from=u@there.example helo=y",
		"13 rcpt_ok 203.0.113.6 250 from=t@there.example to=c@home.example helo=y")
}

func TestTLSIsNoNewConnection(t *testing.T) {
	expect(t, NewW3C(home()), w3c(
		"203.0.113.5 x EHLO +x 250",
		"203.0.113.5 x STARTTLS - 220",
		"203.0.113.6 y EHLO +y 250",
		"203.0.113.5 x EHLO +x 250",
		"203.0.113.5 x EHLO +x 250",
		"203.0.113.5 x STARTTLS - 220",
		"203.0.113.5 x QUIT - 240",
		"203.0.113.5 x EHLO +x 250",
	), "5 connect 203.0.113.5 250 helo=x", "7 connect 203.0.113.6 250 helo=y", "9 connect 203.0.113.5 250 helo=x",
		"11 disconnect 203.0.113.5 240 helo=x", "12 connect 203.0.113.5 250 helo=x")
}

func TestTLSIsForgotten(t *testing.T) {
	log := w3c("203.0.113.5 x STARTTLS - 220", "203.0.113.5 x EHLO +x 250")
	expect(t, NewW3C(home()), log)
	expect(t, NewW3C(home()), strings.Replace(log, "10:00:01", "10:01:00", 1))
	expect(t, NewW3C(home()), strings.Replace(log, "10:00:01", "10:01:01", 1), "6 connect 203.0.113.5 250 helo=x")
	expect(t, NewW3C(home()), strings.Replace(log, "10:00:01", "09:59:59", 1), "6 connect 203.0.113.5 250 helo=x")
}

func TestOthersRowsAreIgnored(t *testing.T) {
	own := home()
	own.Own = append(own.Own, ownNet)
	all := usualHeader(start)
	row := func(ip, name, service, port, method, query, status, version string) {
		all += fmt.Sprintf("2009-07-13 10:00:00 %s %s %s MX1 192.0.2.10 %s %s - %s %s 0 1 2 3 %s - - - -\r\n", ip, name, service, port, method, query, status, version)
	}
	row("198.51.100.9", "OutboundConnectionResponse", "SMTPSVC1", "25", "-", "550+5.1.1+<n@home.example>", "0", "SMTP")
	row("198.51.100.9", "OutboundConnectionCommand", "SMTPSVC1", "25", "RCPT", "TO:<n@home.example>", "0", "SMTP")
	row("198.51.100.9", "OutboundConnectionCommand", "SMTPSVC1", "25", "RCPT", "TO:<n@home.example>", "550", "SMTP")
	row("198.51.100.9", "OutboundConnectionCommand", "SMTPSVC1", "0", "QUIT", "-", "240", "SMTP")
	row("192.0.2.77", "gateway", "SMTPSVC1", "0", "RCPT", "+TO:<n@home.example>", "550", "SMTP")
	row("::1", "self", "SMTPSVC1", "0", "RCPT", "+TO:<n@home.example>", "550", "SMTP")
	row("::ffff:192.0.2.77", "gateway", "SMTPSVC1", "0", "RCPT", "+TO:<n@home.example>", "550", "SMTP")
	row("203.0.113.5", "-", "W3SVC1", "80", "GET", "-", "500", "HTTP/1.1")
	row("203.0.113.5", "-", "W3SVC1", "80", "FOO", "-", "500", "HTTP/1.1")
	row("203.0.113.5", "-", "MSFTPSVC1", "21", "[7]QUIT", "-", "221", "FTP")
	expect(t, NewW3C(own), all)
	// A client that calls itself so is a client.
	all = usualHeader(start)
	row("203.0.113.5", "OutboundConnectionCommand", "SMTPSVC1", "0", "RCPT", "+TO:<n@home.example>", "550", "SMTP")
	row("203.0.113.5", "-", "SMTPSVC1", "0", "GET", "/", "500", "SMTP")
	expect(t, NewW3C(own), all, "5 rcpt_unknown 203.0.113.5 550 to=n@home.example helo=OutboundConnectionCommand", "6 protocol_error 203.0.113.5 500")
}

func TestW3CBadRows(t *testing.T) {
	for _, row := range []string{
		"203.0.113.5 x RCPT +TO:<a@home.example>",                      // torn
		"203.0.113.5 x RCPT +TO:<a@home.example> 550 0",                // a column too many
		"203.0.113.5 a b RCPT +TO:<a@home.example> 550",                // a blank in the name
		"203.0.113.5 x  RCPT +TO:<a@home.example> 550",                 // nothing in a column
		"203.0.113.500 x RCPT +TO:<a@home.example> 550",                // no address
		"- x RCPT +TO:<a@home.example> 550",                            // no address
		"mail[198.51.100.1] x RCPT +TO:<a@home.example> 550",           // no address
		"203.0.113.5 x RCPT +TO:<a@home.example> 55O",                  // no number
		"203.0.113.5 x RCPT +TO:<a@home.example> 5500",                 // no code
		strings.Repeat("x", MaxLine) + " x RCPT +TO:<a@b.example> 550", // endless
	} {
		got, counts := read(NewW3C(home()), w3c(row), show)
		if len(got) != 0 || counts.Unparsed != 1 || counts.Lines != 5 {
			t.Errorf("%.80q: %q, %+v", row, got, counts)
		}
	}
	for _, stamp := range []string{"2009-02-30 10:00:00", "2009-07-13 24:00:00", "2009/07/13 10:00:00", "1000-07-13 10:00:00", "2009-07-13 10:00", "x 10:00:00"} {
		log := strings.Replace(w3c("203.0.113.5 x RCPT +TO:<a@home.example> 550"), "2009-07-13 10:00:00 203", stamp+" 203", 1)
		if got, counts := read(NewW3C(home()), log, show); len(got) != 0 || counts.Unparsed != 1 {
			t.Errorf("%s: %q, %+v", stamp, got, counts)
		}
	}
	for _, fields := range []string{"date c-ip cs-method sc-status", "date time s-ip cs-method sc-status", "date time c-ip c-ip cs-method sc-status",
		"date time action protocol src-ip dst-ip", "date time c-ip cs-method sc-status" + strings.Repeat(" x", maxColumns)} {
		log := fmt.Sprintf(header, "2009-07-13 10:00:00", fields) + "2009-07-13 10:00:00 203.0.113.5 RCPT 550\n"
		if got, counts := read(NewW3C(home()), log, show); len(got) != 0 || counts.Unparsed != 2 {
			t.Errorf("%s: %q, %+v", fields, got, counts)
		}
	}
}

func TestW3CBytes(t *testing.T) {
	log := "\xef\xbb\xbf" + w3c("203.0.113.5 M\xdcLLER RCPT +TO:<j\xf6rg@home.example> 550", "203.0.113.5 "+strings.Repeat("x", 300)+" HELO - 250")
	expect(t, NewW3C(home()), "\xef\xbb\xbf\r\n"+strings.TrimSuffix(log, "\r\n"), "6 rcpt_unknown 203.0.113.5 550 to=j\xf6rg@home.example helo=M\xdcLLER",
		"7 connect 203.0.113.5 250 helo="+strings.Repeat("x", 239)+"~"+cutEnd(strings.Repeat("x", 300)))
	long := "+TO:<" + strings.Repeat("x", 300) + "@home.example>"
	expect(t, NewW3C(home()), w3c("203.0.113.5 x RCPT "+long+" 550"), "5 rcpt_unknown 203.0.113.5 550 to="+strings.Repeat("x", 239)+"~"+
		cutEnd(strings.Repeat("x", 300)+"@home.example")+" helo=x")
}

func TestW3CWithoutDate(t *testing.T) {
	undated := func(date string, clocks ...string) string {
		b := fmt.Sprintf(header, date, "time c-ip cs-method cs-uri-stem sc-status")
		for _, c := range clocks {
			b += c + " 203.0.113.5 HELO - 250 \r\n"
		}
		return b
	}
	for _, c := range []struct {
		name, log string
		want      []string
	}{
		{"midnight", undated("2009-07-13 23:59:00", "23:59:10", "00:00:01", "12:00:00", "03:00:00"),
			[]string{"2009-07-13 23:59:10", "2009-07-14 00:00:01", "2009-07-14 12:00:00", "2009-07-15 03:00:00"}},
		{"mixed at midnight", undated("2009-07-13 23:59:00", "00:00:00", "23:59:59", "00:00:01", "23:59:59", "00:01:00"),
			[]string{"2009-07-14 00:00:00", "2009-07-13 23:59:59", "2009-07-14 00:00:01", "2009-07-13 23:59:59", "2009-07-14 00:01:00"}},
		{"a little late", undated("2009-07-13 10:00:00", "10:00:05", "10:00:03", "09:30:00", "10:00:06"),
			[]string{"2009-07-13 10:00:05", "2009-07-13 10:00:03", "2009-07-13 09:30:00", "2009-07-13 10:00:06"}},
		{"new directive", undated("2009-07-13 10:00:00", "10:00:05") + undated("2009-07-20 08:00:00", "08:00:05"),
			[]string{"2009-07-13 10:00:05", "2009-07-20 08:00:05"}},
		{"no directive", "13:00:00 203.0.113.5 HELO - 250\r\n11:00:00 203.0.113.5 MAIL FROM - 550\r\n", []string{"2009-07-29 13:00:00", "2009-07-30 11:00:00"}},
	} {
		got, counts := times(NewW3C(home()), c.log)
		if strings.Join(got, ", ") != strings.Join(c.want, ", ") || counts.Unparsed != 0 {
			t.Errorf("%s: %q, want %q; %+v", c.name, got, c.want, counts)
		}
	}
	ignored := fmt.Sprintf(header, "2009-07-13 23:00:00", short) + "23:50:00 203.0.113.5 HELO - 250\n00:10:00 203.0.113.5 NOOP - 250\n23:55:00 203.0.113.5 HELO - 250\n"
	if got, _ := times(NewW3C(home()), ignored); len(got) != 2 || got[1] != "2009-07-14 23:55:00" {
		t.Errorf("rows that say nothing don't move the clock: %q", got)
	}
	guessing := NewW3C(home())
	times(guessing, "13:00:00 203.0.113.5 HELO - 250\n")
	if s := guessing.Assumed(); !strings.Contains(s, "#Date") {
		t.Errorf("%q doesn't say that the day was guessed", s)
	}
	if _, counts := times(NewW3C(&site.Site{}), "13:00:00 203.0.113.5 HELO - 250\n"); counts.Unparsed != 1 {
		t.Errorf("a row without any date is given one: %+v", counts)
	}
}
