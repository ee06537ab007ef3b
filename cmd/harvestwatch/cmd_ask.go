package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/control"
	"github.com/harvestwatch/harvestwatch/internal/report"
)

// ask sends a command to the daemon. That none answers, or that it refuses, is a failure and no wrong usage.
func ask(ctx context.Context, cfg *Config, command string, args, result any) error {
	return failed(control.Call(ctx, cfg.Socket, command, args, result))
}

func (p *program) statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "how the daemon is: inputs, blocks, firewall",
		Description: "Exit codes: 0 all is well; 3 no daemon answers, an input can't be followed, the firewall is out of\n" +
			"step, or it refused blocks.",
		Flags: append(configFlags(), &cli.BoolFlag{Name: "json", Usage: "print JSON, schema harvestwatch.status/1"}),
		Action: func(c *cli.Context) error {
			cfg, err := p.config(c)
			if err != nil {
				return err
			}
			var s statusAnswer
			if err := ask(c.Context, cfg, "status", nil, &s); err != nil {
				return err
			}
			if c.Bool("json") {
				if err := printLine(p.stdout, s); err != nil {
					return err
				}
			} else if err := p.printStatus(&s); err != nil {
				return err
			}
			if !s.healthy() {
				return &codeError{exitFailed, nil}
			}
			return nil
		},
	}
}

func (s *statusAnswer) healthy() bool {
	for _, in := range s.Inputs {
		if in.Problem != "" {
			return false
		}
	}
	if len(s.Guards.Problems) > 0 {
		return false
	}
	return s.Firewall == nil || s.Firewall.InStep && s.Firewall.Refused == 0
}

func (p *program) printStatus(s *statusAnswer) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "mode\t%s\n", s.Mode)
	fmt.Fprintf(w, "running\tsince %s (version %s, rules %s)\n", local(s.Started), s.Version, s.Rules)
	for _, in := range s.Inputs {
		format := in.Format
		if format == "" {
			format = "format not recognised yet"
		}
		fmt.Fprintf(w, "input\t%s\t%s\t%d lines, %d events, %d not understood", report.Quote(in.Path), format, in.Lines, in.Events, in.Unparsed)
		if !in.LastEvent.IsZero() {
			fmt.Fprintf(w, ", last event %s", local(in.LastEvent))
		}
		if in.Problem != "" {
			fmt.Fprintf(w, ", PROBLEM: %s", report.Quote(in.Problem))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "sources\t%d in mind\n", s.Sources)
	fmt.Fprintf(w, "decisions\t%d since the start; %d events came too late, %d lie in the future\n", s.Decisions, s.Late, s.Future)
	fmt.Fprintf(w, "blocks\t%d active\n", s.Active)
	printGuards(w, &s.Guards)
	switch f := s.Firewall; {
	case f == nil:
		fmt.Fprintf(w, "firewall\tnot touched\n")
	case f.InStep:
		fmt.Fprintf(w, "firewall\t%s: %d entries, in step since %s\n", f.Name, f.Entries, local(f.Success))
	default:
		fmt.Fprintf(w, "firewall\t%s: OUT OF STEP: %s\n", f.Name, report.Quote(f.Error))
	}
	if f := s.Firewall; f != nil && f.Refused > 0 {
		fmt.Fprintf(w, "refused\t%d blocks are not in effect: %s\n", f.Refused, report.Quote(f.Refusal))
	}
	return w.Flush()
}

func printGuards(w io.Writer, g *guardStatus) {
	if g.Rollout != "" {
		fmt.Fprintf(w, "roll-out\t%s\n", g.Rollout)
	}
	fmt.Fprintf(w, "lists\t%d allowed, %d denied, %d networks of mail providers\n", g.Allowed, g.Denied, g.Providers)
	for _, p := range g.Problems {
		fmt.Fprintf(w, "lists\tPROBLEM: %s\n", report.Quote(p))
	}
	if g.Late != "" {
		fmt.Fprintf(w, "lists\t%s\n", g.Late)
	}
	if g.Stale != "" {
		fmt.Fprintf(w, "providers\t%s\n", g.Stale)
	}
	for _, b := range g.BlockLists {
		state := "usable"
		switch {
		case !b.Usable && b.Problem == "":
			state = "not needed yet"
		case !b.Usable:
			state = "NOT USABLE: " + report.Quote(b.Problem)
		}
		fmt.Fprintf(w, "block list\t%s\t%s\n", b.Zone, state)
	}
	for _, n := range g.Notices {
		fmt.Fprintf(w, "guard\t%s\t%s: %s\n", local(n.At), n.Guard, report.Quote(n.Reason))
	}
}

func local(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func (p *program) blockCommand() *cli.Command {
	return &cli.Command{
		Name:      "block",
		Usage:     "block an address or a network by hand",
		ArgsUsage: "PREFIX",
		Flags: append(configFlags(),
			&cli.StringFlag{Name: "for", Value: "1h", Usage: "for how `LONG`: 90s, 30m, 2h, 7d"},
			&cli.StringFlag{Name: "reason", Usage: "`WHY`, for whoever asks later"}),
		Action: func(c *cli.Context) error {
			cfg, args, err := p.prefixArgs(c)
			if err != nil {
				return err
			}
			if args.For, err = parseDuration(c.String("for")); err != nil {
				return usage("--for: %w", err)
			}
			var b harvestwatch.Block
			if err := ask(c.Context, cfg, "block", args, &b); err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "%s is blocked until %s (block %s)\n", prefixText(b.Prefix), local(b.Until), b.ID)
			return err
		},
	}
}

func (p *program) unblockCommand() *cli.Command {
	return &cli.Command{
		Name:      "unblock",
		Usage:     "end the blocks of an address or a network at once, and forget its offences",
		ArgsUsage: "PREFIX",
		Flags:     configFlags(),
		Action: func(c *cli.Context) error {
			cfg, args, err := p.prefixArgs(c)
			if err != nil {
				return err
			}
			var a unblockAnswer
			if err := ask(c.Context, cfg, "unblock", args, &a); err != nil {
				return err
			}
			out := &lineWriter{w: p.stdout}
			if len(a.Ended) == 0 {
				out.printf("%s was not blocked by itself\n", prefixText(args.Prefix))
			}
			for _, b := range a.Ended {
				out.printf("%s is no longer blocked (block %s)\n", prefixText(b.Prefix), b.ID)
			}
			for _, b := range a.Still {
				out.printf("%s is still blocked until %s: harvestwatch unblock %s ends it\n", prefixText(b.Prefix), local(b.Until), prefixText(b.Prefix))
			}
			return out.err
		},
	}
}

// prefixArgs reads the one argument of a command that concerns a prefix.
func (p *program) prefixArgs(c *cli.Context) (*Config, blockArgs, error) {
	if c.NArg() != 1 {
		return nil, blockArgs{}, usage("name one address or network: harvestwatch %s 198.51.100.7", c.Command.Name)
	}
	pre, err := parsePrefix(c.Args().First())
	if err != nil {
		return nil, blockArgs{}, usage("%w", err)
	}
	cfg, err := p.config(c)
	return cfg, blockArgs{Prefix: pre, Reason: c.String("reason"), Who: who()}, err
}

// who names the user who gave a command, for the audit.
func who() string {
	if sudo := os.Getenv("SUDO_USER"); sudo != "" {
		return report.Quote(sudo)
	}
	u, err := user.Current()
	if err != nil {
		return "uid " + strconv.Itoa(os.Getuid())
	}
	return u.Username
}
