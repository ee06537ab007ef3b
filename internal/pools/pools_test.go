package pools

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func prefixes(t testing.TB, list string) []netip.Prefix {
	t.Helper()
	var out []netip.Prefix
	for _, s := range strings.Fields(list) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func parse(t testing.TB, text string) *Pools {
	t.Helper()
	p, err := Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestShippedPools(t *testing.T) {
	p, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, pr := range p.Providers() {
		names[pr.Name] = true
		if len(pr.Notes) == 0 {
			t.Errorf("%s: nobody says where its networks come from", pr.Name)
		}
		if pr.Date.Before(time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: from %s", pr.Name, pr.Date)
		}
		for _, n := range pr.Networks {
			if n.Addr().IsPrivate() || n.Addr().IsLoopback() || n.Addr().IsMulticast() || n.Addr().IsLinkLocalUnicast() {
				t.Errorf("%s: %s", pr.Name, n)
			}
		}
	}
	for _, want := range strings.Fields("google microsoft-365 amazon-ses sendgrid mailgun mailchimp yahoo apple-icloud gmx ionos web-de t-online strato mailjet brevo") {
		if !names[want] {
			t.Errorf("%s is missing", want)
		}
	}
	for addr, want := range map[string]string{"209.85.220.41/32": "google", "40.107.22.70/32": "microsoft-365", "54.240.8.31/32": "amazon-ses",
		"167.89.55.3/32": "sendgrid", "17.58.63.171/32": "apple-icloud", "194.25.134.80/32": "t-online", "77.32.148.20/32": "brevo",
		"2a01:111:f403:2418::700/128": "microsoft-365", "2607:f8b0:4864:20::1/64": "google", "192.0.2.1/32": "", "8.8.8.8/32": "", "2001:db8::/64": ""} {
		if got, ok := p.Name(netip.MustParsePrefix(addr)); got != want || ok != (want != "") {
			t.Errorf("Name(%s) = %q, %v; want %q", addr, got, ok, want)
		}
	}
	again, err := Parse("again", p.Text())
	if err != nil || !bytes.Equal(again.Text(), p.Text()) {
		t.Errorf("what was written is not what is read: %v", err)
	}
}

func TestNameOfAPrefix(t *testing.T) {
	p := parse(t, `
provider wide - 2026-01-01
192.0.2.0/24
2001:db8::/32
provider narrow spf.example.com 2026-01-01
192.0.2.64/26
198.51.100.7
2001:db8:5::/48
`)
	for in, want := range map[string]string{
		"192.0.2.1/32": "wide", "192.0.2.65/32": "narrow", "192.0.2.0/24": "wide", "192.0.2.64/26": "narrow", "192.0.2.64/25": "wide",
		"192.0.0.0/16": "wide", "198.51.100.7/32": "narrow", "198.51.100.0/24": "narrow", "198.51.100.8/32": "", "198.51.100.0/29": "narrow",
		"198.51.100.8/29": "", "0.0.0.0/0": "wide", "2001:db8:5:1::/64": "narrow", "2001:db8:6::/48": "wide", "2001::/16": "wide", "2001:db9::/32": "",
		"::ffff:192.0.2.65/128": "narrow",
	} {
		if got, ok := p.Name(netip.MustParsePrefix(in)); got != want || ok != (want != "") {
			t.Errorf("Name(%s) = %q, %v; want %q", in, got, ok, want)
		}
	}
	if _, ok := p.Name(netip.Prefix{}); ok {
		t.Error("no prefix has a name")
	}
}

// Name against the plain way to find it, over random prefixes.
func TestNameAgainstOracle(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	random := func(low int) netip.Prefix {
		a := netip.AddrFrom4([4]byte{240, byte(rnd.IntN(4)), byte(rnd.IntN(8) * 32), byte(rnd.IntN(8) * 32)})
		p, _ := a.Prefix(low + rnd.IntN(33-low))
		return p
	}
	for range 200 {
		list := []Provider{{Name: "a"}, {Name: "b"}}
		for range 30 {
			pr := &list[rnd.IntN(2)]
			pr.Networks = append(pr.Networks, random(14))
		}
		for i := range list {
			list[i].Networks = Collapse(list[i].Networks)
		}
		p := build(list)
		for range 100 {
			q := random(8)
			want := false
			for _, pr := range list {
				want = want || slices.ContainsFunc(pr.Networks, q.Overlaps)
			}
			if name, got := p.Name(q); got != want {
				t.Fatalf("Name(%s) = %q, %v; want %v with %v", q, name, got, want, list)
			}
		}
	}
}

func TestCollapse(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "",
		"192.0.2.128/25 192.0.2.0/25": "192.0.2.0/24",
		"192.0.2.0/26 192.0.2.64/26 192.0.2.128/26 192.0.2.192/26":   "192.0.2.0/24",
		"192.0.2.64/26 192.0.2.128/26":                               "192.0.2.64/26 192.0.2.128/26",
		"192.0.2.0/24 192.0.2.7/32 192.0.2.0/24":                     "192.0.2.0/24",
		"2001:db8:1::/48 2001:db8::/48 192.0.2.1/32":                 "192.0.2.1/32 2001:db8::/47",
		"240.0.0.0/12 240.16.0.0/12":                                 "240.0.0.0/12 240.16.0.0/12", // no wider than is believed
		"2001:db8::/32 2001:db9::/32":                                "2001:db8::/32 2001:db9::/32",
		"192.0.2.9/24":                                               "192.0.2.0/24",
		"192.0.2.2/32 192.0.2.3/32 192.0.2.0/31 192.0.2.4/30":        "192.0.2.0/29",
		"192.0.2.0/25 192.0.2.128/26 192.0.2.192/27 192.0.2.224/27 ": "192.0.2.0/24",
	} {
		if got := Collapse(prefixes(t, in)); !slices.Equal(got, prefixes(t, want)) {
			t.Errorf("Collapse(%s) = %v, want %s", in, got, want)
		}
	}
}

// Collapse keeps exactly the addresses, whatever the order.
func TestCollapseAgainstOracle(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var list []netip.Prefix
		var has [256]bool
		for range 1 + rnd.IntN(20) {
			p, _ := netip.AddrFrom4([4]byte{192, 0, 2, byte(rnd.IntN(256))}).Prefix(25 + rnd.IntN(8))
			list = append(list, p)
			for i := range 256 {
				has[i] = has[i] || p.Contains(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
			}
		}
		out := Collapse(list)
		for i, on := range has {
			n := 0
			for _, p := range out {
				if p.Contains(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})) {
					n++
				}
			}
			if n != 0 != on || n > 1 {
				t.Fatalf("%v became %v: address %d is in %d", list, out, i, n)
			}
		}
		for i := 1; i < len(out); i++ {
			if _, ok := siblings(out[i-1], out[i]); ok {
				t.Fatalf("%v became %v, which is not the fewest", list, out)
			}
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	const head = "provider a spf.example.com 2026-01-01\n"
	for text, want := range map[string]string{
		"":                                            "test:0",
		"# only a comment\n":                          "no provider",
		"192.0.2.0/24\n":                              "test:1: ",
		"provider\n":                                  "takes a name",
		"provider a b\n":                              "takes a name",
		"provider A_1 - 2026-01-01\n":                 "lower case",
		"provider a x 2026-01-01\n":                   "no domain",
		"provider a x..y 2026-01-01\n":                "no domain",
		"provider a - 2026-13-01\n":                   "no date",
		"provider a - yesterday\n":                    "no date",
		head:                                          "has no network",
		head + "\n" + head + "192.0.2.0/24\n":         "has no network",
		head + "192.0.2.0/24\n" + head:                "second time",
		head + "192.0.2.1/24\n":                       "write 192.0.2.0/24",
		head + "192.0.2.0/33\n":                       "no network",
		head + "mail.example.com\n":                   "no network",
		head + "fe80::1%eth0\n":                       "no network",
		head + "192.0.2.0/24 permit\n":                "no network",
		head + "10.0.0.0/8\n":                         "too wide",
		head + "2001::/16\n":                          "too wide",
		head + "::/0\n":                               "too wide",
		head + "::ffff:192.0.2.0/120\n":               "write it as IPv4",
		head + "evil\x1b[2J\n":                        `"evil\x1b[2J"`,
		head + strings.Repeat("x", 600) + "\n":        "more than 512 bytes",
		head + strings.Repeat("192.0.2.1\n", 2001):    "more than 2000 networks",
		head + strings.Repeat("# x\n", 3_000_000):     "more than 8388608 bytes",
		"providers a b c\n":                           "before the first provider",
		head + "192.0.2.0/24\nprovider b - 2026-01\n": "test:3",
	} {
		_, err := Parse("test", []byte(text))
		if err == nil || !errors.Is(err, ErrList) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v; want %q", text, err, want)
		}
	}
	var many strings.Builder
	for i := range 51 {
		fmt.Fprintf(&many, "provider p%d - 2026-01-01\n192.0.2.0/24\n", i)
	}
	if _, err := Parse("test", []byte(many.String())); err == nil || !strings.Contains(err.Error(), "more than 50 providers") {
		t.Errorf("51 providers: %v", err)
	}
}

