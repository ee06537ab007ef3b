package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/harvestwatch/harvestwatch/internal/reputation"
	"github.com/harvestwatch/harvestwatch/internal/tailer"
	"github.com/harvestwatch/harvestwatch/parsers"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// Where things are unless the configuration or a flag says otherwise.
const (
	defaultConfig = "/etc/harvestwatch/harvestwatch.toml"
	defaultState  = "/var/lib/harvestwatch/harvestwatch.db"
	defaultSocket = "/run/harvestwatch/control.sock"
)

// exampleConfig is the commented configuration that `config example` prints. A test holds that it is valid and says
// the defaults.
//
//go:embed harvestwatch.toml
var exampleConfig []byte

// Config is the configuration file. A zero field takes the default that default* functions and comments name.
type Config struct {
	Mode   string   `toml:"mode"`   // observe (default) or enforce
	State  string   `toml:"state"`  // path of the SQLite file
	Socket string   `toml:"socket"` // path of the control socket
	Zone   string   `toml:"zone"`   // IANA name of the zone of stamps that carry none; default: the machine's
	Rules  string   `toml:"rules"`  // path of a rule file; default: the built-in rules
	Never  []string `toml:"never"`  // addresses and networks that are never blocked
	// Rollout is off (default), or steps: a week without blocks, a week in which harvest blocks for ten minutes, then all.
	Rollout    string            `toml:"rollout"`
	Lists      ListsConfig       `toml:"lists"`
	Providers  ProvidersConfig   `toml:"providers"`
	DNS        DNSConfig         `toml:"dns"`
	BlockLists []BlockListConfig `toml:"block_list"`
	Site       SiteConfig        `toml:"site"`
	Recipients RecipientsConfig  `toml:"recipients"`
	Inputs     []InputConfig     `toml:"input"`
	Firewall   FirewallConfig    `toml:"firewall"`

	never []netip.Prefix
	zone  *time.Location
	site  site.Site // without what differs from input to input

	blockLists []reputation.List
}

// InputConfig is one log to follow.
type InputConfig struct {
	Path   string `toml:"path"`
	Format string `toml:"format"` // default: recognised from the log itself
	Start  string `toml:"start"`  // where to begin the first time: beginning (default) or end
	Wake   string `toml:"wake"`   // inotify (default) or poll, for file systems that do not tell
	// Mapping is the path of the file that says what the columns of a table mean, for the format table.
	Mapping string `toml:"mapping"`

	fields *site.Fields
}

// FirewallConfig says where blocks go.
type FirewallConfig struct {
	Enforcer  string   `toml:"enforcer"` // nftables (default) or none
	Hook      string   `toml:"hook"`     // prerouting (default), input or forward
	Ports     []uint16 `toml:"ports"`    // default 25, 465, 587
	Protect   *bool    `toml:"protect"`  // own the table, so that nobody else flushes it; default true
	MaxBlocks int      `toml:"max_blocks"`
}

// parseConfig reads a configuration. name is for the errors, which name line, column and key.
func parseConfig(name string, data []byte) (*Config, error) {
	c := &Config{}
	dec := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := dec.Decode(c); err != nil {
		return nil, tomlError(name, err, "see harvestwatch config example")
	}
	if err := c.complete(); err != nil {
		return nil, &codeError{exitUsage, located(name, data, err)}
	}
	return c, nil
}

// tomlError says where in the file the trouble is, and what to do about a key that there is not.
func tomlError(name string, err error, advice string) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		var all []error
		for _, e := range strict.Errors {
			row, col := e.Position()
			all = append(all, fmt.Errorf("%s:%d:%d: there is no key %q: %s", name, row, col, strings.Join(e.Key(), "."), advice))
		}
		return &codeError{exitUsage, errors.Join(all...)}
	}
	var de *toml.DecodeError
	if errors.As(err, &de) {
		row, col := de.Position()
		key := ""
		if len(de.Key()) > 0 {
			key = fmt.Sprintf("key %q: ", strings.Join(de.Key(), "."))
		}
		return usage("%s:%d:%d: %s%s", name, row, col, key, strings.TrimPrefix(de.Error(), "toml: "))
	}
	return usage("%s: %w", name, err)
}

