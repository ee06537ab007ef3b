package rules

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestListsFind(t *testing.T) {
	l := list(t, "\ufeff# our partners\r\n\r\n192.0.2.7\t# the relay; it forwards\r\n198.51.100.0/24\r\n  2001:db8:1::/48 ; the office\r\n2001:db8:2::25\r\n"+
		"::ffff:203.0.113.9 #\r\n::ffff:203.0.113.64/122\r\nMail.Partner.Example. # one name\r\n.group.example # all of them\r\n_spf.x--y.example\r\nfc00::/7\r\n198.51.100.7 # again")
	for _, c := range []struct{ prefix, name, allowed, denied string }{
		{"192.0.2.7/32", "", "192.0.2.7 (the relay; it forwards)", "192.0.2.7 (the relay; it forwards)"},
		{"192.0.2.8/32", "", "", ""},
		{"192.0.2.0/24", "", "192.0.2.7 (the relay; it forwards)", ""},
		{"192.0.2.8/29", "", "", ""},
		{"198.51.100.7/32", "", "198.51.100.0/24", "198.51.100.0/24"},
		{"198.51.0.0/16", "", "198.51.100.0/24", ""},
		{"0.0.0.0/0", "", "192.0.2.7 (the relay; it forwards)", ""},
		{"2001:db8:1:ffff::/64", "", "2001:db8:1::/48 (the office)", "2001:db8:1::/48 (the office)"},
		{"2001:db8:2::/64", "", "2001:db8:2::25", ""},
		{"2001:db8:2::25/128", "", "2001:db8:2::25", "2001:db8:2::25"},
		{"203.0.113.9/32", "", "::ffff:203.0.113.9", "::ffff:203.0.113.9"},
		{"203.0.113.100/32", "", "::ffff:203.0.113.64/122", "::ffff:203.0.113.64/122"},
		{"::ffff:203.0.113.100/128", "", "::ffff:203.0.113.64/122", "::ffff:203.0.113.64/122"},
		{"240.0.0.1/32", "mail.partner.example", "Mail.Partner.Example. (one name)", "Mail.Partner.Example. (one name)"},
		{"240.0.0.1/32", "MAIL.partner.EXAMPLE.", "Mail.Partner.Example. (one name)", "Mail.Partner.Example. (one name)"},
		{"240.0.0.1/32", "x.mail.partner.example", "", ""},
		{"240.0.0.1/32", "group.example", ".group.example (all of them)", ".group.example (all of them)"},
		{"240.0.0.1/32", "a.b.group.example", ".group.example (all of them)", ".group.example (all of them)"},
		{"240.0.0.1/32", "notgroup.example", "", ""},
		{"240.0.0.1/32", "group.example.attacker.example", "", ""},
		{"240.0.0.1/32", "group.example..", "", ""},
		{"240.0.0.1/32", "\u212a.\u212aroup.example", "", ""},
		{"240.0.0.1/32", strings.Repeat("a.", 500) + "group.example", "", ""},
		{"240.0.0.1/32", "", "", ""}, {"240.0.0.1/32", ".", "", ""},
		{"fd00::1/128", "", "fc00::/7", "fc00::/7"},
	} {
		both := &Lists{Allow: l, Deny: l}
		p := netip.MustParsePrefix(c.prefix)
		if entry, ok := both.Allowed(p, c.name); entry != c.allowed || ok != (c.allowed != "") {
			t.Errorf("%s %q is allowed by %q, want %q", p, c.name, entry, c.allowed)
		}
		if p.IsSingleIP() {
			if entry, ok := both.Denied(p.Addr(), c.name); entry != c.denied || ok != (c.denied != "") {
				t.Errorf("%s %q is denied by %q, want %q", p, c.name, entry, c.denied)
			}
		}
	}
	if l.Len() != 11 {
		t.Errorf("%d entries", l.Len())
	}
}

func TestListsOfNobody(t *testing.T) {
	for _, l := range []*Lists{nil, {}, {Allow: &List{}, Deny: &List{}}, {Allow: list(t, ""), Deny: list(t, "# nobody\n")}} {
		_, allowed := l.Allowed(netip.MustParsePrefix("192.0.2.0/24"), "mail.example.org")
		_, denied := l.Denied(netip.MustParseAddr("192.0.2.1"), "mail.example.org")
		if allowed || denied || len(l.DeniedNetworks()) > 0 {
			t.Errorf("%+v has somebody", l)
		}
		if _, ok := l.Allowed(netip.Prefix{}, ""); ok {
			t.Error("no prefix is allowed")
		}
		if _, ok := l.Denied(netip.Addr{}, ""); ok {
			t.Error("no address is denied")
		}
	}
	both := &Lists{Allow: list(t, "192.0.2.7"), Deny: list(t, "192.0.2.7")}
	if _, ok := both.Allowed(netip.Prefix{}, ""); ok {
		t.Error("no prefix is allowed")
	}
	if _, ok := both.Denied(netip.Addr{}, ""); ok {
		t.Error("no address is denied")
	}
	if (*List)(nil).Len() != 0 {
		t.Error("no list has entries")
	}
}

