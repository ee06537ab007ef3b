package parsers

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

const postfixLine = "Nov 22 10:00:00 mx1 postfix/smtpd[7]: connect from unknown[203.0.113.9]\n"

func TestOpen(t *testing.T) {
	for _, name := range Formats() {
		_, err := Open(name, Options{Fields: &site.Fields{Time: "when", Source: "who", Kind: harvestwatch.RcptUnknown}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(Table, Options{}); err == nil || errors.Is(err, ErrUnknownFormat) {
		t.Errorf("a table without a mapping: %v", err)
	}
	_, err := Open("clay tablets", Options{})
	if !errors.Is(err, ErrUnknownFormat) || !strings.Contains(err.Error(), "postfix") {
		t.Errorf("an unknown format: %v", err)
	}
}

func TestOptionsReachTheStamps(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Reference: time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)}, "2025-11-22T10:00:00Z"},
		{Options{Reference: time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC), Year: 2019}, "2019-11-22T10:00:00Z"},
		{Options{Reference: time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC), Location: berlin}, "2025-11-22T09:00:00Z"},
	} {
		p, err := Open("postfix", c.o)
		if err != nil {
			t.Fatal(err)
		}
		l := &harvestwatch.Lines{Data: []byte(postfixLine)}
		p.Lex(l)
		got := ""
		p.Fold(l, func(ev *harvestwatch.Event) { got = ev.When().Format(time.RFC3339) }, nil)
		if got != c.want {
			t.Errorf("%+v: %s, want %s", c.o, got, c.want)
		}
		if c.o.Year != 0 && !strings.Contains(p.Assumed(), "2019") {
			t.Errorf("assumed: %q", p.Assumed())
		}
	}
}

func TestSniff(t *testing.T) {
	other := "Nov 22 10:00:00 mx1 cron[7]: nothing about mail\n"
	for _, c := range []struct {
		name, head, format string
		least, most        float64
	}{
		{"all", strings.Repeat(postfixLine, 10), "postfix", 1, 1},
		{"one line without its end", strings.TrimSuffix(postfixLine, "\n"), "postfix", 1, 1},
		{"the last line is cut off", postfixLine + postfixLine[:30], "postfix", 1, 1},
		{"half", strings.Repeat(postfixLine+other, 10), "postfix", 0.5, 0.5},
		{"little", postfixLine + strings.Repeat(other, 200), "postfix", 0.004, 0.006},
		{"nothing", "", "", 0, 0},
		{"empty lines", "\n\r\n\n", "", 0, 0},
		{"another log", strings.Repeat("#Fields: date time c-ip\n", 10), "", 0, 0},
		{"Postfix, but nothing that is understood", strings.Repeat("Nov 22 10:00:00 mx1 postfix/smtpd[7]: gibberish\n", 5), "", 0, 0},
	} {
		format, share := Sniff([]byte(c.head))
		if format != c.format || share < c.least || share > c.most {
			t.Errorf("%s: %q %.3f", c.name, format, share)
		}
	}
}

func TestSniffGoldenLogs(t *testing.T) {
	names, err := filepath.Glob("../testdata/logs/postfix/*.log")
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden logs: %v", err)
	}
	for _, name := range names {
		head, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if format, share := Sniff(head[:min(len(head), 8<<10)]); format != "postfix" || share < 0.7 {
			t.Errorf("%s: %q %.2f", name, format, share)
		}
	}
}
