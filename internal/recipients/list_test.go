package recipients

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// parse is Parse of lines that are right.
func parse(t testing.TB, lines ...string) *List {
	t.Helper()
	l, err := Parse("test", strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// hasCases are recipients with the verdict on them, without delimiters and with + and -.
var hasCases = []struct {
	address string
	want    Verdict
	plus    Verdict
}{
	{"anna.berg@firm.example", Valid, Valid},
	{"ANNA.BERG@FIRM.EXAMPLE", Valid, Valid},
	{"anna.berg@firm.example.", Valid, Valid},
	{"<anna.berg@firm.example>", Valid, Valid},
	{" anna.berg@firm.example ", Valid, Valid},
	{`"anna.berg"@firm.example`, Valid, Valid},
	{`"anna\.berg"@firm.example`, Valid, Valid},
	{"anna.berg+x@firm.example", Unknown, Valid},
	{"anna.berg+x+y@firm.example", Unknown, Valid},
	{"+anna.berg@firm.example", Unknown, Unknown},
	{"a-b@firm.example", Valid, Valid},
	{"a-b-c@firm.example", Unknown, Valid},
	{"a-c@firm.example", Unknown, Unknown},
	{"annaberg@firm.example", Unknown, Unknown},
	{`"John Doe"@firm.example`, Valid, Valid},
	{"sales-@firm.example", Valid, Valid},
	{"sales-x.y@firm.example", Valid, Valid},
	{"sales@firm.example", Unknown, Unknown},
	{"presales-x@firm.example", Unknown, Unknown},
	{"fax-12@firm.example", Valid, Valid},
	{"fax-1@firm.example", Unknown, Unknown},
	{"fax-123@firm.example", Unknown, Unknown},
	{"fax-12+ext@firm.example", Unknown, Valid},
	{"fax-üb@firm.example", Valid, Valid},
	{"lit*@firm.example", Valid, Valid},
	{"litter@firm.example", Unknown, Unknown},
	{"anything@all.example", Valid, Valid},
	{"anything@every.example", Valid, Valid},
	{"user@sub.firm.example", Valid, Valid},
	{"anna.berg@sub.firm.example", Unknown, Unknown},
	{"trailing@dot.example", Valid, Valid},
	{"smtp@firm.example", Valid, Valid},
	{"MÜLLER@firm.example", Valid, Valid},
	{"m\xfcller@firm.example", NoOpinion, NoOpinion},
	{"mueller@firm.example", Unknown, Unknown},
	{"postmaster@firm.example", Valid, Valid},
	{"Postmaster@sub.firm.example", Valid, Valid},
	{"postmaster+x@firm.example", Unknown, Valid},
	{"postmaster@other.example", NoOpinion, NoOpinion},
	{"anna.berg@other.example", NoOpinion, NoOpinion},
	{"anna.berg@xfirm.example", NoOpinion, NoOpinion},
	{"anna.berg", NoOpinion, NoOpinion},
	{"postmaster", NoOpinion, NoOpinion},
	{"", NoOpinion, NoOpinion},
	{"@", NoOpinion, NoOpinion},
	{"<>", NoOpinion, NoOpinion},
	{"@firm.example", NoOpinion, NoOpinion},
	{`""@firm.example`, NoOpinion, NoOpinion},
	{`"anna@firm.example`, NoOpinion, NoOpinion},
	{"a b@firm.example", NoOpinion, NoOpinion},
	{"x@y@firm.example", NoOpinion, NoOpinion},
	{"x@firm..example", NoOpinion, NoOpinion},
	{"x@[192.0.2.1]", NoOpinion, NoOpinion},
	{"x\x00@firm.example", NoOpinion, NoOpinion},
	{"x\ny@firm.example", NoOpinion, NoOpinion},
	{"@relay.example:anna.berg@firm.example", NoOpinion, NoOpinion},
	{"nobody%other.example@firm.example", NoOpinion, NoOpinion},
	{"other.example!nobody@firm.example", NoOpinion, NoOpinion},
	{"IMCEAEX-_o=Firm_ou=x_cn=anna@firm.example", NoOpinion, NoOpinion},
	{"prvs=0123456789=nobody@firm.example", NoOpinion, NoOpinion},
	{"SRS0=HHH=TT=other.example=nobody@firm.example", NoOpinion, NoOpinion},
	{"bounces+SRS=abc=de@firm.example", NoOpinion, NoOpinion},
	{strings.Repeat("x", MaxAddress) + "@firm.example", NoOpinion, NoOpinion},
}

func TestHas(t *testing.T) {
	l := parse(t, "Anna.Berg@Firm.Example", `"john doe"@firm.example`, "sales-*@firm.example", "fax-??@firm.example",
		"@all.example", "*@every.example", "müller@firm.example", "smtp:SMTP@firm.example", `"lit*"@firm.example`,
		"user@sub.firm.example", "a-b@firm.example", "trailing@dot.example.")
	plus := l.WithDelimiter("+-")
	for _, c := range hasCases {
		if got := l.Has([]byte(c.address)); got != c.want {
			t.Errorf("Has(%q) = %v, want %v", c.address, got, c.want)
		}
		if got := plus.Has([]byte(c.address)); got != c.plus {
			t.Errorf("with delimiters Has(%q) = %v, want %v", c.address, got, c.plus)
		}
	}
}

func TestNobodyHasNoOpinion(t *testing.T) {
	var none *List
	if v := none.Has([]byte("postmaster@firm.example")); v != NoOpinion || none.Len() != 0 || none.WithDelimiter("+") != nil {
		t.Error("a list that isn't there has an opinion:", v)
	}
	if v := parse(t, "# nothing").Has([]byte("postmaster@firm.example")); v != NoOpinion {
		t.Error("an empty list has an opinion:", v)
	}
}

func TestHasDoesNotAllocate(t *testing.T) {
	l := parse(t, "anna@firm.example", "s*l*s@firm.example", "müller@firm.example").WithDelimiter("+")
	long := strings.Repeat("x+", (MaxAddress-13)/2) + "@firm.example"
	for _, a := range []string{"anna@firm.example", "ANNA+x@firm.example", "nobody@firm.example", "MÜLLER@firm.example", `"q\"q"@firm.example`,
		"anna@other.example", long, "<" + long[:200] + "@firm.example>", strings.Repeat("Ⱥ", 150) + "@firm.example"} {
		text := []byte(a)
		if n := testing.AllocsPerRun(20, func() { l.Has(text) }); n != 0 {
			t.Errorf("Has(%.40q) of %d bytes allocates %v times", a, len(a), n)
		}
	}
}

// TestHasDoesNotWrite makes sure that an address from a log, which is borrowed, stays as it was.
func TestHasDoesNotWrite(t *testing.T) {
	l := parse(t, "anna@firm.example").WithDelimiter("+")
	for _, a := range []string{"ANNA+A+B@FIRM.example", `"AN\NA+X"@firm.example`} {
		text := []byte(a)
		l.Has(text)
		if string(text) != a {
			t.Errorf("%q became %q", a, text)
		}
	}
}

func TestFoldIsStable(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		f := foldRune(r)
		if foldRune(f) != f {
			t.Errorf("%U becomes %U, and that %U", r, f, foldRune(f))
		}
		if r >= 0x80 && f < 0x80 && !unicode.IsLetter(f) {
			t.Errorf("%U becomes %q", r, f)
		}
	}
}

func TestMillion(t *testing.T) {
	entries := 1_000_000
	if testing.Short() {
		entries /= 10
	}
	for _, domains := range []int{100, entries / 10} {
		pr, pw := io.Pipe()
		go func() {
			var err error
			for i := 0; i < entries && err == nil; i += 1000 {
				var b bytes.Buffer
				for j := i; j < i+1000; j++ {
					fmt.Fprintf(&b, "first.last%06d@d%d.firm.example\n", j, j%domains)
				}
				_, err = pw.Write(b.Bytes())
			}
			pw.CloseWithError(err)
		}()
		before := heap()
		l, err := Parse("pipe", pr)
		if err != nil {
			t.Fatal(err)
		}
		used := heap() - before
		t.Logf("%d addresses in %d domains: %d MB of heap", l.Len(), domains, used/1e6)
		if used > uint64(entries)*64 || l.Len() != entries {
			t.Errorf("%d addresses take %d bytes, 64 for each are allowed", l.Len(), used)
		}
		if v := l.Has([]byte("FIRST.LAST000099@d99.firm.example")); v != Valid {
			t.Error("an address of the million is", v)
		}
		if v := l.Has([]byte("first.last000099@d98.firm.example")); v != Unknown {
			t.Error("an address beside the million is", v)
		}
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestParseForms(t *testing.T) {
	l := parse(t, "\xef\xbb\xbf# list\r", "a@firm.example\r", "", "   ", "\tb@firm.example\tOK", "c@firm.example 1\r", "d@firm.example relay:[x]",
		`"e f"@firm.example	OK`, "<g@firm.example>", "smtp:h@firm.example", "SMTP:i@firm.example", "A@FIRM.example", "@all.example OK", "j@firm.example")
	if l.Len() != 10 || l.Domains() != 2 {
		t.Errorf("%d entries in %d domains", l.Len(), l.Domains())
	}
	for _, a := range []string{"a", "b", "c", "d", `"e f"`, "g", "h", "i", "j"} {
		if v := l.Has([]byte(a + "@firm.example")); v != Valid {
			t.Errorf("%s is %v", a, v)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a@firm.example\nnobody\n", `list:2: "nobody" is not a mail address: write it with its domain, as in user@firm.example`},
		{"a@firm.example,b@firm.example", `list:1: "a@firm.example,b@firm.example" is not a mail address: write one address a line`},
		{"a@*.firm.example", "list:1: \"a@*.firm.example\" is not a mail address: wildcards stand before the @ only"},
		{"a@firm.example REJECT", `list:1: "REJECT" says that a recipient is refused`},
		{"a@firm.example 550 no", `list:1: "550 no" says that a recipient is refused`},
		{"m\xfcller@firm.example", "save the file as UTF-8"},
		{"\xff\xfea\x00@\x00", "list:1: the file is UTF-16: save it as UTF-8"},
		{"#\n" + strings.Repeat("x", maxLine+1), "list:2: the line is longer than 4096 bytes"},
		{strings.Repeat("x", MaxAddress) + "@firm.example", "it is longer than 320 bytes"},
		{strings.Repeat("?", 64) + "@firm.example", "has a wildcard with more than 63 characters before the @"},
		{"<#a*@firm.example>", "begins with #"},
		{"x\u2028y@firm.example", "is not a mail address"},
		{"x\u0085@firm.example", "is not a mail address"},
	} {
		_, err := Parse("list", strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: %v; want %s", c.text, err, c.want)
		}
	}
	var many strings.Builder
	for i := range MaxWildcards + 1 {
		fmt.Fprintf(&many, "w%d*@firm.example\n", i)
	}
	if _, err := Parse("list", strings.NewReader(many.String())); !errors.Is(err, errFull) {
		t.Error("too many wildcards:", err)
	}
	broken := errors.New("broken")
	if _, err := Parse("list", io.MultiReader(strings.NewReader("a@firm.example\n"), &badReader{broken})); !errors.Is(err, broken) {
		t.Error("a read error is lost:", err)
	}
}

type badReader struct{ err error }

func (b *badReader) Read([]byte) (int, error) { return 0, b.err }

func TestTooManyEntries(t *testing.T) {
	b := builder{ends: make([]uint32, MaxEntries)}
	a, _ := canonical(nil, []byte("a@firm.example"), asEntry)
	if err := b.add(a); !errors.Is(err, errFull) {
		t.Error(err)
	}
	if err := b.addLine([]byte("@firm.example")); !errors.Is(err, errFull) {
		t.Error(err)
	}
	if err := room(0, maxText+1); !errors.Is(err, errFull) || room(MaxEntries-1, maxText) != nil {
		t.Error(err)
	}
}

func text(t testing.TB, l *List) string {
	t.Helper()
	var b bytes.Buffer
	if err := l.WriteText(&b, "note"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var tricky = []string{"b@firm.example", "a@firm.example", "@all.example", "sales-*@firm.example", "f?x@firm.example", `"li*t"@firm.example`,
	`"#hash"@firm.example`, `"john doe"@firm.example`, `"a\"b\\c"@firm.example`, `".dot."@firm.example`, ".*@firm.example", "o'brien@firm.example",
	"a/b*@firm.example", "{x}$*@firm.example", "müller@firm.example", `"x@y"@firm.example`, "++*@firm.example"}

func TestTextIsReadAgain(t *testing.T) {
	l := parse(t, tricky...)
	first := text(t, l)
	again := parse(t, first)
	if !l.equal(again) || text(t, again) != first {
		t.Errorf("written as\n%s\nand read as\n%s", first, text(t, again))
	}
	want := "# note\n++*@firm.example\n.*@firm.example\n@all.example\na/b*@firm.example\nf?x@firm.example\nsales-*@firm.example\n{x}$*@firm.example\n" +
		`"#hash"@firm.example` + "\n" + `".dot."@firm.example` + "\n" + `"a\"b\\c"@firm.example` + "\na@firm.example\n"
	if !strings.HasPrefix(first, want) {
		t.Errorf("written as\n%s\nwant\n%s", first, want)
	}
}

func TestSave(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "recipients")
	l := parse(t, tricky...)
	for range 2 {
		if err := l.Save(path, "line one\nline\rtwo\x1b"); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(data, []byte("# line one\n# line two \n++*@")) {
		t.Errorf("%v: %.60q", err, data)
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Error(err, info.Mode())
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 {
		t.Error("left behind:", left, err)
	}
	if err := l.Save(filepath.Join(dir, "none", "recipients"), ""); !errors.Is(err, os.ErrNotExist) {
		t.Error("saved nowhere:", err)
	}
}

func TestPostfix(t *testing.T) {
	l := parse(t, tricky...)
	var hash, re bytes.Buffer
	if err := errors.Join(WritePostfix(&hash, l), WritePostfixRegexp(&re, l)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\na@firm.example\tOK\n", "\n@all.example\tOK\n", "\n# a wildcard, for the regexp table: sales-*@firm.example\n",
		"\n\"john doe\"@firm.example\tOK\n", "\no'brien@firm.example\tOK\n", "\nli*t@firm.example\tOK\n"} {
		if !strings.Contains(hash.String(), want) {
			t.Errorf("%q is missing from\n%s", want, &hash)
		}
	}
	for _, want := range []string{"\n/^sales-.*@firm\\.example$/\tOK\n", "\n/^f.x@firm\\.example$/\tOK\n", "\n/^a\\/b.*@firm\\.example$/\tOK\n",
		"\n/^\\{x\\}\\$.*@firm\\.example$/\tOK\n", "\n/^\\+\\+.*@firm\\.example$/\tOK\n"} {
		if !strings.Contains(re.String(), want) {
			t.Errorf("%q is missing from\n%s", want, &re)
		}
	}
	if n := strings.Count(re.String(), "\n"); n != 7 {
		t.Errorf("%d lines in\n%s", n, &re)
	}
	hashAndRegexpAgree(t, l, &hash, re.String())
}

// hashAndRegexpAgree reads the tables as Postfix does and compares them with the list.
func hashAndRegexpAgree(t *testing.T, l *List, hash io.Reader, re string) {
	t.Helper()
	table, err := Parse("hash", hash)
	if err != nil {
		t.Fatal(err)
	}
	var patterns []*regexp.Regexp
	for line := range strings.Lines(re) {
		if p, ok := strings.CutPrefix(line, "/"); ok {
			p, _ = strings.CutSuffix(p, "/\tOK\n")
			patterns = append(patterns, regexp.MustCompile("(?i)"+p))
		}
	}
	for _, a := range []string{"a@firm.example", "sales-1@firm.example", "f.x@firm.example", "fx@firm.example", "a/b1@firm.example", "{x}$y@firm.example",
		"{x}y@firm.example", "++@firm.example", "x@firm.example", "a@firmXexample", "o'brien@firm.example", "sales-1@firm-example"} {
		in := table.Has([]byte(a)) == Valid
		for _, p := range patterns {
			in = in || p.MatchString(a)
		}
		if want := l.Has([]byte(a)) == Valid; in != want {
			t.Errorf("%s: the tables say %v, the list %v", a, in, want)
		}
	}
}

func TestMergeAndOnly(t *testing.T) {
	a := parse(t, "a@firm.example", "x*@firm.example", "p@provider.example").WithDelimiter("+")
	b := parse(t, "b@firm.example", "a@firm.example", "@all.example")
	m, err := Merge(a, nil, b)
	if err != nil || m.Len() != 5 || m.Has([]byte("b+x@firm.example")) != Valid {
		t.Errorf("%v: %s", err, text(t, m))
	}
	o, err := m.Only("FIRM.example.")
	if err != nil || o.Len() != 3 || o.Has([]byte("q@provider.example")) != NoOpinion || o.Has([]byte("b+x@firm.example")) != Valid {
		t.Errorf("%v: %s", err, text(t, o))
	}
	deep := parse(t, "a@firm.example", "b@x.firm.example", "@y.x.FIRM.example", "c@notfirm.example", "d@xfirm.example")
	if o, err := deep.Only(".Firm.example"); err != nil || text(t, o) != "# note\n@y.x.firm.example\nb@x.firm.example\n" {
		t.Errorf("%v: %s", err, text(t, o))
	}
	for _, bad := range []string{".", "", "..firm.example", "a@firm.example", "*"} {
		if _, err := m.Only(bad); err == nil {
			t.Errorf("the domain %q is taken", bad)
		}
	}
	if _, err := m.Only("no domain"); err == nil {
		t.Error("a domain with a space is taken")
	}
	if same, err := m.Only(); err != nil || same != m {
		t.Error("no domains given, and another list returned:", err)
	}
}

func TestAddressesAreThoseOfTheList(t *testing.T) {
	l, err := Parse("list", strings.NewReader("Bob@Example.org\n@catch.example\nann@example.org\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(l.Addresses()); !slices.Equal(got, []string{"ann@example.org", "bob@example.org"}) {
		t.Errorf("%q", got)
	}
	for a := range l.Addresses() {
		if a != "ann@example.org" {
			t.Errorf("the first is %q", a)
		}
		break
	}
	for a := range (*List)(nil).Addresses() {
		t.Errorf("no list has %q", a)
	}
}
