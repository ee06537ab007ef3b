package tailer

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// pieces of an input, as the chunks have to give them.
func chunksOf(t *testing.T, src io.Reader) (data []string, cuts []int64) {
	t.Helper()
	r, err := NewReader("test", src)
	if err != nil {
		t.Fatal(err)
	}
	at, line := int64(0), int64(1)
	for {
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			return data, cuts
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.Offset != at || c.Line != line {
			t.Errorf("chunk at %d, line %d, want %d, %d", c.Offset, c.Line, at, line)
		}
		data, cuts = append(data, string(c.Data)), append(cuts, c.Cut)
		at, line = c.End(), c.Line+int64(c.Lines)
		c.Release()
		c.Release()
	}
}

func TestLineEnds(t *testing.T) {
	for _, tt := range []struct{ name, input string }{
		{"empty", ""},
		{"one line", "a\n"},
		{"no line feed at the end", "a\nb"},
		{"only a line feed", "\n"},
		{"carriage returns belong to the line", "a\r\nb\rc\r\n"},
		{"NUL bytes", "a\x00\n\x00"},
		{"blank lines", "\n\n\na\n\n"},
		{"short and like an archive", "\x1f\x8b"},
	} {
		for name, src := range map[string]io.Reader{"at once": strings.NewReader(tt.input),
			"byte by byte": iotest.OneByteReader(strings.NewReader(tt.input))} {
			data, _ := chunksOf(t, src)
			if got := strings.Join(data, ""); got != tt.input {
				t.Errorf("%s, %s: got %q, want %q", tt.name, name, got, tt.input)
			}
		}
	}
}

// A line above MaxLine is given alone, cut, whatever the reads bring, and what follows keeps its place.
func TestLongLines(t *testing.T) {
	for _, tt := range []struct {
		length int
		ended  bool
	}{{MaxLine - 1, true}, {MaxLine, true}, {MaxLine + 1, true}, {2*bufSize + 5, true}, {9 * bufSize, true},
		{MaxLine, false}, {MaxLine + 1, false}, {3 * bufSize, false}} {
		before, after := strings.Repeat("before\n", 50), ""
		if tt.ended {
			after = "\nafter\nlast"
		}
		input := before + strings.Repeat("x", tt.length) + after
		for name, src := range map[string]io.Reader{"full reads": strings.NewReader(input),
			"halves": iotest.HalfReader(strings.NewReader(input)), "late EOF": iotest.DataErrReader(strings.NewReader(input))} {
			checkLong(t, name, src, tt.length, before, after)
		}
	}
}

func checkLong(t *testing.T, name string, src io.Reader, length int, before, after string) {
	t.Helper()
	data, cuts := chunksOf(t, src)
	want := before + strings.Repeat("x", min(length, MaxLine)) + after
	if got := strings.Join(data, ""); got != want {
		t.Errorf("%s, %d: got %d bytes, want %d", name, length, len(got), len(want))
	}
	var cut int64
	for i, c := range cuts {
		if cut += c; c > 0 && strings.Count(strings.TrimSuffix(data[i], "\n"), "x") != MaxLine {
			t.Errorf("%s, %d: the cut line isn't alone", name, length)
		}
	}
	if want := int64(max(0, length-MaxLine)); cut != want {
		t.Errorf("%s, %d: cut %d, want %d", name, length, cut, want)
	}
}

// An endless line costs one buffer, not memory without end; so does what a small archive unfolds to.
func TestEndlessLine(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 256 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader("bomb.gz", &bomb)
	if err != nil {
		t.Fatal(err)
	}
	allocated := testing.AllocsPerRun(1, func() {
		c, err := r.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if err == nil && (len(c.Data) != MaxLine || c.End() != 256<<20) {
			t.Errorf("%d bytes up to %d", len(c.Data), c.End())
		}
	})
	if allocated > 1000 {
		t.Errorf("%v allocations", allocated)
	}
}

// Head shows what Next gives, as often as it is asked.
func TestHead(t *testing.T) {
	want := sample(5000)
	r := openInput(t, writeFile(t, filepath.Join(t.TempDir(), "x.gz"), packGzip(t, want)))
	for _, n := range []int{0, 10, 100_000, 20} {
		if got := r.Head(n); !bytes.Equal(got, want[:n]) {
			t.Errorf("Head(%d) is %d bytes", n, len(got))
		}
	}
	if got := r.Head(1 << 30); len(got) != bufSize {
		t.Errorf("a huge head is %d bytes", len(got))
	}
	if got, _, err := readAll(t, r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got := r.Head(10); len(got) != 0 {
		t.Errorf("after the end: %q", got)
	}
}

func TestStdin(t *testing.T) {
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stdin
	os.Stdin = pr
	defer func() { os.Stdin = old }()
	inputs, err := Expand([]string{Stdin})
	if err != nil || len(inputs) != 1 {
		t.Fatal(inputs, err)
	}
	if _, err := pw.WriteString("one line that is long enough\ntwo"); err != nil {
		t.Fatal(err)
	}
	r, err := inputs[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Next() // what is there is given while the writer goes on
	if err != nil || string(c.Data) != "one line that is long enough\n" || c.File != (FileID{}) {
		t.Fatal(c, err)
	}
	if err := pw.Close(); err != nil {
		t.Fatal(err)
	}
	c, err = r.Next()
	if err != nil || string(c.Data) != "two" || c.Line != 2 {
		t.Fatal(c, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := pr.Close(); err != nil {
		t.Errorf("the reader closed standard input: %v", err)
	}
}

// Garbage of any kind ends in an error or in lines, never in a panic, and offsets stay right.
func FuzzReader(f *testing.F) {
	f.Add([]byte("a\nb\r\nc"))
	for _, b := range [][]byte{magicGzip, magicZstd, magicXz, []byte("BZh91AY&SY")} {
		f.Add(append(bytes.Clone(b), bytes.Repeat([]byte{7}, 40)...))
	}
	for _, name := range []string{"sample200.gz", "sample200.bz2", "sample200-9.xz", "sample200-blocks.xz", "sample200-long.zst"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader("fuzz", bytes.NewReader(b))
		if err != nil {
			return
		}
		at := int64(0)
		for at < 64<<20 {
			c, err := r.Next()
			if err != nil {
				break
			}
			if c.Offset != at || len(c.Data) == 0 || c.Cut < 0 {
				t.Fatalf("chunk at %d with %d bytes, want at %d", c.Offset, len(c.Data), at)
			}
			at = c.End()
			c.Release()
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}
