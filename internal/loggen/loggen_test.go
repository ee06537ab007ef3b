package loggen

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

// generate returns a log of about that many lines, and the truth about it.
func generate(t testing.TB, cfg Config) ([]byte, Truth) {
	t.Helper()
	var b bytes.Buffer
	truth, err := Generate(&b, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), truth
}

func count(log []byte, text string) int64 { return int64(bytes.Count(log, []byte(text))) }

func TestTruthAgreesWithTheText(t *testing.T) {
	for _, mix := range []Mix{Classic(), Mixed(), Botnets()} {
		log, truth := generate(t, Config{Seed: 7, Lines: 120_000, Mix: mix})
		c := truth.Total
		for _, x := range []struct {
			what string
			text int64
			told int64
		}{
			{"lines", count(log, "\n"), truth.Lines},
			{"bytes", int64(len(log)), truth.Bytes},
			{"connects", count(log, "]: connect from "), c.Connects},
			{"sessions", count(log, "]: connect from "), truth.Sessions},
			{"disconnects", count(log, "]: disconnect from "), truth.Sessions},
			{"unknown", count(log, ": Recipient address rejected: User unknown in local recipient table; from=<"), c.Unknown},
			{"refused", count(log, "] blocked using zen.dnsbl.example; "), c.Refused},
			{"accepted", count(log, ": client="), c.Accepted},
			{"delivered", count(log, "status=sent (250 2.0.0 "), c.Delivered},
			{"spam", count(log, ": milter-reject: END-OF-MESSAGE from "), c.SpamRefused},
			{"auth fails", count(log, " authentication failed: "), c.AuthFails},
			{"auth successes", count(log, ", sasl_method=PLAIN, sasl_username="), c.AuthOKs},
			{"removed", count(log, ": removed\n"), count(log, " (queue active)\n")},
		} {
			if x.text != x.told || x.text == 0 {
				t.Errorf("%s: the text has %d, the truth %d", x.what, x.text, x.told)
			}
		}
		if d := float64(truth.Lines)/120_000 - 1; d < -.06 || d > .06 {
			t.Errorf("%d lines were made instead of 120,000", truth.Lines)
		}
	}
}

// The truth about each source must agree with the lines that carry its address in the client's place.
func TestTruthOfEachSource(t *testing.T) {
	log, truth := generate(t, Config{Seed: 3, Lines: 60_000})
	connects, unknown := map[string]int64{}, map[string]int64{}
	for line := range strings.Lines(string(log)) {
		for text, m := range map[string]map[string]int64{"]: connect from ": connects, ": reject: RCPT from ": unknown} {
			if _, rest, ok := strings.Cut(line, text); ok && (text[0] == ']' || strings.Contains(rest, "]: 550 5.1.1 <")) {
				m[sourceOf(t, rest)]++
			}
		}
	}
	if len(connects) != len(truth.Sources) {
		t.Errorf("the log has %d sources, the truth %d", len(connects), len(truth.Sources))
	}
	for _, s := range truth.Sources {
		if got := connects[s.Prefix.String()]; got != s.Connects {
			t.Errorf("%s (%s): %d connects in the log, %d in the truth", s.Prefix, s.Entity, got, s.Connects)
		}
		if got := unknown[s.Prefix.String()]; got != s.Unknown {
			t.Errorf("%s (%s): %d unknown recipients in the log, %d in the truth", s.Prefix, s.Entity, got, s.Unknown)
		}
	}
}

