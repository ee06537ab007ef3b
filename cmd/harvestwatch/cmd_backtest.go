package main

import (
	"context"
	"path/filepath"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch/detector"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/internal/report"
)

// backtestOptions are the flags of backtest.
type backtestOptions struct {
	read           readOptions
	rules, against string
	guards         guardOptions
	json, exitCode bool
	text           report.TextOptions
}

func (p *program) backtestCommand() *cli.Command {
	return &cli.Command{
		Name:      "backtest",
		Usage:     "try a rule set on old logs beside another: what it prevents more, and what it costs in legitimate mail",
		ArgsUsage: "LOG...",
		Description: "Reads the logs once and lets two rule sets decide about them side by side: that of --rules, and that of\n" +
			"--against, which is the built-in one unless it is named. Each delivery that a block would have held up is\n" +
			"listed by sender domain, with the block and its evidence. Touches nothing, needs no configuration.\n\n" +
			"Exit codes: 0 done; 1 the rules of --rules would have held up a delivery, with --exit-code; 2 wrong usage;\n" +
			"3 an input could not be read (the others were); 130 interrupted, what was known by then is printed.",
		Flags: append(append(readFlags(), guardFlags()...),
			&cli.StringFlag{Name: "rules", Usage: "rule `FILE` to try, instead of the built-in rules"},
			&cli.StringFlag{Name: "against", Usage: "rule `FILE` to compare with, instead of the built-in rules"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON, schema " + report.BacktestSchema},
			&cli.BoolFlag{Name: "exit-code", Usage: "exit with 1 when a delivery would have been held up"},
			&cli.IntFlag{Name: "evidence", Value: 3, Usage: "show up to `N` raw lines for each block that hits a delivery"}),
		Action: func(c *cli.Context) error {
			read, err := p.readOptions(c)
			if err != nil {
				return err
			}
			if c.Int("evidence") < 0 {
				return usage("--evidence takes a number from 0")
			}
			return p.backtest(c.Context, backtestOptions{read: read, rules: c.String("rules"), against: c.String("against"), guards: guardsOf(c),
				json: c.Bool("json"), exitCode: c.Bool("exit-code"), text: report.TextOptions{Evidence: c.Int("evidence")}})
		},
	}
}

// setName is what a rule set is called in the comparison.
func setName(path string) string {
	if path == "" {
		return "built-in rules"
	}
	return filepath.Base(path)
}

func (p *program) backtest(ctx context.Context, o backtestOptions) error {
	candidate, err := loadRules(o.rules)
	if err != nil {
		return err
	}
	against, err := loadRules(o.against)
	if err != nil {
		return err
	}
	with, err := o.guards.load(ctx)
	if err != nil {
		return err
	}
	logs, err := openLogs(ctx, o.read, p)
	if err != nil {
		return err
	}
	defer logs.close()
	debug.SetGCPercent(gcPercent)
	old, fresh := report.NewLane(setName(o.against), o.read.zone), report.NewLane(setName(o.rules), o.read.zone)
	progress := p.startProgress(logs)
	runErr := pipeline.Run(ctx, logs.source(ctx, nil), logs.engine(p), with.lane(against, old, detector.Options{}).Lane,
		with.lane(candidate, fresh, detector.Options{}).Lane)
	progress.stop()
	if runErr != nil && ctx.Err() == nil {
		return runErr
	}
	result := report.Compare(old, fresh, report.BacktestOptions{Evidence: &evidence{logs: logs}})
	result.Inputs, result.Errors = logs.told()
	result.Interrupted = ctx.Err() != nil
	if err := p.printBacktest(result, o); err != nil {
		return err
	}
	return exitOf(result.Interrupted, len(result.Errors), o.exitCode && result.HitsAny())
}

func (p *program) printBacktest(b *report.Backtest, o backtestOptions) error {
	if !o.json {
		return b.Text(p.stdout, o.text)
	}
	return p.printPretty(b)
}
