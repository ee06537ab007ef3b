package nft

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/firewall/fwtest"
	"github.com/harvestwatch/harvestwatch/internal/nstest"
	"golang.org/x/sys/unix"
)

var (
	ourTable   = &nftables.Table{Name: TableName, Family: nftables.TableFamilyINet}
	otherTable = &nftables.Table{Name: "stranger", Family: nftables.TableFamilyINet}
	otherSet   = &nftables.Set{Table: otherTable, Name: "guests", KeyType: nftables.TypeIPAddr, HasTimeout: true}
	otherChain = &nftables.Chain{Table: otherTable, Name: "welcome", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRef(-400)}
)

// acceptAll makes a table of somebody else's that accepts everything, before us.
func acceptAll(t testing.TB, c *nftables.Conn) {
	t.Helper()
	c.AddTable(otherTable)
	set, chain := *otherSet, *otherChain
	if err := c.AddSet(&set, []nftables.SetElement{{Key: []byte{192, 0, 2, 1}, Timeout: 24 * time.Hour}}); err != nil {
		t.Fatal(err)
	}
	c.AddChain(&chain)
	c.AddRule(&nftables.Rule{Table: otherTable, Chain: &chain, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}})
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

// other returns everything in the stranger's table.
func other(t testing.TB, c *nftables.Conn) []any {
	t.Helper()
	chains, err1 := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	rules, err2 := c.GetRules(otherTable, otherChain)
	els, err3 := c.GetSetElements(otherSet)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	var out []any
	for _, ch := range chains {
		if ch.Table.Name == otherTable.Name {
			out = append(out, *ch)
		}
	}
	for _, r := range rules {
		out = append(out, r.Handle, r.Exprs)
	}
	for _, el := range els {
		out = append(out, el.Key, el.Timeout)
	}
	if len(out) != 5 {
		t.Fatalf("the stranger's table holds %v", out)
	}
	return out
}

func TestOtherTablesAreNotTouched(t *testing.T) {
	ns := nstest.New(t)
	c := stranger(t, ns)
	acceptAll(t, c)
	before := other(t, c)
	e := open(t, ns, Options{})
	apply(t, e, firewall.Diff{Add: fwtest.Bulk(3000, time.Now().Add(time.Hour))})
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", time.Hour)}})
	if err := e.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	holds(t, e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if after := other(t, c); !reflect.DeepEqual(before, after) {
		t.Errorf("the stranger's table was %v, is %v", before, after)
	}
}

func TestProtectedTableStandsFlushAndDelete(t *testing.T) {
	w := newWorld(t)
	e := open(t, w.server, Options{})
	if !e.Features().Owned {
		t.Log("the kernel knows no owners: nothing to see here")
		return
	}
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", time.Hour)}})
	c := stranger(t, w.server)
	c.FlushRuleset()
	if err := c.Flush(); err != nil {
		t.Errorf("flush ruleset: %v", err)
	}
	c.DelTable(ourTable)
	if err := c.Flush(); !errors.Is(err, unix.EPERM) {
		t.Errorf("somebody else's delete table: %v, want EPERM", err)
	}
	if err := c.SetAddElements(kinds[0].newSet(ourTable, &Options{}), []nftables.SetElement{{Key: []byte{192, 0, 2, 2}}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); !errors.Is(err, unix.EPERM) {
		t.Errorf("somebody else's add element: %v, want EPERM", err)
	}
	holds(t, e, "192.0.2.1/32")
	w.shut("192.0.2.1", server4, 25)
}

func TestSecondInstance(t *testing.T) {
	ns := nstest.New(t)
	first := open(t, ns, Options{})
	if !first.Features().Owned {
		t.Log("the kernel knows no owners: nothing to see here")
		return
	}
	apply(t, first, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", time.Hour)}})
	for _, o := range []Options{{}, {Unprotected: true}} {
		o.Now, o.NetNS = time.Now, ns.FD()
		if e, err := New(o); !errors.Is(err, ErrOwned) {
			t.Errorf("a second instance: %v, %v", e, err)
		}
	}
	holds(t, first, "192.0.2.1/32")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t, ns, Options{}), "192.0.2.1/32")
}

// TestTakesOverWhateverIsThere opens tables that another configuration, or somebody else, left behind.
func TestTakesOverWhateverIsThere(t *testing.T) {
	forms := []Options{{}, {Unprotected: true}, {Ports: []uint16{2525}}, {Hook: Input}, {Size: 100}, {Counters: true}, {Unprotected: true, Hook: Forward}}
	ns := nstest.New(t)
	e := open(t, ns, forms[0])
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", time.Hour), entry("2001:db8::/64", 2*time.Hour)}})
	for range 2 {
		for _, o := range forms {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e = open(t, ns, o)
			es := holds(t, e, "192.0.2.1/32", "2001:db8::/64")
			for i, en := range es {
				if left := time.Until(en.Until) - time.Duration(i+1)*time.Hour; left.Abs() > 10*time.Second {
					t.Errorf("%s ends at %s", en.Prefix, en.Until)
				}
			}
		}
	}
}

func TestTakesOverRubbish(t *testing.T) {
	ns := nstest.New(t)
	c := stranger(t, ns)
	c.AddTable(ourTable)
	rubbish := &nftables.Set{Table: ourTable, Name: "b4_32", KeyType: nftables.TypeInetService}
	if err := c.AddSet(rubbish, []nftables.SetElement{{Key: []byte{0, 25}}}); err != nil {
		t.Fatal(err)
	}
	if err := c.AddSet(&nftables.Set{Table: ourTable, Name: "b4_24", KeyType: nftables.TypeIPAddr, Interval: true}, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	e := open(t, ns, Options{})
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", time.Hour)}})
	holds(t, e, "192.0.2.1/32")
}
