package discover

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch/internal/access"
)

// repeated says a text again and again.
type repeated struct {
	text string
	at   int
}

// Read implements io.Reader.
func (r *repeated) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = r.text[r.at%len(r.text)]
		r.at++
	}
	return len(b), nil
}

// TestEndlessLineIsBounded: of a line without an end little is kept, and less memory is used on the way, what was given
// back counted too, than the line is long.
func TestEndlessLineIsBounded(t *testing.T) {
	for _, text := range []string{"x", "a,b;c\td ", `"`, "2026-03-12 09:00:00 [198.51.100.7] "} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f := &Finding{}
		_ = f.text(bufio.NewReaderSize(io.LimitReader(&repeated{text: text}, maxBytes), 64<<10)) // an error is fine too
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
			t.Errorf("%q: %d KiB were used for one line", text, used>>10)
		}
	}
}

func TestLinesAreCut(t *testing.T) {
	long := strings.Repeat("x", maxRow)
	for text, want := range map[string]string{
		"":                                 "",
		"a\r\nb":                           "a\r\nb",
		"a\n\n\nb\n":                       "a\n\n\nb\n",
		long + "\nb\n":                     long + "\nb\n",
		long + "yz\nb\n":                   long + "\nb\n",
		"a\n" + long + long + long + "\nb": "a\n" + long + "\nb",
		long + long:                        long,
	} {
		for _, size := range []int{16, 4096, 64 << 10} {
			got, more, err := lines(bufio.NewReaderSize(strings.NewReader(text), size))
			if string(got) != want || more || err != nil {
				t.Errorf("%d bytes gave %d, want %d, %v, %v", len(text), len(got), len(want), more, err)
			}
		}
	}
	got, more, err := lines(bufio.NewReader(&repeated{text: "twelve bytes\n"}))
	if len(got) > maxKept || len(got) < maxKept-20 || !more || err != nil || !bytes.HasSuffix(got, []byte("\ntwelve bytes\n")) {
		t.Errorf("%d bytes of endless lines are kept, %v, %v", len(got), more, err)
	}
}

// TestReadErrorIsTold: what can't be read on is an error, not the end.
func TestReadErrorIsTold(t *testing.T) {
	broken := errors.New("broken")
	if _, _, err := lines(bufio.NewReader(io.MultiReader(strings.NewReader("a\nb"), brokenReader{broken}))); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type brokenReader struct{ err error }

// Read implements io.Reader.
func (b brokenReader) Read([]byte) (int, error) { return 0, b.err }

func TestFolderIsNoFile(t *testing.T) {
	if _, err := Path(t.Context(), t.TempDir(), access.Options{}); !errors.Is(err, ErrNoFile) {
		t.Error(err)
	}
	if _, err := Path(t.Context(), filepath.Join(t.TempDir(), "x"), access.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
