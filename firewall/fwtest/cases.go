package fwtest

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch/firewall"
)

var cases = []testCase{
	{"empty at first", func(b *bench) { b.has() }},
	{"list gives back what was applied", roundTrip},
	{"apply twice is once", twice},
	{"the later end of one prefix counts", laterEnd},
	{"extend moves the end", extend},
	{"extend of what is gone adds it", extendAbsent},
	{"remove", remove},
	{"remove of what is absent is fine", removeAbsent},
	{"unknown entries are removed by plan", unknown},
	{"overlap is harmless", overlap},
	{"mapped and unmasked prefixes", mapped},
	{"entries run out", expiry},
	{"never for ever", neverForEver},
	{"a prefix that is not supported fails alone", unsupported},
	{"many entries", many},
	{"more entries than fit", overfull},
	{"close keeps the blocks", reopen},
	{"changed tells foreign changes from own", changed},
	{"clear", clearAll},
}

func roundTrip(b *bench) {
	es := b.supported(b.in("192.0.2.1/32", time.Hour), b.in("198.51.100.0/24", 2*time.Hour),
		b.in("2001:db8::1/128", 3*time.Hour), b.in("2001:db8:1:2::/64", 240*time.Hour), b.in("203.0.113.255/32", 5*time.Second))
	if len(es) == 0 {
		b.Fatal("the enforcer takes none of /32, /24, /128, /64")
	}
	b.apply(firewall.Diff{Add: es})
	b.has(es...)
	if d := firewall.Plan(b.blocks(es...), b.list(), b.Now()); !d.Empty() {
		b.Errorf("plan finds work after apply: %+v", d)
	}
}

func twice(b *bench) {
	es := b.supported(b.in("192.0.2.1/32", time.Hour), b.in("2001:db8:1:2::/64", time.Hour))
	b.apply(firewall.Diff{Add: es})
	first := b.list()
	b.apply(firewall.Diff{Add: es})
	b.has(es...)
	if len(first) != len(es) {
		b.Errorf("%d entries after the first apply, want %d", len(first), len(es))
	}
	b.apply(firewall.Diff{})
	b.has(es...)
}

func laterEnd(b *bench) {
	p := b.supported(b.in("192.0.2.1/32", 0), b.in("2001:db8:1:2::/64", 0))[0].Prefix.String()
	b.apply(firewall.Diff{Add: []firewall.Entry{b.in(p, time.Hour), b.in(p, 3*time.Hour), b.in(p, 2*time.Hour)}})
	b.has(b.in(p, 3*time.Hour))
	want := b.blocks(b.in(p, 4*time.Hour), b.in(p, 5*time.Hour), b.in(p, time.Minute))
	b.apply(firewall.Plan(want, b.list(), b.Now()))
	b.has(b.in(p, 5*time.Hour))
}

func extend(b *bench) {
	es := b.supported(b.in("192.0.2.1/32", time.Minute), b.in("192.0.2.2/32", time.Minute), b.in("2001:db8::/64", time.Minute))
	b.apply(firewall.Diff{Add: es})
	for i := range es {
		es[i].Until = es[i].Until.Add(time.Hour)
	}
	b.apply(firewall.Diff{Extend: es})
	b.has(es...)
	for i := range es {
		es[i].Until = es[i].Until.Add(-30 * time.Minute)
	}
	b.apply(firewall.Diff{Extend: es})
	b.has(es...)
}

func extendAbsent(b *bench) {
	es := b.supported(b.in("192.0.2.1/32", time.Minute), b.in("2001:db8::/64", time.Minute))
	b.apply(firewall.Diff{Extend: es})
	b.has(es...)
}

func remove(b *bench) {
	es := b.supported(b.in("192.0.2.1/32", time.Minute), b.in("192.0.2.2/32", time.Minute), b.in("2001:db8::/64", time.Minute))
	b.apply(firewall.Diff{Add: es})
	b.apply(firewall.Diff{Remove: []netip.Prefix{es[0].Prefix}})
	b.has(es[1:]...)
}

func removeAbsent(b *bench) {
	es := b.supported(b.in("192.0.2.1/32", time.Minute), b.in("192.0.2.2/32", time.Minute))
	if len(es) < 2 {
		return
	}
	b.apply(firewall.Diff{Add: es[:1]})
	b.apply(firewall.Diff{Remove: []netip.Prefix{es[0].Prefix, es[1].Prefix}, Add: b.supported(b.in("203.0.113.1/32", time.Minute))})
	b.has(b.in("203.0.113.1/32", time.Minute))
	b.apply(firewall.Diff{Remove: []netip.Prefix{es[0].Prefix, es[1].Prefix}})
	b.has(b.in("203.0.113.1/32", time.Minute))
}

