package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch/internal/access"
	"github.com/harvestwatch/harvestwatch/internal/discover"
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
			found, err := discover.Path(c.Context, c.Args().First(), access.Options{})
			if err != nil {
				return failed(fmt.Errorf("look into %s: %w", c.Args().First(), err))
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
