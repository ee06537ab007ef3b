//go:build unix

package main

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/journal"
	"github.com/harvestwatch/harvestwatch/internal/loggen"
	"github.com/harvestwatch/harvestwatch/internal/nstest"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// spawn starts the daemon as a process and returns what kills it.
func (c *configured) spawn(t *testing.T) (kill func()) {
	t.Helper()
	cmd := exec.Command("harvestwatch", "run", "--config", c.config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
	}
}

// append writes to the end of a file of the daemon's folder.
func (c *configured) append(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o700); err != nil {
		t.Fatal(err)
	}
	appendTo(t, c.path(name), text)
}

// between kills the daemon, after a random while that it got for what was written last, and starts it again.
func (c *configured) between(t *testing.T, rnd *rand.Rand, kill func()) func() {
	t.Helper()
	pause(time.Duration(rnd.IntN(200)) * time.Millisecond)
	kill()
	return c.spawn(t)
}

func randomly() *rand.Rand { return rand.New(rand.NewPCG(7, uint64(time.Now().UnixNano()))) }

// exchangeFiles are three files of one made-up log, each with the header that Exchange begins a file with.
func exchangeFiles(t *testing.T) (names []string, texts [][]byte) {
	t.Helper()
	var buf bytes.Buffer
	_, err := loggen.Generate(&buf, loggen.Config{Seed: 8, Lines: 200_000, Duration: 12 * time.Hour, Format: "exchange-receive",
		Only: []string{"slow", "evader", "guesser", "office", "partner", "newsletter"}})
	if err != nil {
		t.Fatal(err)
	}
	rows := bytes.SplitAfter(buf.Bytes(), []byte("\n"))
	head := bytes.Join(rows[:5], nil)
	names = []string{"RECV2026030209-1.LOG", "RECV2026030209-2.LOG", "RECV2026030210-1.LOG"}
	for i := range names {
		part := rows[5+i*(len(rows)-5)/3 : 5+(i+1)*(len(rows)-5)/3]
		texts = append(texts, append(bytes.Clone(head), bytes.Join(part, nil)...))
	}
	return names, texts
}

// TestSeriesThroughKills: logs that go on under new names are read once and whole, while they grow by torn rows, the
// oldest is deleted, and the daemon is killed again and again. The evidence outlives the file.
func TestSeriesThroughKills(t *testing.T) {
	names, texts := exchangeFiles(t)
	c := newConfigured(t, "[[input]]\npath = \"DIR/logs/RECV*.LOG\"\n")
	pattern := c.path("logs/RECV*.LOG")
	c.write(t, "logs/readme.txt", []byte("not a log\n"))
	rnd := randomly()
	kill := c.spawn(t)
	for i, name := range names {
		c.write(t, "all/"+name, texts[i])
		for rest := texts[i]; len(rest) > 0; {
			n := min(1+rnd.IntN(2*len(texts[i])/8), len(rest)) // tears rows, and headers
			c.append(t, "logs/"+name, rest[:n])
			rest = rest[n:]
			kill = c.between(t, rnd, kill)
		}
		if i == 1 {
			c.hasRead(t, pattern)
			if err := os.Remove(c.path("logs/" + names[0])); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.hasRead(t, pattern)
	kill()
	want := scanFacts(t, readOptions{paths: []string{c.path("all")}})
	sameFacts(t, storedFacts(t, c.state), want, 12)
	all := bytes.Join(texts, nil)
	c.evidenceStands(t, 3, func(row string) bool { return bytes.Contains(all, []byte(row+"\r\n")) })
}

// halfHour are the logs of the golden half hour, by the input that reads them.
func halfHour(t *testing.T) (inputs []string, files map[string][]byte) {
	t.Helper()
	const exchange = "mbx01/"
	inputs = []string{exchange + "FrontEnd/ProtocolLog/SmtpReceive/RECV*.LOG", exchange + "Hub/ProtocolLog/SmtpReceive/RECV*.LOG",
		exchange + "Hub/AgentLog/AgentLog20260302-1.LOG", exchange + "MessageTracking/MSGTRK*.LOG", "mx1/mail.log"}
	files = map[string][]byte{}
	root := "../../testdata/logs/mixed/half-hour"
	for _, input := range inputs {
		found, err := filepath.Glob(filepath.Join(root, input))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", input, found, err)
		}
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = text
		}
	}
	if len(files) != 10 {
		t.Fatalf("%d files", len(files))
	}
	return inputs, files
}

