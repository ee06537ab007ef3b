package rules

import (
	"bytes"
	_ "embed" // the default rules
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2"

	"github.com/harvestwatch/harvestwatch"
)

//go:embed default.toml
var defaultTOML string

// maxFile is the length in bytes above which a rule file is refused unread.
const maxFile = 64 << 10

// Error says what is wrong in a rule file, where, and what to do about it.
type Error struct {
	File         string // as it was given to Parse; "" for rules that come from no file
	Line, Column int    // from 1; 0 where unknown
	Key          string // what is concerned: "rule harvest, when.0.window"
	Problem      string // what is wrong with it
	Remedy       string // what to do next
}

// Error returns all of it in one line: file:line:column: key: problem: remedy.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ":")
		if e.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", e.Line, e.Column)
		}
		b.WriteByte(' ')
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Problem + ": " + e.Remedy)
	return b.String()
}

// Default returns the rules that the program comes with.
func Default() *Set {
	s, err := Parse("default.toml", []byte(defaultTOML))
	if err != nil {
		panic(err) // the file is part of the program and a test reads it
	}
	return s
}

// DefaultFile returns the text of the file that Default reads, as a beginning for one's own.
func DefaultFile() string { return defaultTOML }

// file is a rule file as TOML has it.
type file struct {
	Rule []fileRule `toml:"rule"`
}

type fileRule struct {
	Name         string          `toml:"name"`
	Text         string          `toml:"text"`
	Mode         Mode            `toml:"mode"`
	Events       []kind          `toml:"events"`
	Distinct     Distinct        `toml:"distinct"`
	Bucket       duration        `toml:"bucket"`
	When         []fileCondition `toml:"when"`
	GoodFactor   float64         `toml:"good_factor"`
	GoodWindow   duration        `toml:"good_window"`
	Unless       duration        `toml:"unless_delivered_within"`
	AfterSuccess *fileSuccess    `toml:"after_success"`
	Ladder       []duration      `toml:"ladder"`
	Probation    *float64        `toml:"probation"`
}

type fileCondition struct {
	Window  duration `toml:"window"`
	AtLeast int      `toml:"at_least"`
}

type fileSuccess struct {
	Within  duration `toml:"within"`
	AtLeast int      `toml:"at_least"`
	Users   int      `toml:"users"`
}

type duration time.Duration

// UnmarshalText reads a duration of a rule file.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("%.40q is no duration above zero", text)
	}
	*d = duration(v)
	return nil
}

type kind harvestwatch.Kind

// UnmarshalText reads the name of a kind of event.
func (k *kind) UnmarshalText(text []byte) error {
	v, ok := harvestwatch.KindOf(string(text))
	if !ok {
		return fmt.Errorf("%.40q is no kind of event that a rule can count", text)
	}
	*k = kind(v)
	return nil
}

// kinds returns the names of what a rule may count.
func kinds() []string {
	var list []string
	for k := harvestwatch.Kind(1); int(k) < harvestwatch.Kinds; k++ {
		if !slices.Contains(never, k) {
			list = append(list, k.String())
		}
	}
	return list
}

// UnmarshalText reads a mode's name.
func (m *Mode) UnmarshalText(text []byte) error {
	i := slices.Index(modeNames[:], string(text))
	if i < 1 {
		return fmt.Errorf("%.40q is no mode", text)
	}
	*m = Mode(i)
	return nil
}

// UnmarshalText reads the name of a way to count.
func (d *Distinct) UnmarshalText(text []byte) error {
	i := slices.Index(distinctNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%.40q is no way to count", text)
	}
	*d = Distinct(i)
	return nil
}

// Parse reads a rule file. The name is only said in errors, which are of type *Error: a key that no rule has is one,
// and so is every value out of its bounds. The data is not kept.
func Parse(name string, data []byte) (*Set, error) {
	if len(data) > maxFile {
		return nil, &Error{File: name, Problem: fmt.Sprintf("%d bytes are too many for a rule file", len(data)), Remedy: "give a file of at most 64 KiB"}
	}
	if w := walk(data); w.strange != "" {
		return nil, &Error{File: name, Line: w.strangeAt[0], Column: w.strangeAt[1], Key: printable(w.strange), Problem: "there is no such key",
			Remedy: "remove it or correct its spelling; a [[rule]] has the keys " + keysOfRule}
	}
	var f file
	dec := toml.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, decodeError(name, data, err)
	}
	s := &Set{}
	for i := range f.Rule {
		s.Rules = append(s.Rules, f.Rule[i].rule())
	}
	if p := check(s); p != nil {
		line, column := locate(data, p.rule, p.path)
		return nil, &Error{File: name, Line: line, Column: column, Key: p.key(s), Problem: p.problem, Remedy: p.remedy}
	}
	return s, nil
}

