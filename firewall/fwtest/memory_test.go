package fwtest_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/firewall/fwtest"
)

// harness gives the suite a Memory with a clock that only Advance moves.
func harness(limit int, manual bool) func(*testing.T) fwtest.Harness {
	return func(*testing.T) fwtest.Harness {
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		m := fwtest.NewMemory(func() time.Time { return now }, limit)
		if manual {
			m.Manual()
		}
		return fwtest.Harness{
			Open:    func() (firewall.Enforcer, error) { m.Reopen(); return m, nil },
			Now:     func() time.Time { return now },
			Advance: func(d time.Duration) { now = now.Add(d) },
			Foreign: func() { m.Foreign(func(es map[netip.Prefix]time.Time) { clear(es) }) },
			Slack:   time.Millisecond,
		}
	}
}

func TestMemory(t *testing.T)       { fwtest.Run(t, harness(0, false)) }
func TestMemoryFull(t *testing.T)   { fwtest.Run(t, harness(3000, false)) }
func TestMemoryManual(t *testing.T) { fwtest.Run(t, harness(0, true)) }
