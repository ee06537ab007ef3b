package iis

import (
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch/parsers/site"
)

const nativeRow = ", SMTPSVC1, MX1, 192.0.2.10, 90, 42, 0, "

func TestNative(t *testing.T) {
	const from = "7/13/09, 13:17:37" + nativeRow
	for _, c := range []struct{ line, want string }{
		{"203.0.113.5, mx.example, " + from + "550, 0, RCPT, -, TO:<a@home.example>,", "1 rcpt_unknown 203.0.113.5 550 to=a@home.example helo=mx.example"},
		{"203.0.113.5, mx.example, " + from + "550, 0, RCPT TO, -, TO: <a@far.example>,", "1 rcpt_relay_denied 203.0.113.5 550 to=a@far.example helo=mx.example"},
		{"203.0.113.5, -, " + from + "550, 0, MAIL FROM, -, FROM:<maria@b.example>,", "1 rcpt_refused 203.0.113.5 550 from=maria@b.example"},
		{"203.0.113.5, -, " + from + "250, 0, HELO, -, +mx.example,", "1 connect 203.0.113.5 250 helo=mx.example"},
		{"203.0.113.5, -, " + from + "500, 0, xxxx, -, +mx.example,", ""},
		{"198.51.100.9, OutboundConnectionResponse, " + from + "0, 0, -, -, 550 no such user,", ""},
		{"203.0.113.5, -, 7/13/09, 13:17:37, W3SVC1, MX1, 192.0.2.10, 90, 42, 0, 500, 0, GET, /, -,", ""},
		// Commas of the client's.
		{"203.0.113.5, a, b, c, " + from + "550, 0, RCPT, -, TO:<a@home.example>,", "1 rcpt_unknown 203.0.113.5 550 to=a@home.example helo=a, b, c"},
		{"203.0.113.5, a, " + from + "550, 0, RCPT, -, TO:<\"a, b\"@home.example>,", `1 rcpt_unknown 203.0.113.5 550 to="a, b"@home.example helo=a`},
	} {
		want := []string{c.want}
		if c.want == "" {
			want = nil
		}
		expect(t, NewNative(home()), c.line+"\r\n", want...)
	}
}

func TestNativeBadRows(t *testing.T) {
	const from = "7/13/09, 13:17:37" + nativeRow
	for _, line := range []string{
		"203.0.113.5, x, " + from + "550, 0, RCPT, -, TO:<a@home.example>",
		"203.0.113.5, x, " + from + "550, 0, RCPT, -,",
		"x, x, " + from + "550, 0, RCPT, -, TO:<a@home.example>,",
		"203.0.113.5, x, 7-13/09, 13:17:37" + nativeRow + "550, 0, RCPT, -, TO:<a@home.example>,",
		"203.0.113.5, x, 7/13/09, 33:17:37" + nativeRow + "550, 0, RCPT, -, TO:<a@home.example>,",
		"203.0.113.5, x, 7/13/1009, 13:17:37" + nativeRow + "550, 0, RCPT, -, TO:<a@home.example>,",
		"203.0.113.5, x, 7/13, 13:17:37" + nativeRow + "550, 0, RCPT, -, TO:<a@home.example>,",
		// A whole row in the name, or in the recipient: nobody can say which is the service's, and what speaks for the client isn't told.
		"203.0.113.5, x, 1/1/36, 0:00:00, SMTPSVC1, MX1, 192.0.2.10, 90, 42, 0, 250, 0, DATA, -, " + from + "250, 0, RCPT, -, TO:<a@home.example>,",
		"203.0.113.5, x, " + from + "250, 0, RCPT, -, TO:<a, " + from + "250, 0, DATA, -, >,",
		"203.0.113.5, x, " + from + "450, 0, RCPT, -, TO:<a, " + from + "0, 0, RCPT, -, >,",
		"x, x, 1/1/36, 0:00:00, SMTPSVC1, MX1, 192.0.2.10, 90, 42, 0, 250, 0, DATA, -, " + from + "550, 0, RCPT, -, TO:<a@home.example>,",
		strings.Repeat("203.0.113.5, ", 60) + "550, 0, RCPT, -, TO:<a@home.example>,",
		",", ", ", ",,,,,,,,,,,,,,,,",
	} {
		if got, counts := read(NewNative(home()), line+"\n", show); len(got) != 0 || counts.Unparsed != 1 {
			t.Errorf("%s: %q, %+v", line, got, counts)
		}
	}
}

// dates makes a row of each date and clock.
func dates(stamps ...string) (log string) {
	for _, s := range stamps {
		log += "203.0.113.5, x, " + s + nativeRow + "250, 0, HELO, -, x,\r\n"
	}
	return log
}

