package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/control"
	"github.com/harvestwatch/harvestwatch/store"
)

// statusAnswer is what the daemon says of itself. Schema harvestwatch.status/1.
type statusAnswer struct {
	Schema    string        `json:"schema"`
	Version   string        `json:"version"`
	Mode      string        `json:"mode"`
	Started   time.Time     `json:"started"`
	Rules     string        `json:"rules"` // fingerprint of the rule set
	Inputs    []inputStatus `json:"inputs"`
	Sources   int           `json:"sources"`   // that the detector keeps in mind
	Decisions int64         `json:"decisions"` // since the start
	Late      int64         `json:"late"`      // events too old for every window, since the start
	Future    int64         `json:"future"`    // events with stamps ahead of the clock, since the start
	Active    int           `json:"active_blocks"`
	Guards    guardStatus   `json:"guards"`
	Firewall  *fwStatus     `json:"firewall,omitempty"` // absent while observing
}

// guardStatus is what the guards of the whole site have in hand.
type guardStatus struct {
	Rollout    string            `json:"rollout"`            // which step it is in, "" for all of it
	Allowed    int               `json:"allowed"`            // entries of the accept list
	Denied     int               `json:"denied"`             // entries of the deny list
	Providers  int               `json:"providers"`          // networks of providers that are spared
	Problems   []string          `json:"problems,omitempty"` // of the lists
	Late       string            `json:"late,omitempty"`     // what of the deny list is blocked only when it shows up
	Stale      string            `json:"stale,omitempty"`    // which providers' networks are old
	BlockLists []blockListStatus `json:"block_lists,omitempty"`
	Asked      int64             `json:"asked"`             // suspects that the DNS was asked about, since the start
	Notices    []noticeStatus    `json:"notices,omitempty"` // the latest, the newest first
}

// blockListStatus is one block list.
type blockListStatus struct {
	Zone    string `json:"zone"`
	Usable  bool   `json:"usable"`
	Problem string `json:"problem,omitempty"`
}

