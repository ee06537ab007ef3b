package gfi

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

const row = "2026-03-12 09:00:00,198.51.100.7,a@k.example,,,,ok\n"

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		data   string
		events int64
	}{
		{head + row, 1},
		{"\xef\xbb\xbf" + head + row, 1},
		{"sep=,\r\n# by somebody\n\n" + head + row, 1},
		{strings.ToUpper(head) + row, 1},
		{strings.ReplaceAll(head+row, ",", ";"), 1},
		{strings.ReplaceAll(head+row, ",", "\t"), 1},
		{`"Time" , "IP"` + strings.TrimPrefix(head, "Time,IP") + row, 0},
		{`"Time","IP"` + strings.TrimPrefix(head, "Time,IP") + row, 1},
		{head + row + head + row, 2},
		{head + row + "\xef\xbb\xbf" + head + row, 2},
		{head + row + "IP,Time,To,From,User,Helo,Verdict\n198.51.100.7,2026-03-12 09:00:00,a@k.example,,,,ok\n", 2},
		{head + row + "IP,Time,To,From,User,Helo,Verdict,New\n198.51.100.7,2026-03-12 09:00:00,a@k.example,,,,ok,x\n", 2},
		{row, 0},
		{"Time,IP,To,From,User,Helo\n" + row, 0},
		{"Time,IP,To,From,User,Helo,Verdict,IP\n2026-03-12 09:00:00,198.51.100.7,a@k.example,,,,ok,192.0.2.66\n", 0},
		{strings.Repeat("x,", maxColumns) + head + row, 0},
	} {
		if got := run(t, table(), c.data); got.counts.Events != c.events {
			t.Errorf("%.200q: %+v", c.data, got)
		}
	}
}

// A client who fills any column but those of the time and the address can't make his row a header that takes the
// address from a column of his.
func TestForgedHeader(t *testing.T) {
	for _, forged := range []string{
		"2026-03-12 09:00:00,198.51.100.7,Time,IP,User,Helo,Verdict\n",
		",198.51.100.7,Time,IP,User,Helo,Verdict\n",
		"1900-01-00 00:00:00,,Time,IP,User,Helo,Verdict\n",
		"1900-01-00 00:00:00,x,Time,IP,User,Helo,Verdict\n",
	} {
		got := run(t, table(), head+forged+"2026-03-12 09:00:00,198.51.100.7,2026-03-12 09:00:00,192.0.2.66,u,h,ok\n")
		if len(got.events) == 0 || strings.Contains(strings.Join(got.events, " "), " 192.0.2.66 ") {
			t.Errorf("%q: %q", forged, got.events)
		}
	}
}

// The same for a table with more columns than are mapped: a row can name all of them.
func TestForgedHeaderInAWideTable(t *testing.T) {
	o := &site.Site{Fields: &site.Fields{Time: "Time", Source: "IP", Kind: harvestwatch.RcptUnknown}}
	for _, forged := range []string{
		"1900-01-00 00:00:00,x,Time,IP,y\n", "1900-01-00 00:00:00,mail.example,time,ip,y\n", "x,IP,Time,IP,\n", ",IP,Time,z,y\n", "Time,,Time,IP,y\n", "Time,,x,IP,y\n",
	} {
		got := run(t, o, "Time,IP,To,From,Helo\n"+forged+"2026-03-12 09:00:00,198.51.100.7,2026-03-12 09:00:00,192.0.2.66,h\n")
		if len(got.events) != 1 || strings.Contains(got.events[0], " 192.0.2.66 ") {
			t.Errorf("%q: %q", forged, got.events)
		}
	}
}

// Whole rows and headers written into a quoted text, over several lines, stay text.
func TestForgedRowsInTexts(t *testing.T) {
	text := strings.ReplaceAll("x\n2026-03-12 09:00:00,192.0.2.66,a@k.example,,,,unknown\n"+head+`", "`+row+`"",`+"\n", `"`, `""`)
	for _, n := range []int{1, 10, 2000} {
		data := head + `2026-03-12 09:00:00,198.51.100.7,a@k.example,,,"` + strings.Repeat(text, n) + `",ok` + "\n" + row
		got := run(t, table(), data)
		if all := strings.Join(got.events, " "); len(got.events) == 0 || strings.Contains(all, "delivered 192.0.2.66") || strings.Contains(all, "rcpt_unknown") {
			t.Errorf("%d times: %q", n, got.events)
		}
		if want := int64(1); n == 2000 && (got.counts.Events != want || got.counts.Unparsed < 1000) || n < 100 && (got.counts.Events != 2 || got.counts.Unparsed != 0) {
			t.Errorf("%d times: %+v", n, got.counts)
		}
	}
}

