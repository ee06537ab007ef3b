package recipients

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// FuzzParse holds that what was read is written so that it is read again as the same, that every address of the list is
// valid to it, and that no table for Postfix has a line that the list doesn't have.
func FuzzParse(f *testing.F) {
	f.Add([]byte(strings.Join(tricky, "\n")))
	f.Add([]byte("\xef\xbb\xbfa@b\r\n\"x y\"@b OK\n@c 1\n# d@e\n<f@g>\nSMTP:h@i"))
	f.Add([]byte("*@x\n?@x\n**?a@x\n\"*\"@x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Parse("fuzz", bytes.NewReader(data))
		if err != nil {
			return
		}
		if lines := bytes.Count(data, []byte("\n")) + 1; l.Len() > lines {
			t.Fatalf("%d entries from %d lines", l.Len(), lines)
		}
		written := text(t, l)
		again, err := Parse("again", strings.NewReader(written))
		if err != nil || !again.equal(l) {
			t.Fatalf("%v\nwritten as\n%s", err, written)
		}
		for line := range strings.Lines(written) {
			line = strings.TrimSuffix(line, "\n")
			if line[0] == '#' || line[0] == '@' {
				continue
			}
			if v := l.Has([]byte(line)); v != Valid {
				t.Fatalf("%q of the list is %v", line, v)
			}
		}
		tables(t, l)
	})
}

func tables(t *testing.T, l *List) {
	t.Helper()
	var hash, re bytes.Buffer
	if WritePostfix(&hash, l) != nil || WritePostfixRegexp(&re, l) != nil {
		t.Fatal("not written")
	}
	whole := 0
	for _, w := range l.wild {
		if w[0] == '@' {
			whole++
		}
	}
	if got := lineCount(&hash, "", "\tOK\n"); got != len(l.ends)+whole || bytes.Count(hash.Bytes(), []byte("\n")) != 1+l.Len() {
		t.Fatalf("%d entries became %d lines in\n%s", l.Len(), got, &hash)
	}
	if got := lineCount(&re, "/^", "$/\tOK\n"); got != len(l.wild)-whole || bytes.Count(re.Bytes(), []byte("\n")) != 1+got {
		t.Fatalf("%d wildcards became %d lines in\n%s", len(l.wild), got, &re)
	}
	for line := range strings.Lines(re.String()) {
		if p, ok := strings.CutPrefix(line, "/"); ok {
			p, _ = strings.CutSuffix(p, "/\tOK\n")
			if _, err := regexp.Compile(p); err != nil || strings.Contains(strings.ReplaceAll(strings.ReplaceAll(p, `\\`, ""), `\/`, ""), "/") {
				t.Fatalf("%q: %v", line, err)
			}
		}
	}
}

// lineCount counts the lines that are no comments; each must begin and end as given.
func lineCount(b *bytes.Buffer, head, tail string) int {
	n := 0
	for line := range strings.Lines(b.String()) {
		if line[0] == '#' {
			continue
		}
		if !strings.HasPrefix(line, head) || !strings.HasSuffix(line, tail) {
			return -1
		}
		n++
	}
	return n
}

// naive is Has for addresses without quotes in ASCII, one entry after the other, with regular expressions.
func naive(entries []string, delims, address string) Verdict {
	local, dom, _ := strings.Cut(strings.ToLower(address), "@")
	dom = strings.TrimSuffix(dom, ".")
	tries := []string{local}
	for i := 1; i < len(local); i++ {
		if strings.IndexByte(delims, local[i]) >= 0 {
			tries = append(tries, local[:i])
		}
	}
	verdict := NoOpinion
	for _, e := range entries {
		el, ed, _ := strings.Cut(strings.ToLower(e), "@")
		if ed != dom {
			continue
		}
		verdict = max(verdict, Unknown)
		pattern := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(el))
		re := regexp.MustCompile(`(?s)^` + pattern + `$`)
		for _, try := range tries {
			if el == "" || try == "postmaster" || re.MatchString(try) {
				return Valid
			}
		}
	}
	return verdict
}

// FuzzHas compares the list's verdict with the naive one.
func FuzzHas(f *testing.F) {
	f.Add("anna sales-* f??x *", "sales-1", "+")
	f.Add("a*b*c*d aa*", "aabbccdd+ee", "+-")
	f.Add("???? *", "x", "")
	f.Add("p", "postmaster+x", "+")
	word := regexp.MustCompile(`^[!-~]+$`)
	f.Fuzz(func(t *testing.T, locals, local, delims string) {
		var entries []string
		for l := range strings.FieldsSeq(locals) {
			if len(l) > maxElements || !word.MatchString(l) || strings.ContainsAny(l, special) || l[0] == '#' || len(entries) == 50 {
				return
			}
			entries = append(entries, l+"@firm.example")
		}
		l := parse(t, entries...).WithDelimiter(delims)
		for _, dom := range []string{"firm.example", "FIRM.example.", "other.example"} {
			address := local + "@" + dom
			got := l.Has([]byte(address))
			if !word.MatchString(local) || strings.ContainsAny(local, special) || len(address) > MaxAddress || local[0] == '<' {
				continue
			}
			want := naive(entries, delims, address)
			if want == Unknown && rewritten([]byte(strings.ToLower(local))) {
				want = NoOpinion
			}
			if got != want {
				t.Fatalf("Has(%q) = %v, want %v; entries %q, delimiters %q", address, got, want, entries, delims)
			}
		}
	})
}

func BenchmarkHas(b *testing.B) {
	l := parse(b, append(numbered(0, 100_000, "firm.example"), "sales-*@firm.example", "f??x@firm.example")...).WithDelimiter("+")
	for name, a := range map[string]string{"valid": "U77@firm.example", "unknown": "info.department@firm.example", "other": "x@other.example"} {
		text := []byte(a)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				l.Has(text)
			}
		})
	}
}
