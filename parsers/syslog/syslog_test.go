package syslog

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestParseForms(t *testing.T) {
	const text = "connect from unknown[192.0.2.1]"
	at := time.Date(2024, time.August, 26, 1, 33, 38, 0, time.UTC)
	for _, c := range []struct {
		line string
		want time.Time
	}{
		{"Aug 26 01:33:38 mx postfix/smtpd[257]: " + text, at},
		{"Aug  6 01:33:38 mx postfix/smtpd[257]: " + text, at.AddDate(0, 0, -20)},
		{"Aug 6 01:33:38 mx postfix/smtpd[257]: " + text, at.AddDate(0, 0, -20)},
		{"Aug 26 2023 01:33:38 mx postfix/smtpd[257]: " + text, at.AddDate(-1, 0, 0)},
		{"2024-08-26T01:33:38.572449+00:00 mx postfix/smtpd[257]: " + text, at.Add(572449 * time.Microsecond)},
		{"2024-08-26T03:33:38+02:00 mx postfix/smtpd[257]: " + text, at},
		{"2024-08-26T03:33:38+0200 mx postfix/smtpd[257]: " + text, at},
		{"2024-08-25T20:03:38-05:30 mx postfix/smtpd[257]: " + text, at},
		{"2024-08-26T01:33:38Z mx postfix/smtpd[257]: " + text, at},
		{"2024-08-26 01:33:38 mx postfix/smtpd[257]: " + text, at},
		{"2024-08-26 01:33:38.25 mx postfix/smtpd[257]: " + text, at.Add(250 * time.Millisecond)},
		{"<22>Aug 26 01:33:38 mx postfix/smtpd[257]: " + text, at},
		{"<22>1 2024-08-26T01:33:38.000001Z mx postfix/smtpd 257 - - " + text, at.Add(time.Microsecond)},
		{"<22>1 2024-08-26T01:33:38Z mx postfix/smtpd 257 - [a b=\"c]\\\"\"][d e=\"f\"] \xef\xbb\xbf" + text, at},
		{"Aug 26 01:33:38 mx postfix/smtpd[257]: [ID 197553 mail.info] " + text, at},
	} {
		var l Line
		if !Parse([]byte(c.line), &l) {
			t.Errorf("%q: not understood", c.line)
			continue
		}
		got := time.Unix(0, NewClock(at, 0, nil).Time(l.Stamp)).UTC()
		if !got.Equal(c.want) || string(l.Host) != "mx" || string(l.Tag) != "postfix/smtpd" || l.Pid != 257 || string(l.Text) != text {
			t.Errorf("%q: %s host %q tag %q pid %d text %q", c.line, got, l.Host, l.Tag, l.Pid, l.Text)
		}
	}
}

func TestParseWithoutPidOrTag(t *testing.T) {
	var l Line
	if !Parse([]byte("Aug 26 01:33:38 mx postfix/smtpd: x"), &l) || string(l.Tag) != "postfix/smtpd" || l.Pid != 0 || string(l.Text) != "x" {
		t.Errorf("a tag without a process id: %q %d %q", l.Tag, l.Pid, l.Text)
	}
	if !Parse([]byte("Aug 26 01:33:38 mx last message repeated 2 times"), &l) || len(l.Tag) != 0 || l.Pid != 0 {
		t.Errorf("no tag: %q %d", l.Tag, l.Pid)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, line := range []string{
		"", "x", "Aug 26 01:33:38", "Aug 26 01:33:38 ", "Aug 26 01:33:38 mx", "Foo 26 01:33:38 mx a: b", "Aug 32 01:33:38 mx a: b",
		"Aug 26 24:33:38 mx a: b", "Aug 26 01:60:38 mx a: b", "Aug 26 01:33:3x mx a: b", "2024-13-26T01:33:38Z mx a: b",
		"2024-08-26T01:33:38+99:00 mx a: b", "<22", "<>Aug 26 01:33:38 mx a: b", "<22>1 - mx postfix/smtpd 257 - - x",
		"<22>1 2024-08-26T01:33:38Z mx postfix/smtpd 257 - [a x", " Aug 26 01:33:38 mx a: b", "Aug26 01:33:38 mx a: b",
	} {
		var l Line
		if Parse([]byte(line), &l) {
			t.Errorf("%q: understood as %q %q %q", line, l.Host, l.Tag, l.Text)
		}
	}
}

// A line after another must give what it gives alone: the stamp of the previous one is kept for comparison.
func TestParseKeepsNothing(t *testing.T) {
	lines := []string{"Aug 26 01:33:38 mx a[1]: b", "Aug 26 01:33:38 mx c: d", "junk", "Aug 26 01:33:39 mx e[2]: f",
		"2024-08-26T01:33:38Z mx a: b", "2024-08-26T01:33:38Z mx a: b", "Aug 26 01:33:39 my g: h"}
	var l Line
	for _, line := range lines {
		var alone Line
		ok, okAlone := Parse([]byte(line), &l), Parse([]byte(line), &alone)
		if ok != okAlone || ok && (l.Stamp != alone.Stamp || !bytes.Equal(l.Text, alone.Text) || l.Pid != alone.Pid) {
			t.Errorf("%q: %v after another line, %v alone", line, l, alone)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("Aug 26 01:33:38 mx postfix/smtpd[257]: x")
	f.Add("2024-08-26T01:33:38.572449+00:00 mx postfix/smtpd[257]: x")
	f.Add("<22>1 2024-08-26T01:33:38Z mx postfix/smtpd 257 - [a b=\"c]\"] x")
	f.Fuzz(func(t *testing.T, line string) {
		var l Line
		if !Parse([]byte(line), &l) {
			return
		}
		if !strings.HasSuffix(line, string(l.Text)) {
			t.Errorf("the text %q is not the end of the line", l.Text)
		}
		clock := NewClock(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC), 0, nil)
		if first := clock.Time(l.Stamp); clock.Time(l.Stamp) != first {
			t.Errorf("%v means two moments in a row", l.Stamp)
		}
	})
}