// A record ends at its bounds: at 64 KiB, and at 1,000 lines; one line more or less makes the difference.
func TestRecordBounds(t *testing.T) {
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{strings.Repeat("\n", maxLines-1), true}, {strings.Repeat("\n", maxLines), false},
		{strings.Repeat("x", 60_000) + "\n", true}, {strings.Repeat("x", 66_000) + "\n", false}, {strings.Repeat("x", 66_000), false},
		{"\n" + strings.Repeat("x", 66_000), false}, {"\n" + strings.Repeat("x", 60_000) + "\n" + strings.Repeat("x", 6_000) + "\n", false},
	} {
		data := head + `2026-03-12 09:00:00,198.51.100.7,a@k.example,,,"` + c.text + `",ok` + "\n" + row
		got := run(t, table(), data)
		n := int64(strings.Count(data, "\n"))
		if want := map[bool]int64{true: 2, false: 1}[c.ok]; got.counts.Events != want || (got.counts.Unparsed == 0) != c.ok || got.counts.Lines != n {
			t.Errorf("%d bytes in %d lines: %+v", len(c.text), strings.Count(c.text, "\n"), got.counts)
		}
		if got.counts.Lines != got.counts.Events+got.counts.Ignored+got.counts.Unparsed {
			t.Errorf("lines are lost: %+v", got.counts)
		}
		for _, u := range got.unparsed {
			if len(u) > 3*maxRecord {
				t.Errorf("an unparsed text of %d bytes", len(u))
			}
		}
	}
}

const pattern = `(?P<time>\S+ \S+) \[(?P<source>[^\]]*)\] (?:(?P<verdict>\w+) )?rcpt=<(?P<rcpt>[^>]*)>`

func text() *site.Site {
	o := table()
	o.Fields = &site.Fields{Pattern: pattern, Verdicts: o.Fields.Verdicts}
	return o
}

func TestPattern(t *testing.T) {
	for line, want := range map[string]string{
		"2026-03-12 09:00:00 [198.51.100.7] unknown rcpt=<a@k.example> x": `delivered`,
		"2026-03-12 09:00:00 [198.51.100.7] rcpt=<a@k.example> x":         "ignored",
		"2026-03-12 09:00:00 [] unknown rcpt=<a@k.example>":               "ignored",
		"x 2026-03-12 09:00:00 [198.51.100.7] ok rcpt=<a@k.example>":      "unparsed",
		"helo=2026-03-12 09:00:00 [192.0.2.66] ok rcpt=<a@k.example>":     "unparsed",
		"2026-02-30 09:00:00 [198.51.100.7] ok rcpt=<a@k.example>":        "unparsed",
		"2026-03-12 09:00:00 [mail.example] ok rcpt=<a@k.example>":        "unparsed",
		strings.Repeat("x", maxRecord+1):                                  "unparsed",
		"#Fields":                                                         "ignored", "": "ignored", "\r": "ignored",
	} {
		got := run(t, text(), line+"\n")
		have := "events"
		switch (harvestwatch.Counts{Lines: 1, Ignored: got.counts.Ignored, Unparsed: got.counts.Unparsed}) {
		case harvestwatch.Counts{Lines: 1, Ignored: 1}:
			have = "ignored"
		case harvestwatch.Counts{Lines: 1, Unparsed: 1}:
			have = "unparsed"
		}
		if want == "delivered" && have == "events" && strings.Contains(got.events[0], "rcpt_unknown 198.51.100.7 to=\"a@k.example\"") {
			continue
		}
		if have != want {
			t.Errorf("%.100q: %s %q, want %s", line, have, got.events, want)
		}
	}
}

