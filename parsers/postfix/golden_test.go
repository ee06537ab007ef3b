package postfix

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

const goldenDir = "../../testdata/logs/postfix"

// expectation is one line of an .expect file.
type expectation struct {
	line     int64
	kind     string
	addr     string
	keys     map[string]string
	optional bool
	met      bool
}

// golden is a log with what is expected of it.
type golden struct {
	name      string
	data      []byte
	want      []*expectation
	reference time.Time
	zone      *time.Location
}

func goldens(t *testing.T) []golden {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(goldenDir, "*.log"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden log in %s (%v)", goldenDir, err)
	}
	var out []golden
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		g := golden{name: strings.TrimSuffix(filepath.Base(name), ".log"), data: data, zone: time.UTC}
		g.expectations(t, strings.TrimSuffix(name, ".log")+".expect")
		out = append(out, g)
	}
	return out
}

func (g *golden) expectations(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(text), "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "!"):
		case strings.HasPrefix(line, "# reference: "):
			g.reference, err = time.Parse(time.RFC3339, strings.TrimPrefix(line, "# reference: "))
		case strings.HasPrefix(line, "# zone: "):
			g.zone, err = time.LoadLocation(strings.TrimPrefix(line, "# zone: "))
		case strings.HasPrefix(line, "#"):
		default:
			var e *expectation
			if e, err = parseExpectation(line); err == nil {
				g.want = append(g.want, e)
			}
		}
		if err != nil {
			t.Fatalf("%s:%d: %v", name, n+1, err)
		}
	}
}

func parseExpectation(line string) (*expectation, error) {
	e := &expectation{keys: map[string]string{}}
	if rest, ok := strings.CutPrefix(line, "? "); ok {
		e.optional, line = true, rest
	}
	head := strings.SplitN(line, " ", 4)
	if len(head) < 3 {
		return nil, fmt.Errorf("too few words in %q", line)
	}
	n, err := strconv.ParseInt(head[0], 10, 64)
	if err != nil {
		return nil, err
	}
	e.line, e.kind, e.addr = n, head[1], head[2]
	rest := ""
	if len(head) == 4 {
		rest = head[3]
	}
	for rest != "" {
		key, value, ok := strings.Cut(rest, "=")
		if !ok {
			return nil, fmt.Errorf("no value in %q", rest)
		}
		if strings.HasPrefix(value, `"`) {
			dec := json.NewDecoder(strings.NewReader(value))
			var text string
			if err := dec.Decode(&text); err != nil {
				return nil, fmt.Errorf("read %q: %w", value, err)
			}
			e.keys[key], rest = text, strings.TrimPrefix(value[dec.InputOffset():], " ")
			continue
		}
		e.keys[key], rest, _ = strings.Cut(value, " ")
	}
	return e, nil
}

// meets says in which way an event is not the expected one, or "".
func (e *expectation) meets(ev *harvestwatch.Event) string {
	if ev.Kind.String() != e.kind || addrText(ev) != e.addr {
		return "another kind or address"
	}
	for key, want := range e.keys {
		got := valueOf(ev, key)
		if got != want {
			return fmt.Sprintf("%s is %q, want %q", key, got, want)
		}
	}
	return ""
}

func addrText(ev *harvestwatch.Event) string {
	if !ev.Addr.IsValid() {
		return "-"
	}
	return ev.Addr.String()
}

func valueOf(ev *harvestwatch.Event, key string) string {
	switch key {
	case "recipient":
		return string(ev.Recipient)
	case "sender":
		if ev.Null {
			return "<>"
		}
		return string(ev.Sender)
	case "user":
		return string(ev.User)
	case "helo":
		return string(ev.Helo)
	case "code":
		return strconv.Itoa(int(ev.Code))
	case "status":
		return ev.Status.String()
	case "time":
		return ev.When().Format(time.RFC3339Nano)
	case "began":
		return time.Unix(0, ev.Began).UTC().Format(time.RFC3339Nano)
	}
	return "no such key"
}

func TestGolden(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			byLine := map[int64][]*expectation{}
			for _, e := range g.want {
				e.normalize()
				byLine[e.line] = append(byLine[e.line], e)
			}
			p := New(g.reference, 0, g.zone)
			l := &harvestwatch.Lines{Data: g.data, Pos: harvestwatch.Pos{Line: 1}}
			p.Lex(l)
			counts := p.Fold(l, func(ev *harvestwatch.Event) { match(t, byLine[ev.Pos.Line], ev) },
				func(pos harvestwatch.Pos, line []byte) { t.Errorf("line %d is not understood: %.200q", pos.Line, line) })
			if counts.Events == 0 {
				t.Error("no event at all")
			}
			for _, e := range g.want {
				if !e.met && !e.optional {
					t.Errorf("line %d: no %s %s %v", e.line, e.kind, e.addr, e.keys)
				}
			}
		})
	}
}

// normalize writes times as valueOf does.
func (e *expectation) normalize() {
	for _, key := range []string{"time", "began"} {
		if at, err := time.Parse(time.RFC3339Nano, e.keys[key]); err == nil {
			e.keys[key] = at.UTC().Format(time.RFC3339Nano)
		}
	}
}

// match strikes the expectation off that an event meets, a required one before an optional one.
func match(t *testing.T, want []*expectation, ev *harvestwatch.Event) {
	t.Helper()
	why := ""
	for _, optional := range []bool{false, true} {
		for _, e := range want {
			if e.met || e.optional != optional {
				continue
			}
			reason := e.meets(ev)
			if reason == "" {
				e.met = true
				return
			}
			why += "; " + reason
		}
	}
	t.Errorf("line %d: unexpected %s %s recipient=%q%s", ev.Pos.Line, ev.Kind, addrText(ev), ev.Recipient, why)
}
