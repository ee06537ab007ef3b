package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch/internal/pools"
	"github.com/harvestwatch/harvestwatch/internal/reputation"
)

func (p *program) providersCommand() *cli.Command {
	return &cli.Command{
		Name:  "providers",
		Usage: "the networks of large mail providers, which are never blocked: list them, or ask for them anew",
		Subcommands: []*cli.Command{
			{Name: "list", Usage: "say which providers are known, how many networks each has, and how old that is",
				Flags: append(configFlags(), &cli.BoolFlag{Name: "networks", Usage: "print the networks too, as a file that providers.file can name"}),
				Action: func(c *cli.Context) error {
					cfg, err := p.config(c)
					if err != nil {
						return err
					}
					return p.listProviders(cfg, c.Bool("networks"))
				}},
			{Name: "refresh", Usage: "ask the DNS for the networks of the providers (their SPF records) and write them to a file",
				Description: "Asks for the SPF records of the known providers, and what these include (RFC 7208). A record that would\n" +
					"leave less than half of a provider's addresses, or make them more than four times as many, is refused\n" +
					"unless --force is given. The file is written whole or not at all; a running daemon notices it by itself.",
				ArgsUsage: "[FILE]",
				Flags: append(configFlags(),
					&cli.StringSliceFlag{Name: "server", Usage: "resolver to ask, `HOST:PORT`, instead of the configured ones"},
					&cli.BoolFlag{Name: "force", Usage: "believe large changes too"}),
				Action: func(c *cli.Context) error {
					cfg, err := p.config(c)
					if err != nil {
						return err
					}
					path := cfg.Providers.File
					if c.Args().Present() {
						path = c.Args().First()
					}
					if path == "" {
						return usage("name the file to write, or providers.file in %s", c.String("config"))
					}
					if c.IsSet("server") {
						cfg.DNS.Servers = c.StringSlice("server")
					}
					return p.refreshProviders(c.Context, cfg, path, c.Bool("force"))
				}},
		},
	}
}

func (p *program) listProviders(cfg *Config, networks bool) error {
	yes := true
	cfg.Providers.Use = &yes
	known, err := cfg.Providers.load()
	if err != nil {
		return err
	}
	if networks {
		_, err := p.stdout.Write(known.Text())
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PROVIDER\tNETWORKS\tOF\tSPF RECORD")
	for _, pr := range known.Providers() {
		domain := pr.Domain
		if domain == "" {
			domain = "-"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", pr.Name, len(pr.Networks), pr.Date.Format(time.DateOnly), domain)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if warning := known.Warning(p.now()); warning != "" {
		_, err = fmt.Fprintf(p.stderr, "harvestwatch: %s: harvestwatch providers refresh FILE\n", warning)
	}
	return err
}

func (p *program) refreshProviders(ctx context.Context, cfg *Config, path string, force bool) error {
	servers := cfg.DNS.Servers
	if len(servers) == 0 {
		var err error
		if servers, err = reputation.ReadServers("/etc/resolv.conf"); err != nil {
			return usage("find a DNS resolver: %w; name one with --server", err)
		}
	}
	client, err := reputation.NewClient(reputation.ClientOptions{Servers: servers, Now: p.now})
	if err != nil {
		return usage("%w", err)
	}
	if _, err := os.Stat(path); err == nil {
		cfg.Providers.File = path // go on from what is there
	}
	yes := true
	cfg.Providers.Use = &yes
	old, err := cfg.Providers.load()
	if err != nil {
		return err
	}
	fresh, changes, err := pools.Refresh(ctx, client, old, p.now(), force)
	if err != nil {
		return failed(err)
	}
	bad, good := 0, 0
	for i := range changes {
		switch changes[i].Verdict {
		case pools.Refused, pools.Failed:
			bad++
		case pools.Unchanged, pools.Updated:
			good++
		}
		fmt.Fprintln(p.stdout, changes[i].String())
	}
	if good == 0 {
		return failed(fmt.Errorf("no provider could be asked for its networks: %s stays as it is", path))
	}
	if err := writeWhole(path, fresh.Text()); err != nil {
		return failed(err)
	}
	if bad > 0 {
		return failed(fmt.Errorf("%d of %d providers keep their old networks; the others are in %s", bad, len(changes), path))
	}
	return nil
}

// writeWhole writes a file whole or not at all, and for good: under another name first, then renamed.
func writeWhole(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