// TestTimelineThroughKills: five inputs of two servers tell one half hour in small pieces, which come with a delay, to a
// daemon that is killed between them. Each deed counts once. That holds even for logs that come in any order; who is
// decided about then hangs on the windows, which the clock of the events has left.
func TestTimelineThroughKills(t *testing.T) {
	g := golden.Load(t, "../../testdata/logs/mixed")[0]
	for _, delay := range []time.Duration{time.Minute, 24 * time.Hour} {
		t.Run(delay.String(), func(t *testing.T) {
			inputs, files := halfHour(t)
			text := "[site]\nown = [\"" + g.Header["own"] + "\"]\ndomains = [\"" + g.Header["local"] + "\"]\n"
			for _, in := range inputs {
				text += "[[input]]\npath = \"DIR/" + in + "\"\n"
			}
			c := newConfigured(t, text)
			for i := range inputs {
				inputs[i] = c.path(inputs[i])
			}
			kill := c.tell(t, pieces(t, files, delay), func() {
				if delay < time.Hour { // a daemon left behind reads one log after the other
					c.hasRead(t, inputs...)
				}
			})
			c.hasRead(t, inputs...)
			kill()
			totals := storedTotals(t, c.state)
			early := kinds(totals)["delivered"] - 10
			if early < 0 || early > 2 {
				t.Errorf("deliveries: %d beyond those of message tracking", early)
			}
			// Two recipients that the categorizer found to be nobody: the front end's log took them for delivered when the
			// tracking log came later than their trial lasts.
			g.Header["deliveries"] = fmt.Sprint(10 + early)
			checkTotals(t, &g, totals)
			if delay < time.Hour {
				checkSources(t, &g, c.state)
			}
		})
	}
}

// piece is a part of a file that is written at once.
type piece struct {
	at   time.Time // when it comes
	name string
	text []byte
}

