package pools

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// dnsMap is a Resolver over maps, for what the records say; the DNS itself is tried in wire_test.go.
type dnsMap struct {
	txt   map[string][]string
	hosts map[string]string
	mx    map[string]string
	sick  map[string]bool
	asked int
}

var errSick = errors.New("the DNS did not answer")

func (d *dnsMap) TXT(_ context.Context, name string) ([]string, error) {
	d.asked++
	if d.sick[name] {
		return nil, errSick
	}
	return d.txt[name], nil
}

func (d *dnsMap) Addresses(_ context.Context, name string) ([]netip.Addr, error) {
	d.asked++
	if d.sick[name] {
		return nil, errSick
	}
	var list []netip.Addr
	for _, s := range strings.Fields(d.hosts[name]) {
		list = append(list, netip.MustParseAddr(s))
	}
	return list, nil
}

func (d *dnsMap) MX(_ context.Context, name string) ([]string, error) {
	d.asked++
	return strings.Fields(d.mx[name]), nil
}

func records(list ...string) *dnsMap {
	d := &dnsMap{txt: map[string][]string{}, hosts: map[string]string{}, mx: map[string]string{}, sick: map[string]bool{}}
	for i := 0; i < len(list); i += 2 {
		d.txt[list[i]] = append(d.txt[list[i]], list[i+1])
	}
	return d
}

func TestExpand(t *testing.T) {
	for what, c := range map[string]struct {
		record  string
		want    string
		skipped string // what the notes on left out terms hold
	}{
		"networks":        {"v=spf1 ip4:192.0.2.0/25 ip4:192.0.2.128/25 ip6:2001:db8::/32 ip4:198.51.100.7 -all", "192.0.2.0/24 198.51.100.7/32 2001:db8::/32", ""},
		"host bits":       {"v=spf1 ip4:192.0.2.77/24 ~all", "192.0.2.0/24", ""},
		"case":            {"V=SPF1 IP4:192.0.2.0/24 Include:INC.example.com. -ALL", "192.0.2.0/24 203.0.113.0/24", ""},
		"plus":            {"v=spf1 +ip4:192.0.2.0/24 +include:inc.example.com", "192.0.2.0/24 203.0.113.0/24", ""},
		"not a pass":      {"v=spf1 -ip4:192.0.2.0/24 ~ip4:198.51.100.0/24 ?include:inc.example.com ip4:203.0.113.1", "203.0.113.1/32", "does not allow"},
		"nested":          {"v=spf1 include:two.example.com -all", "198.51.100.0/24 203.0.113.0/24", ""},
		"diamond":         {"v=spf1 include:inc.example.com include:two.example.com include:inc.example.com -all", "198.51.100.0/24 203.0.113.0/24", ""},
		"redirect":        {"v=spf1 ip4:192.0.2.0/24 redirect=inc.example.com", "192.0.2.0/24 203.0.113.0/24", ""},
		"redirect, all":   {"v=spf1 redirect=inc.example.com ip4:192.0.2.0/24 -all", "192.0.2.0/24", ""},
		"after all":       {"v=spf1 ip4:192.0.2.0/24 -all include:inc.example.com", "192.0.2.0/24", ""},
		"a":               {"v=spf1 a a:host.example.com/30 -all", "192.0.2.80/32 198.51.100.4/30 2001:db8::5/128", ""},
		"a, lengths":      {"v=spf1 a:host.example.com/24//64 -all", "198.51.100.0/24 2001:db8::/64", ""},
		"a, IPv6 length":  {"v=spf1 a:host.example.com//48 a/32 -all", "192.0.2.80/32 198.51.100.5/32 2001:db8::/48", ""},
		"mx":              {"v=spf1 mx:example.net/32 -all", "198.51.100.5/32 192.0.2.80/32 2001:db8::5/128", ""},
		"macro":           {"v=spf1 include:%{ir}.%{v}.example.com exists:%{i}.example.com ip4:192.0.2.0/24 redirect=%{d}.example.com", "192.0.2.0/24", "macro"},
		"ptr":             {"v=spf1 ptr ptr:example.com ip4:192.0.2.0/24 ?all", "192.0.2.0/24", "depends on the message"},
		"modifiers":       {"v=spf1 exp=why.example.com ip4:192.0.2.0/24 x-y.z=1 -all", "192.0.2.0/24", ""},
		"spaces":          {"v=spf1   ip4:192.0.2.0/24    -all  ", "192.0.2.0/24", ""},
		"mapped":          {"v=spf1 ip6:::ffff:192.0.2.1 ip4:192.0.2.9 -all", "192.0.2.9/32", "IPv6 form"},
		"no domain":       {"v=spf1 include:spf_only ip4:192.0.2.9 -all", "192.0.2.9/32", "names no domain"},
		"nothing":         {"v=spf1 -all", "", ""},
		"one void":        {"v=spf1 a:none.example.com mx:none.example.com ip4:192.0.2.9 -all", "192.0.2.9/32", ""},
		"included nobody": {"v=spf1 include:empty.example.com ip4:192.0.2.9 -all", "192.0.2.9/32", ""},
	} {
		d := records("example.com", "some other text", "example.com", c.record, "example.com", "v=spf10 ip4:10.0.0.0/8",
			"inc.example.com", "v=spf1 ip4:203.0.113.0/24 -all", "two.example.com", "v=spf1 ip4:198.51.100.0/24 include:inc.example.com ~all",
			"empty.example.com", "v=spf1 -all")
		d.hosts["example.com"], d.hosts["host.example.com"] = "192.0.2.80", "198.51.100.5 2001:db8::5"
		d.mx["example.net"] = "host.example.com example.com"
		e, err := Expand(context.Background(), d, "example.com")
		want := prefixes(t, c.want)
		slices.SortFunc(want, compare)
		if err != nil || !slices.Equal(e.Networks, want) {
			t.Errorf("%s: %v, %v; want %v", what, e.Networks, err, want)
		}
		if notes := strings.Join(e.Skipped, "; "); (notes == "") != (c.skipped == "") || !strings.Contains(notes, c.skipped) {
			t.Errorf("%s: left out %q, want %q", what, notes, c.skipped)
		}
	}
}

