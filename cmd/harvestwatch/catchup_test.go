//go:build unix

package main

import (
	"testing"

	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// A daemon that finds several logs written already brings them into the order of time, as a scan does, whoever delivers
// first: what one log says for a client is known when another speaks against it.
func TestCatchUpOfSeveralInputs(t *testing.T) {
	g := golden.Load(t, "../../testdata/logs/mixed")[0]
	for range 2 {
		inputs, files := halfHour(t)
		text := "[site]\nown = [\"" + g.Header["own"] + "\"]\ndomains = [\"" + g.Header["local"] + "\"]\n"
		for _, in := range inputs {
			text += "[[input]]\npath = \"DIR/" + in + "\"\n"
		}
		c := newConfigured(t, text)
		for name, b := range files {
			c.write(t, name, b)
		}
		stop := c.run(t)
		for i := range inputs {
			inputs[i] = c.path(inputs[i])
		}
		c.hasRead(t, inputs...)
		stop()
		checkTotals(t, &g, storedTotals(t, c.state))
		checkSources(t, &g, c.state)
	}
}