// noticeStatus is what a guard of the whole site said.
type noticeStatus struct {
	Guard  string    `json:"guard"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
}

// inputStatus is one followed log.
type inputStatus struct {
	Path      string    `json:"path"`
	Format    string    `json:"format"` // "" until it is recognised
	Offset    int64     `json:"offset"` // committed up to this byte
	Lines     int64     `json:"lines"`  // since the start
	Events    int64     `json:"events"`
	Unparsed  int64     `json:"unparsed"`
	LastEvent time.Time `json:"last_event"`
	Problem   string    `json:"problem,omitempty"`
}

// fwStatus is the enforcer's condition.
type fwStatus struct {
	Name    string    `json:"name"`
	InStep  bool      `json:"in_step"`
	Entries int       `json:"entries"`
	Success time.Time `json:"last_success"`
	Error   string    `json:"error,omitempty"`
	Refused int       `json:"refused"`           // blocks of the database that the firewall's door refused
	Refusal string    `json:"refusal,omitempty"` // why the first of them was
}

// blockArgs ask for a block or for the end of one.
type blockArgs struct {
	Prefix netip.Prefix  `json:"prefix"`
	For    time.Duration `json:"for,omitempty"`
	Reason string        `json:"reason,omitempty"`
	Who    string        `json:"who,omitempty"`
}

// answer answers the commands. It is called from the control socket's goroutines.
func (d *daemon) answer(ctx context.Context, r control.Request) (any, error) {
	var args blockArgs
	if len(r.Args) > 0 {
		if err := json.Unmarshal(r.Args, &args); err != nil {
			return nil, fmt.Errorf("understand the arguments of %s: %w", r.Command, err)
		}
	}
	switch r.Command {
	case "status":
		return d.status(ctx)
	case "block":
		return d.block(ctx, args)
	case "unblock":
		return d.unblock(ctx, args)
	}
	return nil, fmt.Errorf("the daemon (version %s) knows no command %q: is it older than the command?", version, r.Command)
}

func (d *daemon) status(ctx context.Context) (*statusAnswer, error) {
	s := &statusAnswer{Schema: "harvestwatch.status/1", Version: version, Mode: d.cfg.Mode, Started: d.started, Rules: d.set.Fingerprint()}
	active, err := d.wanted(ctx)
	if err != nil {
		return nil, err
	}
	s.Active = len(active)
	if d.rec != nil {
		st := d.rec.Status()
		s.Firewall = &fwStatus{Name: st.Name, InStep: st.InStep, Entries: st.Entries, Success: st.LastSuccess}
		if st.LastError != nil && !st.InStep {
			s.Firewall.Error = st.LastError.Error()
		}
		if s.Firewall.Refused = st.RefusedAll; len(st.Refused) > 0 {
			s.Firewall.Refusal = st.Refused[0].Err.Error()
		}
	}
	s.Guards = d.guardStatus()
	err = d.do(ctx, func() {
		for i := len(d.notices) - 1; i >= 0; i-- {
			n := d.notices[i]
			s.Guards.Notices = append(s.Guards.Notices, noticeStatus{n.Guard, n.At, n.Until, n.Reason})
		}
		s.Sources = d.det.Stats().Sources
		s.Decisions, s.Late, s.Future = d.stats.decisions, d.stats.late, d.stats.future
		for _, in := range d.inputs {
			s.Inputs = append(s.Inputs, inputStatus{Path: in.cfg.Path, Format: in.format, Offset: in.cursor.Offset,
				Lines: in.counts.Lines, Events: in.counts.Events, Unparsed: in.counts.Unparsed, LastEvent: in.last,
				Problem: in.problem.get()})
		}
	})
	return s, err
}

// What the audit calls what was done. A guard of the whole site has its own name there.
const (
	auditBlock   = "block"
	auditUnblock = "unblock"
	auditEnforce = "enforce" // what was decided while observing was put into effect
	auditSpare   = "spare"   // why a guard ended the blocks of a prefix, which begins the text
)

// Bounds of a block made by hand.
const (
	minManual = time.Second
	maxManual = 366 * 24 * time.Hour
)

// block blocks a prefix by hand. The never-list holds here too.
func (d *daemon) block(ctx context.Context, a blockArgs) (*harvestwatch.Block, error) {
	if !d.enforcing() {
		return nil, fmt.Errorf("the daemon only observes: run it with --enforce or mode = \"enforce\" to block")
	}
	if d.rec == nil {
		return nil, fmt.Errorf("no enforcer is configured that could block: set firewall.enforcer")
	}
	if !a.Prefix.IsValid() || a.For < minManual || a.For > maxManual {
		return nil, fmt.Errorf("block %s for %s: the time must be from %s to %s", a.Prefix, a.For, minManual, maxManual)
	}
	if name, ok := d.spared.Overlaps(a.Prefix); ok {
		return nil, fmt.Errorf("%s is never blocked (%s): take it off that list first, if it is one of yours", prefixText(a.Prefix), name)
	}
	if !d.enf.Caps().Supports(a.Prefix) {
		return nil, fmt.Errorf("%s: %s takes IPv4 prefixes of %v bits and IPv6 prefixes of %v bits", a.Prefix, d.enf.Name(),
			d.enf.Caps().V4Lens, d.enf.Caps().V6Lens)
	}
	now := d.p.now()
	b := harvestwatch.Block{Prefix: a.Prefix, From: now, Until: now.Add(a.For), Rule: "manual", Reason: a.Reason}
	audit := store.Audit{Time: now, Who: a.Who, What: auditBlock, Text: fmt.Sprintf("%s for %s: %s", a.Prefix, a.For, a.Reason)}
	b, err := d.st.AddBlock(ctx, b, audit)
	if err != nil {
		return nil, err
	}
	d.want.add(b)
	d.poke()
	d.log.Info("blocked by hand", "prefix", a.Prefix.String(), "until", b.Until.UTC().Format(time.RFC3339), "who", a.Who)
	return &b, nil
}

// unblockAnswer says which blocks were ended, and which others still hold the prefix.
type unblockAnswer struct {
	Ended []harvestwatch.Block `json:"ended"`
	Still []harvestwatch.Block `json:"still"`
}

// unblock ends every block of a prefix, of the source that it lies in, and of all that lies within it, and the detector's
// memory of the offences.
func (d *daemon) unblock(ctx context.Context, a blockArgs) (*unblockAnswer, error) {
	var answer unblockAnswer
	var err error
	if asked := d.do(ctx, func() { answer.Ended, err = d.endByHand(ctx, a) }); asked != nil {
		return nil, asked
	}
	d.want.forget()
	d.poke()
	if err != nil {
		return nil, err
	}
	holding, err := d.wanted(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range holding {
		if b.Prefix.Overlaps(a.Prefix) {
			answer.Still = append(answer.Still, b)
		}
	}
	d.log.Info("unblocked by hand", "prefix", a.Prefix.String(), "blocks", len(answer.Ended), "who", a.Who)
	return &answer, nil
}

// endByHand ends the blocks that unblock speaks of. It runs in the loop's goroutine.
func (d *daemon) endByHand(ctx context.Context, a blockArgs) ([]harvestwatch.Block, error) {
	prefixes := []netip.Prefix{a.Prefix}
	if src, ok := harvestwatch.ParseSource(a.Prefix.String()); ok && src.Prefix() != a.Prefix {
		prefixes = append(prefixes, src.Prefix())
	}
	within, err := d.wanted(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range within {
		if b.Prefix != a.Prefix && a.Prefix.Overlaps(b.Prefix) && a.Prefix.Bits() < b.Prefix.Bits() {
			prefixes = append(prefixes, b.Prefix)
		}
	}
	c := &store.Change{At: d.p.now(), Prefixes: prefixes}
	for _, p := range prefixes {
		c.Audit = append(c.Audit, store.Audit{Time: c.At, Who: a.Who, What: auditUnblock, Text: p.String()})
	}
	d.denied.mu.Lock() // what is on its way to the firewall comes first
	defer d.denied.mu.Unlock()
	ended, err := d.release(ctx, c, prefixes)
	if err == nil {
		d.denied.leave(prefixes)
	}
	return ended, err
}

// release makes a change, and lets the detector forget the offences of the sources of some prefixes, for good, in one
// transaction: who is killed in the middle has done both, or nothing. What could not be written goes with the next commit,
// and a failure of that ends the daemon. It runs in the loop's goroutine.
func (d *daemon) release(ctx context.Context, c *store.Change, prefixes []netip.Prefix) ([]harvestwatch.Block, error) {
	for _, p := range prefixes {
		if src, ok := harvestwatch.ParseSource(p.String()); ok {
			d.det.Release(src, d.det.Now())
		} else if first, ok := harvestwatch.SourceOf(p.Addr()); ok {
			d.det.ReleasePrefix(first, d.det.Now())
		}
	}
	var batch store.Batch
	d.changes(&batch)
	c.Windows, c.Memory = batch.Windows, batch.Memory
	ended, err := d.st.Change(context.WithoutCancel(ctx), c)
	if err != nil {
		d.owed = batch
	}
	d.want.forget()
	d.poke()
	return ended, err
}
