package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch/internal/access"
	"github.com/harvestwatch/harvestwatch/internal/discover"
	"github.com/harvestwatch/harvestwatch/internal/report"
	"github.com/harvestwatch/harvestwatch/internal/tailer"
	"github.com/harvestwatch/harvestwatch/parsers"
)

func (p *program) discoverCommand() *cli.Command {
	return &cli.Command{
		Name:      "discover",
		Usage:     "look what an undocumented table or log holds, and propose a mapping for it",
		ArgsUsage: "PATH",
		Description: "Reads an Access database (with Debian's package mdbtools), a CSV file or a text log, says which columns or\n" +
			"fields look like a time, a client's address, a recipient and a verdict, and why. --write puts the proposal into\n" +
			"a file, for a person to look through: nothing is believed until scan or the configuration names it.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "write", Usage: "write the proposed mapping to a new `FILE`"},
			&cli.BoolFlag{Name: "print", Usage: "print the proposed mapping, and nothing else"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage("name one file to look into")
			}
			if format := knownFormat(c.Args().First()); format != "" {
				lead := ""
				if c.Bool("print") { // into a file, perhaps
					lead = "# "
				}
				_, err := fmt.Fprintf(p.stdout, "%s%s is of the format %s, which scan and run know: it needs no mapping.\n",
					lead, report.Quote(c.Args().First()), format)
				return err
			}
			found, err := discover.Path(c.Context, c.Args().First(), access.Options{})
			if err != nil {
				return failed(err)
			}
			if c.Bool("print") {
				_, err := fmt.Fprint(p.stdout, found.TOML())
				return err
			}
			if err := found.Text(p.stdout); err != nil {
				return err
			}
			return p.writeMapping(c.String("write"), found)
		},
	}
}

// knownShare is the least share of lines that a known format must understand to be the file's. A log of one program has
// nearly all of them, and that of a whole host still this many; lines of a strange log look like ours now and then.
const knownShare = 0.2

// knownFormat returns the format of a log that needs no mapping, "" for all else. Compressed files are unpacked.
func knownFormat(path string) string {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return "" // discover says what is wrong with it
	}
	r, err := tailer.Input{Path: path}.Open()
	if err != nil {
		return ""
	}
	defer r.Close() //nolint:errcheck // it is only read
	head := r.Head(headBytes)
	if bytes.HasPrefix(head, []byte(journalMagic)) {
		return parsers.Journal
	}
	if format, share := parsers.Sniff(head); share >= knownShare {
		return format
	}
	return ""
}

// writeMapping writes the proposed mapping to a new file, or says how to.
func (p *program) writeMapping(path string, found *discover.Finding) error {
	if found.Best() == nil {
		return nil // the text said so
	}
	if path == "" {
		_, err := fmt.Fprint(p.stdout, "\nharvestwatch discover --write FILE writes this mapping, for you to look through.\n")
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usage("%s is there already: name another file, or remove it", path)
	}
	if err != nil {
		return failed(fmt.Errorf("write the mapping: %w", err))
	}
	_, err = f.WriteString(found.TOML())
	if err = errors.Join(err, f.Close()); err != nil {
		return failed(fmt.Errorf("write the mapping: %w", err))
	}
	_, err = fmt.Fprintf(p.stdout, "\nThe mapping is in %s. Look it through, then: harvestwatch scan --mapping %s %s\n", path, path, found.Path)
	return err
}
