package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/detector"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/internal/report"
	"github.com/harvestwatch/harvestwatch/rules"
)

// scanOptions are the flags of scan.
type scanOptions struct {
	read     readOptions
	rules    string
	guards   guardOptions
	json     bool
	exitCode bool
	top      int // offenders in the text, 0 for all
	text     report.TextOptions
}

func (p *program) scanCommand() *cli.Command {
	return &cli.Command{
		Name:      "scan",
		Usage:     "find the offenders in logs, and what blocks would have prevented and hit",
		ArgsUsage: "LOG...",
		Description: "Reads files, directories, archives (gz, zst, bz2, xz) and - for standard input, in the order of time\n" +
			"whatever their names, and touches nothing. Needs no configuration, no privilege and no network.\n\n" +
			"Exit codes: 0 done; 1 offenders found, with --exit-code; 2 wrong usage; 3 an input could not be read\n" +
			"(the others were); 130 interrupted, what was known by then is printed.",
		Flags: append(append(readFlags(), guardFlags()...),
			&cli.StringFlag{Name: "rules", Usage: "rule `FILE` instead of the built-in rules"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON, schema " + report.ScanSchema},
			&cli.BoolFlag{Name: "exit-code", Usage: "exit with 1 when a source was found that would be blocked"},
			&cli.IntFlag{Name: "top", Value: 20, Usage: "list the first `N` offenders, 0 for all"},
			&cli.IntFlag{Name: "evidence", Value: 0, Usage: "show up to `N` raw lines for each offender listed"}),
		Action: func(c *cli.Context) error {
			read, err := p.readOptions(c)
			if err != nil {
				return err
			}
			if c.Int("top") < 0 || c.Int("evidence") < 0 {
				return usage("--top and --evidence take a number from 0")
			}
			return p.scan(c.Context, scanOptions{read: read, rules: c.String("rules"), guards: guardsOf(c), json: c.Bool("json"), exitCode: c.Bool("exit-code"),
				top: c.Int("top"), text: report.TextOptions{Evidence: c.Int("evidence"), Spared: true}})
		},
	}
}

// gcPercent is how much a scan's memory may grow before it is cleaned up, in percent of what is in use: half of Go's
// usual. A scan makes little garbage, so this costs nothing that can be measured, and saves a quarter of the memory.
const gcPercent = 50

func (p *program) scan(ctx context.Context, o scanOptions) error {
	set, err := loadRules(o.rules)
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
	col := report.NewCollector(o.read.zone, func(name string) bool {
		r, ok := set.Rule(name)
		return ok && r.Distinct == rules.Recipient
	})
	lane := with.lane(set, col, detector.Options{Forgotten: col.Forgotten})
	progress := p.startProgress(logs)
	runErr := pipeline.Run(ctx, logs.source(ctx, nil), logs.engine(p), lane.Lane)
	progress.stop()
	if runErr != nil && ctx.Err() == nil {
		return runErr
	}
	want := report.ResultOptions{Standings: lane.det}
	if !o.json && !o.exitCode { // the exit code is about all of them
		want.Top = o.top
	}
	if o.json || o.text.Evidence > 0 {
		want.Evidence = &evidence{logs: logs}
	}
	result := logs.finish(col, want)
	result.Interrupted = ctx.Err() != nil
	found := o.exitCode && blocks(result)
	if err := p.printScan(result, o); err != nil {
		return err
	}
	return exitOf(result.Interrupted, len(result.Errors), found)
}

// exitOf is how a run over old logs ends: what hindered it counts more than what it found.
func exitOf(interrupted bool, problems int, found bool) error {
	switch {
	case interrupted:
		return &codeError{exitInterrupted, nil}
	case problems > 0:
		return &codeError{exitFailed, nil}
	case found:
		return &codeError{exitFound, nil}
	}
	return nil
}

// told returns what a result says of its inputs, and of what went wrong with them.
func (l *logs) told() (inputs []report.Input, problems []string) {
	inputs = []report.Input{}
	for _, in := range l.inputs {
		inputs = append(inputs, in.report())
	}
	for _, err := range l.problems() {
		problems = append(problems, report.Quote(err.Error()))
	}
	return inputs, problems
}

// finish completes the result with what only the inputs know.
func (l *logs) finish(col *report.Collector, o report.ResultOptions) *report.Scan {
	result := col.Result(o)
	result.Inputs, result.Errors = l.told()
	return result
}

func (p *program) printScan(s *report.Scan, o scanOptions) error {
	if !o.json {
		if o.top > 0 {
			s.Offenders = s.Offenders[:min(o.top, len(s.Offenders))]
		}
		return s.Text(p.stdout, o.text)
	}
	return p.printPretty(s)
}

// printPretty writes a result as JSON that people may read, too.
func (p *program) printPretty(v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("write the result as JSON: %w", err)
	}
	_, err = p.stdout.Write(append(harmless(b), '\n'))
	return err
}

// blocks reports whether somebody would be blocked; what a rule on trial says doesn't count.
func blocks(s *report.Scan) bool {
	for _, o := range s.Offenders {
		if o.Decision == harvestwatch.ActBlock.String() && len(o.Blocks) > 0 {
			return true
		}
	}
	return false
}

// loadRules reads a rule file, or takes the built-in rules where path is empty.
func loadRules(path string) (*rules.Set, error) {
	if path == "" {
		return rules.Default(), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("read the rules: %w", err)
	}
	set, err := rules.Parse(path, data)
	if err != nil {
		return nil, &codeError{exitUsage, err}
	}
	return set, nil
}

// ceiling is the latest event time that is believed: five minutes ahead of the clock.
func (p *program) ceiling() int64 { return p.now().Add(futureSlack).UnixNano() }

var errNoLogs = errors.New("name the logs to read: files, directories, or - for standard input")

// printLine writes one JSON object on a line of its own.
func printLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write a line of JSON: %w", err)
	}
	_, err = w.Write(append(harmless(b), '\n'))
	return err
}

// harmless escapes, in JSON, the characters that must not reach a terminal. They can stand in strings only.
func harmless(b []byte) []byte {
	if !bytes.ContainsFunc(b, unsafeRune) {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if unsafeRune(r) {
			out = fmt.Appendf(out, "\\u%04x", r)
		} else {
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return out
}
