//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch/internal/loggen"
	"github.com/harvestwatch/harvestwatch/store"
)

// crashRounds is how often the daemon is killed.
const crashRounds = 100

// TestKillLosesNothingAndCountsNothingTwice kills the daemon with SIGKILL at random moments while its log grows and is
// rotated. In the end its database must say the same as that of a daemon that nobody disturbed.
func TestKillLosesNothingAndCountsNothingTwice(t *testing.T) {
	var text bytes.Buffer
	if _, err := loggen.Generate(&text, loggen.Config{Seed: 5, Lines: 20_000, Duration: 30 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	pl := newPlace(t)
	appendTo(t, pl.log, nil) // where a daemon begins the first time is its beginning: what was rotated before is not its own
	stop := startDaemon(t.Fatalf, pl.output, pl.flags())
	pl.caughtUp(t, 0)
	stop()
	rest := text.Bytes()
	step := len(rest)/crashRounds + 1
	var current int64
	for round := range crashRounds {
		if round%17 == 16 {
			rotate(t, pl.log)
			current = 0
		}
		n := min(step, len(rest)) // a rotation never tears a line, a write may
		n += bytes.IndexByte(rest[n:], '\n') + 1
		kill := killable(t, &pl)
		appendTo(t, pl.log, rest[:n/2])
		pause(time.Duration(rnd.IntN(120)) * time.Millisecond)
		appendTo(t, pl.log, rest[n/2:n])
		pause(time.Duration(rnd.IntN(20)) * time.Millisecond)
		kill()
		rest, current = rest[n:], current+int64(n)
	}
	stop = startDaemon(t.Fatalf, pl.output, pl.flags())
	pl.caughtUp(t, current)
	stop()

	calm := newPlace(t)
	if err := os.WriteFile(calm.log, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	stop = startDaemon(t.Fatalf, calm.output, calm.flags())
	calm.caughtUp(t, int64(text.Len()))
	stop()

	got, want := dump(t, pl.state), dump(t, calm.state)
	if !slices.Equal(got, want) {
		t.Errorf("after %d kills the database differs from an undisturbed one:\nonly here:\n%s\nonly there:\n%s", crashRounds,
			strings.Join(without(got, want), "\n"), strings.Join(without(want, got), "\n"))
	}
	t.Logf("%d kills, %d facts compared", crashRounds, len(want))
}

// rotate renames a log and its rotated files as logrotate does: the highest number is the oldest.
func rotate(t *testing.T, log string) {
	t.Helper()
	for n := crashRounds; n >= 0; n-- {
		from := log
		if n > 0 {
			from = fmt.Sprintf("%s.%d", log, n)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", log, n+1)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// without returns what is in a and not in b, the first dozen.
func without(a, b []string) []string {
	var list []string
	for _, x := range a {
		if !slices.Contains(b, x) && len(list) < 12 {
			list = append(list, x)
		}
	}
	return list
}

// killable starts the daemon as a process and returns what kills it.
func killable(t *testing.T, pl *testPlace) (kill func()) {
	t.Helper()
	cmd := exec.Command("harvestwatch", append([]string{"run"}, pl.flags()...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
	}
}

// pause lets the other process run for a random while: the moment of the kill is what the test varies.
func pause(d time.Duration) { <-time.After(d) }

// dump returns every fact that a database holds about the log, in an order of its own.
func dump(t *testing.T, state string) []string {
	t.Helper()
	list := storedDecisions(t, state)
	st, err := store.OpenReadOnly(state)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	totals, err := st.Totals(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range totals {
		list = append(list, fmt.Sprintf("total %v", x))
	}
	records, err := st.History(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		src := records[i].Decision.Offence.Source
		good, err := st.Deliveries(t.Context(), src, 0)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("deliveries of %s: %v", src, good))
		for _, l := range records[i].Evidence {
			list = append(list, fmt.Sprintf("evidence %s %d %q", src, l.Time.Unix(), l.Text))
		}
	}
	slices.Sort(list)
	return list
}
