package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/detector"
	"github.com/harvestwatch/harvestwatch/internal/report"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// whyJSON is the answer of why. Schema harvestwatch.why/1.
type whyJSON struct {
	Schema   string       `json:"schema"`
	Prefix   string       `json:"prefix"`
	Records  []recordJSON `json:"records"`
	Standing *standing    `json:"standing,omitempty"`
}

// standing is how near the source has come to a rule's threshold since its last offence.
type standing struct {
	Rule       string `json:"rule"`
	Count      int    `json:"count"`
	Threshold  int    `json:"threshold"`
	Deliveries int    `json:"deliveries"`
}

func (p *program) whyCommand() *cli.Command {
	return &cli.Command{
		Name:      "why",
		Usage:     "tell why an address was blocked, or what is missing for it to be, with the evidence",
		ArgsUsage: "ADDRESS|NETWORK|BLOCK",
		Description: "Reads the database, so it answers after the block has run out and the logs were rotated, with or\n" +
			"without a running daemon.",
		Flags: append(configFlags(), &cli.BoolFlag{Name: "json", Usage: "print JSON, schema harvestwatch.why/1"}),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage("name one address, network or block: harvestwatch why 198.51.100.7")
			}
			cfg, err := p.config(c)
			if err != nil {
				return err
			}
			st, err := store.OpenReadOnly(cfg.State)
			if err != nil {
				return failed(err)
			}
			defer st.Close()
			return p.why(c.Context, st, cfg, c.Args().First(), c.Bool("json"))
		},
	}
}

func (p *program) why(ctx context.Context, st *store.Reader, cfg *Config, what string, asJSON bool) error {
	pre, err := parsePrefix(what)
	if err != nil {
		b, idErr := st.BlockByID(ctx, what)
		if errors.Is(idErr, store.ErrNoBlock) {
			return usage("%q is neither an address, nor a network, nor a block: see harvestwatch list --all", what)
		}
		if idErr != nil {
			return failed(idErr)
		}
		pre = b.Prefix
	}
	records, err := st.History(ctx, store.Query{Prefix: pre})
	if err != nil {
		return failed(err)
	}
	near, err := p.standing(ctx, st, cfg, pre)
	if err != nil {
		return failed(err)
	}
	answer := whyJSON{Schema: "harvestwatch.why/1", Prefix: prefixText(pre), Records: []recordJSON{}, Standing: near}
	for i := range records {
		j := toJSON(&records[i], p.now())
		if err := endedBy(ctx, st, &records[i], &j); err != nil {
			return failed(err)
		}
		answer.Records = append(answer.Records, j)
	}
	if asJSON {
		return printLine(p.stdout, answer)
	}
	return printWhy(p.stdout, &answer)
}

// endedBy finds out from the audit who ended a block early, and what a guard said when it was one.
func endedBy(ctx context.Context, st *store.Reader, r *store.Record, j *recordJSON) error {
	if r.Ended.IsZero() || r.Block == nil {
		return nil
	}
	audit, err := st.AuditSince(ctx, r.Ended, 0)
	if err != nil {
		return err
	}
	prefix := r.Block.Prefix.String()
	for i := len(audit) - 1; i >= 0; i-- { // the oldest first
		a := &audit[i]
		switch {
		case !a.Time.Equal(r.Ended):
			return nil
		case a.What == auditUnblock && a.Text == prefix:
			j.EndedBy = a.Who
		case a.Who != guardName || a.What == auditBlock || a.What == auditEnforce || a.What == auditUnblock:
		case a.What != auditSpare:
			j.EndedFor = a.What + ": " + a.Text
		case strings.HasPrefix(a.Text, prefix+": "):
			j.EndedFor = strings.TrimPrefix(a.Text, prefix+": ")
		}
	}
	return nil
}

// standing asks the detector's records, as they were last committed, how near a source is to a threshold. nil where
// nothing is known of it, or where the prefix is more than one source.
func (p *program) standing(ctx context.Context, st *store.Reader, cfg *Config, pre netip.Prefix) (*standing, error) {
	src, ok := harvestwatch.ParseSource(pre.String())
	if !ok {
		return nil, nil
	}
	set, err := loadRules(cfg.Rules)
	if err != nil {
		return nil, err
	}
	key, _, err := hashKey(ctx, st)
	if err != nil {
		return nil, err
	}
	det := detector.New(set, detector.Options{Key: key})
	err = st.LoadWindows(ctx, func(s harvestwatch.Source, value []byte) error {
		if s != src && s != 0 {
			return nil
		}
		return det.Restore(0, uint64(s), value)
	})
	if err != nil {
		return nil, err
	}
	near := det.Standing(src)
	if near.Rule == "" {
		return nil, nil
	}
	return &standing{near.Rule, near.Count, near.Threshold, near.Deliveries}, nil
}

func printWhy(w io.Writer, a *whyJSON) error {
	out := &lineWriter{w: w}
	if len(a.Records) == 0 {
		out.printf("%s: no decision is recorded\n", a.Prefix)
	}
	for i := range a.Records {
		printRecord(out, &a.Records[i])
	}
	switch n := a.Standing; {
	case n != nil && n.Deliveries > 0:
		out.printf("%s came as near as %d of %d for %s; what it delivered (to %d recipients) raised the threshold\n",
			a.Prefix, n.Count, n.Threshold, n.Rule, n.Deliveries)
	case n != nil:
		out.printf("%s came as near as %d of %d for %s\n", a.Prefix, n.Count, n.Threshold, n.Rule)
	case len(a.Records) == 0:
		out.printf("and nothing that a rule counts is remembered of it\n")
	}
	return out.err
}

func printRecord(out *lineWriter, r *recordJSON) {
	out.printf("%s  %s  %s", local(r.Fired.Time), r.Target, r.Decision)
	if r.Guard != "" {
		out.printf(" (%s)", r.Guard)
	}
	if !r.Until.IsZero() && r.Guard == "" {
		out.printf(" until %s", local(r.Until.Time))
	}
	if r.Block != "" {
		out.printf("  block %s", r.Block)
		switch {
		case !r.Ended.IsZero():
			out.printf(", ended early %s", local(r.Ended.Time))
			if r.EndedBy != "" {
				out.printf(" by %s", report.Quote(r.EndedBy))
			}
		case r.Active:
			out.printf(", active")
		default:
			out.printf(", run out")
		}
	}
	out.printf("\n  %s\n", report.Quote(r.Reason))
	if r.Target != r.Source {
		out.printf("  reached by an event of %s\n", r.Source)
	}
	if r.Group != "" && r.Key != rules.ByPrefix.String() {
		out.printf("  %s %s\n", strings.ReplaceAll(r.Key, "_", " "), report.Quote(r.Group))
	}
	if r.EndedFor != "" {
		out.printf("  why it ended: %s\n", report.Quote(r.EndedFor))
	}
	for _, e := range r.Evidence {
		out.printf("    %s:%d  %s\n", report.Quote(e.Path), e.Offset, report.Quote(e.Text))
	}
	out.printf("\n")
}

// lineWriter writes until the first error and remembers it.
type lineWriter struct {
	w   io.Writer
	err error
}

func (l *lineWriter) printf(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.w, format, args...)
	}
}

// prefixText writes a prefix as people do: a single address without its length.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
