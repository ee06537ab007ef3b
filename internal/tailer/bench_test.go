package tailer

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// benchFile writes about 220 MB of lines as a mail log has them.
func benchFile(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "mail.log")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	lines := sample(30_000)
	for size := 0; size < 220<<20; size += len(lines) {
		if _, err := f.Write(lines); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

// One-shot reading of 220 MB in the cache, with line numbers.
func BenchmarkRead(b *testing.B) {
	path := benchFile(b)
	inputs, err := Expand([]string{path})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(inputs[0].Size)
	b.ReportAllocs()
	for b.Loop() {
		r, err := inputs[0].Open()
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			var c *Chunk
			if c, err = r.Next(); err == nil {
				c.Release()
			}
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// From the return of the logger's write to the line being given.
func BenchmarkFollowLatency(b *testing.B) {
	path := filepath.Join(b.TempDir(), "mail.log")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	got := make(chan time.Time, 1)
	go func() {
		err := Follow(b.Context(), path, Cursor{}, Options{}, func(c *Chunk) error {
			got <- time.Now()
			c.Release()
			return nil
		})
		if !errors.Is(err, b.Context().Err()) {
			b.Error(err)
		}
	}()
	line := sample(1)
	var worst, sum time.Duration
	n := 0
	for b.Loop() {
		if _, err := f.Write(line); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		d := (<-got).Sub(start)
		worst, sum, n = max(worst, d), sum+d, n+1
	}
	b.ReportMetric(float64(sum.Microseconds())/float64(n), "us/line")
	b.ReportMetric(float64(worst.Microseconds()), "us-worst")
}