func TestBenchmarkMix(t *testing.T) {
	log, truth := generate(t, Config{Seed: 1, Lines: 400_000})
	perLine := float64(len(log)) / float64(truth.Lines)
	if perLine < 205 || perLine > 235 {
		t.Errorf("a line has %.0f bytes on average; real ones have about 220", perLine)
	}
	if share := float64(truth.Harvests) / float64(truth.Sessions); share < .7 || share > .82 {
		t.Errorf("%.0f %% of the sessions harvest; about 75 are wanted", share*100)
	}
	labels := map[Label]int{}
	classes := map[string]int{}
	for _, s := range truth.Sources {
		labels[s.Label]++
		classes[s.Class]++
	}
	if labels[MustBlock] < 500 || labels[MayBlock] < 1_000 || labels[MustNotBlock] < 250 {
		t.Errorf("too few sources of some label: %v", labels)
	}
	shares := Classic().shares()
	for c, s := range specs() {
		if wanted := s.kind == regular || shares[c] > 0; wanted != (classes[s.name] > 0) {
			t.Errorf("%d sources are of the class %s", classes[s.name], s.name)
		}
	}
	if span := truth.Last.Sub(truth.First); span < 70*time.Hour || span > 72*time.Hour {
		t.Errorf("the sessions begin within %v instead of 72 hours", span)
	}
}

