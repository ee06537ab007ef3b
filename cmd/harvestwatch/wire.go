package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/firewall/nft"
	"github.com/harvestwatch/harvestwatch/internal/control"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
)

// openFirewall opens the enforcer and its reconciler, if the daemon enforces.
func (d *daemon) openFirewall() error {
	if !d.enforcing() {
		return nil
	}
	if d.cfg.Firewall.Enforcer == "none" {
		d.log.Warn("blocks are recorded and put into effect nowhere: firewall.enforcer is none")
		return nil
	}
	enf, err := d.p.openNFT(d.cfg, d.log)
	if err != nil {
		return err
	}
	d.enf = enf
	d.rec = firewall.New(enf, d.wanted, firewall.Options{Now: d.p.now, Never: d.spared.Overlaps, Max: d.cfg.Firewall.MaxBlocks, Log: d.log})
	return nil
}

// openNFT opens the nftables enforcer as the configuration says.
func (p *program) openNFT(cfg *Config, log *slog.Logger) (*nft.Enforcer, error) {
	hook, ok := nft.HookOf(cfg.Firewall.Hook)
	if !ok {
		return nil, usage("firewall.hook is %q: it must be prerouting, input or forward", cfg.Firewall.Hook)
	}
	enf, err := nft.New(nft.Options{Now: p.now, Hook: hook, Ports: cfg.Firewall.Ports, Unprotected: !*cfg.Firewall.Protect,
		Log: log, Size: uint32(max(cfg.Firewall.MaxBlocks, nft.DefaultSize))})
	if err != nil {
		return nil, fmt.Errorf("open the firewall: %w", err)
	}
	return enf, nil
}

func (p *program) firewallCommand() *cli.Command {
	return &cli.Command{
		Name:  "firewall",
		Usage: "look at what the firewall holds, or clear it",
		Subcommands: []*cli.Command{
			{Name: "clear", Usage: "take every block of ours out of the firewall; stop the daemon first",
				Description: "Removes the table inet harvestwatch. The database is not touched: a daemon that enforces puts\n" +
					"its active blocks back when it starts. To end single blocks for good, use unblock.",
				Flags: configFlags(), Action: p.firewallClear},
		},
	}
}

func (p *program) firewallClear(c *cli.Context) error {
	cfg, err := p.config(c)
	if err != nil {
		return err
	}
	var running statusAnswer
	if control.Call(c.Context, cfg.Socket, "status", nil, &running) == nil && running.Firewall != nil {
		return failed(errors.New("the daemon is running and would put everything back: stop it first"))
	}
	enf, err := p.openNFT(cfg, nil)
	if err != nil {
		return failed(err)
	}
	defer enf.Close()
	if err := enf.Clear(c.Context); err != nil {
		return failed(err)
	}
	_, err = fmt.Fprintln(p.stdout, "the firewall holds no block of ours any more")
	return err
}

// recipientTwin gives the timeline the twins that the parsers of Exchange's logs give.
func recipientTwin(client harvestwatch.Addr, rcpt []byte) uint64 {
	return twin.Recipient(address.Of(client), rcpt)
}
