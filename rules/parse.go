package rules

import (
	"bytes"
	_ "embed" // the default rules
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"
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
	var p *problem
	for i := range f.Rule {
		r, wrong := f.Rule[i].rule()
		s.Rules = append(s.Rules, r)
		if wrong != nil && p == nil {
			wrong.rule, p = i, wrong
		}
	}
	if p == nil {
		p = check(s)
	}
	if p != nil {
		line, column := locate(data, p.rule, p.path)
		return nil, &Error{File: name, Line: line, Column: column, Key: p.key(s), Problem: p.problem, Remedy: p.remedy}
	}
	return s, nil
}

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
