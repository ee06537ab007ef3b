package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/detector"
	"github.com/harvestwatch/harvestwatch/internal/control"
	"github.com/harvestwatch/harvestwatch/internal/nstest"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/internal/report"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"github.com/harvestwatch/harvestwatch/parsers/site"
	"github.com/harvestwatch/harvestwatch/store"
)

// configured is a test's daemon with a configuration, for more than one plain log.
type configured struct {
	testPlace
	config string
}

// newConfigured writes a configuration: the text, behind the keys that every test's daemon needs. DIR in it stands for
// the daemon's folder.
func newConfigured(t *testing.T, text string) *configured {
	t.Helper()
	c := &configured{testPlace: newPlace(t)}
	c.config = filepath.Join(c.dir, "hw.toml")
	head := fmt.Sprintf("state = %q\nsocket = %q\n", c.state, c.socket)
	if !strings.HasPrefix(text, "zone = ") {
		head += "zone = \"UTC\"\n"
	}
	c.write(t, "hw.toml", []byte(head+strings.ReplaceAll(text, "DIR", c.dir)))
	return c
}

func (c *configured) path(name string) string { return filepath.Join(c.dir, filepath.FromSlash(name)) }

// write makes a file of the daemon's folder.
func (c *configured) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.path(name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs the daemon in this process.
func (c *configured) run(t *testing.T) (stop func()) {
	t.Helper()
	return startDaemon(t.Fatalf, c.output, []string{"--config", c.config})
}

// await waits until a running daemon has done what ok asks the database for.
func (c *configured) await(t *testing.T, what string, ok func(r *store.Reader) bool) {
	t.Helper()
	done := eventually(func() bool {
		r, err := store.OpenReadOnly(c.state)
		if err != nil {
			return false
		}
		defer r.Close()
		return ok(r)
	})
	if !done {
		out, _ := os.ReadFile(c.output)
		t.Fatalf("%s did not come\n%s", what, out)
	}
}

// marks returns how far each input has been read.
func marks(t *testing.T, r *store.Reader) map[string]mark {
	t.Helper()
	cursors, err := r.LoadCursors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]mark{}
	for _, cur := range cursors {
		list[cur.Path] = decodeCursor(cur.File)
	}
	return list
}

