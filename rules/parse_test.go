package rules

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBadFiles holds that each bad file fails for its expected reason, at its expected place.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) < 120 {
		t.Fatalf("%d bad files, %v", len(files), err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(strings.TrimSuffix(path, ".toml") + ".want")
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(filepath.Base(path), data)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: no *Error but %v", path, err)
			continue
		}
		if expect := filepath.Base(path) + ":" + strings.TrimSpace(string(want)); !strings.HasPrefix(err.Error(), expect) {
			t.Errorf("got  %s\nwant %s", err, expect)
		}
		if e.Remedy == "" || e.Line < 1 || e.Column < 1 {
			t.Errorf("%s: %+v: no remedy or no place", path, e)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "24h": 24 * time.Hour, "90s": 90 * time.Second,
		"0d1h": time.Hour, "1h30m": 90 * time.Minute} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		if again, err := ParseDuration(FormatDuration(want)); err != nil || again != want {
			t.Errorf("%s is written %s and read as %v, %v", want, FormatDuration(want), again, err)
		}
	}
	for _, text := range []string{"", "d", "1", "-1d", "1.5d", "1d-2h", "1d+2h", "99999999d", "1dd", "1x", "1d1x"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("%q was read as %s", text, d)
		}
	}
	for d, want := range map[time.Duration]string{24 * time.Hour: "24h", 7 * 24 * time.Hour: "7d", 36 * time.Hour: "1d12h", time.Hour: "1h",
		15 * time.Minute: "15m", time.Minute: "1m", 0: "0s"} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}

func TestCredit(t *testing.T) {
	r := Rule{GoodFactor: 1.1}
	for g, want := range map[int]int{0: 0, 1: 1, 9: 9, 10: 11, 256: 281, 1000: 281, -1: 0} {
		if got := r.Credit(g); got != want {
			t.Errorf("%d deliveries buy %d, want %d", g, got, want)
		}
	}
	r.GoodFactor = 0.29
	if got := r.Credit(100); got != 29 {
		t.Errorf("0.29 times 100 is %d", got)
	}
}

func TestExplain(t *testing.T) {
	for name, want := range map[string][]string{
		"harvest": {"Blocks a source that had 10 or more unknown recipients within 1h.", "Each recipient that it delivered to within 24h buys 2 more.",
			"First block 1h, then 4h, 24h, 7d."},
		"prefix":          {"a whole prefix (an IPv4 /24, an IPv6 /48)", "8 or more (IPv6: 16) blocked sources"},
		"auth-bruteforce": {"10 or more failed logins within 10m, or 20 or more within 24h", "it takes 50, of at least 5 users"},
		"conn-flood":      {"100 or more connections within 1m", "in steps of 5s", "rests for 10m after each delivery"},
	} {
		r, _ := Default().Rule(name)
		for _, w := range want {
			if !strings.Contains(r.Explain(), w) {
				t.Errorf("%s: %q is not in %q", name, w, r.Explain())
			}
		}
	}
	r := Default().Rules[0]
	r.Mode, r.Ladder = Alert, nil
	if text := r.Explain(); !strings.HasPrefix(text, "Tells of, but never blocks, a source that had ") {
		t.Error(text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(DefaultFile()))
	files, _ := filepath.Glob("testdata/bad/*.toml")
	for _, path := range files {
		if data, err := os.ReadFile(path); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("fuzz.toml", data)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		for i := range s.Rules {
			s.Rules[i].Explain()
		}
		if again, err := New(s.Rules...); err != nil || again.Fingerprint() != s.Fingerprint() {
			t.Errorf("what was read is refused: %v", err)
		}
	})
}