func unknown(b *bench) {
	known := b.supported(b.in("192.0.2.1/32", time.Minute), b.in("2001:db8:1:2::/64", time.Minute))
	strange := b.supported(b.in("192.0.2.99/32", time.Hour), b.in("2001:db8:9:9::/64", time.Hour))
	b.apply(firewall.Diff{Add: slices.Concat(known, strange)})
	b.apply(firewall.Plan(b.blocks(known...), b.list(), b.Now()))
	b.has(known...)
}

func overlap(b *bench) {
	es := b.supported(b.in("192.0.2.1/32", time.Minute), b.in("192.0.2.0/24", time.Hour), b.in("192.0.2.0/32", 2*time.Minute),
		b.in("2001:db8::1/128", time.Minute), b.in("2001:db8::/64", time.Hour), b.in("2001:db8::/128", time.Hour))
	b.apply(firewall.Diff{Add: es})
	b.has(es...)
	b.apply(firewall.Diff{Remove: []netip.Prefix{es[0].Prefix}})
	b.has(es[1:]...)
}

func mapped(b *bench) {
	if len(b.supported(b.in("192.0.2.1/32", 0), b.in("192.0.2.0/24", 0))) < 2 {
		return
	}
	b.apply(firewall.Diff{Add: []firewall.Entry{b.in("::ffff:192.0.2.1/128", time.Hour), b.in("198.51.100.77/24", time.Hour)}})
	b.has(b.in("192.0.2.1/32", time.Hour), b.in("198.51.100.0/24", time.Hour))
	b.apply(firewall.Diff{Remove: []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.1/128"), netip.MustParsePrefix("198.51.100.78/24")}})
	b.has()
}

func expiry(b *bench) {
	if !b.e.Caps().NativeTTL {
		return
	}
	long := b.supported(b.in("192.0.2.2/32", time.Hour), b.in("2001:db8::/64", time.Hour))
	b.apply(firewall.Diff{Add: slices.Concat(b.supported(b.in("192.0.2.1/32", 1500*time.Millisecond), b.in("2001:db8:1::/64", 1500*time.Millisecond)), long)})
	b.until(5*time.Second, "the short entries have run out", func() bool { return len(b.list()) == len(long) })
	b.has(long...)
	b.apply(firewall.Diff{Remove: prefixes(b.supported(b.in("192.0.2.1/32", 0)))})
	b.has(long...)
}

func neverForEver(b *bench) {
	past := b.supported(b.in("192.0.2.1/32", -time.Hour), b.in("192.0.2.2/32", 0), b.in("192.0.2.3/32", 300*time.Microsecond), b.in("2001:db8::/64", -1))
	if none := b.supported(firewall.Entry{Prefix: netip.MustParsePrefix("192.0.2.4/32")}); len(none) > 0 {
		past = append(past, none...)
	}
	b.apply(firewall.Diff{Add: past})
	for _, e := range b.list() {
		if left := e.Until.Sub(b.Now()); e.Until.IsZero() || left > 2*time.Second {
			b.Errorf("%s is in effect for %s, want a second", e.Prefix, left)
		}
	}
	if b.e.Caps().NativeTTL {
		b.until(5*time.Second, "entries that were over have run out", func() bool { return len(b.list()) == 0 })
	}
}

func unsupported(b *bench) {
	bad := netip.MustParsePrefix("203.0.112.0/21")
	if b.e.Caps().Supports(bad) {
		bad = netip.MustParsePrefix("0.0.0.0/0")
	}
	if b.e.Caps().Supports(bad) {
		return
	}
	good := b.supported(b.in("192.0.2.1/32", time.Hour), b.in("2001:db8::/64", time.Hour))
	err := b.e.Apply(b.Context(), firewall.Diff{Add: slices.Concat(good, []firewall.Entry{{Prefix: bad, Until: b.Now().Add(time.Hour)}, {Until: b.Now()}})})
	if !errors.Is(err, firewall.ErrUnsupported) || !slices.Equal(failed(err), []netip.Prefix{bad, {}}) {
		b.Errorf("apply of %s and of no prefix: %v", bad, err)
	}
	b.has(good...)
	if err := b.e.Apply(b.Context(), firewall.Diff{Remove: []netip.Prefix{bad}}); err != nil {
		b.Errorf("remove of a prefix that can't be there: %v", err)
	}
}

func prefixes(es []firewall.Entry) []netip.Prefix {
	var out []netip.Prefix
	for _, e := range es {
		out = append(out, e.Prefix)
	}
	return out
}
