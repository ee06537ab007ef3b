package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch/internal/loggen"
)

// counter counts what is written.
type counter struct{ bytes, lines int64 }

// Write implements io.Writer.
func (c *counter) Write(b []byte) (int, error) {
	c.bytes += int64(len(b))
	for _, x := range b {
		if x == '\n' {
			c.lines++
		}
	}
	return len(b), nil
}

// TestSimulateADayOfASiteUnderAttack: as much junk and as much good mail as was asked for, and who is who.
func TestSimulateADayOfASiteUnderAttack(t *testing.T) {
	truth := filepath.Join(t.TempDir(), "truth.json")
	var out counter
	p := &program{strings.NewReader(""), &out, os.Stderr, time.Now}
	if code := p.run(t.Context(), []string{"harvestwatch", "simulate", "--junk", "550000", "--duration", "1d", "--truth", truth}); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	f, err := os.Open(truth)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var junk, good int64
	labels := map[string]int{}
	for rows := bufio.NewScanner(f); rows.Scan(); {
		var src struct {
			Label                       string
			Unknown, Refused, Delivered int64
			SpamRefused                 int64 `json:"spam_refused"`
			AuthFails                   int64 `json:"auth_fails"`
		}
		if err := json.Unmarshal(rows.Bytes(), &src); err != nil {
			t.Fatal(err)
		}
		labels[src.Label]++
		if src.Label != string(loggen.MustNotBlock) {
			junk += src.Unknown + src.Refused + src.SpamRefused + src.AuthFails
		}
		good += src.Delivered
	}
	if out.lines < 1_000_000 || out.bytes < 100e6 {
		t.Errorf("%d lines, %d bytes", out.lines, out.bytes)
	}
	if junk < 450_000 || junk > 700_000 || good < 1_500 || good > 3_000 {
		t.Errorf("%d junk, %d good", junk, good)
	}
	if len(labels) < 2 || labels[string(loggen.MustBlock)] < 100 || labels[string(loggen.MustNotBlock)] < 100 {
		t.Errorf("sources by label: %v", labels)
	}
}
