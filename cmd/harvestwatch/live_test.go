package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// asked runs do as somebody else than the loop does, and gives up where it hangs.
func asked(t *testing.T, d *daemon, ctx context.Context, f func()) error {
	t.Helper()
	got := make(chan error, 1)
	go func() { got <- d.do(ctx, f) }()
	select {
	case err := <-got:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("it hangs")
		return nil
	}
}

// started runs a daemon that follows one empty log. It returns the daemon, what ends it, and what its run returned.
func started(t *testing.T) (d *daemon, cancel context.CancelFunc, ended chan error) {
	t.Helper()
	c := newConfigured(t, "[[input]]\npath = \"DIR/mail.log\"\nformat = \"postfix\"\n")
	c.write(t, "mail.log", nil)
	cfg, err := loadConfig(c.config, true)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{strings.NewReader(""), io.Discard, io.Discard, time.Now}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	if d, err = p.newDaemon(ctx, cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	go func() { ended <- d.run(ctx) }()
	return d, cancel, ended
}

// How the loop ended is told to who asked it for something, and the daemon ends: nobody waits for an answer that doesn't
// come. That is so where the commit before it fails, whether the one who asks would wait for ever or not.
func TestFailedCommitEndsTheDaemon(t *testing.T) {
	for name, forever := range map[string]bool{"a command": false, "who waits for ever": true} {
		d, _, ended := started(t)
		if err := asked(t, d, t.Context(), func() {}); err != nil { // it works
			t.Fatal(err)
		}
		if err := d.st.Close(); err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if forever {
			ctx = context.WithoutCancel(ctx)
		}
		ran := false
		for range 2 { // the loop is there still, and is not
			if err := asked(t, d, ctx, func() { ran = true }); !errors.Is(err, errEnded) || ran {
				t.Errorf("%s: %v; it ran: %t", name, err, ran)
			}
		}
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: the daemon ended as if all were well", name)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the daemon neither works nor ends", name)
		}
	}
}

// At the end of the daemon, whoever still asks is told so: with many at once, some come before it, some too late.
func TestAskingAtShutdown(t *testing.T) {
	d, cancel, ended := started(t)
	const askers = 20
	got := make(chan error, askers)
	for range askers {
		go func() {
			var err error
			for err == nil {
				ran := false
				if err = d.do(context.WithoutCancel(t.Context()), func() { ran = true }); ran != (err == nil) {
					err = errors.New("what is said to have run has not, or the reverse")
				}
			}
			got <- err
		}()
	}
	if err := asked(t, d, t.Context(), func() {}); err != nil {
		t.Fatal(err)
	}
	cancel()
	for range askers {
		select {
		case err := <-got:
			if !errors.Is(err, errEnded) {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("somebody waits for ever")
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Who gives up before his turn is told so.
func TestAskingEndsWithItsContext(t *testing.T) {
	d := &daemon{live: &live{asks: make(chan func())}} // nobody takes anything
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := asked(t, d, ctx, func() { t.Error("it ran") }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
