package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch/internal/loggen"
)

func (p *program) simulateCommand() *cli.Command {
	return &cli.Command{
		Name:  "simulate",
		Usage: "make up a labelled log: harvesters, floods, guessers, and the good mail among them",
		Description: "Writes a server's log to standard output. Addresses come from 240.0.0.0/4 and 2001:db8::/32, names end\n" +
			"in .example, so that nothing in it can hurt anybody. The same seed gives the same bytes.",
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "`NUMBER` that everything is drawn from"},
			&cli.Int64Flag{Name: "lines", Value: 100_000, Usage: "aim at `N` lines, unless --junk says how much there is"},
			&cli.Int64Flag{Name: "junk", Usage: "make `N` junk recipients, logins and connections a day, instead of a number of lines"},
			&cli.Int64Flag{Name: "good", Value: 1_700, Usage: "make `N` good messages a day; fewer where --lines leaves no room for them"},
			&cli.StringFlag{Name: "format", Value: "postfix", Usage: "whose log: `NAME` is " + strings.Join(loggen.Formats(), ", ")},
			&cli.StringFlag{Name: "duration", Value: "3d", Usage: "how much `TIME` the log covers"},
			&cli.StringFlag{Name: "mix", Value: "classic", Usage: "who attacks: classic, mixed or botnets; or a, b, c, those that rules are judged by"},
			&cli.StringSliceFlag{Name: "scenario", Usage: "only clients of this `CLASS`, whether the mix has it or not; may be repeated: " +
				strings.Join(loggen.Classes(), ", ")},
			&cli.StringFlag{Name: "warmup", Usage: "so much `TIME` of it passes before anybody attacks, as 1d: the good clients then have a history"},
			&cli.BoolFlag{Name: "bsd", Usage: "stamps without year and zone, as syslog wrote them for decades"},
			&cli.StringFlag{Name: "truth", Usage: "write what is true of each source to `FILE`, a JSON object a line"},
		},
		Action: p.simulate,
	}
}

func (p *program) simulate(c *cli.Context) error {
	d, err := parseDuration(c.String("duration"))
	if err != nil {
		return usage("--duration: %w", err)
	}
	mixes := map[string]func() loggen.Mix{"classic": loggen.Classic, "mixed": loggen.Mixed, "botnets": loggen.Botnets,
		"a": loggen.MixA, "b": loggen.MixB, "c": loggen.MixC}
	mix, ok := mixes[c.String("mix")]
	if !ok {
		return usage("--mix %s: it must be classic, mixed, botnets, a, b or c", c.String("mix"))
	}
	cfg := loggen.Config{Format: c.String("format"), Seed: c.Uint64("seed"), Lines: c.Int64("lines"), JunkPerDay: c.Int64("junk"),
		GoodPerDay: c.Int64("good"), Duration: d, Mix: mix(), Scenarios: c.StringSlice("scenario"),
		Start: time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)}
	if c.IsSet("junk") {
		cfg.Lines = 0
	}
	if text := c.String("warmup"); text != "" {
		if cfg.Warmup, err = parseDuration(text); err != nil {
			return usage("--warmup: %w", err)
		}
	}
	if c.Bool("bsd") {
		cfg.Stamp = loggen.StampBSD
	}
	out := bufio.NewWriterSize(p.stdout, 1<<20)
	truth, err := loggen.Generate(out, cfg)
	if errors.Is(err, loggen.ErrConfig) {
		return &codeError{exitUsage, err}
	}
	if err = errors.Join(err, out.Flush()); err != nil {
		return err
	}
	if path := c.String("truth"); path != "" {
		return failed(writeTruth(path, truth))
	}
	return nil
}

// writeTruth writes what is true of each source.
func writeTruth(path string, truth loggen.Truth) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the truth: %w", err)
	}
	return errors.Join(truth.WriteJSON(f), f.Close())
}
