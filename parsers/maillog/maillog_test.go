package maillog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"github.com/harvestwatch/harvestwatch/parsers/postfix"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

var reference = time.Date(2026, time.March, 30, 12, 0, 0, 0, time.UTC)

func open() *Parser { return New(&site.Site{Reference: reference}) }

// parser is what the tests need of one.
type parser interface {
	Lex(l *harvestwatch.Lines)
	Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(harvestwatch.Pos, []byte)) harvestwatch.Counts
	Changes(yield func(key, value []byte))
	Restore(key, value []byte) error
}

// full writes everything of an event.
func full(ev *harvestwatch.Event) string {
	return fmt.Sprintf("%d %s %v user=%s %d %d %x %x %v %s %s %s", ev.Pos.Line, ev.Kind, ev.Addr, ev.User, ev.Time, ev.Began, ev.Session, ev.Twin, ev.Pos,
		ev.Helo, ev.Sender, ev.Recipient)
}

func show(ev *harvestwatch.Event) string {
	return fmt.Sprintf("%d %s %v %s", ev.Pos.Line, ev.Kind, ev.Addr, ev.User)
}

// run parses a log in pieces of some lines; 0 is one piece. Unparsed lines are written between the events.
func run(p parser, data string, lines int, write func(*harvestwatch.Event) string) (got []string, sum harvestwatch.Counts) {
	all := strings.SplitAfter(data, "\n")
	if lines == 0 {
		lines = len(all)
	}
	pos := harvestwatch.Pos{Line: 1}
	l := &harvestwatch.Lines{}
	for part := range slices.Chunk(all, lines) {
		text := strings.Join(part, "")
		l.Data, l.Pos = []byte(text), pos
		p.Lex(l)
		sum.Add(p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, write(ev)) },
			func(pos harvestwatch.Pos, line []byte) {
				got = append(got, fmt.Sprintf("%d unparsed %d %s", pos.Line, pos.Offset, line))
			}))
		pos.Line += int64(strings.Count(text, "\n"))
		pos.Offset += int64(len(text))
	}
	return got, sum
}

// mixed is a log of both, with a delivery that Postfix's parser holds back until line 17 while Dovecot goes on talking.
const mixed = `Mar 22 17:00:00 mx postfix/smtpd[7]: connect from unknown[203.0.113.9]
Mar 22 17:00:01 mx dovecot: imap-login: Login: user=<anna>, method=PLAIN, rip=198.51.100.7, lip=192.0.2.1, session=<S1>
Mar 22 17:00:02 mx postfix/smtpd[7]: AAAAA1: client=unknown[203.0.113.9]
Mar 22 17:00:02 mx postfix/qmgr[6]: AAAAA1: from=<a@b.example>, size=1, nrcpt=1 (queue active)
Mar 22 17:00:03 mx postfix/lmtp[5]: AAAAA1: to=<info@kontor.example>, relay=mx[private/dovecot-lmtp], delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 OK)
Mar 22 17:00:04 mx dovecot: auth: passwd-file(eve,203.0.113.8,<S2>): unknown user
-- no line of anybody's
Mar 22 17:00:05 mx dovecot: imap(anna)<1><S1>: Info: Logged out
Mar 22 17:00:06 mx dovecot: imap-login: something about dovecot that is new
Mar 22 17:00:07 mx dovecot: imap-login: Disconnected (auth failed, 2 attempts): user=<eve>, rip=203.0.113.8, lip=192.0.2.1, session=<S2>
Mar 22 17:00:08 mx postfix/10025/smtpd[8]: BBBBB2: client=localhost[127.0.0.1]
Mar 22 17:00:08 mx postfix/qmgr[6]: BBBBB2: from=<a@b.example>, size=1, nrcpt=1 (queue active)
Mar 22 17:00:08 mx postfix/local[4]: BBBBB2: to=<x@kontor.example>, relay=local, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (delivered to maildir)
Mar 22 17:00:09 mx dovecot: auth: sql(joe,203.0.113.9): unknown user
Mar 22 17:00:11 mx postfix/smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: UGFzc3dvcmQ6
Mar 22 17:01:30 mx dovecot: pop3-login: Login: user=<bert>, method=PLAIN, rip=198.51.100.8, lip=192.0.2.1, session=<S3>
Mar 22 17:01:31 mx postfix/qmgr[6]: DDDDD5: removed
Mar 22 17:01:32 mx dovecot: pop3-login: Login: user=<carl>, method=PLAIN, rip=198.51.100.9, lip=192.0.2.1, session=<S4>
Mar 22 17:01:33 mx sshd[1]: dovecot is not mine
Mar 22 17:01:34 mx postfix/smtpd[7]: disconnect from unknown[203.0.113.9] ehlo=1 auth=0/2 quit=1 commands=2/4
`

