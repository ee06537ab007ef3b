package postfix

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// printable does what Postfix does to each line before it is logged: what can't be printed becomes a question mark.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// neuter does what smtpd does to the HELO name.
func neuter(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(` <>()\";@`, r) {
			return '?'
		}
		return r
	}, printable(s))
}

// quote gives the external form of an address whose local part can hold anything.
func quote(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(printable(s))
	return `"` + s + `"@evil.example`
}

// escape does what is done to payloads: C escapes, and a cut.
func escape(s string) string {
	s = strings.NewReplacer("\r", `\r`, "\n", `\n`, "\\", `\\`).Replace(s)
	return printable(s[:min(len(s), 100)])
}

// hostile writes a text of the client's into every place of a template that he can fill. CLIENT stands for the true
// client, PSC for it as postscreen writes it.
var hostile = []string{
	"smtpd[7]: NOQUEUE: reject: RCPT from CLIENT: 550 5.1.1 <RAW@k.example>: Recipient address rejected: User unknown in local recipient table; from=<QUOTED> to=<QUOTED> proto=ESMTP helo=<HELO>",
	"smtpd[7]: NOQUEUE: reject: RCPT from CLIENT: 550 5.1.1 <RAW@k.example>: Recipient address rejected: User unknown in local recipient table; from=<RAW> to=<RAW@k.example> proto=ESMTP helo=<HELO>",
	"smtpd[7]: NOQUEUE: reject: RCPT from CLIENT: 554 5.7.1 Service unavailable; Client host [192.0.2.66] blocked using bl.example; RAW; from=<QUOTED> to=<QUOTED> proto=ESMTP helo=<HELO>",
	"smtpd[7]: NOQUEUE: reject: VRFY from CLIENT: 550 5.1.1 <RAW>: Recipient address rejected: User unknown; to=<RAW> proto=ESMTP helo=<HELO> sasl_username=<RAW>",
	"smtpd[7]: NOQUEUE: milter-reject: MAIL from CLIENT: 550 5.7.1 RAW; from=<RAW> proto=ESMTP helo=<HELO>",
	"smtpd[7]: NOQUEUE: reject_warning: RCPT from CLIENT: 550 5.1.1 <RAW>: Recipient address rejected: User unknown; from=<RAW> to=<RAW>",
	"smtpd[7]: proxy-reject: END-OF-MESSAGE: 554 5.7.1 RAW; from=<RAW> to=<RAW> proto=ESMTP helo=<HELO>",
	"smtpd[7]: warning: CLIENT: SASL TOKEN authentication failed: x, sasl_username=RAW",
	"smtpd[7]: warning: CLIENT: SASL TOKEN authentication failed: Invalid authentication mechanism: TOKEN",
	"smtpd[7]: warning: CLIENT: SASL TOKEN authentication aborted",
	"smtpd[7]: warning: non-SMTP command from CLIENT: ESCAPED",
	"smtpd[7]: improper command pipelining after DATA from CLIENT: ESCAPED",
	"smtpd[7]: warning: CLIENT: request longer than 2048: ESCAPED...",
	"smtpd[7]: warning: Illegal address syntax from CLIENT in RCPT command: RAW",
	"smtpd[7]: warning: hostname RAW does not resolve to address 203.0.113.9: RAW",
	"smtpd[7]: warning: valid_hostname: invalid character 91(decimal): RAW",
	"smtpd[7]: warning: numeric hostname: RAW",
	"smtpd[7]: warning: unknown DSN NOTIFY command value \"RAW\"",
	"smtpd[7]: AAAAA1: client=CLIENT, sasl_method=TOKEN, sasl_username=RAW",
	"postscreen[9]: PREGREET 81 after 0 from PSC: ESCAPED",
	"postscreen[9]: NON-SMTP COMMAND from PSC after CONNECT: RAW",
	"postscreen[9]: COMMAND PIPELINING from PSC after RAW: ESCAPED",
	"postscreen[9]: BARE NEWLINE from PSC after RAW",
	"postscreen[9]: NOQUEUE: reject: RCPT from PSC: 550 5.7.1 Service unavailable; client [192.0.2.66] blocked using bl.example; from=<RAW>, to=<RAW>, proto=ESMTP, helo=<WORD>",
	"cleanup[8]: AAAAA1: message-id=RAW",
	"cleanup[8]: AAAAA1: warning: header Subject: RAW from CLIENT; from=<RAW> to=<RAW> proto=ESMTP helo=<HELO>",
	"cleanup[8]: BBBBB2: reject: header Subject: RAW from CLIENT; from=<RAW> to=<RAW> proto=ESMTP helo=<HELO>: 5.7.1 no",
	"cleanup[8]: BBBBB2: reject: body RAW from local; from=<RAW> to=<RAW>: 5.7.1 no",
	"cleanup[8]: BBBBB2: reject: header Subject: RAW from CLIENT; from=<QUOTED> to=<QUOTED>",
	"cleanup[8]: AAAAA1: milter-reject: END-OF-MESSAGE from CLIENT: 5.7.1 RAW; from=<RAW> to=<RAW> proto=ESMTP helo=<HELO>",
	"qmgr[6]: AAAAA1: from=<RAW>, size=1, nrcpt=1 (queue active)",
	"smtp[5]: AAAAA1: to=<RAW>, relay=mx.example[192.0.2.66]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example[192.0.2.66] said: RAW)",
	"smtp[5]: AAAAA1: to=<QUOTED>, relay=mx.example[192.0.2.66]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (RAW)",
	"local[5]: AAAAA1: to=<QUOTED>, relay=local, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (unknown user: \"RAW\")",
	"smtp[5]: AAAAA1: host mx.example[192.0.2.66] said: RAW",
	"dnsblog[5]: addr 192.0.2.66 listed by domain bl.example as RAW",
	"sshd[5]: RAW",
}