func TestDeniedNetworks(t *testing.T) {
	l := &Lists{Allow: list(t, "192.0.2.7 # partner\n198.51.100.0/25"), Deny: list(t, "203.0.113.0/24 # spam house\n192.0.2.0/24\n198.51.100.9\n198.51.100.200\n"+
		"2001:db8::/32\nbad.example\n10.0.0.0/8\n203.0.113.9\n")}
	want := "[{10.0.0.0/8 10.0.0.0/8} {198.51.100.200/32 198.51.100.200} {203.0.113.0/24 203.0.113.0/24 (spam house)} {203.0.113.9/32 203.0.113.9} {2001:db8::/32 2001:db8::/32}]"
	if got := fmt.Sprint(l.DeniedNetworks()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestBadLists(t *testing.T) {
	long := strings.Repeat("a", 64)
	for text, want := range map[string]string{
		"192.0.2.300":              `1:1: "192.0.2.300" is no address and no network: write 192.0.2.7`,
		"192.0.2":                  `1:1: "192.0.2" is no address and no network`,
		"192.0.2.":                 `1:1: "192.0.2." is no address and no network`,
		"010.0.2.7":                `1:1: "010.0.2.7" is no address and no network`,
		"192.0.2.0/33":             `1:1: "192.0.2.0/33" is no address and no network`,
		"192.0.2.0/":               `1:1: "192.0.2.0/" is no address and no network`,
		"example.org/24":           `1:1: "example.org/24" is no address and no network`,
		"192.0.2.7-9":              `1:1: "192.0.2.7-9" is no address and no network`,
		"fe80::1%eth0":             `1:1: "fe80::1%eth0" is no address and no network`,
		"2001:db8::g":              `1:1: "2001:db8::g" is no address and no network`,
		"::ffff:192.0.2.0/90":      `1:1: "::ffff:192.0.2.0/90" is no address and no network`,
		"# a\n\n  192.0.2.7/24":    `3:3: 192.0.2.7 is not where a network of /24 begins: write 192.0.2.0/24 for the network, or 192.0.2.7 for the one address`,
		"0.0.0.0/0":                `1:1: 0.0.0.0/0 is a large part of the Internet: write networks of /8 or longer`,
		"128.0.0.0/7":              `1:1: 128.0.0.0/7 is a large part of the Internet`,
		"::/0":                     `1:1: ::/0 is a large part of the Internet: write networks of /19 or longer`,
		"2001::/16":                `1:1: 2001::/16 is a large part of the Internet`,
		"::ffff:0.0.0.0/96":        `1:1: 0.0.0.0/0 is a large part of the Internet`,
		"f000::/4":                 `1:1: f000::/4 is a large part of the Internet: write networks of /7 or longer`,
		"192.0.2.7 192.0.2.8":      `1:1: "192.0.2.7 192.0.2.8" is more than one entry: write one entry on a line`,
		"192.0.2.7\tpartner":       `1:1: "192.0.2.7\tpartner" is more than one entry`,
		"*.example.org":            `1:1: "*.example.org" is no domain: write .example.org`,
		".org":                     `1:1: ".org" is no domain: a single label is a whole top-level domain`,
		"localhost":                `1:1: "localhost" is no domain: a single label`,
		".":                        `1:1: "." is no `,
		"..example.org":            `1:1: "..example.org" is no domain: write letters`,
		"-a.example.org":           `1:1: "-a.example.org" is no domain`,
		"exämple.org":              `1:1: "exämple.org" is no domain: write letters, digits and hyphens between dots, other letters as DNS has them`,
		"\u212aelvin.example":      `1:1: "` + "\u212a" + `elvin.example" is no domain`,
		"a\x00b.example":           `1:1: "a\x00b.example" is no domain`,
		"user@example.org":         `1:1: "user@example.org" is no domain`,
		long + ".example":          `1:1: "` + long[:60] + `" is no domain`,
		strings.Repeat("a.", 150):  `1:1: "` + strings.Repeat("a.", 30) + `" is no domain: a name has 253 bytes at most`,
		strings.Repeat("#", 1001):  `1:1: the line has 1001 bytes: write one entry on a line`,
		"\xff\xfe1\x009\x002\x00":  `1:1: the file is in UTF-16: save it as UTF-8`,
		"good.example\nbad":        `2:1: "bad" is no domain`,
		"good.example\r\n\tbad\r":  `2:2: "bad" is no domain`,
		"good.example\rbad.domain": `1:1: "good.example\rbad.domain" is no domain`,
	} {
		_, err := ParseList("deny.list", []byte(text))
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "deny.list:"+want) || e.Remedy == "" {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
}

func TestListsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range MaxList {
		fmt.Fprintf(&b, "%s # entry\n", many(i))
	}
	begun := time.Now()
	l, err := ParseList("big.list", []byte(b.String()))
	if err != nil || l.Len() != MaxList {
		t.Fatal(err)
	}
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("a full list took %s", d)
	}
	b.WriteString("192.0.2.1\n")
	if _, err := ParseList("big.list", []byte(b.String())); err == nil || !strings.HasPrefix(err.Error(), "big.list:100001:1: more than 100000 entries") {
		t.Errorf("%v", err)
	}
	if _, err := ParseList("big.list", make([]byte, MaxListFile+1)); err == nil || !strings.Contains(err.Error(), "too many for a list") {
		t.Errorf("%v", err)
	}
	if _, err := ParseList("big.list", []byte(strings.Repeat("\n", MaxListFile))); err != nil {
		t.Error(err)
	}
	l = list(t, "192.0.2.1 # "+strings.Repeat("\x1b[2Jü\u202e", 60))
	entry, _ := (&Lists{Allow: l}).Allowed(netip.MustParsePrefix("192.0.2.1/32"), "")
	if len(entry) > 150 || strings.ContainsAny(entry, "\x1b\u202e") || !strings.HasPrefix(entry, "192.0.2.1 ([2J") {
		t.Errorf("%q", entry)
	}
}

// TestPrefixSetAgainstSearch compares the set with looking through all of it.
func TestPrefixSetAgainstSearch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	random := func() netip.Prefix {
		if rnd.IntN(3) > 0 {
			return netip.PrefixFrom(netip.AddrFrom4([4]byte{240, byte(rnd.IntN(2)), byte(rnd.IntN(4)), byte(rnd.IntN(256))}), rnd.IntN(33)).Masked()
		}
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(rnd.IntN(2)), byte(rnd.IntN(256)), 15: byte(rnd.IntN(4))}), rnd.IntN(129)).Masked()
	}
	for range 400 {
		var nets []Network
		for range rnd.IntN(12) {
			if p := random(); p.Bits() > 12 {
				nets = append(nets, Network{p, p.String()})
			}
		}
		set := setOf(nets)
		for range 30 {
			p := random()
			overlaps, covers := false, false
			for _, n := range nets {
				overlaps = overlaps || n.Prefix.Overlaps(p)
				covers = covers || n.Prefix.Contains(p.Addr()) && n.Prefix.Bits() <= p.Bits()
			}
			name, ok := set.overlaps(p)
			if ok != overlaps || ok && !netip.MustParsePrefix(name).Overlaps(p) {
				t.Fatalf("%s in %v: %q, %v", p, nets, name, ok)
			}
			if _, ok := set.covers(p); ok != covers {
				t.Fatalf("%s within %v: %v", p, nets, ok)
			}
		}
	}
}

func FuzzParseList(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24 # x\r\n.example.org\n2001:db8::/32;y", "\ufeff::ffff:192.0.2.1", "a.b\n1.2.3.4/8", "..", "0/0", "\xff.example"} {
		f.Add([]byte(s), "mail.example.org")
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		l, err := ParseList("fuzz.list", data)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Remedy == "" || len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\n\r\x00\x1b") {
				t.Errorf("%q", err)
			}
			return
		}
		lists := &Lists{Allow: l, Deny: l}
		lists.Allowed(netip.MustParsePrefix("192.0.2.0/25"), name)
		lists.Denied(netip.MustParseAddr("2001:db8::1"), name)
		for _, n := range (&Lists{Deny: l}).DeniedNetworks() {
			if entry, ok := lists.Denied(n.Prefix.Addr(), ""); !ok || entry == "" || n.Prefix.Bits() < 7 {
				t.Errorf("%s is in the list, and denied by %q", n.Prefix, entry)
			}
		}
	})
}
