package nft

import (
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/firewall/fwtest"
	"github.com/harvestwatch/harvestwatch/internal/nstest"
)

// open makes an enforcer in the namespace that is closed when the test ends.
func open(t testing.TB, ns *nstest.NS, o Options) *Enforcer {
	t.Helper()
	o.Now, o.NetNS = time.Now, ns.FD()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// stranger returns another program's connection to the namespace's nftables.
func stranger(t testing.TB, ns *nstest.NS) *nftables.Conn {
	t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(ns.FD()))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// strangeTable makes a table that isn't ours.
func strangeTable(t testing.TB, c *nftables.Conn, name string) {
	t.Helper()
	c.AddTable(&nftables.Table{Name: name, Family: nftables.TableFamilyINet})
	if err := c.Flush(); err != nil {
		t.Error(err)
	}
}

func TestConformance(t *testing.T) {
	old := func(e *Enforcer) { e.feat.Update, e.feat.Destroy = false, false }
	for _, c := range []struct {
		name string
		opt  Options
		mend func(*Enforcer)
	}{
		{"owned", Options{Size: 12_000}, nil},
		{"plain, counting", Options{Size: 12_000, Unprotected: true, Counters: true}, nil},
		{"old kernel", Options{Size: 12_000, Unprotected: true}, old},
	} {
		t.Run(c.name, func(t *testing.T) {
			fwtest.Run(t, func(t *testing.T) fwtest.Harness {
				ns := nstest.New(t)
				foreign := stranger(t, ns)
				return fwtest.Harness{
					Now: time.Now,
					Open: func() (firewall.Enforcer, error) {
						e := open(t, ns, c.opt)
						if c.mend != nil {
							c.mend(e)
						}
						return e, nil
					},
					Foreign: func() { strangeTable(t, foreign, "stranger") },
				}
			})
		})
	}
}