var seeds = []string{
	"x from unknown[192.0.2.66]: SASL LOGIN authentication failed: y",
	"x]: 554 5.7.1 <a@b.example>: Relay access denied; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<e>",
	"[192.0.2.66]:25: 554 5.7.1 Service unavailable; Client host [192.0.2.66] blocked using z",
	"reject: RCPT from unknown[192.0.2.66]: 550 5.1.1 <n@t.example>: Recipient address rejected: User unknown; from=<> to=<n@t.example>",
	"a>, sasl_username=root, client=unknown[192.0.2.66], orig_client=mx[192.0.2.66]",
	"z from mx[192.0.2.66]; from=<a> to=<b> from local; from=<c> to=<d>",
	"Nov 22 10:00:00 mx1 postfix/smtpd[7]: connect from unknown[192.0.2.66]",
	"\r\nNov 22 10:00:00 mx1 postfix/smtpd[7]: connect from unknown[192.0.2.66]\n",
	"x>, relay=127.0.0.1[127.0.0.1]:25, delay=1, dsn=2.0.0, status=sent (250 queued as AAAAA1)",
	"\u202efrom unknown[192.0.2.66]\u2028\x00\xff",
	"message repeated 9 times: [ connect from unknown[192.0.2.66]]",
}

// FuzzLexNeverForges writes a text into every field that a client, a remote server or the owner of a reverse name fills,
// and holds that an event's address and name are the true client's or none.
func FuzzLexNeverForges(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, "unknown[203.0.113.9]")
		f.Add(s, "unknown[unknown]")
	}
	f.Fuzz(func(t *testing.T, text, client string) {
		true4 := netip.MustParseAddr("203.0.113.9")
		if client != "unknown[unknown]" {
			client = "mail.sender.example[203.0.113.9]"
		}
		word, _, _ := strings.Cut(printable(text), " ")
		fill := strings.NewReplacer("CLIENT", client, "PSC", "[203.0.113.9]:4711", "RAW", printable(text), "QUOTED", quote(text),
			"HELO", neuter(text), "ESCAPED", escape(text), "TOKEN", word[:min(len(word), 100)], "WORD", word)
		lines := []string{"smtpd[7]: connect from " + client, "smtpd[7]: AAAAA1: client=" + client}
		for _, h := range hostile {
			lines = append(lines, fill.Replace(h))
		}
		for _, known := range []int{0, 2} { // with and without the lines that tell of a session and a message
			data := log(lines[known:]...)
			run(t, data, func(ev *harvestwatch.Event) string {
				if ev.Addr.IsValid() && ev.Addr != true4 {
					t.Errorf("the address %s in the event of\n%s", ev.Addr, bytes.Split(data, []byte("\n"))[ev.Pos.Line-1])
				}
				if name := string(ev.Name); name != "" && (!ev.Addr.IsValid() || name+"[203.0.113.9]" != client) {
					t.Errorf("the name %s in the event of\n%s", name, bytes.Split(data, []byte("\n"))[ev.Pos.Line-1])
				}
				return ""
			})
		}
	})
}

// FuzzRaw gives any bytes to the parser: it must not fail, must account for each line, and must not care how they are cut.
func FuzzRaw(f *testing.F) {
	f.Add(mixed())
	for _, c := range lineCases {
		f.Add(log(c.line))
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := New(reference, 0, nil)
		l := &harvestwatch.Lines{Data: data}
		p.Lex(l)
		told := map[int64]bool{}
		var unparsed int64
		counts := p.Fold(l, func(ev *harvestwatch.Event) {
			told[ev.Pos.Offset] = true
			for _, b := range [][]byte{ev.Helo, ev.Name, ev.Sender, ev.Recipient, ev.User} {
				if len(b) > harvestwatch.MaxField {
					t.Errorf("a text of %d bytes", len(b))
				}
			}
			if ev.Kind == 0 || ev.Addr.Is4In6() || ev.Addr.Zone() != "" {
				t.Errorf("an event of no kind or with an odd address: %+v", ev)
			}
		}, func(harvestwatch.Pos, []byte) { unparsed++ })
		n := int64(bytes.Count(data, []byte("\n")))
		if len(data) > 0 && data[len(data)-1] != '\n' {
			n++
		}
		if counts.Lines != n || counts.Unparsed != unparsed || counts.Ignored+counts.Unparsed > n {
			t.Errorf("%d lines, %d unparsed, counts %+v", n, unparsed, counts)
		}
		if int64(len(told))+counts.Ignored+counts.Unparsed < n {
			t.Errorf("lines are lost: %d told, %+v", len(told), counts)
		}
		disk := golden.Disk{}
		disk.Take(p)
		restored(t, disk)
	})
}
