package main

import (
	"strings"
	"testing"
	"time"
)

// TestRolloutBlocksNobodyAtARestart: what was decided while the roll-out watches, or while the daemon observed before it, is
// not put into effect by a restart.
func TestRolloutBlocksNobodyAtARestart(t *testing.T) {
	w, c := newWorld(t), newConfigured(t, "rollout = \"steps\"\n")
	appendTo(t, c.log, probes(12))
	stop := startDaemon(t.Fatalf, c.output, []string{"--config", c.config, c.log})
	c.caughtUp(t, size(t, c.log))
	stop()
	for round := range 2 {
		cmd := w.runDaemon(t, &c.testPlace, "--config", c.config)
		c.harvest(t, networkAddr)
		out := c.ask(t, exitOK, "status")
		if !w.reaches(attackerAddr, "25", time.Second) || !w.reaches(networkAddr, "25", time.Second) || !strings.Contains(out, "0 active") {
			t.Errorf("start %d: somebody is blocked in the first week: %s\n%s", round, out, c.said())
		}
		end(t, cmd)
	}
}
