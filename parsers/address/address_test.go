package address

import (
	"net/netip"
	"testing"
)

func TestEndpoint(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1:25":             "192.0.2.1 25",
		"192.0.2.1":                "192.0.2.1 0",
		"[2001:db8::1]:25":         "2001:db8::1 25",
		"[2001:db8::1]":            "2001:db8::1 0",
		"2001:db8::1:25":           "2001:db8::1 25",
		"2001:db8:1:2:3:4:5:6":     "2001:db8:1:2:3:4:5:6 0",
		"2001:db8:1:2:3:4:5:6:465": "2001:db8:1:2:3:4:5:6 465",
		"2001:db8::1":              "2001:db8::1 0",
		"[fe80::1%12]:41103":       "fe80::1 41103",
		"[::ffff:192.0.2.1]:25":    "192.0.2.1 25",
		"":                         "",
		":25":                      "",
		"x.x.x.x:25":               "",
		"192.0.2.1:":               "",
		"192.0.2.1:65536":          "",
		"192.0.2.1:25 ":            "",
		"[192.0.2.1]x25":           "",
		"[192.0.2.1":               "",
		"192.0.2.1.example:25":     "",
		"::1:99999":                "",
	} {
		a, port, ok := Endpoint([]byte(text))
		got := ""
		if ok {
			got = a.Addr().String() + " " + netip.AddrPortFrom(a.Addr(), port).String()[len(netip.AddrPortFrom(a.Addr(), 0).String())-1:]
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzParse holds the address reader against the library's.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "2001:db8::1", "::", "::1", "::ffff:192.0.2.1", "1:2:3:4:5:6:7:8", "fe80::1%eth0", "1::2::3", "01.2.3.4",
		"1:2:3:4:5:6:7::", "::1.2.3.4.5", "1:2:3:4:5:6:1.2.3.4", "12345::", ":1", "1:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := netip.ParseAddr(s)
		want = want.WithZone("").Unmap()
		got, ok := Parse([]byte(s))
		if ok != (err == nil) {
			t.Errorf("%q: %v, the library says %v", s, ok, err)
		}
		if ok && got.Addr() != want && want != netip.IPv6Unspecified() {
			t.Errorf("%q: %s, the library says %s", s, got.Addr(), want)
		}
		if ok && Of(got.Addr()) != got {
			t.Errorf("%q: %v is not %v", s, Of(got.Addr()), got)
		}
		if ok && (got.Private() != (want.IsPrivate() || want.IsLoopback() || want.IsLinkLocalUnicast()) || got.Loopback() != want.IsLoopback()) {
			t.Errorf("%q: private %v, loopback %v", s, got.Private(), got.Loopback())
		}
	})
}
