package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

// configFlags are shared by all commands that need the configuration.
func configFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"}, Value: defaultConfig, Usage: "configuration `FILE`"},
		&cli.StringFlag{Name: "state", Usage: "database `FILE`, instead of the configured one"},
		&cli.StringFlag{Name: "socket", Usage: "control `SOCKET`, instead of the configured one"},
	}
}

// config loads the configuration that the flags of a command name.
func (p *program) config(c *cli.Context) (*Config, error) {
	cfg, err := loadConfig(c.String("config"), c.IsSet("config"))
	if err != nil {
		return nil, err
	}
	if c.IsSet("state") {
		cfg.State = c.String("state")
	}
	if c.IsSet("socket") {
		cfg.Socket = c.String("socket")
	}
	return cfg, nil
}

func (p *program) runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "follow logs, decide, record, and with --enforce block: the daemon",
		ArgsUsage: "[LOG...]",
		Description: "Follows the configured logs, or the ones named. It observes (decides and records, touches nothing)\n" +
			"until the configuration says mode = \"enforce\" or --enforce is given. Enforcing with nftables needs\n" +
			"the capability CAP_NET_ADMIN; observing needs nothing but to read the logs.\n\n" +
			"SIGHUP makes it read its lists (allow, deny, providers) again; it also notices by itself when they change.\n" +
			"It ends at SIGTERM or SIGINT. Blocks stay in the kernel until they run out.",
		Flags: append(configFlags(),
			&cli.BoolFlag{Name: "enforce", Usage: "put blocks into effect"},
			&cli.BoolFlag{Name: "observe", Usage: "touch nothing, whatever the configuration says"},
			&cli.StringFlag{Name: "rules", Usage: "rule `FILE`, instead of the configured one"},
			&cli.StringSliceFlag{Name: "never", Usage: "address or `NETWORK` that is never blocked, besides the configured ones"},
			&cli.StringFlag{Name: "start", Usage: "where to begin a log the first time: `beginning` or end"},
			&cli.BoolFlag{Name: "debug", Usage: "log more"}),
		Action: func(c *cli.Context) error {
			cfg, err := p.config(c)
			if err != nil {
				return err
			}
			if err := runFlags(c, cfg); err != nil {
				return err
			}
			level := slog.LevelInfo
			if c.Bool("debug") {
				level = slog.LevelDebug
			}
			return p.runDaemon(c.Context, cfg, slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: level})))
		},
	}
}

// runFlags lets the flags of run change the configuration.
func runFlags(c *cli.Context, cfg *Config) error {
	switch {
	case c.Bool("enforce") && c.Bool("observe"):
		return usage("--enforce and --observe contradict each other: give one")
	case c.Bool("enforce"):
		cfg.Mode = "enforce"
	case c.Bool("observe"):
		cfg.Mode = "observe"
	}
	if c.IsSet("rules") {
		cfg.Rules = c.String("rules")
	}
	cfg.Never = append(cfg.Never, c.StringSlice("never")...)
	if c.Args().Present() {
		cfg.Inputs = nil
	}
	for _, path := range c.Args().Slice() {
		abs, err := filepath.Abs(path) // the state must mean the same log from another directory
		if strings.HasPrefix(path, journalScheme) {
			abs = path
		}
		if err != nil {
			return usage("name the log by its whole path: %w", err)
		}
		cfg.Inputs = append(cfg.Inputs, InputConfig{Path: abs})
	}
	if c.IsSet("start") {
		for i := range cfg.Inputs {
			cfg.Inputs[i].Start = c.String("start")
		}
	}
	if len(cfg.Inputs) == 0 {
		return usage("there is no log to follow: name one, or write an [[input]] into %s", c.String("config"))
	}
	if err := cfg.complete(); err != nil {
		return usage("%w", err)
	}
	return nil
}

func (p *program) runDaemon(ctx context.Context, cfg *Config, log *slog.Logger) error {
	// A log pipe whose reader went away must not end the protection, nor must a terminal that closes.
	signal.Ignore(syscall.SIGPIPE)
	// Nor must a SIGHUP, from now on: until the daemon runs it waits here.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	d, err := p.newDaemon(ctx, cfg, log)
	if err != nil {
		return err
	}
	d.hangup = hangup
	return d.run(ctx)
}
