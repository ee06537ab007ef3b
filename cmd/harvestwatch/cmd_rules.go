package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch/rules"
)

func (p *program) rulesCommand() *cli.Command {
	from := &cli.StringFlag{Name: "rules", Usage: "rule `FILE` instead of the built-in rules"}
	return &cli.Command{
		Name:  "rules",
		Usage: "list, explain and check the rules",
		Subcommands: []*cli.Command{
			{Name: "list", Usage: "list the rules", Flags: []cli.Flag{from}, Action: p.rulesList},
			{Name: "explain", Usage: "say in words what a rule does", ArgsUsage: "[RULE...]", Flags: []cli.Flag{from}, Action: p.rulesExplain},
			{Name: "check", Usage: "check rule files", ArgsUsage: "FILE...", Action: p.rulesCheck},
			{Name: "show", Usage: "print the built-in rules as a file to start from", Action: func(*cli.Context) error {
				_, err := fmt.Fprint(p.stdout, rules.DefaultFile())
				return err
			}},
		},
	}
}

func (p *program) rulesList(c *cli.Context) error {
	set, err := loadRules(c.String("rules"))
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tMODE\tREASON")
	for i := range set.Rules {
		r := &set.Rules[i]
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Name, r.Mode, r.Text)
	}
	return w.Flush()
}

func (p *program) rulesExplain(c *cli.Context) error {
	set, err := loadRules(c.String("rules"))
	if err != nil {
		return err
	}
	names := c.Args().Slice()
	if len(names) == 0 {
		for i := range set.Rules {
			names = append(names, set.Rules[i].Name)
		}
	}
	for _, name := range names {
		r, ok := set.Rule(name)
		if !ok {
			return usage("there is no rule %q: see harvestwatch rules list", name)
		}
		if _, err := fmt.Fprintf(p.stdout, "%s: %s\n\n", r.Name, r.Explain()); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) rulesCheck(c *cli.Context) error {
	if !c.Args().Present() {
		return usage("name the rule files to check")
	}
	for _, path := range c.Args().Slice() {
		data, err := os.ReadFile(path)
		if err != nil {
			return usage("read the rules: %w", err)
		}
		set, err := rules.Parse(path, data)
		if err != nil {
			return &codeError{exitUsage, err}
		}
		if _, err := fmt.Fprintf(p.stdout, "%s: %d rules, all well (fingerprint %s)\n", path, len(set.Rules), set.Fingerprint()); err != nil {
			return err
		}
	}
	return nil
}