func TestBothInOrder(t *testing.T) {
	want := `1 connect 203.0.113.9 
2 auth_ok 198.51.100.7 anna
3 accepted 203.0.113.9 
5 delivered 203.0.113.9 
6 auth_fail 203.0.113.8 eve
7 unparsed 606 -- no line of anybody's
9 unparsed 694 Mar 22 17:00:06 mx dovecot: imap-login: something about dovecot that is new
10 auth_fail 203.0.113.8 eve
10 disconnect 203.0.113.8 eve
11 accepted 127.0.0.1 
14 auth_fail 203.0.113.9 joe
16 auth_ok 198.51.100.8 bert
13 delivered 127.0.0.1 
18 auth_ok 198.51.100.9 carl
20 auth_fail 203.0.113.9 
20 disconnect 203.0.113.9 `
	got, counts := run(open(), mixed, 0, show)
	if strings.Join(got, "\n") != want {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
	lines := int64(strings.Count(mixed, "\n"))
	if told := map[string]bool{}; counts.Lines == lines && counts.Unparsed == 2 && counts.Events == 14 {
		for _, s := range got {
			line, _, _ := strings.Cut(s, " ")
			told[line] = true
		}
		if int64(len(told))+counts.Ignored != lines {
			t.Errorf("%d lines told or unparsed, %+v", len(told), counts)
		}
	} else {
		t.Errorf("%+v", counts)
	}
}

func TestBatchingAndRestartsChangeNothing(t *testing.T) {
	want, counts := run(open(), mixed, 0, full)
	for every := 1; every < 20; every++ {
		got, sum := run(open(), mixed, every, full)
		if !slices.Equal(got, want) || sum != counts {
			t.Errorf("%d lines a piece: %+v\n  %s", every, sum, strings.Join(got, "\n  "))
		}
		restarting := &restarting{Parser: open(), disk: map[string]string{}}
		if got, sum = run(restarting, mixed, every, full); !slices.Equal(got, want) || sum != counts {
			t.Errorf("restarted every %d lines: %+v\n  %s", every, sum, strings.Join(got, "\n  "))
		}
	}
}

// restarting is a parser that is made anew after each piece from what it stored.
type restarting struct {
	*Parser
	disk map[string]string
}

func (r *restarting) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(harvestwatch.Pos, []byte)) harvestwatch.Counts {
	c := r.Parser.Fold(l, emit, unparsed)
	save(r.Parser, r.disk)
	r.Parser = open()
	for k, v := range r.disk {
		if err := r.Restore([]byte(k), []byte(v)); err != nil {
			panic(err)
		}
	}
	return c
}

func save(p parser, disk map[string]string) {
	p.Changes(func(key, value []byte) {
		if value == nil {
			delete(disk, string(key))
			return
		}
		disk[string(key)] = string(value)
	})
}

// Every log of Postfix gives through here what it gives to Postfix's parser.
func TestPostfixAloneIsUnchanged(t *testing.T) {
	for _, l := range golden.Load(t, "../../testdata/logs/postfix") {
		t.Run(l.Name, func(t *testing.T) {
			golden.Check(t, &l, func() golden.Parser { return New(&l.Site) })
			o := &l.Site
			want, counts := run(postfix.New(o.Reference, o.Year, o.Location), string(l.Data), 0, full)
			got, sum := run(New(o), string(l.Data), 0, full)
			if !slices.Equal(got, want) || sum != counts {
				t.Errorf("%+v, Postfix alone: %+v", sum, counts)
			}
		})
	}
}

func TestDovecotAlone(t *testing.T) {
	for _, l := range golden.Load(t, "../../testdata/logs/dovecot") {
		if l.Name != "syslog" {
			continue // Dovecot's own form is not among what a host's programs write by syslog
		}
		l.Want = append(l.Want, golden.Expectation{Line: 13, Kind: "connect", Addr: "203.0.113.34"})
		golden.Check(t, &l, func() golden.Parser { return New(&l.Site) })
	}
}

// What an older version stored, that knew Postfix only, is taken back; and no key of Postfix's is taken for another's.
func TestPostfixStateIsTakenBack(t *testing.T) {
	for _, l := range golden.Load(t, "../../testdata/logs/postfix") {
		o := &l.Site
		old, disk := postfix.New(o.Reference, o.Year, o.Location), map[string]string{}
		half := bytes.LastIndexByte(l.Data[:len(l.Data)/2], '\n') + 1
		run(old, string(l.Data[:half]), 0, full)
		save(old, disk)
		p := New(o)
		for k, v := range disk {
			if k[0] >= 0x80 {
				t.Errorf("the key %q collides", k)
			}
			if err := p.Restore([]byte(k), []byte(v)); err != nil {
				t.Fatal(err)
			}
		}
		want, _ := run(old, string(l.Data[half:]), 0, full)
		if got, _ := run(p, string(l.Data[half:]), 0, full); !slices.Equal(got, want) {
			t.Errorf("%s: other events after the restart", l.Name)
		}
	}
}

