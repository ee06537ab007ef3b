package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch/internal/recipients"
)

// RecipientsConfig says where the list of valid recipients comes from. Without file and url there is none, and the
// servers are believed.
type RecipientsConfig struct {
	File         string `toml:"file"`          // path of a list, one address a line
	URL          string `toml:"url"`           // ldaps://host or ldap://host of a directory
	StartTLS     bool   `toml:"starttls"`      // over ldap://, go on encrypted
	CA           string `toml:"ca"`            // path of the authorities of the directory's certificate; default: the system's
	Bind         string `toml:"bind"`          // whom to log in as
	PasswordFile string `toml:"password_file"` // path of a file with that one's password, and nothing else
	Plain        bool   `toml:"plain"`         // send the password without encryption
	Base         string `toml:"base"`          // below which entry to search
	Filter       string `toml:"filter"`        // default: whatever has a mail address
	Former       string `toml:"former"`        // path of a list of those who left: asking for them is no guess
	Delimiter    string `toml:"delimiter"`     // of address extensions, as Postfix's recipient_delimiter; default: none
	Refresh      string `toml:"refresh"`       // how often the list is read again; default 1h

	every  time.Duration
	listed chan struct{} // closed when the list was read for the first time, or could not be
}

// complete checks the values and fills in the defaults.
func (c *RecipientsConfig) complete() error {
	setDefault(&c.Refresh, "1h")
	every, err := parseDuration(c.Refresh)
	if err == nil && every < time.Minute {
		err = errors.New("it must be a minute at least")
	}
	if err != nil {
		return mistake("recipients.refresh", 0, "is %q: %w", c.Refresh, err)
	}
	c.every, c.listed = every, make(chan struct{})
	if err := checkDelimiter(c.Delimiter); err != nil {
		return mistake("recipients.delimiter", 0, "is %q: %w", c.Delimiter, err)
	}
	if c.URL == "" && cmp.Or(c.Bind, c.PasswordFile, c.Base, c.Filter) != "" {
		return mistake("recipients.url", 0, "is missing: name the directory that the other keys are about")
	}
	if c.URL == "" {
		return nil
	}
	password := ""
	if c.PasswordFile != "" {
		password = "it is read when it is needed"
	}
	if err := c.directory(password).Check(); err != nil {
		return mistake("recipients.url", 0, "can't be used: %w", err)
	}
	return nil
}

// formerUsers reads the list of those who left; nil where none is configured.
func (c *RecipientsConfig) formerUsers(ctx context.Context) ([][]byte, error) {
	return readFormer(ctx, c.Former)
}

func readFormer(ctx context.Context, path string) ([][]byte, error) {
	if path == "" {
		return nil, nil
	}
	list, err := readRecipients(ctx, path, nil)
	if err != nil {
		return nil, usage("read the list of former users: %w", err)
	}
	var former [][]byte
	for addr := range list.Addresses() {
		former = append(former, []byte(addr))
	}
	return former, nil
}

