package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/report"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// recordJSON is a decision as list and why print it. Schemas harvestwatch.list/1 and harvestwatch.why/1.
type recordJSON struct {
	Source     string         `json:"source"`          // or the prefix of a block made by hand
	Target     string         `json:"target"`          // what a block covers: the source, or the prefix around it
	Key        string         `json:"key,omitempty"`   // by what the rule adds up, where that is not the source
	Group      string         `json:"group,omitempty"` // which HELO name, domain, user or prefix it was; text from a log
	Name       string         `json:"name,omitempty"`  // the client's verified name; text from a log
	Helo       string         `json:"helo,omitempty"`  // the client's HELO name; text from a log
	Rule       string         `json:"rule"`
	Decision   string         `json:"decision"`
	Guard      string         `json:"guard"`
	Reason     string         `json:"reason"`
	First      report.Time    `json:"first"`
	Fired      report.Time    `json:"fired"`
	Until      report.Time    `json:"until"`
	Count      int            `json:"count"`
	Threshold  int            `json:"threshold"`
	Deliveries int            `json:"deliveries"`
	Level      int            `json:"level"`
	Block      string         `json:"block,omitempty"`         // the block's name
	Ended      report.Time    `json:"ended"`                   // when somebody ended the block
	EndedBy    string         `json:"ended_by,omitempty"`      // who did; harvestwatch for a guard
	EndedFor   string         `json:"ended_because,omitempty"` // what the guard said
	Active     bool           `json:"active"`
	Evidence   []evidenceJSON `json:"evidence,omitempty"`
}

// evidenceJSON is a raw line of a log.
type evidenceJSON struct {
	Path   string      `json:"path"`
	Offset int64       `json:"offset"`
	Time   report.Time `json:"time"`
	Text   string      `json:"text"`
}

func toJSON(r *store.Record, now time.Time) recordJSON {
	o := &r.Decision.Offence
	j := recordJSON{Source: o.Source.String(), Target: o.Target().String(), Key: o.Key, Group: o.Group, Name: o.Name, Helo: o.Helo,
		Rule: o.Rule, Decision: r.Decision.Action.String(), Guard: r.Decision.Guard, Reason: r.Decision.Reason,
		First: report.Time{Time: o.First.UTC()}, Fired: report.Time{Time: o.Fired.UTC()},
		Until: report.Time{Time: r.Decision.Until.UTC()}, Count: o.Count, Threshold: o.Threshold, Deliveries: o.Deliveries, Level: o.Level}
	if o.Target().IsSingleIP() || !o.Prefix.IsValid() {
		j.Target = j.Source
	}
	if b := r.Block; b != nil {
		j.Block, j.Active = b.ID, b.Active(now)
		if byHand(r) {
			j.Source, j.Rule, j.Decision, j.Reason = prefixText(b.Prefix), b.Rule, harvestwatch.ActBlock.String(), b.Reason
			j.Target = j.Source
			j.Fired, j.Until = report.Time{Time: b.From.UTC()}, report.Time{Time: b.Until.UTC()}
		}
	}
	if !r.Ended.IsZero() {
		j.Ended = report.Time{Time: r.Ended.UTC()}
	}
	for _, l := range r.Evidence {
		j.Evidence = append(j.Evidence, evidenceJSON{l.Path, l.Offset, report.Time{Time: l.Time.UTC()}, l.Text})
	}
	return j
}

// byHand reports whether the record is a block that somebody made by hand.
func byHand(r *store.Record) bool { return r.Decision.Action == 0 }

func (p *program) listCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the active blocks, and while observing those that would be active",
		Flags: append(configFlags(),
			&cli.BoolFlag{Name: "all", Usage: "also what has ended, and what guards suppressed"},
			&cli.StringFlag{Name: "since", Usage: "with --all: nothing older than `TIME`: -2h, yesterday, 2026-03-02"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON, schema harvestwatch.list/1"}),
		Action: func(c *cli.Context) error {
			cfg, err := p.config(c)
			if err != nil {
				return err
			}
			q := store.Query{Bare: true}
			if text := c.String("since"); text != "" {
				if q.Since, err = parseWhen(text, p.now()); err != nil {
					return usage("--since: %w", err)
				}
			}
			st, err := store.OpenReadOnly(cfg.State)
			if err != nil {
				return failed(err)
			}
			defer st.Close()
			records, err := st.History(c.Context, q)
			if err != nil {
				return failed(err)
			}
			freed, err := released(c.Context, st, p.now())
			if err != nil {
				return failed(err)
			}
			return p.list(records, freed, c.Bool("all"), c.Bool("json"))
		},
	}
}

// list prints the records. freed tells when a prefix was last unblocked by hand.
func (p *program) list(records []store.Record, freed map[string]time.Time, all, asJSON bool) error {
	now := p.now()
	rows := []recordJSON{}
	for i := range records {
		r := &records[i]
		if all || holds(r, freed, now) {
			rows = append(rows, toJSON(r, now))
		}
	}
	if asJSON {
		return printLine(p.stdout, struct {
			Schema  string       `json:"schema"`
			Records []recordJSON `json:"records"`
		}{"harvestwatch.list/1", rows})
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(p.stdout, "nothing is blocked")
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SOURCE\tRULE\tDECISION\tFIRED\tUNTIL\tLEFT\tBLOCK")
	for _, r := range rows {
		left := "-"
		if r.Until.After(now) && (r.Active || r.Decision == "observe") {
			left = rules.FormatDuration(r.Until.Sub(now).Round(time.Second))
		}
		decision := r.Decision
		if r.Guard != "" {
			decision += " (" + r.Guard + ")"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Target, r.Rule, decision, local(r.Fired.Time), local(r.Until.Time), left, r.Block)
	}
	return w.Flush()
}

// holds reports whether the record's block is active, or would be if the daemon enforced.
func holds(r *store.Record, freed map[string]time.Time, now time.Time) bool {
	if r.Block != nil {
		return r.Block.Active(now)
	}
	o := &r.Decision.Offence
	return r.Decision.Action == harvestwatch.ActObserve && now.Before(r.Decision.Until) && !freed[o.Target().String()].After(o.Fired)
}
