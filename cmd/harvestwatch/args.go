package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst moves the flags of a command before its arguments. urfave/cli v2 ends its flags at the first argument
// and takes the rest for arguments without a word, so that `scan mail.log --json` would look for a file named --json.
// What follows "--" stays as it is.
func flagsFirst(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	head, rest := args[:1], args[1:]
	commands, flags := app.Commands, app.Flags
	var moved, plain []string
	descend := true
	for len(rest) > 0 {
		arg := rest[0]
		rest = rest[1:]
		switch {
		case arg == "--":
			plain = append(plain, rest...)
			rest = nil
		case len(arg) > 1 && arg[0] == '-':
			moved = append(moved, arg)
			if takesValue(flags, arg) && len(rest) > 0 {
				moved = append(moved, rest[0])
				rest = rest[1:]
			}
		case descend:
			if c := find(commands, arg); c != nil {
				head = append(slices.Clip(head), append(moved, arg)...)
				moved = nil
				commands, flags = c.Subcommands, c.Flags
				continue
			}
			descend = false
			plain = append(plain, arg)
		default:
			plain = append(plain, arg)
		}
	}
	out := append(slices.Clip(head), moved...)
	if slices.ContainsFunc(plain, func(a string) bool { return len(a) > 1 && a[0] == '-' }) {
		out = append(out, "--")
	}
	return append(out, plain...)
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// takesValue reports whether the next argument belongs to this flag.
func takesValue(flags []cli.Flag, arg string) bool {
	name, _, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if given {
		return false
	}
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			d, ok := f.(cli.DocGenerationFlag)
			return ok && d.TakesValue()
		}
	}
	return false
}