// logs are the golden logs and one with everything that spans lines.
func logs(t testing.TB) map[string]struct {
	o    *site.Site
	data []byte
} {
	out := map[string]struct {
		o    *site.Site
		data []byte
	}{}
	for _, l := range golden.Load(t, "../../testdata/logs/table") {
		if l.Name == "blocked" {
			l.Data = l.Data[:20_000]
		}
		out[l.Name] = struct {
			o    *site.Site
			data []byte
		}{mapping(t, &l), l.Data}
	}
	mixed := "\n# x\n" + head + row + `2026-03-12 09:00:00,198.51.100.7,"a@k.example` + "\r\n\r\nb@k.example\n" + `""c"";d@k.example",,,,ok` + "\r\n" + row +
		`x,"` + strings.Repeat(strings.Repeat("y", 500)+"\n", 140) + `",z` + "\n" + row + "IP,Time,To,From,User,Helo,Verdict\n" + row +
		"198.51.100.9,2026-03-12 09:00:00,a@k.example,,,,ok\n" + `"1` + "\n2\n"
	out["mixed"] = struct {
		o    *site.Site
		data []byte
	}{table(), []byte(mixed)}
	return out
}

func TestBatchingChangesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for name, l := range logs(t) {
		want := run(t, l.o, string(l.data))
		if len(want.events) == 0 || want.counts.Lines > want.counts.Events+want.counts.Ignored+want.counts.Unparsed {
			t.Fatalf("%s: %+v", name, want.counts)
		}
		for _, every := range []int{1, 2, 9} {
			p, got := parser(t, l.o), &told{}
			for _, l := range golden.Pieces(l.data, func(int) bool { return rng.IntN(every) == 0 }) {
				got.piece(p, l)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, cut at one line end of %d:\n got %+v\nwant %+v", name, every, got.counts, want.counts)
			}
		}
	}
}

func TestRestartAnywhereChangesNothing(t *testing.T) {
	for name, l := range logs(t) {
		want := run(t, l.o, string(l.data))
		disk, got := golden.Disk{}, &told{}
		for _, piece := range golden.Pieces(l.data, func(int) bool { return true }) {
			p := restored(t, disk, l.o)
			got.piece(p, piece)
			disk.Take(p)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got.counts, want.counts)
		}
	}
}

func TestChangesAreComplete(t *testing.T) {
	for name, l := range logs(t) {
		disk, once := golden.Disk{}, golden.Disk{}
		p, all := parser(t, l.o), parser(t, l.o)
		for _, piece := range golden.Pieces(l.data, func(n int) bool { return n%3 == 0 }) {
			(&told{}).piece(p, piece)
			disk.Take(p)
		}
		(&told{}).piece(all, &harvestwatch.Lines{Data: l.data})
		once.Take(all)
		if !reflect.DeepEqual(disk, once) {
			t.Errorf("%s: %.200q bit by bit, %.200q at once", name, fmt.Sprint(disk), fmt.Sprint(once))
		}
		p.Changes(func(key, _ []byte) { t.Errorf("%s: %q changed though nothing happened", name, key) })
	}
}

func TestRestoreRefusesForeignBytes(t *testing.T) {
	for _, c := range []struct{ key, value string }{
		{"h", ""}, {"h", ","}, {"h", ",Time,IP"}, {"h", ";" + head}, {"h", "," + strings.Repeat("x", maxRecord+5)}, {"x", "y"}, {"", ""},
		{"p", ""}, {"p", "\x00\x00"}, {"p", "\x00\x00\x00x"}, {"p", "\x00\x00\x01"}, {"p", "\x01\x00\x01x"}, {"p", "\x02\x00\x01x"}, {"p", "\x00\xff\xffx"},
	} {
		p := parser(t, table())
		if err := p.Restore([]byte(c.key), []byte(c.value)); !errors.Is(err, ErrState) {
			t.Errorf("%q, %.50q: %v", c.key, c.value, err)
		}
		out := &told{}
		if out.piece(p, &harvestwatch.Lines{Data: []byte(head + row)}); out.counts.Events != 1 {
			t.Errorf("%q, %.50q: it changed something: %+v", c.key, c.value, out)
		}
	}
	p := parser(t, text())
	if err := p.Restore([]byte("h"), []byte(","+head)); !errors.Is(err, ErrState) {
		t.Error(err)
	}
}
