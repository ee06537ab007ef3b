package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pelletier/go-toml/v2"
	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch/internal/access"
)

func (p *program) configCommand() *cli.Command {
	return &cli.Command{
		Name:  "config",
		Usage: "check and show the configuration",
		Subcommands: []*cli.Command{
			{Name: "check", Usage: "check the configuration and its rules; a mistake is named with file, line and key",
				ArgsUsage: "[FILE]", Flags: configFlags(), Action: p.configCheck},
			{Name: "show", Usage: "print the configuration in force, defaults included", Flags: configFlags(), Action: p.configShow},
			{Name: "example", Usage: "print a commented configuration to start from", Action: func(*cli.Context) error {
				_, err := p.stdout.Write(exampleConfig)
				return err
			}},
		},
	}
}

func (p *program) configCheck(c *cli.Context) error {
	path := c.String("config")
	if c.Args().Present() {
		path = c.Args().First()
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return usage("read the configuration: %w", err)
	}
	cfg, err := parseConfig(path, data)
	if err != nil {
		return err
	}
	if err := cfg.checkFiles(c.Context); err != nil {
		return &codeError{exitUsage, located(path, data, err)}
	}
	set, err := loadRules(cfg.Rules)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s: all well: mode %s, %d inputs, %d rules\n", path, cfg.Mode, len(cfg.Inputs), len(set.Rules))
	return err
}

// checkFiles reads the files that the configuration names, but for the logs, which may come later. It asks no directory.
func (c *Config) checkFiles(ctx context.Context) error {
	errs := []error{c.Recipients.checkFiles(ctx, c.site.Domains), c.checkGuardFiles()}
	for i := range c.Inputs {
		if in := &c.Inputs[i]; in.fields != nil && namesDatabase(in.Path) {
			if _, err := access.NewFollower(in.Path, access.FollowOptions{Table: in.fields.Table, Key: in.fields.Key}); err != nil {
				errs = append(errs, mistake("input.mapping", i, "can't be used: %w; name the table and its key in %s", err, in.Mapping))
			}
		}
	}
	return errors.Join(errs...)
}

func (p *program) configShow(c *cli.Context) error {
	cfg, err := p.config(c)
	if err != nil {
		return err
	}
	return toml.NewEncoder(p.stdout).Encode(cfg)
}