func TestExpandRefuses(t *testing.T) {
	for what, c := range map[string]struct{ record, want string }{
		"none":            {"text only", "has none"},
		"everybody":       {"v=spf1 ip4:192.0.2.0/24 +all", "everybody"},
		"everybody, bare": {"v=spf1 all", "everybody"},
		"all of IPv4":     {"v=spf1 ip4:0.0.0.0/0 -all", "wider than /12"},
		"half of IPv4":    {"v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all", "wider than /12"},
		"wide IPv6":       {"v=spf1 ip6:2000::/3 -all", "wider than /32"},
		"wide host":       {"v=spf1 a:host.example.com/8 -all", "wider than /12"},
		"itself":          {"v=spf1 include:example.com -all", "includes itself"},
		"circle":          {"v=spf1 include:loop1.example.com -all", "includes itself"},
		"no such include": {"v=spf1 include:none.example.com -all", "none.example.com has none"},
		"unknown":         {"v=spf1 ipv4:192.0.2.0/24 -all", "no mechanism"},
		"bad ip4":         {"v=spf1 ip4:192.0.2.0/33 -all", "no network"},
		"ip4 with v6":     {"v=spf1 ip4:2001:db8::/32 -all", "no network"},
		"ip6 with v4":     {"v=spf1 ip6:192.0.2.0/24 -all", "no network"},
		"ip6 with a zone": {"v=spf1 ip6:fe80::1%eth0 -all", "no network"},
		"no value":        {"v=spf1 include: -all", "lacks its value"},
		"no colon":        {"v=spf1 ip4 -all", "lacks its value"},
		"bad length":      {"v=spf1 a/99 -all", "form of the RFC"},
		"signed length":   {"v=spf1 a/+24 -all", "form of the RFC"},
		"no length":       {"v=spf1 a/ -all", "form of the RFC"},
		"no domain":       {"v=spf1 a: -all", "form of the RFC"},
		"all with more":   {"v=spf1 all:example.com", "takes nothing"},
		"two redirects":   {"v=spf1 redirect=inc.example.com redirect=inc.example.com", "redirects twice"},
		"escape":          {"v=spf1 evil\x1b[2J -all", `"evil\x1b[2J"`},
		"too long":        {"v=spf1 " + strings.Repeat("ip4:192.0.2.0/24 ", 2000), "more than 32768 bytes"},
		"many void":       {"v=spf1 " + voids(11) + " -all", "find nothing"},
		"many hosts":      {"v=spf1 mx:many.example.com -all", "MX hosts"},
		"sign alone":      {"v=spf1 - -all", "no mechanism"},
	} {
		d := records("example.com", c.record, "loop1.example.com", "v=spf1 include:loop2.example.com", "loop2.example.com",
			"v=spf1 redirect=loop1.example.com", "inc.example.com", "v=spf1 -all")
		d.hosts["host.example.com"] = "198.51.100.5"
		d.mx["many.example.com"] = strings.Repeat("host.example.com ", 11)
		e, err := Expand(context.Background(), d, "example.com")
		if !errors.Is(err, ErrSPF) || !strings.Contains(err.Error(), c.want) || e.Networks != nil {
			t.Errorf("%s: %v, %v; want %q", what, e.Networks, err, c.want)
		}
	}
	d := records("example.com", "v=spf1 ip4:192.0.2.0/24 -all", "example.com", "v=spf1 -all")
	if _, err := Expand(context.Background(), d, "example.com"); !errors.Is(err, ErrSPF) {
		t.Errorf("two records: %v", err)
	}
	d = records("example.com", "v=spf1 include:sick.example.com ip4:192.0.2.0/24 -all")
	d.sick["sick.example.com"] = true
	if _, err := Expand(context.Background(), d, "example.com"); !errors.Is(err, errSick) || errors.Is(err, ErrSPF) {
		t.Errorf("no answer: %v", err)
	}
}