func TestLinesAreInOrderOfTime(t *testing.T) {
	start := time.Date(2025, time.December, 31, 12, 0, 0, 0, time.FixedZone("", 3_600))
	for stamp, layout := range map[Stamp]string{StampRFC3339: "2006-01-02T15:04:05.000000-07:00", StampBSD: time.Stamp} {
		log, truth := generate(t, Config{Seed: 5, Lines: 40_000, Duration: 24 * time.Hour, Start: start, Stamp: stamp, Host: "gw.kontor.example"})
		last := start
		lines := 0
		for line := range strings.Lines(string(log)) {
			lines++
			at, err := time.ParseInLocation(layout, line[:len(layout)], start.Location())
			if err != nil {
				t.Fatal(err)
			}
			if stamp == StampBSD {
				at = at.AddDate(2025-at.Year(), 0, 0)
				if at.Month() == time.January {
					at = at.AddDate(1, 0, 0)
				}
				at = at.Add(time.Second) // the fraction is lost
			}
			if at.Before(last) && (stamp == StampRFC3339 || last.Sub(at) > time.Second) {
				t.Fatalf("line %d is earlier than the one before: %s", lines, line)
			}
			last = at
			if !strings.HasPrefix(line[len(layout):], " gw.kontor.example postfix/") {
				t.Fatalf("line %d begins strangely: %s", lines, line)
			}
		}
		if truth.First.Before(start) || truth.Last.After(start.Add(24*time.Hour)) {
			t.Errorf("sessions begin from %v to %v", truth.First, truth.Last)
		}
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	sum := func(cfg Config) [32]byte {
		h := sha256.New()
		truth, err := Generate(h, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := truth.WriteJSON(h); err != nil {
			t.Fatal(err)
		}
		return [32]byte(h.Sum(nil))
	}
	cfg := Config{Seed: 42, Lines: 30_000}
	a := sum(cfg)
	if b := sum(cfg); a != b {
		t.Error("the same configuration gave different bytes")
	}
	cfg.Seed++
	if b := sum(cfg); a == b {
		t.Error("another seed gave the same bytes")
	}
}

func TestMemoryDoesNotGrowWithTheLog(t *testing.T) {
	base := heapInUse()
	var peak, bytes uint64
	w := writerFunc(func(p []byte) {
		if bytes += uint64(len(p)); bytes>>23 != (bytes-uint64(len(p)))>>23 {
			peak = max(peak, heapInUse())
		}
	})
	if _, err := Generate(w, Config{Seed: 9, Lines: 400_000}); err != nil {
		t.Fatal(err)
	}
	if used := int64(peak) - int64(base); used > 12<<20 {
		t.Errorf("%d MB of memory for a log of %d MB", used>>20, bytes>>20)
	}
	if bytes < 70<<20 {
		t.Errorf("only %d bytes were written", bytes)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

var errFull = errors.New("disk full")

type fullAfter int

func (n *fullAfter) Write(p []byte) (int, error) {
	if *n -= fullAfter(len(p)); *n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriteErrorIsReturned(t *testing.T) {
	n := fullAfter(1 << 20)
	if _, err := Generate(&n, Config{Lines: 50_000}); !errors.Is(err, errFull) {
		t.Errorf("got %v, want the writer's error", err)
	}
	truth := Truth{Sources: make([]Source, 3)}
	n = 100
	if err := truth.WriteJSON(&n); !errors.Is(err, errFull) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

func TestTruthAsJSON(t *testing.T) {
	_, truth := generate(t, Config{Seed: 2, Lines: 20_000})
	var b bytes.Buffer
	if err := truth.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	scan := bufio.NewScanner(&b)
	for i := 0; scan.Scan(); i++ {
		var s Source
		if err := json.Unmarshal(scan.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		if s != truth.Sources[i] {
			t.Fatalf("line %d gives %+v, want %+v", i+1, s, truth.Sources[i])
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	for name, cfg := range map[string]Config{
		"short":        {Duration: time.Second},
		"backwards":    {Duration: -time.Hour},
		"negative":     {Lines: -1},
		"negative mix": {Mix: Mix{Fast: 1, Slow: -.1}},
		"host":         {Host: "mx1 postfix/smtpd[1]: x"},
		"host break":   {Host: "mx1\n"},
		"early":        {Start: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)},
		"class":        {Only: []string{"fast", "good"}},
		"scenario":     {Scenarios: []string{"crm", "storm"}},
		"addition":     {Also: []string{""}},
		"warm-up":      {Warmup: 72 * time.Hour},
		"no warm-up":   {Warmup: -1},
		"format":       {Format: "exchange"},
		"stamp":        {Format: "exchange-receive", Stamp: StampBSD},
		"host in CSV":  {Host: `mx1,"a`, Format: "exchange-frontend"},
		"silent mix":   {Format: "iis-w3c", Mix: Mix{Flood: 1}},
	} {
		truth, err := Generate(io.Discard, cfg)
		if !errors.Is(err, ErrConfig) || truth.Lines != 0 {
			t.Errorf("%s: got %v and %d lines, want an error about the configuration", name, err, truth.Lines)
		}
	}
}

func FuzzGenerate(f *testing.F) {
	f.Add(uint64(1), int64(3_000), uint16(600), false, uint8(0))
	f.Add(uint64(2), int64(1), uint16(1), true, uint8(0))
	f.Add(uint64(87), int64(1), uint16(0), false, uint8(0))
	for k := range uint8(4) {
		f.Add(uint64(3), int64(4_000), uint16(2_000), false, k)
		f.Add(uint64(7), int64(4_000), uint16(900), false, k)
		f.Add(uint64(11), int64(9), uint16(3), false, k)
	}
	begins := []string{"]: connect from ", ",+,,\r\n", ",+,,\r\n", " EHLO - +"}
	f.Fuzz(func(t *testing.T, seed uint64, lines int64, minutes uint16, bsd bool, format uint8) {
		k := int(format) % len(begins)
		cfg := Config{Seed: seed, Lines: max(1, lines%5_000), Duration: time.Duration(minutes%5_000+1) * time.Minute, Format: Formats()[k]}
		if bsd && k == 0 {
			cfg.Stamp = StampBSD
		}
		if seed%4 == 3 && minutes%5_000 < 1_000 {
			cfg.Mix, cfg.Also, cfg.Warmup = MixB(), []string{"clock", "restart", "malformed"}, min(cfg.Duration/4, cfg.Duration-time.Minute)
		}
		log, truth := generate(t, cfg)
		if count(log, "\n") != truth.Lines || count(log, begins[k]) != truth.Total.Connects {
			t.Errorf("%s: %d lines and %d connects in the text, %d and %d in the truth", cfg.Format, count(log, "\n"), count(log, begins[k]),
				truth.Lines, truth.Total.Connects)
		}
	})
}

func BenchmarkGenerate(b *testing.B) {
	for _, format := range Formats() {
		b.Run(format, func(b *testing.B) {
			for b.Loop() {
				truth, err := Generate(io.Discard, Config{Seed: 1, Lines: 1_000_000, Format: format})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(truth.Bytes)
				b.ReportMetric(float64(truth.Bytes)/float64(truth.Lines), "B/line")
				b.ReportMetric(float64(truth.Lines), "lines")
			}
		})
	}
}
