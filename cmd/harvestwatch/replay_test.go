//go:build unix

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch/internal/loggen"
)

// replayRounds is how often the daemon is killed, and replayRotations after how many of these the log is rotated.
const (
	replayRounds    = 30
	replayRotations = 7
)

// fingerprint is the hash of decisions in their order.
func fingerprint(decisions []string) string {
	sum := sha256.Sum256([]byte(strings.Join(decisions, "\n")))
	return hex.EncodeToString(sum[:])
}

// TestReplayDecidesTheSameInTheSameOrder: a daemon that follows a growing and rotating log, and is killed again and again,
// decides what a scan of the whole log decides, in the same order. All that the detector remembers takes part: the mix has
// every kind of client, good ones with credit included, and the log covers several days.
func TestReplayDecidesTheSameInTheSameOrder(t *testing.T) {
	var text bytes.Buffer
	if _, err := loggen.Generate(&text, loggen.Config{Seed: 77, Lines: 60_000, Duration: 100 * time.Hour, Mix: loggen.Mixed()}); err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(t.TempDir(), "whole.log")
	if err := os.WriteFile(whole, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	want := scanDecisions(t, whole)

	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	pl := newPlace(t)
	appendTo(t, pl.log, nil)
	stop := startDaemon(t.Fatalf, pl.output, pl.flags())
	pl.caughtUp(t, 0)
	stop()
	rest := text.Bytes()
	step := len(rest)/replayRounds + 1
	var current int64
	for round := range replayRounds {
		if round%replayRotations == replayRotations-1 {
			rotate(t, pl.log)
			current = 0
		}
		n := min(step, len(rest))
		n += bytes.IndexByte(rest[n:], '\n') + 1
		kill := killable(t, &pl)
		appendTo(t, pl.log, rest[:n/3])
		pause(time.Duration(rnd.IntN(200)) * time.Millisecond)
		appendTo(t, pl.log, rest[n/3:n])
		pause(time.Duration(rnd.IntN(100)) * time.Millisecond)
		kill()
		rest, current = rest[n:], current+int64(n)
	}
	stop = startDaemon(t.Fatalf, pl.output, pl.flags())
	pl.caughtUp(t, current)
	stop()
	got := storedDecisions(t, pl.state)

	if fingerprint(got) != fingerprint(want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("%d decisions of the daemon, %d of the scan; they differ from number %d on:\ndaemon: %s\nscan:   %s", len(got), len(want), at+1,
			strings.Join(got[at:min(len(got), at+3)], "\n        "), strings.Join(want[at:min(len(want), at+3)], "\n        "))
	}
	if len(want) < 100 {
		t.Errorf("only %d decisions: the log is no test", len(want))
	}
	t.Logf("%d kills, %d rotations: %d decisions, sha256 %s", replayRounds, replayRounds/replayRotations, len(want), fingerprint(want))
}
