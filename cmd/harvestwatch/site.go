package main

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/recipients"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// SiteConfig says what no log says of the site that it comes from.
type SiteConfig struct {
	Own       []string `toml:"own"`        // servers and gateways of the site's own: never a client
	Domains   []string `toml:"domains"`    // domains that the site takes mail for; one that begins with a dot: all below it
	DateOrder string   `toml:"date_order"` // mdy, dmy or ymd, for logs in the Microsoft IIS format; default: found out
}

// site checks the values.
func (c *SiteConfig) site() (site.Site, error) {
	var s site.Site
	var errs []error
	for _, text := range c.Own {
		p, err := parsePrefix(text)
		if err != nil {
			errs = append(errs, mistake("site.own", 0, "holds %q: name an address or a network like 192.0.2.0/24", text))
			continue
		}
		s.Own = append(s.Own, p)
	}
	for _, text := range c.Domains {
		domain := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(text, "@"), "."))
		if !isDomain(strings.TrimPrefix(domain, ".")) {
			errs = append(errs, mistake("site.domains", 0, "holds %q: name a domain like example.org", text))
			continue
		}
		s.Domains = append(s.Domains, domain)
	}
	if c.DateOrder != "" {
		errs = append(errs, oneOf("site.date_order", 0, c.DateOrder, "mdy", "dmy", "ymd"))
	}
	s.DateOrder = c.DateOrder
	return s, errors.Join(errs...)
}

// isDomain reports whether a text can be a domain: labels of anything but blanks and what separates addresses.
func isDomain(text string) bool {
	return text != "" && len(text) <= 253 && !strings.ContainsAny(text, " \t@<>,;*/\\\"'") && !strings.Contains(text, "..")
}

// siteFlags are the flags that say the same for a command that reads old logs.
func siteFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "own", Usage: "`NETWORK` of the site's own servers and gateways, never a client; may be repeated"},
		&cli.StringSliceFlag{Name: "local", Usage: "`DOMAIN` that the site takes mail for; may be repeated"},
		&cli.StringFlag{Name: "date-order", Usage: "mdy, dmy or ymd: `ORDER` of dates in Microsoft IIS format"},
		&cli.StringFlag{Name: "mapping", Usage: "`FILE` that says what the columns of tables mean, as discover writes it"},
		&cli.StringFlag{Name: "recipients", Usage: "`FILE` with all valid recipients: others count as unknown though the server took them"},
		&cli.StringFlag{Name: "delimiter", Usage: "with --recipients: `CHARACTERS` behind which user+anything is user, as in Postfix"},
	}
}

// siteOf reads the flags; the error speaks of flags, not of keys.
func siteOf(c *cli.Context) (site.Site, error) {
	conf := SiteConfig{Own: c.StringSlice("own"), Domains: c.StringSlice("local"), DateOrder: c.String("date-order")}
	s, err := conf.site()
	if err != nil {
		return s, usage("%s", strings.NewReplacer("site.own", "--own", "site.domains", "--local", "site.date_order", "--date-order").Replace(err.Error()))
	}
	if path := c.String("mapping"); path != "" {
		s.Fields, err = loadMapping(path)
	}
	return s, err
}

// recipientsOf reads the list that --recipients names, as far as it is of the site's domains; nil for no list.
func recipientsOf(c *cli.Context, s *site.Site) (*recipients.List, error) {
	path, delimiter := c.String("recipients"), c.String("delimiter")
	switch err := checkDelimiter(delimiter); {
	case err != nil:
		return nil, usage("--delimiter %s: %w", delimiter, err)
	case path == "" && delimiter != "":
		return nil, usage("--delimiter is about the list of recipients: name one with --recipients")
	case path == "":
		return nil, nil
	}
	list, err := readRecipients(c.Context, path, s.Domains)
	switch {
	case c.Context.Err() != nil:
		return nil, c.Context.Err()
	case err != nil:
		return nil, usage("read the recipients: %w", err)
	}
	return list.WithDelimiter(delimiter), nil
}

