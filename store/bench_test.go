package store

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// large returns a batch of the size that a daemon under a heavy attack commits: n windows of 120 bytes and n parser
// states at random keys of
// so many sources and of 10,000 queue ids, and n/100 decisions with 12 lines each.
func large(r *rand.Rand, n, sources int) *Batch {
	b := &Batch{Now: noon, Cursors: []Cursor{{Path: "/var/log/mail.log", File: []byte("generation"), Offset: 1 << 20, Line: 9}}}
	for range n {
		value := make([]byte, 120)
		binary.LittleEndian.PutUint64(value, r.Uint64())
		b.Windows = append(b.Windows, Window{harvestwatch.Source(1<<31 + r.IntN(sources)), value})
		b.Parser = append(b.Parser, State{"/var/log/mail.log", fmt.Appendf(nil, "%012X", r.IntN(10_000)), value[:64]})
	}
	for i := range n / 100 {
		b.Decisions = append(b.Decisions, decision(harvestwatch.Source(1<<31+i), at(time.Duration(r.IntN(1e9))), 12))
		b.Deliveries = append(b.Deliveries, Count{harvestwatch.Source(1<<31 + i), DayOf(noon), 1})
	}
	return b
}

// BenchmarkCommit measures a large batch in a small database and in one of a million sources, and a batch of one line.
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct {
		name             string
		n, sources, fill int
	}{{"5000 of 10000", 5000, 10_000, 2}, {"5000 of 1000000", 5000, 1_000_000, 10}} {
		b.Run(c.name, func(b *testing.B) {
			s := open(b)
			r := rand.New(rand.NewPCG(1, 2))
			for range c.fill {
				commit(b, s, large(r, c.sources/5, c.sources))
			}
			var worst time.Duration
			for b.Loop() {
				b.StopTimer()
				batch := large(r, c.n, c.sources)
				b.StartTimer()
				begun := time.Now()
				commit(b, s, batch)
				worst = max(worst, time.Since(begun))
			}
			b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
		})
	}
	b.Run("one line", func(b *testing.B) {
		s := open(b)
		batch := &Batch{Now: noon, Cursors: []Cursor{{Path: "/var/log/mail.log", File: []byte("generation")}},
			Windows: []Window{{source("192.0.2.1"), make([]byte, 120)}}, Parser: []State{{"/var/log/mail.log", []byte("4F2A"), make([]byte, 64)}}}
		for b.Loop() {
			batch.Cursors[0].Offset += 200
			commit(b, s, batch)
		}
	})
}

// BenchmarkActiveBlocks reads 100,000 active blocks of 300,000.
func BenchmarkActiveBlocks(b *testing.B) {
	s := open(b)
	batch := &Batch{Now: noon}
	for i := range 300_000 {
		r := decision(harvestwatch.Source(0xF0000000+i), at(time.Duration(i%3-1)*2*time.Hour), 0)
		batch.Decisions = append(batch.Decisions, r)
	}
	commit(b, s, batch)
	for b.Loop() {
		list, err := s.ActiveBlocks(b.Context(), at(time.Minute))
		if err != nil || len(list) != 100_000 {
			b.Fatal(len(list), err)
		}
	}
}
