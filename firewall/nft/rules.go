//go:build linux

package nft

import (
	"net/netip"
	"reflect"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The names of what the table holds. None is a word of the nft language: the kernel would take it, but the output of
// nft list could not be read back.
const (
	portsName  = "ports"
	screenName = "screen"
	gateName   = "smtp_gate"
	probeName  = "probe"
)

// kind is one prefix length: a set and the rule that looks into it.
type kind struct {
	set  string
	v6   bool
	bits int
}

// kinds are the prefix lengths, in the order of their rules.
var kinds = [...]kind{{"b4_32", false, 32}, {"b4_24", false, 24}, {"b6_128", true, 128}, {"b6_64", true, 64}, {"b6_48", true, 48}}

// kindOf returns which kind holds a canonical prefix, or -1.
func kindOf(p netip.Prefix) int {
	for i, k := range kinds {
		if p.IsValid() && p.Addr().Is4() == !k.v6 && p.Bits() == k.bits {
			return i
		}
	}
	return -1
}

// size returns the length of a key in bytes.
func (k kind) size() int {
	if k.v6 {
		return 16
	}
	return 4
}

// prefix returns the prefix that a key stands for. The key has at least the kind's size.
func (k kind) prefix(key []byte) netip.Prefix {
	a, _ := netip.AddrFromSlice(key[:k.size()])
	return netip.PrefixFrom(a, k.bits)
}

// layout is everything that the table is to hold, blocks aside.
type layout struct {
	table  *nftables.Table
	ports  *nftables.Set
	sets   [len(kinds)]*nftables.Set
	chains [2]*nftables.Chain
	rules  [2][]*nftables.Rule // of the chains
}

// newLayout returns the layout that the options ask for. Its objects are not shared.
func newLayout(o *Options, flags nftables.TableFlags) *layout {
	l := &layout{table: &nftables.Table{Name: TableName, Family: nftables.TableFamilyINet, Flags: flags}}
	l.ports = &nftables.Set{Table: l.table, Name: portsName, KeyType: nftables.TypeInetService, KeyByteOrder: binaryutil.BigEndian}
	policy := nftables.ChainPolicyAccept
	hook, prio := hookOf(o.Hook)
	l.chains[0] = &nftables.Chain{Table: l.table, Name: screenName}
	l.chains[1] = &nftables.Chain{Table: l.table, Name: gateName, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: prio, Policy: &policy}
	for i, k := range kinds {
		l.sets[i] = k.newSet(l.table, o)
		l.rules[0] = append(l.rules[0], &nftables.Rule{Table: l.table, Chain: l.chains[0], Exprs: k.drop()})
	}
	l.rules[1] = []*nftables.Rule{{Table: l.table, Chain: l.chains[1], Exprs: gate()}}
	return l
}

func hookOf(h Hook) (*nftables.ChainHook, *nftables.ChainPriority) {
	switch h {
	case Input:
		return nftables.ChainHookInput, nftables.ChainPriorityRef(-10)
	case Forward:
		return nftables.ChainHookForward, nftables.ChainPriorityRef(-10)
	}
	return nftables.ChainHookPrerouting, nftables.ChainPriorityRaw
}

// newSet returns the kind's set: a hash, because a tree of intervals refuses a whole batch for one overlap.
func (k kind) newSet(t *nftables.Table, o *Options) *nftables.Set {
	s := &nftables.Set{Table: t, Name: k.set, KeyType: nftables.TypeIPAddr, KeyByteOrder: binaryutil.BigEndian}
	if k.v6 {
		s.KeyType = nftables.TypeIP6Addr
	}
	s.HasTimeout, s.Size = true, o.Size
	if o.Counters {
		s.Counter, s.Comment = true, "counting" // the library doesn't read back whether elements count
	}
	return s
}

// drop is the rule "ip saddr & mask @set counter drop".
func (k kind) drop() []expr.Any {
	proto, offset := byte(unix.NFPROTO_IPV4), uint32(12)
	if k.v6 {
		proto, offset = unix.NFPROTO_IPV6, 8
	}
	n := uint32(k.size())
	es := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: n},
	}
	if k.bits < 8*k.size() {
		mask := make([]byte, n)
		for i := range k.bits / 8 {
			mask[i] = 0xff
		}
		es = append(es, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: n, Mask: mask, Xor: make([]byte, n)})
	}
	return append(es, &expr.Lookup{SourceRegister: 1, SetName: k.set}, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})
}

// gate is the rule "tcp dport @ports jump screen".
func gate() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: 1, SetName: portsName},
		&expr.Verdict{Kind: expr.VerdictJump, Chain: screenName},
	}
}

// sameRules reports whether the kernel's rules do what ours do. Counters may have counted.
func sameRules(have, want []*nftables.Rule) bool {
	if len(have) != len(want) {
		return false
	}
	for i := range have {
		if len(have[i].Exprs) != len(want[i].Exprs) {
			return false
		}
		for j, h := range have[i].Exprs {
			if !reflect.DeepEqual(plain(h), plain(want[i].Exprs[j])) {
				return false
			}
		}
	}
	return true
}

// plain returns the expression without what the kernel fills in.
func plain(e expr.Any) expr.Any {
	switch e := e.(type) {
	case *expr.Counter:
		return &expr.Counter{}
	case *expr.Lookup:
		c := *e
		c.SetID = 0
		return &c
	}
	return e
}

// sameSet reports whether the kernel's set is as ours.
func sameSet(have, want *nftables.Set) bool {
	return have.Name == want.Name && have.KeyType.Name == want.KeyType.Name && have.HasTimeout == want.HasTimeout && have.Size == want.Size &&
		have.Comment == want.Comment && !have.Interval && !have.IsMap && !have.Constant && !have.Dynamic && !have.Concatenation && have.Timeout == 0
}

// sameChain reports whether the kernel's chain is as ours.
func sameChain(have, want *nftables.Chain) bool {
	return have.Name == want.Name && have.Type == want.Type && reflect.DeepEqual(have.Hooknum, want.Hooknum) &&
		reflect.DeepEqual(have.Priority, want.Priority) && (want.Policy == nil || reflect.DeepEqual(have.Policy, want.Policy))
}
