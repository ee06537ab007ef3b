package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/reputation"
	"github.com/harvestwatch/harvestwatch/rules"
)

// newAsker makes what asks the DNS about suspects; nil where the configuration asks nothing.
func (d *daemon) newAsker() (*reputation.Asker, error) {
	c := &d.cfg.DNS
	if !c.Names && len(d.cfg.blockLists) == 0 {
		return nil, nil
	}
	servers := c.Servers
	if len(servers) == 0 {
		var err error
		if servers, err = reputation.ReadServers("/etc/resolv.conf"); err != nil {
			return nil, usage("find a DNS resolver: %w; name one under dns.servers", err)
		}
	}
	client, err := reputation.NewClient(reputation.ClientOptions{Servers: servers, Now: d.p.now})
	if err != nil {
		return nil, usage("dns.servers: %w", err)
	}
	o := reputation.Options{Client: client, Lists: d.cfg.blockLists, NoNames: !c.Names, Now: d.p.now,
		Warn: func(s string) { d.log.Warn("block list: " + s) }}
	o.Deliver = func(a reputation.Answer) { d.learned(d.running, a) }
	asker, err := reputation.New(o)
	if err != nil {
		return nil, usage("block_list: %w", err)
	}
	return asker, nil
}

// annotate adds to an event what the DNS said of its client. What the log says itself is not replaced.
func (d *daemon) annotate(ev *harvestwatch.Event) {
	a, ok := d.asker.Lookup(ev.Addr)
	if !ok {
		return
	}
	if len(ev.Name) == 0 && a.Name != "" {
		ev.Name = []byte(a.Name)
	}
	ev.Listed = len(a.Listed) > 0
}

// suspect has the DNS asked about a source that came half way to a threshold just now.
func (d *daemon) suspect(ev *harvestwatch.Event) {
	if d.asker != nil && d.p.now().Sub(ev.When()) < fresh {
		d.asker.Ask(ev.Addr)
	}
}

// learned takes an answer: who was blocked before his name was known, and has one that is never blocked, is let go. It is
// called by the asker's workers.
func (d *daemon) learned(ctx context.Context, a reputation.Answer) {
	src, ok := harvestwatch.SourceOf(a.Addr)
	if !ok || a.Name == "" {
		return
	}
	err := d.do(ctx, func() {
		if err := d.letGoNamed(ctx, src, a.Name); err != nil {
			d.log.Error("a block could not be ended", "source", src.String(), "error", err)
		}
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		d.log.Error("what the DNS said could not be used", "source", src.String(), "error", err)
	}
}

// letGoNamed ends the blocks of a source that rules made, if its verified name is one that is never blocked. What the deny
// list blocks stays, unless the name is on the accept list. It runs in the loop's goroutine.
func (d *daemon) letGoNamed(ctx context.Context, src harvestwatch.Source, name string) error {
	guard, spare := d.judge.Spares(src.Prefix(), name)
	if !spare {
		return nil
	}
	blocks, err := d.st.RuleBlocks(ctx, "", d.p.now())
	if err != nil {
		return err
	}
	var f freed
	others := false
	for _, b := range byRule(blocks)[src.Prefix()] {
		if b.Rule == rules.DenyRule && guard == rules.GuardVerified {
			others = true
			continue
		}
		f.ids = append(f.ids, b.ID)
	}
	if len(f.ids) > 0 {
		f.add(src.Prefix(), fmt.Sprintf("never blocked: %s (the verified name is %q)", guard, name), !others)
	}
	return d.end(ctx, &f)
}
