// Command harvestwatch finds the sources that harvest addresses, flood a mail server or guess passwords in the
// server's logs, and blocks them for a while at the firewall.
//
// Every command is an options struct, a function that makes the cli.Command, and a function that runs it. wire.go is
// the one place that puts the parts together. main owns the clock, the signals and the exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch/internal/report"
)

// The exit codes, a contract. Treat a code that is not listed here as a failure.
const (
	exitOK          = 0
	exitFound       = 1   // offenders found; only with --exit-code
	exitUsage       = 2   // wrong usage or configuration
	exitFailed      = 3   // an input or an enforcer failed; the rest was done
	exitInterrupted = 130 // interrupted by a signal
)

// version is what `harvestwatch --version` prints; a release build sets it with -ldflags.
const version = "0.1.0-dev"

// codeError is an error together with the exit code that it asks for. A nil err exits silently.
type codeError struct {
	code int
	err  error
}

// Error implements error.
func (e *codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap gives the cause.
func (e *codeError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &codeError{exitUsage, fmt.Errorf(format, args...)}
}

func failed(err error) error {
	if err == nil {
		return nil
	}
	return &codeError{exitFailed, err}
}

// program is the process as the commands see it: its streams and its clock.
type program struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	now    func() time.Time
}

func main() {
	p := &program{os.Stdin, os.Stdout, os.Stderr, time.Now}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once, whatever it waits for
	code := p.run(ctx, os.Args)
	stop()
	os.Exit(code)
}

// run runs the program with these arguments, the first its name, and returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	app := p.app()
	err := app.RunContext(ctx, flagsFirst(app, args))
	code, err := exitCode(ctx, err)
	if err != nil {
		p.complain(err, slices.Contains(args, "--json"))
	}
	return code
}

// exitCode maps what a command returned to an exit code, and to the error that is to be shown. This is the only place
// that knows the mapping.
func exitCode(ctx context.Context, err error) (int, error) {
	var ce *codeError
	switch {
	case err == nil:
		return exitOK, nil
	case errors.Is(err, syscall.EPIPE): // the reader of our output has seen enough
		return exitOK, nil
	case errors.As(err, &ce):
		return ce.code, ce.err
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted, nil
	}
	return exitFailed, err
}

// complain shows an error, as JSON for those who read JSON.
func (p *program) complain(err error, asJSON bool) {
	if asJSON {
		_ = printLine(p.stderr, struct {
			Schema string `json:"schema"`
			Error  string `json:"error"`
		}{"harvestwatch.error/1", err.Error()}) // there is no further place to complain at
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(p.stderr, "harvestwatch: %s\n", report.Quote(line))
	}
}

func (p *program) app() *cli.App {
	asUsage := func(_ *cli.Context, err error, _ bool) error {
		return usage("%w: see harvestwatch help", err)
	}
	app := &cli.App{
		Name:  "harvestwatch",
		Usage: "find who harvests, floods or guesses passwords in mail-server logs, and block them for a while",
		Description: "scan reads old logs and touches nothing:\n\n" +
			"   harvestwatch scan /var/log/mail.log*\n\n" +
			"run follows the logs. It observes and records until it is told to enforce.",
		Version:         version,
		HideHelpCommand: false,
		Reader:          p.stdin,
		Writer:          p.stdout,
		ErrWriter:       p.stderr,
		ExitErrHandler:  func(*cli.Context, error) {},
		OnUsageError:    asUsage,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usage("there is no command %q: see harvestwatch help", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			p.scanCommand(), p.backtestCommand(), p.eventsCommand(), p.discoverCommand(), p.recipientsCommand(), p.runCommand(), p.statusCommand(),
			p.listCommand(), p.whyCommand(),
			p.blockCommand(), p.unblockCommand(), p.rulesCommand(), p.configCommand(), p.firewallCommand(),
			p.providersCommand(), p.simulateCommand(),
		},
	}
	for _, c := range allCommands(app.Commands) {
		c.OnUsageError = asUsage
		c.HideHelpCommand = true
		if c.ArgsUsage == "" {
			c.Before = noArguments
			c.ArgsUsage = " "
		}
	}
	return app
}

// noArguments refuses arguments that would be passed over without a word.
func noArguments(c *cli.Context) error {
	if extra := c.Args().First(); extra != "" && find(c.Command.Subcommands, extra) == nil {
		return usage("%s takes no argument: what is %q? See harvestwatch %s --help", c.Command.Name, extra, c.Command.Name)
	}
	return nil
}

func allCommands(list []*cli.Command) []*cli.Command {
	var all []*cli.Command
	for _, c := range list {
		all = append(append(all, c), allCommands(c.Subcommands)...)
	}
	return all
}
