package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// crashEnv tells the test binary to be the writer of a crash test; it holds the database's path.
const crashEnv = "HARVESTWATCH_STORE_CRASH"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		if err := writeForEver(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

const crashInput = "/var/log/mail.log"

// writeForEver goes on from the cursor, one numbered batch after the other. Batch n counts one event, one delivery,
// one decision with n%4 lines of evidence, and raises the windows n%7 … of its sources.
func writeForEver(path string) error {
	ctx := context.Background()
	s, err := Open(path, Options{Now: noon, Warn: func(w string) { panic(w) }})
	if err != nil {
		return err
	}
	cursors, err := s.LoadCursors(ctx)
	if err != nil {
		return err
	}
	var n int64
	if len(cursors) > 0 {
		n = cursors[0].Offset
	}
	fmt.Println("ready")
	for {
		n++
		if err := s.Commit(ctx, numbered(n)); err != nil {
			return err
		}
		if n%20 == 0 { // deletes in many transactions, gives pages back, and makes no difference to what is compared
			if _, err := s.Prune(ctx, at(time.Duration(n)*time.Second), Policy{Evidence: time.Minute}); err != nil {
				return err
			}
		}
	}
}

func numbered(n int64) *Batch {
	value := make([]byte, 400)
	binary.BigEndian.PutUint64(value, uint64(n))
	b := &Batch{
		Now:        at(time.Duration(n) * time.Second),
		Cursors:    []Cursor{{crashInput, []byte("g"), n, n}},
		Deliveries: []Count{{source("192.0.2.1"), DayOf(noon) - Day(n%5), 1}},
		Totals:     []DayTotal{{DayOf(noon) - Day(n%3), "connect", 1}},
		Decisions:  []Record{decision(harvestwatch.Source(0xF0000000+n), at(time.Duration(n)*time.Second), int(n%4))},
		Parser:     []State{{crashInput, []byte("last"), value[:8]}},
	}
	for i := range int64(20) { // spread over many pages, so that a torn write would show
		b.Windows = append(b.Windows, Window{harvestwatch.Source(1 + (n*7+i*13)%500), value}, Window{1000, value})
	}
	return b
}

// TestKilledWriter kills a writer at random moments, 100 times. After each, what stands in the database is what the
// batches up to the cursor wrote, no more and no less.
func TestKilledWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "harvestwatch.db")
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	var last int64
	for round := range rounds {
		// From the start of the process, so that some die while they create, migrate, check or mend.
		kill(t, path, time.Duration(r.IntN(60_000))*time.Microsecond)
		if _, err := os.Stat(path); err != nil {
			continue // killed before there was anything
		}
		if round%10 == 3 { // an opener for reading mends too
			must(OpenReadOnly(path))(t).Close()
		}
		s := must(Open(path, Options{Now: noon, Warn: func(w string) { t.Fatal(w) }}))(t)
		n := agrees(t, s)
		if n < last {
			t.Fatalf("round %d: the cursor went back from %d to %d", round, last, n)
		}
		last = n
		if round%10 == 9 {
			sound(t, s)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if last == 0 {
		t.Fatal("no writer lived long enough to commit")
	}
	t.Logf("%d batches in %d rounds", last, rounds)
}

// kill runs a writer and kills it so long after its start.
func kill(t *testing.T, path string, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), crashEnv+"="+path)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-time.After(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if text := out.String(); text != "" && text != "ready\n" {
		t.Fatalf("the writer ended by itself: %s", text)
	}
}

// agrees compares everything with the cursor, and returns it.
func agrees(t *testing.T, s *Store) int64 {
	t.Helper()
	ctx := t.Context()
	var n int64
	if cursors := must(s.LoadCursors(ctx))(t); len(cursors) > 0 {
		n = cursors[0].Offset
	}
	var totals, deliveries, last int64
	for _, v := range must(s.Totals(ctx, 0))(t) {
		totals += v.N
	}
	for _, v := range must(s.Deliveries(ctx, source("192.0.2.1"), 0))(t) {
		deliveries += v.N
	}
	for _, c := range []struct {
		query string
		want  int64
	}{{"SELECT count(*) FROM decisions", n}, {"SELECT count(*) FROM blocks", n},
		{"SELECT count(*) FROM decisions WHERE evidence = (source - 0xF0000000) % 4", n},
		{"SELECT count(*) FROM decisions d WHERE (SELECT count(*) FROM evidence e WHERE e.decision = d.id) <> evidence * (1 - pruned)", 0},
		{"SELECT coalesce(max(source), 0xF0000000) - 0xF0000000 FROM decisions", n}} {
		var got int64
		if err := s.db.QueryRow(c.query).Scan(&got); err != nil || got != c.want {
			t.Errorf("cursor %d: %s is %d (%v), want %d", n, c.query, got, err, c.want)
		}
	}
	windows := map[harvestwatch.Source]int64{}
	err := s.LoadWindows(ctx, func(src harvestwatch.Source, v []byte) error {
		windows[src] = int64(binary.BigEndian.Uint64(v))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.LoadParser(ctx, crashInput, func(_, v []byte) error { last = int64(binary.BigEndian.Uint64(v)); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if totals != n || deliveries != n || last != n || windows[1000] != n {
		t.Errorf("cursor %d: events %d, deliveries %d, parser %d, window %d", n, totals, deliveries, last, windows[1000])
	}
	want := map[harvestwatch.Source]int64{}
	for k := max(1, n-500); k <= n; k++ {
		for _, w := range numbered(k).Windows {
			want[w.Source] = k
		}
	}
	for src, k := range want {
		if windows[src] != k {
			t.Errorf("cursor %d: window %d is of batch %d, want %d", n, src, windows[src], k)
		}
	}
	return n
}