func TestNativeDateOrder(t *testing.T) {
	for _, c := range []struct {
		name, order string
		reference   time.Time
		stamps      []string
		want        string // "!" for a date that can't be read
		said        string
	}{
		{"assumed", "", time.Time{}, []string{"7/1/09", "7/2/2009"}, "2009-07-01 2009-07-02", "month/day/year: set date_order"},
		{"told by a day above twelve", "", time.Time{}, []string{"13/7/09", "1/8/09"}, "2009-07-13 2009-08-01", "day/month/year"},
		{"told by a month above twelve", "", time.Time{}, []string{"7/13/09", "8/1/09"}, "2009-07-13 2009-08-01", "month/day/year"},
		{"never changed", "", time.Time{}, []string{"7/1/09", "13/7/09", "7/3/09"}, "2009-07-01 ! 2009-07-03", "some dates can't be read so"},
		{"told by what would lie ahead", "", time.Date(2009, 7, 2, 0, 0, 0, 0, time.UTC), []string{"1/8/09", "1/7/09", "2/7/09"},
			"2009-01-08 2009-01-07 2009-02-07", "month/day/year"},
		{"the first decides", "", time.Date(2009, 7, 2, 0, 0, 0, 0, time.UTC), []string{"1/12/08", "2/12/08"}, "2008-01-12 2008-02-12", "month/day/year"},
		{"ahead in one order only", "", time.Date(2009, 7, 2, 0, 0, 0, 0, time.UTC), []string{"1/9/09", "2/1/09"}, "2009-01-09 2009-02-01", "month"},
		{"ahead as month first", "", time.Date(2009, 7, 2, 0, 0, 0, 0, time.UTC), []string{"1/7/09", "2/7/09"}, "2009-01-07 2009-02-07", "month"},
		{"ahead as month first, truly", "", time.Date(2009, 7, 2, 0, 0, 0, 0, time.UTC), []string{"9/1/09", "2/7/09"}, "2009-01-09 2009-07-02", "day/month/year"},
		{"dots", "", time.Time{}, []string{"01.07.09", "2.7.2009"}, "2009-07-01 2009-07-02", "day/month/year"},
		{"ISO", "", time.Time{}, []string{"2009-07-01", "2009/7/2", "7/3/09"}, "2009-07-01 2009-07-02 2009-07-03", "month/day/year"},
		{"ISO decides nothing", "", time.Time{}, []string{"2009-07-01", "13/7/09"}, "2009-07-01 2009-07-13", "day/month/year"},
		{"configured dmy", "dmy", time.Time{}, []string{"1/7/09", "7/13/09", "2009-07-02"}, "2009-07-01 ! 2009-07-02", "day/month/year"},
		{"configured mdy", "mdy", time.Time{}, []string{"7/1/09", "07.02.09", "13.7.09"}, "2009-07-01 2009-07-02 !", "month/day/year"},
		{"configured ymd", "ymd", time.Time{}, []string{"09/7/1", "09-07-02", "7/3/2009"}, "2009-07-01 2009-07-02 !", "year/month/day"},
		{"the century", "mdy", time.Time{}, []string{"7/1/79", "7/1/80", "7/1/00"}, "2079-07-01 1980-07-01 2000-07-01", ""},
		{"a year first", "", time.Time{}, []string{"98/7/1", "99/7/2"}, "1998-07-01 1999-07-02", "year/month/day"},
		{"no such day", "", time.Time{}, []string{"2/30/09", "0/1/09", "7/1/09"}, "! ! 2009-07-01", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewNative(&site.Site{DateOrder: c.order, Reference: c.reference})
			want := strings.Fields(c.want)
			for i, s := range c.stamps {
				got, _ := times(p, dates(s+", 1:02:03"))
				if want[i] == "!" && len(got) != 0 || want[i] != "!" && (len(got) != 1 || got[0] != want[i]+" 01:02:03") {
					t.Errorf("%s: %q, want %s", s, got, want[i])
				}
			}
			if s := p.Assumed(); !strings.Contains(s, c.said) || !strings.Contains(s, "UTC") || c.order != "" && strings.Contains(s, "set date_order") {
				t.Errorf("%q is said, want %q in it", s, c.said)
			}
		})
	}
}

func TestNativeZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	p := NewNative(&site.Site{DateOrder: "dmy", Location: berlin})
	got, _ := times(p, dates("25/10/09, 1:59:59", "25/10/09, 2:00:00", "25/10/09, 2:59:59", "25/10/09, 2:59:58", "25/10/09, 2:00:01", "25/10/09, 2:30:00",
		"25/10/09, 2:29:00", "25/10/09, 3:00:00", "28/3/10, 1:59:59", "28/3/10, 2:30:00", "28/3/10, 3:00:00", "1/7/10, 0:00:00"))
	want := []string{"2009-10-24 23:59:59", "2009-10-25 00:00:00", "2009-10-25 00:59:59", "2009-10-25 00:59:58", "2009-10-25 01:00:01", "2009-10-25 01:30:00",
		"2009-10-25 01:29:00", "2009-10-25 02:00:00", "2010-03-28 00:59:59", "2010-03-28 01:30:00", "2010-03-28 01:00:00", "2010-06-30 22:00:00"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if s := p.Assumed(); !strings.Contains(s, "Europe/Berlin") {
		t.Errorf("%q doesn't name the zone", s)
	}
}