// checkDelimiter says what is wrong with the delimiters of address extensions.
func checkDelimiter(text string) error {
	for i, r := range text {
		switch {
		case r <= ' ' || r > '~' || unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(`@.<>"\`, r):
			return fmt.Errorf("%q delimits no extension: write + or -, as in Postfix's recipient_delimiter", r)
		case strings.ContainsRune(text[i+1:], r):
			return fmt.Errorf("%q is there twice, and each character is a delimiter by itself: write it once", r)
		}
	}
	return nil
}

// checkFiles reads the files that the keys name, as the daemon will.
func (c *RecipientsConfig) checkFiles(ctx context.Context, domains []string) error {
	var errs []error
	if c.File != "" {
		if _, err := readRecipients(ctx, c.File, domains); err != nil {
			errs = append(errs, mistake("recipients.file", 0, "can't be used: %w", err))
		}
	}
	if c.Former != "" {
		if _, err := readRecipients(ctx, c.Former, nil); err != nil {
			errs = append(errs, mistake("recipients.former", 0, "can't be used: %w", err))
		}
	}
	if c.CA != "" {
		if pem, err := os.ReadFile(c.CA); err != nil {
			errs = append(errs, mistake("recipients.ca", 0, "can't be read: %w", err))
		} else if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			errs = append(errs, mistake("recipients.ca", 0, "is %s, in which there is no certificate: export it as Base-64 (PEM)", c.CA))
		}
	}
	if c.PasswordFile != "" {
		if password, err := c.password(); err != nil {
			errs = append(errs, mistake("recipients.password_file", 0, "can't be read: %w; the daemon's user must be able to", err))
		} else if password == "" {
			errs = append(errs, mistake("recipients.password_file", 0, "is %s, which is empty: write the password into it, and nothing else", c.PasswordFile))
		}
	}
	return errors.Join(errs...)
}

// password reads the directory's password, "" where none is configured.
func (c *RecipientsConfig) password() (string, error) {
	if c.PasswordFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(c.PasswordFile)
	return strings.TrimRight(string(text), "\r\n"), err
}

// readRecipients reads a list of recipients and keeps to those of the domains, where any are given. A list of nobody is
// an error: it would say nothing of anybody.
func readRecipients(ctx context.Context, path string, domains []string) (*recipients.List, error) {
	f, err := openPipe(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open the list: %w", err)
	}
	defer f.Close() //nolint:errcheck // it is only read
	list, err := recipients.Parse(path, &patience{ctx: ctx, src: f})
	if err != nil {
		return nil, err
	}
	if list.Len() == 0 {
		return nil, fmt.Errorf("%s: there is no address in it: write one a line", path)
	}
	ours, err := list.Only(domains...)
	if err == nil && ours.Len() == 0 {
		err = fmt.Errorf("%s: none of its %d recipients is of %s: check the domains", path, list.Len(), strings.Join(domains, ", "))
	}
	return ours, err
}

func (c *RecipientsConfig) directory(password string) *recipients.Directory {
	return &recipients.Directory{URL: c.URL, StartTLS: c.StartTLS, CA: c.CA, BindDN: c.Bind, Password: password, Plain: c.Plain,
		BaseDN: c.Base, Filter: c.Filter}
}

// source returns where the list comes from, nil where none is configured.
func (c *RecipientsConfig) source(cfg *Config) (*recipients.Source, error) {
	if c.File == "" && c.URL == "" {
		return nil, nil
	}
	s := &recipients.Source{File: c.File, Domains: cfg.site.Domains, Delimiter: c.Delimiter,
		Cache: filepath.Join(filepath.Dir(cfg.State), "recipients.txt")}
	if c.URL == "" {
		return s, nil
	}
	password, err := c.password()
	if err != nil {
		return nil, usage("read the directory's password, which recipients.password_file names: %w", err)
	}
	s.Directory = c.directory(password)
	if err := s.Directory.Check(); err != nil {
		return nil, usage("recipients.url: %w", err)
	}
	return s, nil
}

// refreshRecipients reads the list now and then. Until there is one, and when it can't be read, the servers are
// believed, or the last good list is.
func (d *daemon) refreshRecipients(ctx context.Context) error {
	timer := time.NewTimer(d.cfg.Recipients.every)
	defer timer.Stop()
	for first := true; ; first = false {
		err := d.recipients.Refresh(ctx)
		if first {
			close(d.cfg.Recipients.listed)
		}
		if err != nil && ctx.Err() == nil {
			d.log.Warn("the list of recipients could not be refreshed", "error", err, "valid", d.recipients.Current().Len())
		} else if err == nil && d.recipients.Current().Len() == 0 {
			d.log.Warn("there is nobody in the list of recipients: until there is, the servers are believed", "file", d.cfg.Recipients.File)
		} else if err == nil {
			d.log.Debug("the list of recipients was refreshed", "valid", d.recipients.Current().Len())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			timer.Reset(d.cfg.Recipients.every)
		}
	}
}

// listWait is how long the logs wait for the list after a start. A directory that doesn't answer must not hold them up.
const listWait = 30 * time.Second

// awaitRecipients waits for the list, so that what came while the daemon was down is judged by it too.
func (d *daemon) awaitRecipients(ctx context.Context) {
	if d.recipients == nil {
		return
	}
	timer := time.NewTimer(listWait)
	defer timer.Stop()
	select {
	case <-d.cfg.Recipients.listed:
	case <-timer.C:
		d.log.Warn("the list of recipients is not there yet: until it is, the servers are believed")
	case <-ctx.Done():
	}
}

// validRecipient says what the list in force says of a recipient.
func (d *daemon) validRecipient(rcpt []byte) recipients.Verdict {
	return d.recipients.Current().Has(rcpt)
}

func (p *program) recipientsCommand() *cli.Command {
	return &cli.Command{
		Name:      "recipients",
		Usage:     "print the valid recipients, from the configured directory and file, or from the files named",
		ArgsUsage: "[FILE...]",
		Description: "Prints one address a line; --postfix prints a table for postmap, to be named in relay_recipient_maps, and\n" +
			"--postfix-regexp the wildcards that such a table can't say. Asks the directory now, and changes nothing.",
		Flags: append(configFlags(),
			&cli.BoolFlag{Name: "postfix", Usage: "print a table for postmap or texthash"},
			&cli.BoolFlag{Name: "postfix-regexp", Usage: "print a table for regexp or pcre"}),
		Action: func(c *cli.Context) error {
			if c.Bool("postfix") && c.Bool("postfix-regexp") {
				return usage("--postfix and --postfix-regexp are two tables: print one after the other")
			}
			list, err := p.listRecipients(c)
			if err != nil {
				return err
			}
			switch {
			case c.Bool("postfix"):
				return recipients.WritePostfix(p.stdout, list)
			case c.Bool("postfix-regexp"):
				return recipients.WritePostfixRegexp(p.stdout, list)
			}
			return list.WriteText(p.stdout, fmt.Sprintf("%d recipients, %s", list.Len(), p.now().Format(time.RFC3339)))
		},
	}
}

// listRecipients reads the list that a command's arguments, or the configuration, name.
func (p *program) listRecipients(c *cli.Context) (*recipients.List, error) {
	if c.Args().Present() {
		var lists []*recipients.List
		for _, path := range c.Args().Slice() {
			l, err := readRecipients(c.Context, path, nil)
			switch {
			case c.Context.Err() != nil:
				return nil, c.Context.Err()
			case err != nil:
				return nil, failed(err)
			}
			lists = append(lists, l)
		}
		list, err := recipients.Merge(lists...)
		return list, failed(err)
	}
	cfg, err := p.config(c)
	if err != nil {
		return nil, err
	}
	src, err := cfg.Recipients.source(cfg)
	if err != nil {
		return nil, err
	}
	if src == nil {
		return nil, usage("no recipients are configured: name a file, or write [recipients] into %s", c.String("config"))
	}
	src.Cache = "" // what is asked for is what is there now
	if err := src.Refresh(c.Context); err != nil {
		return nil, failed(err)
	}
	if src.Current().Len() == 0 {
		return nil, failed(fmt.Errorf("%s: there is no address in it: write one a line", cfg.Recipients.File))
	}
	return src.Current(), nil
}