// notAJournal refuses the name that only the daemon knows.
func notAJournal(paths []string) error {
	for _, path := range paths {
		if strings.HasPrefix(path, journalScheme) {
			return usage("%s is for run: pipe journalctl -o json into this command with - as its log, or name a journal file", path)
		}
	}
	return nil
}

// mapping is the file that says what a table's columns, or a pattern's groups, mean.
type mapping struct {
	Table      string            `toml:"table"`
	Key        string            `toml:"key"`
	Pattern    string            `toml:"pattern"`
	Time       string            `toml:"time"`
	TimeLayout string            `toml:"time_layout"`
	Source     string            `toml:"source"`
	Recipient  string            `toml:"recipient"`
	Sender     string            `toml:"sender"`
	Helo       string            `toml:"helo"`
	User       string            `toml:"user"`
	Verdict    string            `toml:"verdict"`
	Kind       string            `toml:"kind"`
	Verdicts   map[string]string `toml:"verdicts"`
}

// maxMapping bounds a mapping file, in bytes.
const maxMapping = 1 << 20

// mappingAdvice is for a key that a mapping doesn't have.
const mappingAdvice = "a mapping has table, key, pattern, time, time_layout, source, recipient, sender, helo, user, verdict, kind and [verdicts]; " +
	"harvestwatch discover --print shows one, and docs/formats.md says more"

// loadMapping reads a mapping file.
func loadMapping(path string) (*site.Fields, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("read the mapping: %w", err)
	}
	if len(data) > maxMapping {
		return nil, usage("%s: more than %d bytes: this is no mapping", path, maxMapping)
	}
	var m mapping
	if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&m); err != nil {
		return nil, tomlError(path, err, mappingAdvice)
	}
	f, err := m.fields()
	if err != nil {
		return nil, &codeError{exitUsage, located(path, data, err)}
	}
	return f, nil
}

// fields checks the mapping.
func (m *mapping) fields() (*site.Fields, error) {
	f := &site.Fields{Table: m.Table, Key: m.Key, Pattern: m.Pattern, Time: m.Time, TimeLayout: m.TimeLayout, Source: m.Source,
		Recipient: m.Recipient, Sender: m.Sender, Helo: m.Helo, User: m.User, Verdict: m.Verdict, Verdicts: map[string]harvestwatch.Kind{}}
	var errs []error
	kind := func(key, name string) (k harvestwatch.Kind) {
		k, ok := harvestwatch.KindOf(name)
		if !ok && name != "ignore" {
			errs = append(errs, mistake(key, 0, "is %q: name a kind of event like rcpt_unknown or spam_refused, or ignore", name))
		}
		return k
	}
	if m.Kind != "" {
		f.Kind = kind("kind", m.Kind)
	}
	for _, text := range slices.Sorted(maps.Keys(m.Verdicts)) {
		f.Verdicts[strings.ToLower(text)] = kind("verdicts."+strconv.Quote(text), m.Verdicts[text])
	}
	switch {
	case m.Pattern != "":
		errs = append(errs, checkPattern(m.Pattern))
	case m.Time == "" || m.Source == "":
		errs = append(errs, mistake("time", 0, "and source must both name a column: whose doing it was, and when"))
	}
	if m.Kind == "" && len(m.Verdicts) == 0 {
		errs = append(errs, mistake("verdicts", 0, "and kind are both missing: say which kind of event the rows are"))
	}
	return f, errors.Join(errs...)
}

func checkPattern(pattern string) error {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return mistake("pattern", 0, "is no regular expression: %w", err)
	}
	names := re.SubexpNames()
	if !slices.Contains(names, "time") || !slices.Contains(names, "source") && !slices.Contains(names, "ip") {
		return mistake("pattern", 0, "lacks the group (?P<time>...) or (?P<source>...): both must be there")
	}
	return nil
}