func (f *fileRule) rule() Rule {
	r := Rule{Name: f.Name, Text: f.Text, Mode: f.Mode, Distinct: f.Distinct, Bucket: time.Duration(f.Bucket),
		GoodFactor: f.GoodFactor, GoodWindow: time.Duration(f.GoodWindow), UnlessDeliveredWithin: time.Duration(f.Unless)}
	for _, k := range f.Events {
		r.Events = append(r.Events, harvestwatch.Kind(k))
	}
	for _, c := range f.When {
		r.Conditions = append(r.Conditions, Condition{time.Duration(c.Window), c.AtLeast})
	}
	for _, d := range f.Ladder {
		r.Ladder = append(r.Ladder, time.Duration(d))
	}
	if a := f.AfterSuccess; a != nil {
		r.AfterSuccess = AfterSuccess{time.Duration(a.Within), a.AtLeast, a.Users}
	}
	fill(&r)
	if f.Probation != nil {
		r.Probation = *f.Probation
	}
	if f.AfterSuccess != nil && r.AfterSuccess == (AfterSuccess{}) {
		r.AfterSuccess.AtLeast = -1 // an empty table is refused, not taken for none
	}
	return r
}

// wants says what each key of a rule is to hold, for the person who wrote something else.
var wants = map[string]string{
	"name":                    `write a short name, as in name = "harvest"`,
	"text":                    `write one sentence in quotation marks`,
	"mode":                    `use "enforce", "observe" or "alert"`,
	"events":                  `name kinds of event, as in events = ["rcpt_unknown"]; there are ` + strings.Join(kinds(), ", "),
	"distinct":                `use "none", "recipient" or "user/minute"`,
	"bucket":                  `write a duration, as in bucket = "5s"`,
	"when":                    `write conditions, as in when = [{ window = "1h", at_least = 10 }]`,
	"window":                  `write a duration, as in window = "1h"`,
	"at_least":                `write a whole number without quotation marks`,
	"good_factor":             `write a number, as in good_factor = 2.0`,
	"good_window":             `write a duration, as in good_window = "24h"`,
	"unless_delivered_within": `write a duration, as in "10m"`,
	"after_success":           `write after_success = { within = "30d", at_least = 50, users = 5 }`,
	"within":                  `write a duration, as in within = "30d"`,
	"users":                   `write a whole number without quotation marks`,
	"ladder":                  `write durations, as in ladder = ["1h", "4h", "24h", "7d"]`,
	"probation":               `write a number, as in probation = 0.5`,
	"rule":                    `begin each rule with a line [[rule]]`,
}

// keysOfRule are the keys that a [[rule]] may have.
const keysOfRule = "name, text, mode, events, distinct, bucket, when (window, at_least), good_factor, good_window, " +
	"unless_delivered_within, after_success (within, at_least, users), ladder, probation"

// decodeError says a decoder's error in our words.
func decodeError(name string, data []byte, err error) error {
	var one *toml.DecodeError
	if !errors.As(err, &one) {
		return &Error{File: name, Problem: err.Error(), Remedy: "correct the file; it must be TOML (https://toml.io)"}
	}
	line, column := one.Position()
	key, value := place(data, one)
	remedy := "correct the file at this place; it must be TOML (https://toml.io), with each key once"
	if want := wants[key[strings.LastIndexByte(key, '.')+1:]]; value && want != "" {
		remedy = want
	}
	problem, _, _ := strings.Cut(strings.TrimPrefix(one.Error(), "toml: "), " into struct field ")
	return &Error{File: name, Line: line, Column: column, Key: key, Problem: problem, Remedy: remedy}
}

// place names the key that a decoder's error is about, and says whether its value is.
func place(data []byte, e *toml.DecodeError) (key string, value bool) {
	line, column := e.Position()
	key, value = keyAt(data, line, column)
	if key == "" {
		key = strings.Join(e.Key(), ".")
	}
	return printable(key), value
}

// printable bounds and quotes a key: it is what somebody wrote into a file.
func printable(key string) string {
	if len(key) > 100 {
		key = strings.ToValidUTF8(key[:100], "") + "…"
	}
	if strings.IndexFunc(key, func(c rune) bool { return !unicode.IsPrint(c) }) >= 0 {
		return strconv.Quote(key)
	}
	return key
}
