package main

import (
	"fmt"

	"github.com/pelletier/go-toml/v2"
	"github.com/urfave/cli/v2"
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
	cfg, err := loadConfig(path, true)
	if err != nil {
		return err
	}
	set, err := loadRules(cfg.Rules)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s: all well: mode %s, %d inputs, %d rules\n", path, cfg.Mode, len(cfg.Inputs), len(set.Rules))
	return err
}

func (p *program) configShow(c *cli.Context) error {
	cfg, err := p.config(c)
	if err != nil {
		return err
	}
	return toml.NewEncoder(p.stdout).Encode(cfg)
}
