package golden

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// Expectation is one event that a log must, or may, give.
type Expectation struct {
	Line     int64             // the log's line, from 1
	Kind     string            // a name of the event schema
	Addr     string            // the client's address, "-" for none
	Keys     map[string]string // what else is checked
	Optional bool              // the event may be missing
}

// Load reads every golden log of a folder: each file that ends in .expect, and the log beside it, which has the same
// name with any other ending. Data is nil where a folder of that name stands beside it.
func Load(t testing.TB, dir string) []Log {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.expect"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden log in %s (%v)", dir, err)
	}
	logs := make([]Log, 0, len(names))
	for _, name := range names {
		logs = append(logs, load(t, strings.TrimSuffix(name, ".expect")))
	}
	return logs
}

func load(t testing.TB, stem string) Log {
	t.Helper()
	text, err := os.ReadFile(stem + ".expect")
	if err != nil {
		t.Fatal(err)
	}
	l := Log{Name: filepath.Base(stem), Header: map[string]string{}}
	l.Site.Location = time.UTC
	for n, line := range strings.Split(string(text), "\n") {
		if err := l.read(line); err != nil {
			t.Fatalf("%s.expect:%d: %v", stem, n+1, err)
		}
	}
	if info, err := os.Stat(stem); err == nil && info.IsDir() {
		return l // expectations of a whole folder are no parser's
	}
	var found []string
	others, err := filepath.Glob(stem + ".*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range others {
		if name != stem+".expect" {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s.expect needs one log of the same name beside it, found %q", stem, found)
	}
	if l.Data, err = os.ReadFile(found[0]); err != nil {
		t.Fatal(err)
	}
	return l
}

// read takes in one line of a file of expectations.
func (l *Log) read(line string) (err error) {
	switch {
	case line == "":
	case strings.HasPrefix(line, "! "):
		l.Hits = append(l.Hits, line[2:])
	case strings.HasPrefix(line, "#"):
		if word, value, ok := strings.Cut(strings.TrimPrefix(line, "# "), ": "); ok && !strings.Contains(word, " ") {
			l.Header[word] = value
			return l.header(word, value)
		}
	default:
		var e Expectation
		if e, err = parse(line); err == nil {
			l.Want = append(l.Want, e)
		}
	}
	return err
}

func (l *Log) header(word, value string) (err error) {
	switch word {
	case "format":
		l.Format = value
	case "reference":
		l.Site.Reference, err = time.Parse(time.RFC3339, value)
	case "zone":
		l.Site.Location, err = time.LoadLocation(value)
	case "local":
		l.Site.Domains = split(value)
	case "date-order":
		l.Site.DateOrder = value
	case "own":
		for _, text := range split(value) {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				return err
			}
			l.Site.Own = append(l.Site.Own, p)
		}
	}
	return err
}

func parse(line string) (e Expectation, err error) {
	e.Keys = map[string]string{}
	if rest, ok := strings.CutPrefix(line, "? "); ok {
		e.Optional, line = true, rest
	}
	head := strings.SplitN(line, " ", 4)
	if len(head) < 3 {
		return e, fmt.Errorf("too few words in %q", line)
	}
	if e.Line, err = strconv.ParseInt(head[0], 10, 64); err != nil {
		return e, err
	}
	e.Kind, e.Addr = head[1], head[2]
	if _, ok := harvestwatch.KindOf(e.Kind); !ok {
		return e, fmt.Errorf("no kind of event: %q", e.Kind)
	}
	if len(head) == 4 {
		err = e.keys(head[3])
	}
	return e, err
}

func (e *Expectation) keys(rest string) error {
	for rest != "" {
		key, value, ok := strings.Cut(rest, "=")
		if !ok {
			return fmt.Errorf("no value in %q", rest)
		}
		if strings.HasPrefix(value, `"`) {
			dec := json.NewDecoder(strings.NewReader(value))
			var text string
			if err := dec.Decode(&text); err != nil {
				return fmt.Errorf("read %q: %w", value, err)
			}
			e.Keys[key], rest = text, strings.TrimPrefix(value[dec.InputOffset():], " ")
			continue
		}
		e.Keys[key], rest, _ = strings.Cut(value, " ")
		if key != "time" && key != "began" {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, e.Keys[key])
		if err != nil {
			return err
		}
		e.Keys[key] = at.UTC().Format(time.RFC3339Nano)
	}
	return nil
}

// Differs says in which way an event is not the expected one, or "".
func (e *Expectation) Differs(ev *harvestwatch.Event) string {
	if ev.Kind.String() != e.Kind || addrText(ev) != e.Addr {
		return "another kind or address"
	}
	for key, want := range e.Keys {
		if got := valueOf(ev, key); got != want {
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
	case "name":
		return string(ev.Name)
	case "idle":
		return strconv.FormatBool(ev.Idle)
	case "no_user":
		return strconv.FormatBool(ev.NoUser)
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