func TestParseTakesWhatIsMeant(t *testing.T) {
	p := parse(t, "# head\r\n\r\nprovider\tb  SPF.Example.COM.  2026-01-31\r\n# from \x1b[31mthere\r\n192.0.2.1\r\n  192.0.2.0 \r\n2001:db8::1\r\n"+
		"provider a - 2026-01-30\n198.51.100.0/24")
	got := p.Providers()
	if len(got) != 2 || got[0].Name != "a" || got[0].Domain != "" || got[1].Domain != "spf.example.com" ||
		!got[1].Date.Equal(time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)) || fmt.Sprint(got[1].Networks) != "[192.0.2.0/31 2001:db8::1/128]" ||
		fmt.Sprint(got[1].Notes) != "[from ?[31mthere]" {
		t.Errorf("%+v", got)
	}
	again := parse(t, string(p.Text()))
	if !bytes.Equal(again.Text(), p.Text()) {
		t.Errorf("%s", again.Text())
	}
}

func TestStale(t *testing.T) {
	p := parse(t, `
provider fresh spf.example.com 2026-03-01
192.0.2.0/24
provider old spf.example.org 2026-02-01
192.0.2.0/24
provider fixed - 2020-01-01
192.0.2.0/24
`)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if got := p.Stale(now); !slices.Equal(got, []string{"old"}) {
		t.Errorf("%q", got)
	}
	if got := p.Warning(now); !strings.Contains(got, "1 mail providers (old)") || !strings.Contains(got, "2026-02-01") {
		t.Errorf("%q", got)
	}
	if got := p.Stale(now.Add(14 * 24 * time.Hour)); !slices.Equal(got, []string{"fresh", "old"}) {
		t.Errorf("%q", got)
	}
	if got := p.Warning(time.Date(2026, 2, 15, 0, 0, 0, 0, time.UTC)); got != "" {
		t.Errorf("%q", got)
	}
}

