// Command evaluate runs the evaluation: the program's own rules and imitations of others on labelled traffic, seed by
// seed, against the gates that a change of rules must pass. It prints tables, and what is left to do on standard error.
//
// Exit codes: 0 every gate holds; 1 one doesn't; 2 the flags are wrong; 3 the evaluation could not be done;
// 130 interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch/internal/evaluate"
)

const (
	exitGate        = 1
	exitUsage       = 2
	exitFailed      = 3
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// settings are what the flags say.
type settings struct {
	seeds, tuning         string
	days, tuningDays      int
	junk, good, tuningJnk int64
	quick, noSweep        bool
	safety                bool
	out, json             string
	workers, sources      int
}

func parse(args []string, errs io.Writer) (*settings, error) {
	s := &settings{}
	f := flag.NewFlagSet("evaluate", flag.ContinueOnError)
	f.SetOutput(errs)
	f.BoolVar(&s.quick, "quick", false, "a small run: 2 seeds, 2 days, 60,000 junk a day; flags that are given stand")
	f.StringVar(&s.seeds, "seeds", "101-120", "the gates' `seeds`, such as 101-120,130")
	f.StringVar(&s.tuning, "tuning", "1-4", "the `seeds` of the sweep and the ablation; none of the gates'")
	f.IntVar(&s.days, "days", 7, "how many days each world of the gates lasts")
	f.Int64Var(&s.junk, "junk", 550_000, "hostile recipients and connections a day")
	f.Int64Var(&s.good, "good", 1_700, "good messages a day")
	f.IntVar(&s.tuningDays, "tuning-days", 3, "how many days each world of the sweep and the ablation lasts")
	f.Int64Var(&s.tuningJnk, "tuning-junk", 100_000, "hostile recipients and connections a day there")
	f.BoolVar(&s.safety, "safety", false, "of the gates, let only those of safety decide about the exit code: for small runs")
	f.BoolVar(&s.noSweep, "gates-only", false, "no sweep and no ablation")
	f.StringVar(&s.out, "out", "", "write the tables to this `file`, too")
	f.StringVar(&s.json, "json", "", "write all figures to this `file`")
	f.IntVar(&s.sources, "sources", 1_000_000, "how many sources are known at a time when memory is measured")
	f.IntVar(&s.workers, "workers", runtime.GOMAXPROCS(0), "worlds at a time")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("argument %q: there are only flags; see -h", f.Arg(0))
	}
	given := map[string]bool{}
	f.Visit(func(x *flag.Flag) { given[x.Name] = true })
	if s.quick {
		small := map[string]string{"seeds": "101-102", "days": "2", "junk": "60000", "tuning": "1", "tuning-days": "2", "tuning-junk": "20000"}
		for name, value := range small {
			if !given[name] {
				if err := f.Set(name, value); err != nil {
					return nil, err
				}
			}
		}
	}
	return s, nil
}

// seeds reads a list of seeds and ranges of seeds.
func seeds(text string) ([]uint64, error) {
	const most = 10_000
	var list []uint64
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		lo, err := strconv.ParseUint(from, 10, 63)
		hi, err2 := strconv.ParseUint(to, 10, 63)
		if err != nil || err2 != nil || hi < lo || hi-lo >= most {
			return nil, fmt.Errorf("seeds %q: write numbers and ranges, such as 101-120,130", text)
		}
		for n := lo; n <= hi; n++ {
			list = append(list, n)
		}
	}
	return list, nil
}

func plan(s *settings) (evaluate.Plan, error) {
	p := evaluate.Plan{Days: s.days, Junk: s.junk, Good: s.good, TuningDays: s.tuningDays, TuningJunk: s.tuningJnk, Workers: s.workers,
		Clock: time.Now}
	var err error
	if p.Seeds, err = seeds(s.seeds); err != nil {
		return p, err
	}
	if p.Tuning, err = seeds(s.tuning); err != nil {
		return p, err
	}
	return evaluate.Standard(p, s.sources, !s.noSweep, !s.quick), nil
}

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	s, err := parse(args, errs)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitUsage
	}
	p, err := plan(s)
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitUsage
	}
	began := time.Now()
	p.Progress = func(done, all int, what string) {
		fmt.Fprintf(errs, "%6.0f s  %d of %d worlds: %s\n", time.Since(began).Seconds(), done, all, what)
	}
	r, err := evaluate.Evaluate(ctx, p)
	switch {
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, evaluate.ErrPlan):
		fmt.Fprintln(errs, err)
		return exitUsage
	case err == nil:
		err = write(r, s, out)
	}
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitFailed
	}
	if s.safety && !r.Safe() || !s.safety && !r.Passed() {
		return exitGate
	}
	return 0
}

// write puts the result where the flags want it.
func write(r *evaluate.Result, s *settings, out io.Writer) error {
	if err := r.WriteText(out); err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{{s.out, r.WriteText}, {s.json, r.WriteJSON}} {
		if f.name == "" {
			continue
		}
		file, err := os.Create(f.name)
		if err != nil {
			return fmt.Errorf("write result: %w", err)
		}
		if err := errors.Join(f.write(file), file.Close()); err != nil {
			return fmt.Errorf("write result to %s: %w", f.name, err)
		}
	}
	return nil
}