// complete checks the values and fills in the defaults.
func (c *Config) complete() error {
	setDefault(&c.Mode, "observe")
	setDefault(&c.State, defaultState)
	setDefault(&c.Socket, defaultSocket)
	setDefault(&c.Firewall.Enforcer, "nftables")
	setDefault(&c.Firewall.Hook, "prerouting")
	if len(c.Firewall.Ports) == 0 {
		c.Firewall.Ports = []uint16{25, 465, 587}
	}
	if c.Firewall.Protect == nil {
		yes := true
		c.Firewall.Protect = &yes
	}
	if c.Firewall.MaxBlocks == 0 {
		c.Firewall.MaxBlocks = 100_000
	}
	var errs []error
	errs = append(errs, oneOf("mode", 0, c.Mode, "observe", "enforce"),
		oneOf("firewall.enforcer", 0, c.Firewall.Enforcer, "nftables", "none"),
		oneOf("firewall.hook", 0, c.Firewall.Hook, "prerouting", "input", "forward"))
	if n := c.Firewall.MaxBlocks; n < 1 || n > 1_000_000 {
		errs = append(errs, mistake("firewall.max_blocks", 0, "is %d: it must be from 1 to 1000000", n))
	}
	for _, p := range c.Firewall.Ports {
		if p == 0 {
			errs = append(errs, mistake("firewall.ports", 0, "holds 0: name TCP ports from 1 to 65535"))
		}
	}
	errs = append(errs, c.completeNever(), c.completeGuards(), c.completeZone(), c.completeSite(), c.Recipients.complete(), c.completeInputs())
	return errors.Join(errs...)
}

func (c *Config) completeNever() error {
	c.never = nil
	var errs []error
	for _, text := range c.Never {
		p, err := parsePrefix(text)
		if err != nil {
			errs = append(errs, mistake("never", 0, "holds %q: name an address or a network like 192.0.2.0/24", text))
			continue
		}
		c.never = append(c.never, p)
	}
	return errors.Join(errs...)
}

func (c *Config) completeZone() error {
	c.zone = localZone()
	if c.Zone == "" {
		return nil
	}
	zone, err := time.LoadLocation(c.Zone)
	if err != nil {
		return mistake("zone", 0, "is %q: name an IANA zone like Europe/Berlin (%w)", c.Zone, err)
	}
	c.zone = zone
	return nil
}

func (c *Config) completeSite() (err error) {
	c.site, err = c.Site.site()
	return err
}

func (c *Config) completeInputs() error {
	var errs []error
	seen := map[string]bool{}
	for i := range c.Inputs {
		in := &c.Inputs[i]
		setDefault(&in.Start, "beginning")
		setDefault(&in.Wake, "inotify")
		journald := strings.HasPrefix(in.Path, journalScheme)
		if !journald {
			in.Path = filepath.Clean(in.Path)
		}
		switch {
		case in.Path == ".":
			errs = append(errs, mistake("input.path", i, "is missing: name the log to follow"))
		case !journald && !filepath.IsAbs(in.Path):
			errs = append(errs, mistake("input.path", i, "is %q: name the log by its whole path", in.Path))
		case seen[in.Path]:
			errs = append(errs, mistake("input.path", i, "is %s, which is there twice: remove one", in.Path))
		case filepath.Clean(c.State) == in.Path: // a file that is no database would be set aside
			errs = append(errs, mistake("input.path", i, "is %s: state and the input are the same file: name another state", in.Path))
		}
		seen[in.Path] = true
		if in.Format != "" {
			errs = append(errs, oneOf("input.format", i, in.Format, parsers.Formats()...))
		}
		if journald {
			setDefault(&in.Format, parsers.Journal)
		} else if err := tailer.CheckPath(in.Path); err != nil {
			errs = append(errs, mistake("input.path", i, "can't be used: %w", err))
		}
		errs = append(errs, in.completeMapping(i))
		errs = append(errs, oneOf("input.start", i, in.Start, "beginning", "end"), oneOf("input.wake", i, in.Wake, "inotify", "poll"))
	}
	return errors.Join(errs...)
}

