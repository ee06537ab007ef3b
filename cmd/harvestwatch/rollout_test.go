package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

const inSteps = "mode = \"enforce\"\nrollout = \"steps\"\n[firewall]\nenforcer = \"none\"\n[[input]]\npath = \"DIR/mail.log\"\n"

// began returns what the database says of when the installation began.
func (c *configured) began(t *testing.T, key string) (at time.Time) {
	t.Helper()
	r, err := store.OpenReadOnly(c.state)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = r.LoadParser(t.Context(), metaInput, func(k, v []byte) error {
		if string(k) == key {
			return at.UnmarshalText(v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// begin makes it that the installation began to watch, and was told to enforce, at that time.
func (c *configured) begin(t *testing.T, at time.Time) {
	t.Helper()
	st, err := store.Open(c.state, store.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	text, err := at.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	batch := &store.Batch{Now: time.Now(), Parser: []store.State{{Input: metaInput, Key: []byte(metaFirst), Value: text},
		{Input: metaInput, Key: []byte(metaEnforced), Value: text}}}
	if err := errors.Join(st.Commit(t.Context(), batch), st.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestFirstStartIsRemembered: when the installation began to watch, and when to block, is noted once and for all.
func TestFirstStartIsRemembered(t *testing.T) {
	c := newConfigured(t, "[[input]]\npath = \"DIR/mail.log\"\n")
	appendTo(t, c.log, nil)
	before := time.Now().Add(-time.Second)
	stop := c.run(t)
	c.caughtUp(t, 0)
	stop()
	first := c.began(t, metaFirst)
	if first.Before(before) || first.After(time.Now()) {
		t.Errorf("first start %s", first)
	}
	if at := c.began(t, metaEnforced); !at.IsZero() {
		t.Errorf("it only observed, and says that it enforces since %s", at)
	}
	c.write(t, "hw.toml", fmt.Appendf(nil, "state = %q\nsocket = %q\n%s", c.state, c.socket, strings.ReplaceAll(inSteps, "DIR", c.dir)))
	for range 2 {
		stop = c.run(t)
		c.caughtUp(t, 0)
		stop()
		if again := c.began(t, metaFirst); !again.Equal(first) {
			t.Errorf("first start %s became %s", first, again)
		}
	}
	if at := c.began(t, metaEnforced); !at.After(first) {
		t.Errorf("enforcing since %s, first start %s", at, first)
	}
}

// TestRolloutInSteps: a new installation that is told to enforce watches first, then one rule blocks shortly, then all do as
// they say; a restart changes nothing about that.
func TestRolloutInSteps(t *testing.T) {
	c := newConfigured(t, inSteps)
	appendTo(t, c.log, nil)
	status := func(want string) {
		t.Helper()
		if out := c.ask(t, exitOK, "status"); want == "" && strings.Contains(out, "roll-out") || !strings.Contains(out, want) {
			t.Errorf("status does not say %q: %s", want, out)
		}
	}
	stop := c.run(t)
	c.harvest(t, "198.51.100.10")
	status("nothing is blocked before " + c.began(t, metaFirst).Add(stepLength).UTC().Format(time.RFC3339))
	stop()
	if d, block := c.decision(t, "198.51.100.10"); d.Action != harvestwatch.ActObserve || d.Guard != rules.GuardRollout || block != nil {
		t.Errorf("in the first week: %s (%s), block %v: %s", d.Action, d.Guard, block, d.Reason)
	}
	stop = c.run(t)
	c.caughtUp(t, size(t, c.log))
	if out := c.ask(t, exitOK, "list", "--all"); !strings.Contains(out, "observe (roll-out)") || strings.Contains(out, "block-") {
		t.Errorf("list after a restart: %s", out)
	}
	status("0 active")
	stop()

	c.begin(t, time.Now().Add(-stepLength-time.Hour)) // it has watched for a week
	stop = c.run(t)
	c.harvest(t, "198.51.100.11")
	for i := range 8 {
		appendTo(t, c.log, fmt.Appendf(nil, "%s mx1 postfix/smtpd[9]: warning: unknown[198.51.100.12]: SASL LOGIN authentication failed: "+
			"authentication failure, sasl_username=user%d@target.example\n", now(), i))
	}
	c.caughtUp(t, size(t, c.log))
	status("only harvest blocks, for 10m at most, until ")
	stop()
	if d, block := c.decision(t, "198.51.100.11"); d.Action != harvestwatch.ActBlock || block == nil || block.Until.Sub(d.Offence.Fired) != shortBlock {
		t.Errorf("harvest in the second week: %s, block %+v: %s", d.Action, block, d.Reason)
	}
	if d, block := c.decision(t, "198.51.100.12"); d.Action != harvestwatch.ActObserve || d.Guard != rules.GuardRollout || block != nil {
		t.Errorf("another rule in the second week: %s (%s) %s", d.Action, d.Guard, d.Reason)
	}

	c.begin(t, time.Now().Add(-2*stepLength-time.Hour)) // and has blocked a little for another
	stop = c.run(t)
	c.harvest(t, "198.51.100.13")
	status("")
	stop()
	if d, block := c.decision(t, "198.51.100.13"); d.Action != harvestwatch.ActBlock || block == nil || block.Until.Sub(d.Offence.Fired) != time.Hour {
		t.Errorf("after the roll-out: %s, block %+v: %s", d.Action, block, d.Reason)
	}
}
