package iis

import (
	"fmt"
	"strings"
	"testing"
)

const webHeader = "#Software: Microsoft Internet Information Services 6.0\r\n#Version: 1.0\r\n#Date: 2009-07-13 10:00:00\r\n"

func TestShare(t *testing.T) {
	logs := mixed()
	for name, share := range shares {
		for of, log := range logs {
			got := share([]byte(log))
			if want := map[bool]float64{true: 1, false: 0}[name == of]; got != want {
				t.Errorf("%s understands %v of a log in %s", name, got, of)
			}
		}
	}
	if got := ShareW3C([]byte("\xef\xbb\xbf" + logs["w3c"][:2000])); got != 1 {
		t.Errorf("%v of a head with a byte order mark and half a line", got)
	}
	rows := strings.SplitAfter(logs["w3c"], "\r\n")
	if got := ShareW3C([]byte(strings.Join(rows[10:30], ""))); got != 1 {
		t.Errorf("%v of rows without a header", got)
	}
	if got := ShareW3C([]byte(usualHeader(start) + strings.Repeat("x\n", 4) + strings.Join(rows[4:8], ""))); got != 8./12 {
		t.Errorf("%v of a log of which a third is noise", got)
	}
	if got := ShareW3C([]byte(usualHeader(start))); got != 1 {
		t.Errorf("%v of a header alone", got)
	}
}

func TestShareOfOthersLogs(t *testing.T) {
	web := "#Fields: date time s-sitename s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) sc-status \r\n" +
		strings.Repeat("2009-07-13 10:00:01 W3SVC1 192.0.2.10 GET /a.htm - 80 - 203.0.113.5 Mozilla/4.0 200\r\n2009-07-13 10:00:01 W3SVC1 192.0.2.10 POST /a.asp - 80 - 203.0.113.5 Mozilla/4.0 500\r\n", 9)
	short := "#Fields: " + short + " \r\n" + strings.Repeat("10:00:01 203.0.113.5 GET /a.htm 200\r\n10:00:01 203.0.113.5 POST /a.asp 500\r\n10:00:01 203.0.113.5 BREW /pot 418\r\n", 9)
	ftp := "#Fields: time c-ip cs-method cs-uri-stem sc-status \r\n" + strings.Repeat("10:00:01 203.0.113.5 USER anonymous 331\r\n10:00:01 203.0.113.5 PASS - 530\r\n10:00:01 203.0.113.5 QUIT - 221\r\n", 9)
	dns := "#Software: Microsoft Internet Security and Acceleration Server 2004\r\n#Fields: c-ip date time cs-method\r\n203.0.113.5 2009-07-13 10:00:00 GET\r\n"
	for name, log := range map[string]string{
		"web": webHeader + web, "web, few columns": webHeader + short, "ftp": webHeader + ftp, "another product": dns,
		"headless web": strings.SplitN(web, "\n", 2)[1],
		"firewall": "#Version: 1.5\r\n#Software: Microsoft Windows Firewall\r\n#Time Format: Local\r\n" +
			"#Fields: date time action protocol src-ip dst-ip src-port dst-port size tcpflags tcpsyn tcpack tcpwin icmptype icmpcode info path\r\n\r\n" +
			"2009-07-13 10:00:00 DROP TCP 203.0.113.5 192.0.2.10 4711 25 48 S 1 0 65535 - - - RECEIVE\r\n",
		"exchange":    "#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: SMTP Receive Protocol Log\r\n#Fields: date-time,connector-id,session-id\r\n",
		"apache":      `203.0.113.5 - frank [10/Oct/2006:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326` + "\n",
		"web, ncsa":   `203.0.113.5 - - [10/Oct/2006:13:55:36 -0700] "POST /a HTTP/1.1" 500 2` + "\n",
		"web, native": "203.0.113.5, -, 7/13/09, 13:17:37, W3SVC1, MX1, 192.0.2.10, 90, 42, 0, 200, 0, GET, /, -,\r\n",
		"csv":         "a, b, c,\n1, 2, 3,\n", "mail": "Nov 22 10:00:00 mx1 postfix/smtpd[7]: connect from unknown[192.0.2.66]\n",
		"nothing": "", "blank": "\r\n\r\n", "noise": "\x00\xff\n", "comment": "# a comment\n",
	} {
		for format, share := range shares {
			if got := share([]byte(log)); got != 0 {
				t.Errorf("%s: %v of it taken for %s", name, got, format)
			}
		}
	}
	log := fmt.Sprintf(header, "2009-07-13 10:00:00", short) + "10:00:01 203.0.113.5 BREW - 500\r\n"
	if got := ShareW3C([]byte(log)); got != 0 {
		t.Errorf("%v of a log with no command of SMTP", got)
	}
}
