package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/detector"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/rules"
)

// guardOptions are the flags of the commands that try rules on old logs: who must not be blocked, besides what the rules
// themselves know.
type guardOptions struct {
	never       []string
	lists       ListsConfig
	former      string
	noProviders bool
}

func guardFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "never", Usage: "address or `NETWORK` that must not be blocked; may be repeated"},
		&cli.StringFlag{Name: "allow", Usage: "list `FILE` of addresses, networks and domains that must not be blocked"},
		&cli.StringFlag{Name: "deny", Usage: "list `FILE` of those to be blocked at sight"},
		&cli.StringFlag{Name: "former", Usage: "list `FILE` of recipients that have left: asking for them is no guess"},
		&cli.BoolFlag{Name: "no-providers", Usage: "do not spare the networks and names of large mail providers"},
	}
}

func guardsOf(c *cli.Context) guardOptions {
	return guardOptions{never: c.StringSlice("never"), lists: ListsConfig{Allow: c.String("allow"), Deny: c.String("deny")},
		former: c.String("former"), noProviders: c.Bool("no-providers")}
}

// guards are what guardOptions name, read.
type guards struct {
	policy rules.Policy
	former [][]byte
}

// load reads what the options name.
func (o *guardOptions) load(ctx context.Context) (*guards, error) {
	g := &guards{policy: rules.Policy{Enforce: true}}
	for _, text := range o.never {
		pre, err := parsePrefix(text)
		if err != nil {
			return nil, usage("--never: %w", err)
		}
		g.policy.Never = append(g.policy.Never, rules.Network{Prefix: pre, Name: "--never"})
	}
	var err error
	if g.policy.Lists, err = o.lists.load(); err != nil {
		return nil, err
	}
	if g.former, err = readFormer(ctx, o.former); err != nil {
		return nil, err
	}
	if !o.noProviders {
		known, err := (&ProvidersConfig{}).load()
		if err != nil {
			return nil, err
		}
		g.policy.Pools, g.policy.Verified = poolNetworks(known), verifiedDomains()
	}
	return g, nil
}

// lane is one rule set at work on old logs.
type lane struct {
	pipeline.Lane
	det *detector.Detector
}

// lane decides by the rules of the set as a daemon would that enforces.
func (g *guards) lane(set *rules.Set, sink pipeline.Sink, o detector.Options) lane {
	o.FormerUsers = g.former
	det, judge := detector.New(set, o), rules.NewJudge(set, g.policy)
	l := lane{pipeline.Lane{Detector: det, Judge: judge, Sink: sink}, det}
	if g.policy.Lists.Deny.Len() > 0 {
		l.Deny = (&denier{judge: judge, lists: g.policy.Lists}).decide
	}
	return l
}

// denier decides about the sources of the deny list. It belongs to one goroutine.
type denier struct {
	judge *rules.Judge
	lists *rules.Lists
	told  map[harvestwatch.Source]int64 // who was decided about, and until when that is enough
}

// maxDenied bounds the sources that are remembered; at the bound all are forgotten, and told again.
const maxDenied = 10_000

// decide decides about an event of a source on the deny list, nil for any other. Of events in one second the first
// decides: a block, or would-be block, holds from the next second on, and is the detector's to know. Who is on the list and
// was spared is told again when the decision says so.
func (d *denier) decide(ev *harvestwatch.Event) *harvestwatch.Decision {
	src, ok := harvestwatch.SourceOf(ev.Addr)
	if !ok || d.lists.Deny.Len() == 0 {
		return nil
	}
	entry, ok := d.lists.Denied(ev.Addr, string(ev.Name))
	if !ok || ev.Time < d.told[src] {
		return nil
	}
	at := ev.When().Truncate(time.Second)
	dec := d.judge.Deny(&harvestwatch.Offence{Source: src, First: at, Fired: at, Count: 1, Threshold: 1, Level: 1, Session: ev.Session,
		Pos: ev.Pos, Addr: ev.Addr, Name: string(ev.Name), Helo: string(ev.Helo), Evidence: []uint32{ev.Ref}}, entry)
	d.tell(&dec)
	return &dec
}

// tell notes a decision about a source, and for how long it is enough.
func (d *denier) tell(dec *harvestwatch.Decision) {
	if d.told == nil || len(d.told) >= maxDenied {
		d.told = map[harvestwatch.Source]int64{}
	}
	until := dec.Offence.Fired.Add(time.Second)
	if dec.Action == harvestwatch.ActSuppress {
		until = dec.Until
	}
	d.told[dec.Offence.Source] = until.UnixNano()
}

// use changes the lists.
func (d *denier) use(l *rules.Lists) { d.lists, d.told = l, nil }

// resumeDenier tells the denier what was decided before the daemon was started.
func (d *daemon) resumeDenier(ctx context.Context) error {
	records, err := d.st.InEffect(ctx, rules.DenyRule, time.Time{}, maxDenied/2)
	if err != nil {
		return err
	}
	for i := len(records) - 1; i >= 0; i-- { // the oldest first
		d.denier.tell(&records[i].Decision)
	}
	return nil
}
