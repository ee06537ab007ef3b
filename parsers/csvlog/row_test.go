package csvlog

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func split(line string) ([]string, bool) {
	var r Row
	var scratch []byte
	if !r.Split([]byte(line), &scratch) {
		return nil, false
	}
	out := make([]string, r.Len())
	for i := range out {
		out[i] = string(r.fields[i])
	}
	return out, true
}

func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		"":                    {""},
		"a,b":                 {"a", "b"},
		"a,,":                 {"a", "", ""},
		`"a,b",c`:             {"a,b", "c"},
		`"say ""hi"", now",x`: {`say "hi", now`, "x"},
		`"""",""`:             {`"`, ""},
		`a"b,c`:               {`a"b`, "c"},
		`x,"",`:               {"x", "", ""},
	} {
		if got, ok := split(line); !ok || !slices.Equal(got, want) {
			t.Errorf("%q: %q %v, want %q", line, got, ok, want)
		}
	}
	for _, bad := range []string{`"`, `"a`, `"a"b`, `"a""`, `"a"" ,b`, `x,"y"z,1`, strings.Repeat(",", MaxColumns)} {
		if got, ok := split(bad); ok {
			t.Errorf("%q was read: %q", bad, got)
		}
	}
}

// FuzzSplit holds the reading of rows against the standard library's.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{`a,"b,c",d`, `"a""b"`, `"",""`, "x", `a,"`, "1,2,\"3\"\"4\",", "\xff,\"\xfe\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\r\n") || s == "" || len(s) > MaxLine {
			return
		}
		got, ok := split(s)
		r := csv.NewReader(strings.NewReader(s))
		r.FieldsPerRecord = -1
		want, err := r.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil && len(want) <= MaxColumns && (!ok || !slices.Equal(got, want)) {
			t.Fatalf("%q: %q %v, the library says %q", s, got, ok, want)
		}
		if err != nil && ok && !errors.Is(err, csv.ErrBareQuote) {
			t.Fatalf("%q: %q, the library says %v", s, got, err)
		}
	})
}

func TestList(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                      nil,
		"a@b.example":                           {"a@b.example"},
		"a@b.example;":                          {"a@b.example"},
		"a;b;c":                                 {"a", "b", "c"},
		"'o''brien@b.example';x":                {"o'brien@b.example", "x"},
		"'550 5.1.1 a; b';'550 5.1.10 ''c''; '": {"550 5.1.1 a; b", "550 5.1.10 'c'; "},
		"'never ended; x":                       {"never ended; x"},
		"'a'b;c":                                {"a", "c"},
		";;a":                                   {"", "", "a"},
	} {
		var got []string
		var scratch []byte
		List([]byte(text), &scratch, func(m []byte) bool { got = append(got, string(m)); return true })
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	n := 0
	List([]byte("a;b;c"), new([]byte), func([]byte) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("%d members were given after the second ended it", n)
	}
}

// FuzzStamp holds the reading of stamps against the standard library's.
func FuzzStamp(f *testing.F) {
	for _, s := range []string{"2026-01-11T16:00:04.113Z", "2024-02-29T23:59:59Z", "2023-02-29T00:00:00Z", "1970-01-01T00:00:00.000000001Z", "2000-12-31T24:00:00Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := Stamp([]byte(s))
		want, err := time.Parse(time.RFC3339, s)
		if ok && strings.HasSuffix(s[:19], ":60") {
			return // a leap second, which the library doesn't know
		}
		if ok && (err != nil || want.UnixNano() != got) {
			t.Fatalf("%q: %d, the library says %v %v", s, got, want, err)
		}
		simple := len(s) <= 30 && strings.HasSuffix(s, "Z") && len(s) >= 20 && s[10] == 'T' && !strings.Contains(s, ",")
		if !ok && err == nil && simple && want.Format("2006-01-02T15:04:05") == s[:19] && want.Year() >= 1970 && want.Year() <= 2200 {
			t.Fatalf("%q was refused, the library says %v", s, want)
		}
	})
}
