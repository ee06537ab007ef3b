package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/harvestwatch/harvestwatch/internal/pools"
	"github.com/harvestwatch/harvestwatch/internal/reputation"
	"github.com/harvestwatch/harvestwatch/rules"
)

// ListsConfig names the administrator's own lists: an address, a network or a domain a line. They are read again when
// they change.
type ListsConfig struct {
	Allow string `toml:"allow"` // path of the list of those who are never blocked; default: none
	Deny  string `toml:"deny"`  // path of the list of those who are blocked at sight; default: none
}

// ProvidersConfig says which large providers are never blocked.
type ProvidersConfig struct {
	Use      *bool    `toml:"use"`      // spare the outgoing servers of large providers; default true
	File     string   `toml:"file"`     // path of a refreshed list of their networks, besides the one that the program comes with
	Verified []string `toml:"verified"` // domains whose verified names are never blocked; default: verifiedDomains
}

// DNSConfig says whether, and whom, the daemon asks about suspects.
type DNSConfig struct {
	Servers []string `toml:"servers"` // resolvers, host:port; default: those of /etc/resolv.conf
	Names   bool     `toml:"names"`   // ask for the names of suspects, both ways; default false
}

// BlockListConfig is a block list in the DNS that is asked about suspects.
type BlockListConfig struct {
	Zone   string   `toml:"zone"`
	Accept []string `toml:"accept"` // return codes and ranges of them that count; default: all that say "listed"
	Except []string `toml:"except"` // networks that the list is never asked about
}

// verifiedDomains are the domains of providers whose servers bear names below them. Whoever holds such a name, forward
// and reverse, is the provider.
func verifiedDomains() []string {
	return []string{"google.com", "outbound.protection.outlook.com", "amazonses.com"}
}

// The roll-out in steps: watch, then let one rule block for a short time, then all.
const (
	rolloutOff   = "off"
	rolloutSteps = "steps"
	stepLength   = 7 * 24 * time.Hour
	shortBlock   = 10 * time.Minute
	firstRule    = "harvest"
)

// completeGuards checks what the guards are configured with, and fills in the defaults.
func (c *Config) completeGuards() error {
	setDefault(&c.Rollout, rolloutOff)
	if c.Providers.Use == nil {
		yes := true
		c.Providers.Use = &yes
	}
	if c.Providers.Verified == nil {
		c.Providers.Verified = verifiedDomains()
	}
	errs := []error{oneOf("rollout", 0, c.Rollout, rolloutOff, rolloutSteps)}
	for _, d := range c.Providers.Verified {
		if _, ok := reputation.CleanName(strings.TrimPrefix(d, ".")); !ok || !strings.Contains(d, ".") {
			errs = append(errs, mistake("providers.verified", 0, "holds %q: name domains like mail.example.org", d))
		}
	}
	c.blockLists = nil
	for i := range c.BlockLists {
		list, err := c.BlockLists[i].list(i)
		errs = append(errs, err)
		c.blockLists = append(c.blockLists, list)
	}
	return errors.Join(errs...)
}

func (b *BlockListConfig) list(i int) (reputation.List, error) {
	l := reputation.List{Zone: strings.TrimSuffix(b.Zone, ".")}
	if _, ok := reputation.CleanName(l.Zone); !ok || !strings.Contains(l.Zone, ".") {
		return l, mistake("block_list.zone", i, "is %q: name the zone that the list is asked in, like bl.example.org", b.Zone)
	}
	for _, text := range b.Accept {
		codes, err := reputation.ParseCodes(text)
		if err != nil {
			return l, mistake("block_list.accept", i, "can't be used: %w", err)
		}
		l.Accept = append(l.Accept, codes)
	}
	for _, text := range b.Except {
		p, err := parsePrefix(text)
		if err != nil {
			return l, mistake("block_list.except", i, "holds %q: name an address or a network like 192.0.2.0/24", text)
		}
		l.Except = append(l.Except, p)
	}
	return l, nil
}

// checkGuardFiles reads the files that the guards need, as the daemon will.
func (c *Config) checkGuardFiles() error {
	var errs []error
	if _, err := c.Lists.load(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.Providers.load(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// load reads the lists. The error names file, line and what to do.
func (c *ListsConfig) load() (*rules.Lists, error) {
	allow, errA := loadList(c.Allow)
	deny, errD := loadList(c.Deny)
	return &rules.Lists{Allow: allow, Deny: deny}, errors.Join(errA, errD)
}

func loadList(path string) (*rules.List, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("read the list: %w", err)
	}
	l, err := rules.ParseList(path, data)
	if err != nil {
		return nil, &codeError{exitUsage, err}
	}
	return l, nil
}

// load returns the providers' networks: those that come with the program, and for each provider those of the file where
// they are newer. nil where none are to be spared.
func (c *ProvidersConfig) load() (*pools.Pools, error) {
	if c.Use != nil && !*c.Use {
		return nil, nil
	}
	shipped, err := pools.Shipped()
	if err != nil {
		return nil, fmt.Errorf("the program's own list of providers: %w", err)
	}
	if c.File == "" {
		return shipped, nil
	}
	data, err := os.ReadFile(c.File)
	if err != nil {
		return nil, usage("read the providers' networks: %w; make the file with harvestwatch providers refresh", err)
	}
	own, err := pools.Parse(c.File, data)
	if err != nil {
		return nil, &codeError{exitUsage, err}
	}
	return pools.Merge(own, shipped), nil
}

// poolNetworks returns the networks as the judge takes them.
func poolNetworks(p *pools.Pools) []rules.Network {
	if p == nil {
		return nil
	}
	var list []rules.Network
	for _, pr := range p.Providers() {
		for _, n := range pr.Networks {
			list = append(list, rules.Network{Prefix: n, Name: pr.Name})
		}
	}
	return list
}

// spared says which prefixes must not be blocked, whoever asks: the never-list, the accept list, the providers. It is
// what the firewall's door asks. Safe for concurrent use.
type spared struct {
	never *rules.NeverList
	lists atomic.Pointer[rules.Lists]
	pools atomic.Pointer[pools.Pools]
}

// Overlaps says whether the prefix has an address in common with one that is spared, and whose that is.
func (s *spared) Overlaps(p netip.Prefix) (name string, ok bool) {
	if name, ok = s.never.Overlaps(p); ok {
		return name, true
	}
	if entry, ok := s.lists.Load().Allowed(p, ""); ok {
		return "accept list: " + entry, true
	}
	if known := s.pools.Load(); known != nil {
		if name, ok := known.Name(p); ok {
			return "provider " + name, true
		}
	}
	return "", false
}