// pieces cuts the files of each log into pieces, in the order in which they come: each log's own in its order, and those
// of several logs as their events happened, up to a delay.
func pieces(t *testing.T, files map[string][]byte, delay time.Duration) (list []piece) {
	t.Helper()
	rnd := randomly()
	stamp := regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+(Z|\+\d\d:\d\d)`)
	latest := map[string]time.Time{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		log := strings.TrimRight(name, "0123456789-.LOG")
		for rest := files[name]; len(rest) > 0; {
			n := min(1+rnd.IntN(800), len(rest)) // some minutes of a quiet log
			if found := stamp.Find(rest[:n]); found != nil {
				at, err := time.Parse(time.RFC3339Nano, string(found))
				if err != nil {
					t.Fatal(err)
				}
				if at = at.Add(time.Duration(rnd.Int64N(int64(delay)))); at.After(latest[log]) {
					latest[log] = at
				}
			}
			list = append(list, piece{latest[log], name, rest[:n]})
			rest = rest[n:]
		}
	}
	slices.SortStableFunc(list, func(a, b piece) int { return a.at.Compare(b.at) })
	return list
}

// tell writes the pieces while a daemon reads them and is killed now and then, and returns what kills the last one. It
// calls rest now and then.
func (c *configured) tell(t *testing.T, list []piece, rest func()) (kill func()) {
	t.Helper()
	rnd := randomly()
	kill = c.spawn(t)
	for n, p := range list {
		c.append(t, p.name, p.text)
		switch pause(time.Duration(rnd.IntN(6)) * time.Millisecond); n % 40 {
		case 19:
			rest()
		case 39:
			kill = c.between(t, rnd, kill)
		}
	}
	return kill
}

// checkTotals compares what was counted with what the header of the expectations says.
func checkTotals(t *testing.T, g *golden.Log, totals []store.DayTotal) {
	t.Helper()
	got := kinds(totals)
	for header, kind := range map[string]string{"connections": "connect", "unknown-recipients": "rcpt_unknown",
		"deliveries": "delivered", "auth-failures": "auth_fail", "accepted": "accepted"} {
		if n := fmt.Sprint(got[kind]); n != g.Header[header] {
			t.Errorf("%s: %s, want %s", header, n, g.Header[header])
		}
	}
}

// checkSources compares who was decided about with who is to be.
func checkSources(t *testing.T, g *golden.Log, state string) {
	t.Helper()
	var got []string
	for _, r := range records(t, state) {
		o := &r.Decision.Offence
		rule, _ := rules.Default().Rule(o.Rule)
		switch {
		case r.Decision.Action == harvestwatch.ActSuppress:
		case rule.Mode == rules.Observe:
			got = append(got, o.Source.String()+" "+o.Rule+trial)
		default:
			got = append(got, o.Source.String()+" "+o.Rule)
		}
	}
	slices.Sort(got)
	got = slices.Compact(got)
	if want := slices.Sorted(slices.Values(g.Hits)); !slices.Equal(got, want) {
		t.Errorf("decided about\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const journalRemote = "/lib/systemd/systemd-journal-remote"

// needJournal makes sure that there is a journalctl and a program that writes journal files.
func needJournal(t *testing.T) {
	t.Helper()
	for _, program := range []string{"journalctl", journalRemote} {
		if _, err := exec.LookPath(program); err != nil {
			nstest.Need(t, "interop", err.Error())
		}
	}
}

// exportEntries makes journal entries, in the export format of systemd, of lines of syslog.
func exportEntries(t *testing.T, lines []string, first int) []byte {
	t.Helper()
	var b bytes.Buffer
	for i, line := range lines {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		at, err := time.Parse(time.RFC3339Nano, f[0])
		tag, pid, ok := strings.Cut(strings.TrimSuffix(f[2], "]:"), "[")
		if err != nil || !ok {
			t.Fatalf("not a line of syslog: %q", line)
		}
		fmt.Fprintf(&b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0123456789abcdef0123456789abcdef\n", at.UnixMicro(), first+i+1)
		fmt.Fprintf(&b, "_HOSTNAME=%s\nSYSLOG_IDENTIFIER=%s\nSYSLOG_PID=%s\nSYSLOG_FACILITY=2\nMESSAGE=%s\n\n", f[1], tag, pid, f[3])
	}
	return b.Bytes()
}

// enter writes entries into a real journal file.
func (c *configured) enter(t *testing.T, name string, export []byte) {
	t.Helper()
	remote := exec.Command(journalRemote, "-o", c.path("journal/"+name), "-")
	remote.Stdin = bytes.NewReader(export)
	if out, err := remote.CombinedOutput(); err != nil {
		t.Fatalf("write a journal: %v: %s", err, out)
	}
}

// hasEntered waits until the daemon has committed the journal's last entry.
func (c *configured) hasEntered(t *testing.T) {
	t.Helper()
	last := lastEntry(t, c.path("journal"))
	c.await(t, "the journal's last entry", func(r *store.Reader) bool { return marks(t, r)[journalScheme+c.path("journal")].Entry == last })
}

// TestJournalThroughKills: a host without log files gives the same decisions by its journal, followed by cursor through
// kills, and read once from the journal's files.
func TestJournalThroughKills(t *testing.T) {
	needJournal(t)
	c := newConfigured(t, "[[input]]\npath = \"journald:DIR/journal\"\n")
	generated(t, c.log, 10_000, 15)
	text, err := os.ReadFile(c.log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
	c.write(t, "journal/.keep", nil)
	rnd := randomly()
	kill := c.spawn(t)
	const parts = 6
	for i := range parts {
		from, to := i*len(lines)/parts, (i+1)*len(lines)/parts
		c.enter(t, "mail.journal", exportEntries(t, lines[from:to], from))
		kill = c.between(t, rnd, kill)
	}
	c.hasEntered(t)
	kill()
	c.evidenceStands(t, 0, func(row string) bool { return strings.Contains(row, "\"MESSAGE\":") })
	want := scanFacts(t, readOptions{paths: []string{c.log}})
	sameFacts(t, storedFacts(t, c.state), want, 10)
	sameFacts(t, scanFacts(t, readOptions{paths: []string{c.path("journal/mail.journal")}}), want, 10)
}

// lastEntry returns the cursor of a journal's last entry.
func lastEntry(t *testing.T, dir string) (cursor string) {
	t.Helper()
	err := journal.Read(t.Context(), journal.Options{}, dir, func(c *journal.Chunk) error {
		cursor = c.Cursor
		return nil
	})
	if err != nil || cursor == "" {
		t.Fatalf("the last entry is %q, %v", cursor, err)
	}
	return cursor
}

// TestJournalGoesOnBehindWhatIsGone: what the journal deleted unread is said, and what is there is read.
func TestJournalGoesOnBehindWhatIsGone(t *testing.T) {
	needJournal(t)
	c := newConfigured(t, "[[input]]\npath = \"journald:DIR/journal\"\n")
	lines := func(minute int) (list []string) {
		for i := range 5 {
			list = append(list, fmt.Sprintf("2026-03-02T09:%02d:%02d.000000+00:00 mx1 postfix/smtpd[7]: connect from unknown[198.51.100.%d]", minute, i, i))
		}
		return list
	}
	c.write(t, "journal/.keep", nil)
	c.enter(t, "old.journal", exportEntries(t, lines(1), 0))
	stop := c.run(t)
	c.hasEntered(t)
	stop()
	if err := os.Remove(c.path("journal/old.journal")); err != nil {
		t.Fatal(err)
	}
	c.enter(t, "new.journal", exportEntries(t, lines(2), 10))
	stop = c.run(t)
	c.hasEntered(t)
	if n, problem := c.lines(t); n != 5 || problem != "" {
		t.Errorf("%d lines, problem %q", n, problem)
	}
	stop()
	if out, err := os.ReadFile(c.output); err != nil || !bytes.Contains(out, []byte("deleted entries")) || bytes.Contains(out, []byte("nil")) {
		t.Errorf("%v: it says\n%s", err, out)
	}
}
