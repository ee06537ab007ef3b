package firewall_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/firewall"
)

var caps = firewall.Caps{NativeTTL: true, V4Lens: []int{24, 32}, V6Lens: []int{64, 128}}

// office is a never-list with one entry.
func office(p netip.Prefix) (string, bool) {
	return "office 198.51.100.128/25", p.Overlaps(netip.MustParsePrefix("198.51.100.128/25"))
}

func TestGuard(t *testing.T) {
	g := firewall.Guard{Never: office, Caps: caps, Max: 3}
	for _, tc := range []struct {
		name string
		want []harvestwatch.Block
		errs []error // nil where it passes
	}{
		{"nothing", nil, nil},
		{"plain", []harvestwatch.Block{block("192.0.2.1/32", time.Hour), block("2001:db8::/64", time.Hour)}, []error{nil, nil}},
		{"never", []harvestwatch.Block{block("198.51.100.200/32", time.Hour), block("198.51.100.0/24", time.Hour), block("198.51.100.1/32", time.Hour)},
			[]error{firewall.ErrNever, firewall.ErrNever, nil}},
		{"never, mapped", []harvestwatch.Block{block("::ffff:198.51.100.200/128", time.Hour)}, []error{firewall.ErrNever}},
		{"lengths", []harvestwatch.Block{block("203.0.113.0/28", time.Hour), block("0.0.0.0/0", time.Hour), block("2001:db8::/48", time.Hour), {Until: noon.Add(time.Hour)}},
			[]error{firewall.ErrUnsupported, firewall.ErrUnsupported, firewall.ErrUnsupported, firewall.ErrUnsupported}},
		{"what is over is nobody's concern", []harvestwatch.Block{block("198.51.100.200/32", 0), block("203.0.113.0/28", -1)}, []error{nil, nil}},
		{"too many: the latest ends stay", []harvestwatch.Block{block("192.0.2.1/32", 1*time.Hour), block("192.0.2.2/32", 5*time.Hour), block("192.0.2.3/32", 2*time.Hour),
			block("192.0.2.4/32", 3*time.Hour), block("192.0.2.1/32", 4*time.Hour), block("192.0.2.9/32", -1)},
			[]error{nil, nil, firewall.ErrFull, nil, nil, nil}},
		{"refused ones take no room", []harvestwatch.Block{block("192.0.2.1/32", time.Hour), block("192.0.2.2/32", time.Hour), block("198.51.100.200/32", 9*time.Hour),
			block("192.0.2.3/32", time.Hour)}, []error{nil, nil, firewall.ErrNever, nil}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			admitted, refused := g.Admit(tc.want, noon)
			for i, b := range tc.want {
				if tc.errs[i] == nil {
					if len(admitted) == 0 || admitted[0] != b {
						t.Fatalf("block %d, %s, was not admitted", i, b.Prefix)
					}
					admitted = admitted[1:]
					continue
				}
				if len(refused) == 0 || refused[0].Block != b || !errors.Is(refused[0].Err, tc.errs[i]) {
					t.Fatalf("block %d, %s, is not refused with %v: %v", i, b.Prefix, tc.errs[i], refused)
				}
				refused = refused[1:]
			}
			if len(admitted)+len(refused) != 0 {
				t.Errorf("too many: %v, %v", admitted, refused)
			}
		})
	}
	_, refused := g.Admit([]harvestwatch.Block{block("198.51.100.200/32", time.Hour)}, noon)
	if !strings.Contains(refused[0].Err.Error(), "office") {
		t.Errorf("the refusal doesn't name the entry: %v", refused[0].Err)
	}
}

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{"192.0.2.77/24": "192.0.2.0/24", "::ffff:192.0.2.1/128": "192.0.2.1/32", "::ffff:192.0.2.9/120": "192.0.2.0/24",
		"2001:db8::5/64": "2001:db8::/64", "::ffff:192.0.2.1/64": "::/64"} {
		if got := firewall.Canonical(netip.MustParsePrefix(in)); got.String() != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
	if got := firewall.Canonical(netip.Prefix{}); got != (netip.Prefix{}) {
		t.Errorf("no prefix became %s", got)
	}
}

func TestApplyError(t *testing.T) {
	e := &firewall.ApplyError{Failed: []firewall.Failure{{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Err: firewall.ErrFull}, {Err: firewall.ErrUnsupported}}}
	if !errors.Is(e, firewall.ErrFull) || !errors.Is(e, firewall.ErrUnsupported) || errors.Is(e, firewall.ErrNever) {
		t.Error("the causes are not found in the error")
	}
	if got := e.Error(); !strings.Contains(got, "192.0.2.1/32") || !strings.Contains(got, "1 more") {
		t.Error(got)
	}
	_ = (&firewall.ApplyError{}).Error()
}
