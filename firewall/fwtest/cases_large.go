package fwtest

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch/firewall"
)

// Bulk returns n entries with addresses from 240.0.0.0/4, in order, that end at the time given.
func Bulk(n int, until time.Time) []firewall.Entry {
	out := make([]firewall.Entry, n)
	for i := range out {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 0xf0000000+uint32(i))
		out[i] = firewall.Entry{Prefix: netip.PrefixFrom(netip.AddrFrom4(a), 32), Until: until}
	}
	return out
}

func (b *bench) bulk(n int) []firewall.Entry {
	es := Bulk(n, b.Now().Add(time.Hour))
	if most := b.e.Caps().MaxEntries; most > 0 && n > most {
		es = es[:most]
	}
	return b.supported(es...)
}

func many(b *bench) {
	es := b.bulk(b.Many)
	b.apply(firewall.Diff{Add: es})
	b.Slack += time.Second // the load itself takes a while
	b.has(es...)
	half := len(es) / 2
	for i := range es[half:] {
		es[half+i].Until = es[half+i].Until.Add(time.Hour)
	}
	b.apply(firewall.Diff{Remove: prefixes(es[:half]), Extend: es[half:]})
	b.has(es[half:]...)
	b.apply(firewall.Diff{Remove: prefixes(es)})
	b.has()
}

func overfull(b *bench) {
	most := b.e.Caps().MaxEntries
	if most == 0 || most > 20_000 {
		return // needs a harness with a small limit
	}
	es := Bulk(most+7, b.Now().Add(time.Hour))
	err := b.e.Apply(b.Context(), firewall.Diff{Add: es})
	have := b.list()
	if len(have) < most {
		b.Errorf("%d entries in effect, %d fit", len(have), most)
	}
	if len(have) == len(es) {
		return // it took more than it promised
	}
	if !errors.Is(err, firewall.ErrFull) {
		b.Fatalf("apply of %d entries where %d fit: %v", len(es), most, err)
	}
	if lost := failed(err); len(lost)+len(have) != len(es) {
		b.Errorf("%d in effect and %d named as failed, of %d", len(have), len(lost), len(es))
	}
	b.apply(firewall.Diff{Remove: prefixes(have[:10])})
	b.apply(firewall.Diff{Add: []firewall.Entry{b.in("192.0.2.1/32", time.Hour)}})
}

func reopen(b *bench) {
	es := b.supported(b.in("192.0.2.1/32", time.Hour), b.in("2001:db8:1:2::/64", 2*time.Hour))
	b.apply(firewall.Diff{Add: es})
	for range 2 {
		if err := b.e.Close(); err != nil {
			b.Fatalf("close: %v", err)
		}
	}
	b.open()
	b.has(es...)
	if d := firewall.Plan(b.blocks(es...), b.list(), b.Now()); !d.Empty() {
		b.Errorf("plan finds work after reopening: %+v", d)
	}
	b.apply(firewall.Diff{Add: es})
	b.has(es...)
	b.apply(firewall.Diff{Remove: prefixes(es)})
	b.has()
}

func changed(b *bench) {
	_, token, err := b.e.List(b.Context())
	if err != nil {
		b.Fatalf("list: %v", err)
	}
	es := b.supported(b.in("192.0.2.1/32", time.Hour), b.in("2001:db8:1:2::/64", 2*time.Hour))
	for i, d := range []firewall.Diff{{}, {Add: es}, {Add: es}, {Extend: es}, {Remove: prefixes(es)}, {Remove: prefixes(es)}, {Add: b.bulk(2500)}} {
		b.apply(d)
		if yes, err := b.e.Changed(b.Context(), token); err != nil || yes {
			b.Errorf("changed after own step %d: %v, %v", i, yes, err)
		}
	}
	if b.Foreign == nil {
		return
	}
	b.Foreign()
	if yes, err := b.e.Changed(b.Context(), token); err != nil || !yes {
		b.Errorf("changed after a foreign change: %v, %v", yes, err)
	}
}

func clearAll(b *bench) {
	c, ok := b.e.(firewall.Clearer)
	if !ok {
		return
	}
	es := b.supported(b.in("192.0.2.1/32", time.Hour), b.in("2001:db8:1:2::/64", 2*time.Hour))
	b.apply(firewall.Diff{Add: es})
	for range 2 {
		if err := c.Clear(b.Context()); err != nil {
			b.Fatalf("clear: %v", err)
		}
	}
	b.has()
	b.apply(firewall.Diff{Add: slices.Clone(es)})
	b.has(es...)
}
