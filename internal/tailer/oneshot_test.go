package tailer

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// sample returns n numbered lines.
func sample(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "2026-01-05T00:00:00 mx postfix/smtpd[1]: line %d of the sample, client 192.0.2.%d\n", i, i%250)
	}
	return b.Bytes()
}

func writeFile(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// packers compress in each format that is read.
var packers = map[string]func(*testing.T, []byte) []byte{
	"plain": func(_ *testing.T, b []byte) []byte { return b },
	"gzip":  packGzip,
	"gzip of several members": func(t *testing.T, b []byte) []byte {
		i := len(b)/2 + 7
		return append(packGzip(t, b[:i]), packGzip(t, b[i:])...)
	},
	"zstd": packZstd,
	"zstd of several frames": func(t *testing.T, b []byte) []byte {
		skip := []byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'x', 'y', 'z'}
		return append(append(packZstd(t, b[:100]), skip...), packZstd(t, b[100:])...)
	},
	"zstd after a skippable frame": func(t *testing.T, b []byte) []byte {
		return append([]byte{0x5e, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x'}, packZstd(t, b)...)
	},
	"xz": packXz,
	"xz of several streams": func(t *testing.T, b []byte) []byte {
		return append(append(packXz(t, b[:len(b)/2]), 0, 0, 0, 0), packXz(t, b[len(b)/2:])...)
	},
	"bzip2": packBzip2,
}

func packGzip(t *testing.T, b []byte) []byte {
	var out bytes.Buffer
	return pack(t, &out, gzip.NewWriter(&out), b)
}

func packZstd(t *testing.T, b []byte) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	return pack(t, &out, w, b)
}

func packXz(t *testing.T, b []byte) []byte {
	var out bytes.Buffer
	w, err := xz.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	return pack(t, &out, w, b)
}

func pack(t *testing.T, out *bytes.Buffer, w io.WriteCloser, b []byte) []byte {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// packBzip2 unpacks nothing: the standard library only reads bzip2, so the archive of sample(200) is kept in testdata.
func packBzip2(t *testing.T, _ []byte) []byte {
	b, err := os.ReadFile("testdata/sample200.bz2")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readAll reads an input to its end and checks that offsets and line numbers go on from chunk to chunk.
func readAll(t *testing.T, r *Reader) ([]byte, int64, error) {
	t.Helper()
	var all []byte
	offset, line := int64(0), int64(1)
	for {
		c, err := r.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return all, line - 1, err
		}
		if c.Offset != offset || c.Line != line || c.Lines < 1 || len(c.Data) == 0 {
			t.Fatalf("chunk at %d line %d with %d lines, want at %d line %d", c.Offset, c.Line, c.Lines, offset, line)
		}
		all = append(all, c.Data...)
		offset, line = c.End(), line+int64(c.Lines)
		c.Release()
	}
}

func openInput(t *testing.T, path string) *Reader {
	t.Helper()
	r, err := (Input{Path: path}).Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestReadEveryFormat(t *testing.T) {
	want := sample(200)
	for name, pack := range packers {
		t.Run(name, func(t *testing.T) {
			packed := pack(t, want)
			path := writeFile(t, filepath.Join(t.TempDir(), "named-like-nothing"), packed)
			r := openInput(t, path)
			if head := r.Head(50); string(head) != string(want[:50]) {
				t.Errorf("Head is %q", head)
			}
			got, lines, err := readAll(t, r)
			if err != nil || !bytes.Equal(got, want) || lines != 200 {
				t.Errorf("got %d bytes, %d lines, %v, want %d bytes, 200 lines", len(got), lines, err, len(want))
			}
			if r.Consumed() != int64(len(packed)) {
				t.Errorf("consumed %d of %d", r.Consumed(), len(packed))
			}
			b, err := ReadAt(path, r.ID(), 1000, 77)
			if err != nil || string(b) != string(want[1000:1077]) {
				t.Errorf("ReadAt gives %q, %v", b, err)
			}
		})
	}
}

// A large input goes through many buffers, whatever the lengths of its lines.
func TestReadManyChunks(t *testing.T) {
	want := sample(30000)
	for _, name := range []string{"plain", "gzip", "zstd", "xz"} {
		r := openInput(t, writeFile(t, filepath.Join(t.TempDir(), name), packers[name](t, want)))
		if got, lines, err := readAll(t, r); err != nil || !bytes.Equal(got, want) || lines != 30000 {
			t.Errorf("%s: %d bytes, %d lines, %v", name, len(got), lines, err)
		}
	}
}

// A cut archive gives every whole line that it held, and then says where it ended.
func TestTruncatedArchive(t *testing.T) {
	want := sample(30000)
	for name, pack := range packers {
		if name == "plain" || name == "bzip2" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			packed := pack(t, want)
			path := filepath.Join(t.TempDir(), "mail.log.gz")
			for _, cut := range []int{len(packed) - 1, len(packed) * 3 / 4, len(packed) / 2, 30} {
				checkCut(t, writeFile(t, path, packed[:cut]), want)
			}
		})
	}
}

func checkCut(t *testing.T, path string, want []byte) {
	t.Helper()
	r, err := (Input{Path: path}).Open()
	var re *ReadError
	if err == nil {
		defer func() { _ = r.Close() }()
		var got []byte
		got, _, err = readAll(t, r)
		if !bytes.HasPrefix(want, got) || len(got) > 0 && got[len(got)-1] != '\n' {
			t.Errorf("%d bytes that aren't the beginning", len(got))
		}
		if errors.As(err, &re) && re.Offset != int64(len(got)) {
			t.Errorf("the error says %d, %d were given", re.Offset, len(got))
		}
	}
	if !errors.As(err, &re) || !strings.Contains(err.Error(), path) {
		t.Fatalf("error is %v", err)
	}
}

// What was compressed before the damage isn't lost.
func TestCorruptTail(t *testing.T) {
	want := sample(30000)
	packed := packGzip(t, want)
	for i := len(packed) - 2000; i < len(packed)-1500; i++ {
		packed[i] ^= 0x5a
	}
	r := openInput(t, writeFile(t, filepath.Join(t.TempDir(), "mail.log.gz"), packed))
	got, _, err := readAll(t, r)
	var re *ReadError
	if !errors.As(err, &re) || len(got) < len(want)*8/10 || re.Offset != int64(len(got)) {
		t.Errorf("%d of %d bytes, then %v", len(got), len(want), err)
	}
	if _, err := r.Next(); !errors.As(err, &re) {
		t.Errorf("after the error: %v", err)
	}
}

// The xz of the system and the dictionary that it asks for at -9 are accepted, a larger one is refused unread.
func TestXzDictionary(t *testing.T) {
	packed := packXz(t, sample(200))
	for _, tt := range []struct {
		props byte // 2^(props/2+12) bytes where props is even
		want  bool
	}{{22, true}, {28, true}, {30, false}, {40, false}} {
		b := bytes.Clone(packed)
		setXzDictionary(t, b, tt.props)
		r, err := NewReader("x.xz", bytes.NewReader(b))
		if err == nil {
			_, _, err = readAll(t, r)
		}
		if (err == nil) != tt.want {
			t.Errorf("dictionary %d: %v", tt.props, err)
		}
	}
}

// Archives that the reference implementations wrote: several blocks, each kind of check, the largest windows.
func TestForeignArchives(t *testing.T) {
	want := sample(200)
	files, err := filepath.Glob("testdata/sample200*")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d archives, %v", len(files), err)
	}
	for _, path := range files {
		if got, _, err := readAll(t, openInput(t, path)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := 20; n < len(b); n += 7 {
			r, err := NewReader(path, bytes.NewReader(b[:n]))
			if err != nil {
				continue
			}
			if got, _, err := readAll(t, r); err == nil || !bytes.HasPrefix(want, got) {
				t.Errorf("%s cut at %d of %d: %d bytes, %v", path, n, len(b), len(got), err)
			}
		}
	}
}

// setXzDictionary changes the dictionary size that the first block of an xz file asks for.
func setXzDictionary(t *testing.T, b []byte, props byte) {
	t.Helper()
	header := b[12 : 12+(int(b[12])+1)*4]
	i := bytes.Index(header, []byte{0x21, 1})
	if i < 0 {
		t.Fatal("no LZMA2 filter")
	}
	header[i+2] = props
	n := len(header) - 4
	binary.LittleEndian.PutUint32(header[n:], crc32.ChecksumIEEE(header[:n]))
}