func voids(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("a:none%d.example.com", i))
	}
	return strings.Join(list, " ")
}

// Records that include a thousand others, in the width and in the depth, end soon.
func TestExpandEndsWithBombs(t *testing.T) {
	for what, build := range map[string]func(d *dnsMap){
		"wide tree": func(d *dnsMap) {
			for i := range 40 {
				top := ""
				for j := range 25 {
					leaf := fmt.Sprintf("l%d-%d.example.com", i, j)
					top += " include:" + leaf
					d.txt[leaf] = []string{fmt.Sprintf("v=spf1 ip4:240.%d.%d.0/24 -all", i, j)}
				}
				d.txt[fmt.Sprintf("t%d.example.com", i)] = []string{"v=spf1" + top + " -all"}
				d.txt["example.com"] = []string{"v=spf1 include:t0.example.com include:t1.example.com include:t2.example.com include:t3.example.com " +
					"include:t4.example.com include:t5.example.com include:t6.example.com include:t7.example.com include:t8.example.com"}
			}
		},
		"deep chain": func(d *dnsMap) {
			d.txt["example.com"] = []string{"v=spf1 include:c0.example.com -all"}
			for i := range 1000 {
				d.txt[fmt.Sprintf("c%d.example.com", i)] = []string{fmt.Sprintf("v=spf1 redirect=c%d.example.com", i+1)}
			}
		},
		"many hosts": func(d *dnsMap) {
			record := "v=spf1"
			for i := range 1000 {
				record += fmt.Sprintf(" a:h%d.example.com", i)
				d.hosts[fmt.Sprintf("h%d.example.com", i)] = "192.0.2.1"
			}
			d.txt["example.com"] = []string{record}
		},
		"doubling": func(d *dnsMap) { // 2^30 ways, 30 records
			d.txt["example.com"] = []string{"v=spf1 include:d0.example.com"}
			for i := range 30 {
				d.txt[fmt.Sprintf("d%d.example.com", i)] = []string{fmt.Sprintf("v=spf1 include:d%d.example.com include:d%d.example.com", i+1, i+1)}
			}
		},
	} {
		d := records()
		build(d)
		_, err := Expand(context.Background(), d, "example.com")
		if !errors.Is(err, ErrSPF) {
			t.Errorf("%s: %v", what, err)
		}
		if d.asked > maxTerms+1 {
			t.Errorf("%s: asked %d times", what, d.asked)
		}
	}
}

const before = `
provider shrunk shrunk.example.com 2026-01-01
192.0.2.0/24
provider grown grown.example.com 2026-01-01
192.0.2.0/24
provider same same.example.com 2026-01-01
# note
192.0.2.0/24
provider changed changed.example.com 2026-01-01
# note
192.0.2.0/24
198.51.100.0/24
provider empty empty.example.com 2026-01-01
192.0.2.0/24
provider sick sick.example.com 2026-01-01
192.0.2.0/24
provider lost six.example.com 2026-01-01
192.0.2.0/24
2001:db8::/40
provider fixed - 2026-01-01
192.0.2.0/24
`

