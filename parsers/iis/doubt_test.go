package iis

import (
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// Nobody hides behind a name, or an argument, that looks like a row of its own.
func TestRowInTheName(t *testing.T) {
	const (
		stamp  = "7/13/09, 13:17:37" + nativeRow
		forged = "1/1/36, 0:00:00, SMTPSVC1, MX1, 192.0.2.10, 90, 42, 0, "
		ncsa   = ` [11/Oct/2006:13:16:41 -0600] "`
		future = ` [11/Oct/2036:13:16:41 -0600] "`
	)
	for _, c := range []struct{ format, line, want string }{
		{"native", "203.0.113.5, x, " + forged + "250, 0, DATA, -, y, " + stamp + "550, 0, RCPT, -, TO:<a@home.example>,", "rcpt_unknown 203.0.113.5 550 to=a@home.example"},
		{"native", "203.0.113.5, x, " + forged + "550, 0, RCPT, -, TO:<z@home.example>, " + stamp + "550, 0, RCPT, -, TO:<a@home.example>,", "rcpt_unknown 203.0.113.5 550 to=a@home.example"},
		{"native", "203.0.113.5, x, " + forged + "550, 0, RCPT, -, TO:<z@home.example>, " + stamp + "535, 0, AUTH, -, -,", "auth_fail 203.0.113.5 535"},
		{"native", "203.0.113.5, x, " + strings.Repeat(forged+"250, 0, DATA, -, y, ", 300) + stamp + "550, 0, MAIL, -, FROM:<a@far.example>,", "rcpt_refused 203.0.113.5 550 from=a@far.example"},
		{"native", "203.0.113.5, x, " + forged + "250, 0, DATA, -, y, " + stamp + "501, 0, MAIL, -, FROM:<a@far.example>,", "protocol_error 203.0.113.5 501 from=a@far.example"},
		{"native", "203.0.113.5, x, " + stamp + "250, 0, EHLO, -, x, " + forged + "250, 0, DATA, -, y,", "connect 203.0.113.5 250"},
		{"native", "203.0.113.5, OutboundConnectionCommand, " + forged + "250, 0, QUIT, -, y, " + stamp + "550, 0, RCPT, -, TO:<a@home.example>,", "rcpt_unknown 203.0.113.5 550 to=a@home.example"},
		{"native", "203.0.113.5, x, " + stamp + "550, 0, RCPT, -, TO:<a@home.example> , " + forged + "500, 0, RCPT, -, TO:<z@home.example>,", "rcpt_unknown 203.0.113.5 550 to=a@home.example"},
		{"native", "203.0.113.5, x, " + stamp + "550, 0, RCPT, -, TO:<a@home.example> , 1/1/36, 0:00:00, W3SVC1, MX1, 192.0.2.10, 90, 42, 0, 550, 0, RCPT, -, TO:<z@home.example>,",
			"rcpt_unknown 203.0.113.5 550 to=a@home.example"},
		{"ncsa", `203.0.113.5 - x y` + future + `DATA - SMTP" 250 1` + ncsa + `RCPT -?+TO:<a@home.example> SMTP" 550 32`, "rcpt_unknown 203.0.113.5 550 to=a@home.example"},
		{"ncsa", `203.0.113.5 - x` + future + `RCPT -?+TO:<z@home.example> SMTP" 550 1` + ncsa + `AUTH - SMTP" 535 32`, "auth_fail 203.0.113.5 535"},
		{"ncsa", `203.0.113.5 - x` + ncsa + `RCPT -?+TO:<a@home.example>` + future + `DATA - SMTP" 500 32`, "protocol_error 203.0.113.5 500"},
		{"ncsa", `203.0.113.5 - x` + ncsa + `EHLO -?+x` + future + `DATA - SMTP" 250 32`, "connect 203.0.113.5 250"},
	} {
		// The row is dated by those before it, whatever stamps the client made up, and says no name.
		before := map[string]string{"native": "198.51.100.1, x, 7/13/09, 13:17:30" + nativeRow + "250, 0, HELO, -, x,\r\n",
			"ncsa": `198.51.100.1 - x [11/Oct/2006:13:16:30 -0600] "HELO -?+x SMTP" 250 1` + "\r\n"}[c.format]
		when := map[string]string{"native": "2009-07-13T13:17:37Z", "ncsa": "2006-10-11T19:16:41Z"}[c.format]
		got, counts := read(formats[c.format](home()), before+c.line+"\r\n", full)
		want := "2 " + c.want + " " + when
		if len(got) != 2 || !strings.HasPrefix(got[1], want+" ") || counts.Unparsed != 0 {
			t.Errorf("%s\n got %q, %+v\nwant %s", c.line, got, counts, want)
		}
		if strings.HasPrefix(c.line, "2") {
			own := home()
			own.Own = append(own.Own, ownNet)
			if got, counts := read(formats[c.format](own), strings.Replace(c.line, "203.0.113.5", "192.0.2.1", 1)+"\r\n", show); len(got) != 0 || counts.Ignored != 1 {
				t.Errorf("%s of our own: %q, %+v", c.line, got, counts)
			}
		}
	}
}

// At the beginning of a log the row is dated by the reference.
func TestDoubtAtTheBeginning(t *testing.T) {
	for forged, want := range map[string]string{"1/1/36": "2009-07-13", "1/1/99": "2009-07-13", "7/20/09": "2009-07-20"} {
		line := "203.0.113.5, x, " + forged + ", 13:17:37" + nativeRow + "250, 0, DATA, -, y, 7/13/09, 13:17:37" + nativeRow + "550, 0, RCPT, -, TO:<a@home.example>,\n"
		if got, _ := times(NewNative(home()), line); len(got) != 1 || got[0] != want+" 13:17:37" {
			t.Errorf("%s: %q, want %s", forged, got, want)
		}
		if got, _ := times(NewNative(&site.Site{}), line); len(got) != 1 {
			t.Errorf("%s: %q", forged, got)
		}
	}
}

// A hundred commas in a name are no second row.
func TestManyCommas(t *testing.T) {
	name := strings.Repeat("x, ", 80) + "x"
	expect(t, NewNative(home()), "203.0.113.5, "+name+", 7/13/09, 13:17:37"+nativeRow+"550, 0, RCPT, -, TO:<a@home.example>,\r\n",
		"1 rcpt_unknown 203.0.113.5 550 to=a@home.example helo="+name)
}

// A row in a name changes neither how later rows are dated nor what is remembered.
func TestDoubtLeavesNoTrace(t *testing.T) {
	row := func(stamp, name, verb string) string {
		return "203.0.113.5, " + name + ", " + stamp + nativeRow + verb + ",\r\n"
	}
	const taken = "250, 0, DATA, -, -"
	forged := "x, 13/1/36, 0:00:00" + nativeRow + "250, 0, DATA, -, y"
	log := row("7/1/09, 10:00:00", "x", "250, 0, MAIL, -, FROM:<s@far.example>") + row("7/1/09, 10:00:01", "x", "250, 0, RCPT, -, TO:<a@home.example>") +
		row("7/1/09, 10:00:02", forged, "550, 0, RCPT, -, TO:<b@home.example>") + row("7/1/09, 10:00:03", forged, taken) + row("7/1/09, 10:00:04", "x", taken)
	got, counts := read(NewNative(home()), log, func(ev *harvestwatch.Event) string {
		return fmt.Sprintf("%s %s %s %s", ev.Kind, ev.When().Format("15:04:05"), ev.Sender, ev.Recipient)
	})
	want := "rcpt_ok 10:00:01 s@far.example a@home.example|rcpt_unknown 10:00:02  b@home.example|accepted 10:00:04 s@far.example |delivered 10:00:04 s@far.example a@home.example"
	if strings.Join(got, "|") != want || counts.Unparsed != 1 {
		t.Errorf("%q, %+v", got, counts)
	}
}

// Texts that differ only behind the bound are told apart, and long local parts hide no domain.
func TestLongTexts(t *testing.T) {
	for name, open := range formats {
		texts := map[string]bool{}
		log := map[string]string{"w3c": usualHeader(start)}[name]
		for i := range 20 {
			long := fmt.Sprintf("%s%d", strings.Repeat("x", 300), i)
			for _, c := range []command{{start, "203.0.113.5", long, "MAIL", "+FROM:<" + long + "@far.example>", "250"},
				{start, "203.0.113.5", long, "RCPT", "+TO:<" + long + "@home.example>", "550"}} {
				log += map[string]func(command) string{"w3c": command.w3c, "ncsa": command.ncsa, "native": command.native}[name](c)
			}
		}
		got, _ := read(open(home()), log, func(ev *harvestwatch.Event) string {
			for field, b := range map[string][]byte{"to": ev.Recipient, "from": ev.Sender, "helo": ev.Helo} {
				if len(b) != harvestwatch.MaxField {
					t.Errorf("%s: %s has %d bytes", name, field, len(b))
				}
				texts[field+string(b)] = true
			}
			return ev.Kind.String()
		})
		if len(texts) != 60 || strings.Join(got, " ") != strings.TrimSpace(strings.Repeat("rcpt_unknown ", 20)) {
			t.Errorf("%s: %d texts of 60, %q", name, len(texts), got)
		}
	}
	far := &site.Site{Domains: []string{"home.example"}}
	expect(t, NewNative(far), "203.0.113.5, x, 7/13/09, 13:17:37"+nativeRow+"550, 0, RCPT, -, TO:<a@"+strings.Repeat("x", 300)+">,\r\n",
		"1 rcpt_refused 203.0.113.5 550 to=a@"+strings.Repeat("x", 237)+"~"+cutEnd("a@"+strings.Repeat("x", 300))+" helo=x")
}

func cutEnd(text string) string {
	cut := site.Cut([]byte(text), new([]byte))
	return string(cut[len(cut)-16:])
}