// hasRead waits until the daemon has committed all that stands in the inputs: files, or patterns of files.
func (c *configured) hasRead(t *testing.T, inputs ...string) {
	t.Helper()
	c.await(t, fmt.Sprintf("the end of %v", inputs), func(r *store.Reader) bool {
		all, waiting := marks(t, r), false
		err := r.LoadParser(t.Context(), timelineInput, func(key, value []byte) error {
			waiting = waiting || key[0] == queueKey && len(value) > 0
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return !waiting && !slices.ContainsFunc(inputs, func(input string) bool { return !atEnd(t, input, all[input]) })
	})
}

// atEnd reports whether a mark is behind the last whole line of every file of its input.
func atEnd(t *testing.T, input string, m mark) bool {
	t.Helper()
	at := map[string]int64{filepath.Base(input): m.Offset}
	for _, f := range m.Files {
		at[f.Name] = f.Offset
	}
	found, err := filepath.Glob(input)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil || int64(bytes.LastIndexByte(text, '\n')+1) != at[filepath.Base(path)] {
			return false
		}
	}
	return true
}

// facts is a sink that remembers decisions and what was counted, as dump does.
type facts struct {
	decisions
	totals map[totalKey]int64
}

func (f *facts) Event(ev *harvestwatch.Event, out *harvestwatch.Outcome) {
	if ev.Join != 0 && !ev.Addr.IsValid() {
		return // a scan tells at its end what a daemon goes on waiting for: whose message it was
	}
	if !out.Void && !out.Future {
		f.totals[totalKey{ev.Kind, ev.Seconds() / 86400}]++
	}
}

// scanFacts returns what a scan decides and counts, sorted.
func scanFacts(t *testing.T, o readOptions) []string {
	t.Helper()
	p := &program{strings.NewReader(""), nil, nil, time.Now}
	set, err := loadRules("")
	if err != nil {
		t.Fatal(err)
	}
	with, err := (&guardOptions{}).load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o.now = time.Now(); o.zone == nil {
		o.zone = time.UTC
	}
	l, err := openLogs(t.Context(), o, p)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	sink := facts{totals: map[totalKey]int64{}}
	err = pipeline.Run(t.Context(), l.source(t.Context(), nil), pipeline.Engine{Timeline: l.timeline(), Missing: l.missing()},
		with.lane(set, &sink, detector.Options{}).Lane)
	if err := errors.Join(append(l.problems(), err)...); err != nil {
		t.Fatal(err)
	}
	list := sink.list
	for k, n := range sink.totals {
		list = append(list, totalText(store.DayTotal{Day: store.Day(k.day), Kind: k.kind.String(), N: n}))
	}
	slices.Sort(list)
	return list
}

func totalText(x store.DayTotal) string { return fmt.Sprintf("total %v", x) }

// storedFacts returns the same of what a daemon has recorded.
func storedFacts(t *testing.T, state string) []string {
	t.Helper()
	list := storedDecisions(t, state)
	for _, x := range storedTotals(t, state) {
		list = append(list, totalText(x))
	}
	slices.Sort(list)
	return list
}

func storedTotals(t *testing.T, state string) []store.DayTotal {
	t.Helper()
	r, err := store.OpenReadOnly(state)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	totals, err := r.Totals(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return totals
}

// sameFacts compares what a daemon recorded with what a scan finds; there must be at least min decisions.
func sameFacts(t *testing.T, got, want []string, min int) {
	t.Helper()
	if n := len(slices.DeleteFunc(slices.Clone(want), func(s string) bool { return strings.HasPrefix(s, "total ") })); n < min {
		t.Errorf("only %d decisions: the logs are too tame for this test", n)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the daemon knows\n%s\nand lacks\n%s", strings.Join(except(got, want), "\n"), strings.Join(except(want, got), "\n"))
	}
}

// except returns what is in a and not in b, the first dozen.
func except(a, b []string) (list []string) {
	for _, x := range a {
		if !slices.Contains(b, x) && len(list) < 12 {
			list = append(list, x)
		}
	}
	return list
}

// kinds adds up totals by their kind.
func kinds(totals []store.DayTotal) map[string]int64 {
	sum := map[string]int64{}
	for _, x := range totals {
		sum[x.Kind] += x.N
	}
	return sum
}

// TestDaemonDecidesAsScanForEachFormat: what a scan makes of each golden log of the Windows servers, the daemon does.
func TestDaemonDecidesAsScanForEachFormat(t *testing.T) {
	logs, offences := 0, 0
	for _, format := range []string{"exchange-receive", "exchange-agent", "exchange-tracking", "exchange-2003-tracking", "exchange-popimap",
		"exchange-1035", "iis-w3c", "iis-ncsa", "iis-native", "dovecot"} {
		dir := "../../testdata/logs/" + format
		for _, g := range golden.Load(t, dir) {
			logs++
			t.Run(format+"/"+g.Name, func(t *testing.T) {
				c := newConfigured(t, configOf(&g))
				text, err := os.ReadFile(logOf(t, dir, g.Name))
				if err != nil {
					t.Fatal(err)
				}
				c.write(t, "in.log", text)
				if at := g.Site.Reference; !at.IsZero() {
					if err := os.Chtimes(c.path("in.log"), at, at); err != nil {
						t.Fatal(err)
					}
				}
				stop := c.run(t)
				c.hasRead(t, c.path("in.log"))
				stop()
				want := scanFacts(t, readOptions{paths: []string{c.path("in.log")}, zone: g.Site.Location, site: g.Site})
				sameFacts(t, storedFacts(t, c.state), want, 0)
				offences += len(storedDecisions(t, c.state))
			})
		}
	}
	if logs < 30 || offences < 20 {
		t.Errorf("%d logs with %d offences", logs, offences)
	}
}

// configOf says to the daemon what the header of a golden log says of its site, and to follow it.
func configOf(g *golden.Log) string {
	text := ""
	if g.Site.Location != nil {
		text = fmt.Sprintf("zone = %q\n", g.Site.Location)
	}
	var own []string
	for _, p := range g.Site.Own {
		own = append(own, strconv.Quote(p.String()))
	}
	var domains []string
	for _, d := range g.Site.Domains {
		domains = append(domains, strconv.Quote(d))
	}
	text += fmt.Sprintf("[site]\nown = [%s]\ndomains = [%s]\n", strings.Join(own, ","), strings.Join(domains, ","))
	if g.Site.DateOrder != "" {
		text += fmt.Sprintf("date_order = %q\n", g.Site.DateOrder)
	}
	return text + "[[input]]\npath = \"DIR/in.log\"\n"
}

// needTables makes sure that Access databases can be read.
func needTables(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("mdb-export"); err != nil {
		nstest.Need(t, "interop", err.Error())
	}
}

// runTables runs the daemon in this process, which looks at its databases all the time.
func (c *configured) runTables(t *testing.T) (stop func()) {
	t.Helper()
	cfg, err := loadConfig(c.config, true)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{strings.NewReader(""), io.Discard, io.Discard, time.Now}
	ctx, cancel := context.WithCancel(t.Context())
	d, err := p.newDaemon(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d.tableEvery = 5 * time.Millisecond
	done := make(chan error, 1)
	go func() { done <- d.run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// replace puts a copy of a file in the place of another one, as one step.
func (c *configured) replace(t *testing.T, name, from string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, name+".new", text)
	if err := os.Rename(c.path(name+".new"), c.path(name)); err != nil {
		t.Fatal(err)
	}
}

// lines returns how many lines of its only input the daemon has read since its start, and what hinders it.
func (c *configured) lines(t *testing.T) (n int64, problem string) {
	t.Helper()
	var s statusAnswer
	if !eventually(func() bool {
		return control.Call(t.Context(), c.socket, "status", nil, &s) == nil && len(s.Inputs) == 1
	}) {
		t.Fatal("the daemon doesn't answer")
	}
	return s.Inputs[0].Lines, s.Inputs[0].Problem
}

// TestTableIsFollowedByItsKey: with the mapping that discover writes the daemon reads an Access database, and of its
// later state the new rows only, with a restart between.
func TestTableIsFollowedByItsKey(t *testing.T) {
	needTables(t)
	const databases = "../../testdata/access/"
	c := newConfigured(t, "[[input]]\npath = \"DIR/mail.mdb\"\nmapping = \"DIR/mapping.toml\"\n")
	c.replace(t, "mail.mdb", databases+"mail.mdb")
	if _, errs, code := runCommand(t, "", "discover", "--write", c.path("mapping.toml"), c.path("mail.mdb")); code != exitOK {
		t.Fatal(errs)
	}
	upTo := func(key string) {
		t.Helper()
		c.await(t, "row "+key, func(r *store.Reader) bool { return marks(t, r)[c.path("mail.mdb")].Entry == key })
	}
	stop := c.runTables(t)
	upTo("360")
	if n, problem := c.lines(t); n != 361 || problem != "" {
		t.Errorf("%d lines of 360 rows and a header; %s", n, problem)
	}
	stop()
	stop = c.runTables(t)
	c.replace(t, "mail.mdb", databases+"mail-later.mdb")
	upTo("400")
	if n, problem := c.lines(t); n != 41 || problem != "" {
		t.Errorf("%d lines of 40 new rows and a header; %s", n, problem)
	}
	c.replace(t, "mail.mdb", databases+"mail.mdb")
	if !eventually(func() bool { _, problem := c.lines(t); return strings.Contains(problem, "highest key fell") }) {
		t.Error("rows are gone, and nobody says so")
	}
	stop()
	c.evidenceStands(t, 1, func(row string) bool { return strings.Contains(row, "@kontor.example") })
	scanned := scanFacts(t, readOptions{paths: []string{databases + "mail-later.mdb"}, site: siteWith(t, c.path("mapping.toml"))})
	got, want := storedFacts(t, c.state), onlyTotals(scanned)
	if !slices.Equal(onlyTotals(got), want) || len(want) < 2 {
		t.Errorf("counted\n%s\nscan:\n%s", strings.Join(onlyTotals(got), "\n"), strings.Join(want, "\n"))
	}
	if len(got) != len(scanned) || len(got)-len(want) < 3 { // when is another matter: a scan reads rows as they lie there
		t.Errorf("decided %d times, scan %d times", len(got)-len(want), len(scanned)-len(want))
	}
}

func siteWith(t *testing.T, mapping string) (s site.Site) {
	t.Helper()
	var err error
	if s.Fields, err = loadMapping(mapping); err != nil {
		t.Fatal(err)
	}
	return s
}

// onlyTotals leaves out the decisions.
func onlyTotals(facts []string) []string {
	return slices.DeleteFunc(slices.Clone(facts), func(s string) bool { return !strings.HasPrefix(s, "total ") })
}

// evidenceStands looks at why each decision was made: each line of evidence is a row of the log and the source's own,
// there are some for each decision, and why shows them.
func (c *configured) evidenceStands(t *testing.T, some int, isRow func(string) bool) {
	t.Helper()
	r, err := store.OpenReadOnly(c.state)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	records, err := r.History(t.Context(), store.Query{})
	if err != nil || len(records) == 0 {
		t.Fatalf("%d decisions, %v", len(records), err)
	}
	for i := range records {
		o := &records[i].Decision.Offence
		src := o.Source.String()
		for _, l := range records[i].Evidence {
			if !isRow(l.Text) || !isAbout(o, l.Text) {
				t.Errorf("the evidence against %s is no row, or another's: %q", src, l.Text)
			}
		}
		if len(records[i].Evidence) < some {
			t.Errorf("%s: %d lines of evidence", src, len(records[i].Evidence))
		}
		out, errs, code := runCommand(t, "", "why", "--config", c.config, src)
		if code != exitOK || len(records[i].Evidence) > 0 && !strings.Contains(out, report.Quote(records[i].Evidence[0].Text)) {
			t.Errorf("why %s: exit code %d, %s%s", src, code, out, errs)
		}
	}
}

// isAbout reports whether a line of evidence is of the offence's source, or of those that it was committed with: by a key
// that several share each line names the sign that they share (the last one, where there are two).
func isAbout(o *harvestwatch.Offence, line string) bool {
	switch group := strings.Fields(o.Group); {
	case o.Prefix.IsValid():
		return strings.Contains(line, strings.TrimSuffix(strings.TrimSuffix(o.Prefix.Addr().String(), "0"), ":"))
	case o.Key != "":
		return len(group) > 0 && strings.Contains(line, group[len(group)-1])
	}
	return strings.Contains(line, strings.TrimSuffix(o.Source.String(), ":/64"))
}

// TestScanReadsUTF16: what Windows writes in two bytes a character gives the same as the plain file, and a folder of it
// is sorted out with the rest.
func TestScanReadsUTF16(t *testing.T) {
	plain := "../../testdata/logs/exchange-receive/frontend-harvest.log"
	text, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	want := scanJSON(t, plain, "--own", "192.0.2.8/29")
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		var wide []byte
		for _, u := range utf16.Encode([]rune(string(text))) { // it begins with a byte order mark
			wide = order.AppendUint16(wide, u)
		}
		dir := t.TempDir()
		log := filepath.Join(dir, "RECV2026030209-1.LOG")
		if err := errors.Join(os.WriteFile(log, wide, 0o600), os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("Roses are red.\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		got := scanJSON(t, dir, "--own", "192.0.2.8/29")
		if !reflect.DeepEqual(got.Totals, want.Totals) || !reflect.DeepEqual(got.Offenders, want.Offenders) || len(got.Offenders) == 0 {
			t.Errorf("%v: %+v with %d offenders, want %+v with %d", order, got.Totals, len(got.Offenders), want.Totals, len(want.Offenders))
		}
		if len(got.Inputs) != 2 || got.Inputs[0].Unparsed+got.Inputs[1].Unparsed != 0 {
			t.Errorf("%v: inputs %+v", order, got.Inputs)
		}
	}
}
