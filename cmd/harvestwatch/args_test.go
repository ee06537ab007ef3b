package main

import (
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFlagsFirst(t *testing.T) {
	app := (&program{strings.NewReader(""), io.Discard, io.Discard, time.Now}).app()
	for _, c := range []struct{ in, want string }{
		{"hw scan a.log --json", "hw scan --json a.log"},
		{"hw scan a.log --top 5 b.log", "hw scan --top 5 a.log b.log"},
		{"hw scan a.log --top=5", "hw scan --top=5 a.log"},
		{"hw scan --json -", "hw scan --json -"},
		{"hw scan a.log -- --json", "hw scan -- a.log --json"},
		{"hw rules explain harvest --rules f.toml", "hw rules explain --rules f.toml harvest"},
		{"hw run m.log -c x.toml --enforce", "hw run -c x.toml --enforce m.log"},
		{"hw block 192.0.2.1 --for 1h --reason --json", "hw block --for 1h --reason --json 192.0.2.1"},
		{"hw scan a.log --nonsense", "hw scan --nonsense a.log"},
		{"hw scan scan", "hw scan scan"},
		{"hw", "hw"},
		{"hw --version", "hw --version"},
	} {
		got := flagsFirst(app, strings.Fields(c.in))
		if !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s\ngot  %s\nwant %s", c.in, strings.Join(got, " "), c.want)
		}
	}
}

func TestParseWhen(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 29, 12, 0, 0, 0, berlin) // the day on which the clocks go forward
	for text, want := range map[string]string{
		"-2h":                  "2026-03-29T10:00:00+02:00",
		"-2d":                  "2026-03-27T11:00:00+01:00",
		"today":                "2026-03-29T00:00:00+01:00",
		"yesterday":            "2026-03-28T00:00:00+01:00",
		"now":                  "2026-03-29T12:00:00+02:00",
		"2026-03-02":           "2026-03-02T00:00:00+01:00",
		"2026-03-02 15:04":     "2026-03-02T15:04:00+01:00",
		"2026-03-02T15:04:05Z": "2026-03-02T15:04:05Z",
	} {
		got, err := parseWhen(text, now)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s is %s (%v), want %s", text, got.Format(time.RFC3339), err, want)
		}
	}
	for _, text := range []string{"", "soon", "-", "-5", "--2h", "2026-13-01", "-99999999d"} {
		if got, err := parseWhen(text, now); err == nil {
			t.Errorf("%q is taken for %s", text, got)
		}
	}
}

func TestParsePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"198.51.100.7":            "198.51.100.7/32",
		"198.51.100.7/24":         "198.51.100.0/24",
		"::ffff:198.51.100.7":     "198.51.100.7/32",
		"::ffff:198.51.100.0/120": "198.51.100.0/24",
		"2001:db8::1/64":          "2001:db8::/64",
		"fe80::1%eth0":            "fe80::1/128",
	} {
		got, err := parsePrefix(text)
		if err != nil || got.String() != want {
			t.Errorf("%s is %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "1.2.3.4/33", "1.2.3"} {
		if got, err := parsePrefix(text); err == nil {
			t.Errorf("%q is taken for %s", text, got)
		}
	}
}

func TestPiecesCoverThePrefix(t *testing.T) {
	for text, want := range map[string]int{"192.0.2.0/22": 4, "192.0.2.0/24": 1, "192.0.2.9/32": 1, "192.0.2.8/30": 4, "198.51.0.0/12": 4096,
		"255.255.252.0/22": 4, "2001:db8::/44": 16} {
		p := netip.MustParsePrefix(text).Masked()
		lens := []int{24, 32}
		if p.Addr().Is6() {
			lens = []int{48, 64, 128}
		}
		list := cutInto(p, pieceBits(p, lens))
		if len(list) != want {
			t.Errorf("%s: %d pieces, want %d", text, len(list), want)
		}
		for i, piece := range list {
			if !p.Contains(piece.Addr()) || i > 0 && list[i-1].Overlaps(piece) {
				t.Errorf("%s: piece %d is %s", text, i, piece)
			}
		}
	}
}