func TestForeignState(t *testing.T) {
	p := open()
	for _, c := range [][2]string{{"", ""}, {"x", ""}, {"\xd0", ""}, {"\xd0x", ""}, {"\xd1", ""}, {"\xd11234567812345678", "123"},
		{"\xd11234567812345678", strings.Repeat("\x00", 20)}} {
		if err := p.Restore([]byte(c[0]), []byte(c[1])); err == nil {
			t.Errorf("%q taken", c)
		}
	}
}

// Dovecot, asked by Postfix, tells of the attempt that Postfix tells of when it has answered: one attempt.
func TestOneAttemptToAuthenticateToPostfix(t *testing.T) {
	const (
		asked  = "Mar 22 17:00:%02d mx dovecot: auth-worker(3): sql(joe,203.0.113.9): Password mismatch\n"
		failed = "Mar 22 17:%02d:%02d mx postfix/smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: x\n"
		other  = "Mar 22 17:00:02 mx postfix/smtpd[8]: warning: unknown[203.0.113.10]: SASL LOGIN authentication failed: x\n"
		ended  = "Mar 22 17:00:40 mx postfix/smtpd[7]: disconnect from unknown[203.0.113.9] auth=0/%d commands=0/%d\n"
	)
	for name, c := range map[string]struct {
		want int
		text string
	}{
		"both":                  {1, fmt.Sprintf(asked, 0) + fmt.Sprintf(failed, 0, 2)},
		"Postfix alone":         {1, fmt.Sprintf(failed, 0, 2)},
		"twice":                 {2, fmt.Sprintf(asked, 0) + fmt.Sprintf(failed, 0, 2) + fmt.Sprintf(asked, 7) + fmt.Sprintf(failed, 0, 9)},
		"twice for Postfix":     {2, fmt.Sprintf(asked, 0) + fmt.Sprintf(failed, 0, 2) + fmt.Sprintf(failed, 0, 9)},
		"another client":        {2, fmt.Sprintf(asked, 0) + other},
		"much later":            {2, fmt.Sprintf(asked, 0) + fmt.Sprintf(failed, 2, 2)},
		"told by the end":       {2, fmt.Sprintf(asked, 0) + fmt.Sprintf(asked, 10) + fmt.Sprintf(ended, 2, 2)},
		"the end knows of more": {3, fmt.Sprintf(asked, 0) + fmt.Sprintf(asked, 10) + fmt.Sprintf(ended, 3, 3)},
	} {
		fails := 0
		_, counts := run(open(), c.text, 0, func(ev *harvestwatch.Event) string {
			if ev.Kind == harvestwatch.AuthFail {
				fails++
			}
			return ""
		})
		lines := int64(strings.Count(c.text, "\n"))
		if fails != c.want || counts.Lines != lines || counts.Unparsed != 0 || counts.Ignored > lines {
			t.Errorf("%s: %d attempts, want %d; %+v\n%s", name, fails, c.want, counts, c.text)
		}
	}
}

func TestShare(t *testing.T) {
	const a, b, c = "Mar 22 17:00:00 mx postfix/smtpd[7]: connect from unknown[203.0.113.9]\n", "Mar 22 17:00:00 mx dovecot: lmtp(1): Connect from local\n",
		"Mar 22 17:00:00 mx sshd[1]: x\n"
	for text, want := range map[string]float64{"": 0, a: 1, b: 1, c: 0, a + b: 1, a + b + c + c: 0.5,
		"Mar 22 17:00:00 imap-login: Info: Login: user=<a>, rip=203.0.113.1\n": 0} {
		if got := Share([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func FuzzRaw(f *testing.F) {
	f.Add([]byte(mixed), 3)
	f.Add([]byte("dovecot\n\n-dovecot\r\n<22>dovecot"), 1)
	f.Add([]byte("Mar 22 17:00:00 mx dovecot: imap-login: x\nMar 22 17:00:00 mx dovecot: x"), 1)
	f.Fuzz(func(t *testing.T, data []byte, every int) {
		text := string(data)
		want, counts := run(open(), text, 0, full)
		n := int64(strings.Count(text, "\n"))
		if len(text) > 0 && text[len(text)-1] != '\n' {
			n++
		}
		told := map[string]bool{}
		for _, s := range want {
			offset, _, _ := strings.Cut(s, " ")
			told[offset] = true
		}
		if counts.Lines != n || counts.Ignored < 0 || counts.Unparsed < 0 || counts.Ignored+counts.Unparsed > n || int64(len(told))+counts.Ignored < n {
			t.Errorf("%d lines, %d told, %+v", n, len(told), counts)
		}
		if got, sum := run(open(), text, 1+max(every, -every)%5, full); !slices.Equal(got, want) || sum != counts {
			t.Errorf("in pieces %+v, whole %+v:\n  %s\nwhole:\n  %s", sum, counts, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	})
}
