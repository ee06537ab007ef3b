package csvlog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

type row struct{ when, text []byte }

func spec() *Spec[row] {
	return &Spec[row]{
		Types: []string{"test log"}, Columns: []string{"when", "text"}, Usual: "when,text",
		Row: func(c *Cols, t *row, _ *[]byte) Verdict {
			t.when, t.text = c.Get(0), c.Get(1)
			switch {
			case len(t.when) == 0:
				return Unparsed
			case string(t.text) == "quiet":
				return Ignored
			}
			return Kept
		},
	}
}

const sample = "\xef\xbb\xbf#Software: X\r\n#Log-type: Test Log\r\n#Fields: when,text\r\n1,one\r\n,bad\r\n2,quiet\r\n" +
	"#Fields: other,TEXT, When \r\nx,three,3\r\nx,\"fo\"\"ur\",4\r\n\r\n#Log-type: Other Log\r\n#Fields: when,text\r\n5,foreign\r\n" +
	"#Log-type: Test Log\r\n6,six\r\nx,\"torn"

// reading is what came of a log.
type reading struct {
	rows     []string
	unparsed []string
	counts   harvestwatch.Counts
}

// read gives the log to parsers that are made anew after each piece; cuts are places behind line feeds.
func read(t *testing.T, log string, cuts []int, restart bool) reading {
	t.Helper()
	var r reading
	g := New(spec())
	state := map[string]string{}
	from, line := 0, int64(1)
	var l harvestwatch.Lines
	for _, to := range append(slices.Clone(cuts), len(log)) {
		l.Data, l.Pos = []byte(log[from:to]), harvestwatch.Pos{Line: line, Offset: int64(from)}
		g.Lex(&l)
		c := g.Fold(&l, func(v *row, at harvestwatch.Pos) int {
			r.rows = append(r.rows, fmt.Sprintf("%d@%d %s %s", at.Line, at.Offset, v.when, v.text))
			return 1
		}, func(at harvestwatch.Pos, text []byte) {
			r.unparsed = append(r.unparsed, fmt.Sprintf("%d %s", at.Line, text))
		})
		r.counts.Add(c)
		from, line = to, line+c.Lines
		g.Changes(func(k, v []byte) { state[string(k)] = string(v) })
		if restart {
			g = New(spec())
			for k, v := range state {
				if own, err := g.Restore([]byte(k), []byte(v)); !own || err != nil {
					t.Fatal(own, err)
				}
			}
		}
	}
	return r
}

func TestColumnsAreTakenByName(t *testing.T) {
	r := read(t, sample, nil, false)
	want := []string{"4@58 1 one", "8@108 3 three", "9@119 4 fo\"ur", "15@209 6 six"}
	for _, place := range []string{"58 1,one", "108 x,three", "119 x,", "209 6,six"} { // a row's place is that of its first byte
		var at int
		var text string
		if _, err := fmt.Sscanf(place, "%d %s", &at, &text); err != nil || !strings.HasPrefix(sample[at:], text) {
			t.Fatalf("%q stands at %d: %v", sample[at:at+5], at, err)
		}
	}
	if !slices.Equal(r.rows, want) {
		t.Errorf("%q, want %q", r.rows, want)
	}
	if !slices.Equal(r.unparsed, []string{"5 ,bad", "16 x,\"torn"}) {
		t.Errorf("unparsed: %q", r.unparsed)
	}
	if want := (harvestwatch.Counts{Lines: 16, Events: 4, Ignored: 10, Unparsed: 2}); r.counts != want {
		t.Errorf("%+v, want %+v", r.counts, want)
	}
}

// Where a log is cut, and whether the program was started anew there, changes nothing.
func TestCuttingChangesNothing(t *testing.T) {
	whole := read(t, sample, nil, false)
	var every []int
	for i := range sample {
		if sample[i] == '\n' {
			every = append(every, i+1)
		}
	}
	for _, restart := range []bool{false, true} {
		for _, cuts := range append([][]int{every}, func() (single [][]int) {
			for _, c := range every {
				single = append(single, []int{c})
			}
			return single
		}()...) {
			r := read(t, sample, cuts, restart)
			if !slices.Equal(r.rows, whole.rows) || !slices.Equal(r.unparsed, whole.unparsed) || r.counts != whole.counts {
				t.Errorf("cut at %v, restart %v:\n%q\n%+v\nwant\n%q\n%+v", cuts, restart, r.rows, r.counts, whole.rows, whole.counts)
			}
		}
	}
}

func TestRestoreRefusesForeignBytes(t *testing.T) {
	for _, kv := range [][2]string{{"#", ""}, {"#", "\x02a"}, {"#x", "\x00a"}, {"#", "\x00" + strings.Repeat("a", maxDirective)}} {
		if own, err := New(spec()).Restore([]byte(kv[0]), []byte(kv[1])); !own || !errors.Is(err, ErrState) {
			t.Errorf("%q: %v %v", kv, own, err)
		}
	}
	if own, err := New(spec()).Restore([]byte("s1"), nil); own || err != nil {
		t.Errorf("a format's own key: %v %v", own, err)
	}
}

func TestShare(t *testing.T) {
	for log, want := range map[string]float64{
		sample:                    14. / 15, // the torn line is no whole line; ",bad" is not understood
		"#Log-type: Other\n1,a\n": 0,
		"#Log-type: Test Log\n#Fields: when,text\n": 1,
		",\n,\n":           0,
		"1,a\n,\n":         .5,
		"1,a":              1,
		"":                 0,
		"#Software: IIS\n": 0,
	} {
		got := spec().Share([]byte(log))
		if got != want {
			t.Errorf("%.40q: %v, want %v", log, got, want)
		}
	}
}

func TestHashKeepsTextsApart(t *testing.T) {
	seen := map[uint64]string{}
	for _, texts := range [][]string{{"ab", "c"}, {"a", "bc"}, {"abc"}, {"abc", ""}, {"", "abc"}, {"abc", "", ""}} {
		var list [][]byte
		for _, s := range texts {
			list = append(list, []byte(s))
		}
		h := Hash(list...)
		if old, ok := seen[h]; ok {
			t.Errorf("%q hashes like %s", texts, old)
		}
		seen[h] = fmt.Sprint(texts)
	}
	if Hash([]byte("User@Example")) != Hash([]byte("uSER@eXAMPLE")) {
		t.Error("letters' case tells")
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	log := bytes.Repeat([]byte("1,one\n2,\"t\"\"wo\"\n"), 500)
	g := New(spec())
	l := harvestwatch.Lines{Data: log}
	count := func(*row, harvestwatch.Pos) int { return 1 }
	if n := testing.AllocsPerRun(10, func() { g.Lex(&l); g.Fold(&l, count, nil) }); n > 1 {
		t.Errorf("%v allocations for 1,000 rows", n)
	}
}
