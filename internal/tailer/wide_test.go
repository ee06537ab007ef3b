package tailer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
	"unicode/utf8"
)

// encodeWide returns a text in UTF-16.
func encodeWide(text string, order encoding, bom bool) []byte {
	var put binary.AppendByteOrder = binary.LittleEndian
	if order == big {
		put = binary.BigEndian
	}
	var b []byte
	if bom {
		b = put.AppendUint16(b, 0xfeff)
	}
	for _, u := range utf16.Encode([]rune(text)) {
		b = put.AppendUint16(b, u)
	}
	return b
}

func TestReadWide(t *testing.T) {
	want := strings.Repeat("2026-01-05 client 192.0.2.7 <ä@mail.example> 📬 ਊ\r\n", 20_000)
	for _, order := range []encoding{little, big} {
		for _, bom := range []bool{true, false} {
			for _, name := range []string{"plain", "gzip", "zstd"} {
				b := packers[name](t, encodeWide(want, order, bom))
				path := writeFile(t, filepath.Join(t.TempDir(), "x"), b)
				r := openInput(t, path)
				got, lines, err := readAll(t, r)
				if err != nil || string(got) != want || lines != 20_000 || !r.Archived() || r.Consumed() != int64(len(b)) {
					t.Fatalf("%s, order %d, mark %v: %d bytes, %d lines, %v", name, order, bom, len(got), lines, err)
				}
				e, err := ReadAt(path, r.ID(), 700_000, 33)
				if err != nil || string(e) != want[700_000:700_033] {
					t.Errorf("ReadAt gives %q, %v", e, err)
				}
			}
		}
	}
}

func TestWideOddities(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"\xff\xfea\x00\n\x00b", "a\n"},                              // half a character at the end
		{"\xff\xfe\x00\xd8a\x00", "\ufffda"},                         // a high surrogate alone
		{"\xff\xfe\x00\xdca\x00", "\ufffda"},                         // a low one
		{"\xff\xfe\x00\xd8", "\ufffd"},                               // at the end
		{"\xff\xfe\x00\xd8\x00\xd8\x00\xdc", "\ufffd\U00010000"},     // two high ones, then a low one
		{"\xfe\xff\xd8\x3d\xdc\xec\x00\n", "📬\n"},                    // the high byte first
		{"\xff\xfe", ""},                                             // nothing but the mark
		{"\xff\xfe\xff\xfex\x00", "\ufeffx"},                         // only the first mark is none of the text
		{"a\x00b\x00c\x00d\x00\n\x00", "abcd\n"},                     // no mark
		{"\x00a\x00b\x00c\x00d\x00\n", "abcd\n"},                     //
		{"a\x00b\x00cd\x00\x00\n\x00", "a\x00b\x00cd\x00\x00\n\x00"}, // zero bytes, but not every second one
		{"a\x00\n\x00", "a\x00\n\x00"},                               // too short to tell
		{"\xef\xbb\xbfa\n", "\xef\xbb\xbfa\n"},                       // the mark of UTF-8 is the parser's
		{"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", strings.Repeat("\x00", 10)},
	} {
		for name, src := range map[string]io.Reader{"at once": strings.NewReader(tt.in),
			"byte by byte": iotest.OneByteReader(strings.NewReader(tt.in))} {
			r, err := NewReader("x", src)
			if err != nil {
				t.Fatal(err)
			}
			if got, _, err := readAll(t, r); err != nil || string(got) != tt.want {
				t.Errorf("%q %s: got %q, %v, want %q", tt.in, name, got, err, tt.want)
			}
		}
	}
}

// Lines stay bounded, and an error of the source is told, with everything before it given.
func TestWideBounds(t *testing.T) {
	text := "short\n" + strings.Repeat("é", MaxLine) + "\nafter\n"
	boom := errors.New("boom")
	r, err := NewReader("x", io.MultiReader(bytes.NewReader(encodeWide(text, little, true)), iotest.ErrReader(boom)))
	if err != nil {
		t.Fatal(err)
	}
	var cut int64
	var lines int
	for {
		c, err := r.Next()
		if err != nil {
			var re *ReadError
			if !errors.As(err, &re) || !errors.Is(re.Err, boom) || re.Offset != int64(len(text)) {
				t.Errorf("ended with %v", err)
			}
			break
		}
		cut, lines = cut+c.Cut, lines+c.Lines
		c.Release()
	}
	if cut != MaxLine || lines != 3 {
		t.Errorf("%d lines, %d bytes left out", lines, cut)
	}
}

// FuzzWide holds the decoder against the one of the standard library.
func FuzzWide(f *testing.F) {
	f.Add([]byte("\xff\xfea\x00\x3d\xd8\xec\xdc\n\x00"), 3)
	f.Add([]byte("\xfe\xff\xd8\x00\xd8\x00\x00a\x00"), 1)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		for _, order := range []encoding{little, big} {
			var units []uint16
			for i := 0; i+1 < len(b); i += 2 {
				u := uint16(b[i]) | uint16(b[i+1])<<8
				if order == big {
					u = u>>8 | u<<8
				}
				units = append(units, u)
			}
			if len(units) > 0 && units[0] == 0xfeff {
				units = units[1:]
			}
			want := string(utf16.Decode(units))
			src := io.Reader(bytes.NewReader(b))
			if size%2 == 0 {
				src = iotest.OneByteReader(src)
			}
			got, err := io.ReadAll(newWideReader(src, order))
			if err != nil || string(got) != want || !utf8.Valid(got) {
				t.Errorf("%q: got %q, %v, want %q", b, got, err, want)
			}
		}
	})
}
