package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// full writes everything of an event.
func full(ev *harvestwatch.Event) string {
	return fmt.Sprintf("%d %s %v user=%q %d %d %x %v %q %q", ev.Pos.Line, ev.Kind, ev.Addr, ev.User, ev.Time, ev.Began, ev.Session, ev.Pos, ev.Sender, ev.Recipient)
}

// run parses entries in pieces of some lines, 0 for one piece, with a restart after each where that is wanted.
func run(t testing.TB, data string, lines int, restart bool) (got []string, sum harvestwatch.Counts) {
	t.Helper()
	all := strings.SplitAfter(data, "\n")
	if lines == 0 {
		lines = len(all)
	}
	p, disk, pos := New(&site.Site{}), map[string]string{}, harvestwatch.Pos{Line: 1, Offset: 1000}
	l := &harvestwatch.Lines{}
	for part := range slices.Chunk(all, lines) {
		text := strings.Join(part, "")
		l.Data, l.Pos = []byte(text), pos
		p.Lex(l)
		sum.Add(p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, full(ev)) },
			func(pos harvestwatch.Pos, line []byte) { got = append(got, fmt.Sprintf("unparsed %v %s", pos, line)) }))
		pos.Line += int64(strings.Count(text, "\n"))
		pos.Offset += int64(len(text))
		if !restart {
			continue
		}
		p.Changes(func(key, value []byte) {
			if value == nil {
				delete(disk, string(key))
				return
			}
			disk[string(key)] = string(value)
		})
		p = New(&site.Site{})
		for k, v := range disk {
			if err := p.Restore([]byte(k), []byte(v)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return got, sum
}

func goldenLog(t testing.TB) string {
	t.Helper()
	return string(golden.Load(t, "../../testdata/logs/journal")[0].Data)
}

// Events and unparsed lines stand where their entries do, also those that a parser holds back.
func TestPlacesAreThoseOfTheEntries(t *testing.T) {
	data := goldenLog(t) + "no entry\n{\"MESSAGE\":\"no time\"}\n" + goldenLog(t)
	got, counts := run(t, data, 0, false)
	all := strings.SplitAfter(data, "\n")
	for _, text := range got {
		i := strings.Index(text, "{0 ")
		var input, line, offset int64
		if _, err := fmt.Sscanf(text[i:], "{%d %d %d}", &input, &line, &offset); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if want := int64(1000 + len(strings.Join(all[:line-1], ""))); offset != want {
			t.Errorf("%s: offset %d, want %d", text, offset, want)
		}
		if rest, ok := strings.CutPrefix(text, "unparsed "); ok && !strings.HasSuffix(rest, "} "+strings.TrimSuffix(all[line-1], "\n")) {
			t.Errorf("not the line itself: %s", text)
		}
	}
	if counts.Lines != 30 || counts.Unparsed != 2 || counts.Events != 24 {
		t.Errorf("%+v", counts)
	}
}

func TestBatchingAndRestartsChangeNothing(t *testing.T) {
	data := goldenLog(t) + "no entry\n\r\n\n" + goldenLog(t)
	want, counts := run(t, data, 0, false)
	for every := 1; every < 16; every++ {
		for _, restart := range []bool{false, true} {
			if got, sum := run(t, data, every, restart); !slices.Equal(got, want) || sum != counts {
				t.Errorf("%d lines a piece, restarts %v: %+v, want %+v\n  %s", every, restart, sum, counts, strings.Join(got, "\n  "))
			}
		}
	}
}

// A message never becomes a second line or another program's, whatever stands in it.
func TestMessagesStayOneLine(t *testing.T) {
	for _, message := range []string{
		"x\nMar  2 09:00:00 mx postfix/smtpd[1]: connect from unknown[192.0.2.66]",
		"x\r\n<22>1 2026-03-02T09:00:00Z mx postfix/smtpd 1 - - connect from unknown[192.0.2.66]",
		"\x00\x1b[2J\u2028\u0085connect from unknown[192.0.2.66]", " connect from unknown[192.0.2.66]", "",
	} {
		text, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range []string{"postfix/smtpd", "x y", "x\ny postfix/smtpd 1 - - connect from unknown[192.0.2.66]", ""} {
			name, err := json.Marshal(tag)
			if err != nil {
				t.Fatal(err)
			}
			line := `{"__REALTIME_TIMESTAMP":"1772442000000000","SYSLOG_IDENTIFIER":` + string(name) + `,"SYSLOG_PID":"1 - - x","MESSAGE":` + string(text) + "}\n"
			got, counts := run(t, line, 0, false)
			for _, ev := range got {
				if !strings.HasPrefix(ev, "unparsed ") {
					t.Errorf("%s: %s", line, ev)
				}
			}
			if counts.Lines != 1 || counts.Ignored+counts.Unparsed != 1 {
				t.Errorf("%s: %+v", line, counts)
			}
		}
	}
}

func TestShare(t *testing.T) {
	const entry, other = `{"__REALTIME_TIMESTAMP":"1772442000000000","MESSAGE":"x"}` + "\n", "Mar  2 09:00:00 mx postfix/smtpd[1]: x\n"
	for text, want := range map[string]float64{"": 0, entry: 1, other: 0, entry + "\n" + other: 0.5, entry + entry[:20]: 1, "{}\n": 0,
		`{"__REALTIME_TIMESTAMP":"x"}` + "\n": 0, `[1]` + "\n": 0} {
		if got := Share([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestLexAllocatesNothingWhenWarm(t *testing.T) {
	p, l := New(&site.Site{}), &harvestwatch.Lines{Data: []byte(goldenLog(t))}
	p.Lex(l)
	if n := testing.AllocsPerRun(20, func() { p.Lex(l) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// theirs reads an entry with the library. It reports false for what read must refuse.
func theirs(line []byte) (fields map[string]string, ok bool) {
	var raw map[string]json.RawMessage
	if json.Unmarshal(bytes.TrimPrefix(line, []byte{0x1e}), &raw) != nil {
		return nil, false
	}
	fields = map[string]string{}
	for name, value := range raw {
		var text string
		var list []json.RawMessage
		switch {
		case json.Unmarshal(value, &text) == nil:
		case json.Unmarshal(value, &list) == nil && len(list) > 0 && json.Unmarshal(list[0], &text) != nil:
			var b []byte
			for _, n := range list {
				v, err := strconv.ParseUint(string(n), 10, 8)
				if err != nil {
					break
				}
				b = append(b, byte(v))
			}
			text = string(b)
		}
		fields[name] = text
	}
	return fields, true
}

// FuzzEntry holds the reader of entries against the library's reader of JSON.
func FuzzEntry(f *testing.F) {
	for line := range strings.Lines(goldenLog(f)) {
		f.Add([]byte(strings.TrimSuffix(line, "\n")))
	}
	f.Add([]byte(`{"__REALTIME_TIMESTAMP":"1","MESSAGE":"\ud83d\ude00 \u00e4 \ud83d x \n\t\\\"\/","A":{"b":[1,{"c":"}]"}]},"B":[[1],[2]],"C":1e3}`))
	f.Add([]byte(" { \"__REALTIME_TIMESTAMP\" : \"1772442000000000\" , \"MESSAGE\" : [ 104 , 255 ] } "))
	f.Add([]byte(`{"__REALTIME_TIMESTAMP":"1","MESSAGE":null}`))
	f.Add([]byte(`{"__REALTIME_TIMESTAMP":"1","MESSAGE":[["x"]]}` + strings.Repeat("[", 100)))
	f.Fuzz(func(t *testing.T, line []byte) {
		line = bytes.ReplaceAll(line, []byte{'\n'}, nil)
		var e entry
		ok := e.read(line)
		if made, wrote := e.write(nil, len(line)); ok && wrote && (len(made) != len(line) || bytes.ContainsAny(made, "\n\r\x00")) {
			t.Errorf("%d bytes of %d: %q", len(made), len(line), made)
		}
		want, valid := theirs(line)
		if !valid {
			return // what else is let through says nothing but its own text
		}
		micros, err := strconv.ParseInt(want["__REALTIME_TIMESTAMP"], 10, 64)
		if must := err == nil && micros > 0 && micros < maxTime && len(want["__REALTIME_TIMESTAMP"]) <= 16; must && !ok {
			t.Errorf("refused: %s", line)
		}
		if !ok || bytes.Contains(line, []byte{'\\'}) || !validUTF8Once(line) {
			return // the library and the journal differ in what escapes and doubled names mean
		}
		if string(e.message) != want["MESSAGE"] || string(e.tag) != want["SYSLOG_IDENTIFIER"] {
			t.Errorf("%s: message %q, tag %q", line, e.message, e.tag)
		}
	})
}

// validUTF8Once reports whether a line is UTF-8 and names the fields that are compared once.
func validUTF8Once(line []byte) bool {
	return bytes.Equal(bytes.ToValidUTF8(line, nil), line) && bytes.Count(line, []byte(`"MESSAGE"`)) <= 1 &&
		bytes.Count(line, []byte(`"SYSLOG_IDENTIFIER"`)) <= 1 && !bytes.Contains(line, []byte("[["))
}

func TestEscapes(t *testing.T) {
	var e entry
	if !e.read([]byte(`{"__REALTIME_TIMESTAMP":"1","MESSAGE":"\ud83d\ude00 \u00e4 \ud83d x \ude00\n\t\\\"\/ \u00zz"}`)) {
		t.Fatal("not read")
	}
	if want := "\U0001F600 ä \uFFFD x \uFFFD  \\\"/ \uFFFD00zz"; string(e.message) != want {
		t.Errorf("%q, want %q", e.message, want)
	}
}

func FuzzRaw(f *testing.F) {
	f.Add([]byte(goldenLog(f)), 3)
	f.Add([]byte("{}\n\r\n\n[\n{\"__REALTIME_TIMESTAMP\":\"1\"}\n{\"__REALTIME_TIMESTAMP\":\"1\""), 1)
	f.Fuzz(func(t *testing.T, data []byte, every int) {
		text := string(data)
		want, counts := run(t, text, 0, false)
		n := int64(strings.Count(text, "\n"))
		if len(text) > 0 && text[len(text)-1] != '\n' {
			n++
		}
		if counts.Lines != n || counts.Ignored+counts.Unparsed > n {
			t.Errorf("%d lines, %+v", n, counts)
		}
		if got, sum := run(t, text, 1+max(every, -every)%5, n < 20); !slices.Equal(got, want) || sum != counts {
			t.Errorf("in pieces %+v, whole %+v:\n  %s\nwhole:\n  %s", sum, counts, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	})
}

func BenchmarkJournal(b *testing.B) {
	data := []byte(strings.Repeat(goldenLog(b), 30))
	p, l := New(&site.Site{}), &harvestwatch.Lines{Data: data}
	events := 0
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		p.Lex(l)
		p.Fold(l, func(*harvestwatch.Event) { events++ }, nil)
	}
}