func TestMerge(t *testing.T) {
	a := parse(t, "provider x - 2026-03-01\n192.0.2.0/24\nprovider y - 2026-01-01\n192.0.2.0/24\nprovider z - 2026-01-01\n192.0.2.0/24")
	b := parse(t, "provider x - 2026-02-01\n198.51.100.0/24\nprovider y - 2026-02-01\n198.51.100.0/24\nprovider z - 2026-01-01\n198.51.100.0/24\n"+
		"provider own - 2020-01-01\n203.0.113.0/24")
	got := ""
	for _, pr := range Merge(a, b).Providers() {
		got += fmt.Sprintf("%s %v ", pr.Name, pr.Networks)
	}
	if got != "own [203.0.113.0/24] x [192.0.2.0/24] y [198.51.100.0/24] z [192.0.2.0/24] " {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("# x\n\nprovider b spf.example.com 2026-01-01\n192.0.2.1\n2001:db8::/32\n"))
	f.Add([]byte("provider a - 2026-01-01\n192.0.2.0/24\n# x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("fuzz", data)
		if err != nil {
			return
		}
		again, err := Parse("again", p.Text())
		if err != nil {
			t.Fatalf("what Text writes is not read: %v\n%s", err, p.Text())
		}
		if !bytes.Equal(again.Text(), p.Text()) {
			t.Fatalf("%s\n%s", p.Text(), again.Text())
		}
	})
}

func BenchmarkName(b *testing.B) {
	p, err := Shipped()
	if err != nil {
		b.Fatal(err)
	}
	q := netip.MustParsePrefix("192.0.2.1/32")
	b.ReportAllocs()
	for b.Loop() {
		p.Name(q)
	}
}