func TestRefresh(t *testing.T) {
	d := records("shrunk.example.com", "v=spf1 ip4:192.0.2.0/26 -all", "grown.example.com", "v=spf1 ip4:203.0.112.0/21 -all",
		"same.example.com", "v=spf1 ip4:192.0.2.0/24 -all", "changed.example.com", "v=spf1 ip4:192.0.2.0/24 ip4:203.0.113.0/25 ptr -all",
		"empty.example.com", "v=spf1 -all", "six.example.com", "v=spf1 ip4:192.0.2.0/24 -all")
	d.sick["sick.example.com"] = true
	old := parse(t, before)
	now := time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC)
	for _, force := range []bool{false, true} {
		next, changes, err := Refresh(context.Background(), d, old, now, force)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for i, c := range changes {
			pr := next.Providers()[i]
			if pr.Name != c.Name {
				t.Fatalf("%s is told of as %s", pr.Name, c.Name)
			}
			got[c.Name] = fmt.Sprint(c.Verdict, " ", pr.Date.Format(time.DateOnly), " ", pr.Networks)
		}
		want := map[string]string{
			"shrunk":  "refused 2026-01-01 [192.0.2.0/24]",
			"grown":   "refused 2026-01-01 [192.0.2.0/24]",
			"lost":    "refused 2026-01-01 [192.0.2.0/24 2001:db8::/40]",
			"same":    "unchanged 2026-03-01 [192.0.2.0/24]",
			"changed": "updated 2026-03-01 [192.0.2.0/24 203.0.113.0/25]",
			"empty":   "refused 2026-01-01 [192.0.2.0/24]",
			"sick":    "failed 2026-01-01 [192.0.2.0/24]",
			"fixed":   "fixed 2026-01-01 [192.0.2.0/24]",
		}
		if force {
			want["shrunk"], want["grown"] = "updated 2026-03-01 [192.0.2.0/26]", "updated 2026-03-01 [203.0.112.0/21]"
			want["lost"] = "updated 2026-03-01 [192.0.2.0/24]"
		}
		for name, w := range want {
			if got[name] != w {
				t.Errorf("force %v, %s: %s, want %s", force, name, got[name], w)
			}
		}
		again := parse(t, string(next.Text()))
		if string(again.Text()) != string(next.Text()) {
			t.Errorf("the refreshed list is not read as it was written")
		}
	}
}

func TestRefreshTellsWhatChanged(t *testing.T) {
	d := records("shrunk.example.com", "v=spf1 ip4:192.0.2.0/26 -all", "same.example.com", "v=spf1 ip4:192.0.2.0/24 -all",
		"changed.example.com", "v=spf1 ip4:192.0.2.0/24 ip4:203.0.113.0/25 ptr -all")
	_, changes, err := Refresh(context.Background(), d, parse(t, before), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), false)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, c := range changes {
		got += c.String() + "\n"
	}
	for _, want := range []string{
		"changed: new 203.0.113.0/25; gone 198.51.100.0/24; 1 terms were left out: \"ptr\" in the record of changed.example.com",
		"same: unchanged\n", "fixed: has no SPF record to ask",
		"shrunk: refused, the old networks are kept: the SPF record of shrunk.example.com: not plausible: of 256 IPv4 addresses 64 are left; if that is right, force the refresh\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestRefreshEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p, changes, err := Refresh(ctx, records(), parse(t, before), time.Now(), false)
	if p != nil || changes != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v, %v", p, changes, err)
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("v=spf1 ip4:192.0.2.0/24 include:b.example a/24//64 mx:x.example ~all", "v=spf1 redirect=a.example")
	f.Add("v=spf1 +all", "v=spf1 ip6:2001:db8::/32 exists:%{i}.x ptr")
	f.Fuzz(func(t *testing.T, a, b string) {
		d := records("a.example", a, "b.example", b)
		d.hosts["a.example"], d.mx["x.example"] = "192.0.2.1 2001:db8::1", "a.example b.example"
		e, err := Expand(context.Background(), d, "a.example")
		if d.asked > maxTerms+1 || err != nil && e.Networks != nil {
			t.Fatalf("asked %d times, %v", d.asked, err)
		}
		for i, n := range e.Networks {
			if n != n.Masked() || n.Bits() < widest(n.Addr()) || i > 0 && (n.Overlaps(e.Networks[i-1]) || compare(e.Networks[i-1], n) >= 0) {
				t.Fatalf("%v", e.Networks)
			}
		}
		for _, s := range e.Skipped {
			if strings.ContainsAny(s, "\x1b\n\r") {
				t.Fatalf("%q", s)
			}
		}
	})
}