func (in *InputConfig) completeMapping(i int) (err error) {
	if in.Mapping == "" {
		switch {
		case in.Format == parsers.Table:
			return mistake("input.mapping", i, "is missing: harvestwatch discover writes one for a table")
		case namesDatabase(in.Path):
			return mistake("input.mapping", i, "is missing: %s is an Access database by its name, and harvestwatch discover writes a mapping for one", in.Path)
		}
		return nil
	}
	if in.fields, err = loadMapping(in.Mapping); err != nil {
		return mistake("input.mapping", i, "can't be used: %w", err)
	}
	setDefault(&in.Format, parsers.Table)
	return nil
}

// mistakeError is a value that can't be used.
type mistakeError struct {
	key   string // with the section before it: input.path
	index int    // which of several sections of that name, from 0
	err   error
}

// Error implements error.
func (e *mistakeError) Error() string { return e.key + " " + e.err.Error() }

// Unwrap gives the cause.
func (e *mistakeError) Unwrap() error { return e.err }

func mistake(key string, index int, format string, args ...any) error {
	return &mistakeError{key, index, fmt.Errorf(format, args...)}
}

// located puts file and line before each mistake in err.
func located(name string, data []byte, err error) error {
	switch e := err.(type) { //nolint:errorlint // the outermost is asked for: what a mistake wraps may be several errors
	case nil:
		return nil
	case interface{ Unwrap() []error }:
		var list []error
		for _, one := range e.Unwrap() {
			list = append(list, located(name, data, one))
		}
		return errors.Join(list...)
	case *mistakeError:
		if line := lineOf(data, e.key, e.index); line > 0 {
			return fmt.Errorf("%s:%d: %w", name, line, err)
		}
	}
	return fmt.Errorf("%s: %w", name, err)
}

// namesDatabase reports whether a path is that of an Access database by its name.
func namesDatabase(path string) bool {
	return slices.Contains([]string{".mdb", ".accdb"}, strings.ToLower(filepath.Ext(path)))
}

// lineOf returns the line on which a key stands, of its section's where the key is not there; 0 for neither.
func lineOf(data []byte, key string, index int) int {
	section, key, ok := strings.Cut(key, ".")
	if !ok {
		section, key = "", section
	}
	dotted := section + "." + key
	current, header, seen := "", 0, -1
	for n, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			if current = strings.Trim(strings.TrimSpace(strings.SplitN(line, "#", 2)[0]), "[] "); current == section {
				if seen++; seen == index {
					header = n + 1
				}
			}
		}
		name, _, assigned := strings.Cut(line, "=")
		switch name = strings.TrimSpace(name); {
		case !assigned:
		case current == section && name == key && (section == "" || seen == index), current == "" && name == dotted:
			return n + 1
		case current == "" && section != "" && name == section && header == 0: // the section in one line
			header = n + 1
		}
	}
	return header
}

func setDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

func oneOf(key string, index int, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return mistake(key, index, "is %q: it must be %s", value, strings.Join(allowed, " or "))
}

// loadConfig reads the configuration at path. A missing file at the default place is no error: the defaults hold.
func loadConfig(path string, named bool) (*Config, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return parseConfig("defaults", nil)
	}
	if err != nil {
		return nil, usage("read the configuration: %w", err)
	}
	return parseConfig(path, data)
}

// parsePrefix reads an address or a network.
func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("read the network %q: %w", text, err)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
