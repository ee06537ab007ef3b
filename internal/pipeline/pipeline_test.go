package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// lineParser is a parser for tests: each line is one event, its first field the time in seconds.
type lineParser struct{}

func (lineParser) Lex(l *harvestwatch.Lines) { l.Lexed = bytes.Count(l.Data, []byte{'\n'}) }

func (lineParser) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(harvestwatch.Pos, []byte)) harvestwatch.Counts {
	c := harvestwatch.Counts{}
	pos := l.Pos
	for line := range bytes.Lines(l.Data) {
		c.Lines++
		var sec int64
		if _, err := fmt.Sscan(string(line), &sec); err != nil {
			c.Unparsed++
			unparsed(pos, line)
		} else {
			c.Events++
			emit(&harvestwatch.Event{Time: sec * int64(time.Second), Pos: pos, Kind: harvestwatch.Connect})
		}
		pos.Offset += int64(len(line))
		pos.Line++
	}
	if l.Lexed != int(c.Lines) {
		panic("folded before it was lexed")
	}
	return c
}

// textReader gives a text in pieces of random numbers of lines.
type textReader struct {
	text     []byte
	pos      harvestwatch.Pos
	rnd      *rand.Rand
	released int
	err      error
}

func (r *textReader) Next() (*harvestwatch.Lines, error) {
	if len(r.text) == 0 {
		if r.err != nil {
			return nil, r.err
		}
		return nil, io.EOF
	}
	n := 0
	for range 1 + r.rnd.IntN(4) {
		n += bytes.IndexByte(r.text[n:], '\n') + 1
	}
	l := &harvestwatch.Lines{Data: r.text[:n], Pos: r.pos}
	r.pos.Offset += int64(n)
	r.pos.Line += int64(bytes.Count(l.Data, []byte{'\n'}))
	r.text = r.text[n:]
	return l, nil
}

func (r *textReader) Release(*harvestwatch.Lines) { r.released++ }

// recorder is a sink and a detector that remembers what it saw.
type recorder struct {
	seen    []harvestwatch.Pos
	times   []int64
	counts  harvestwatch.Counts
	ends    map[int]harvestwatch.Pos
	fire    func(*harvestwatch.Event) bool
	settled int
	decided int
	future  int
	notices int
	notice  *harvestwatch.Notice // told with the next event
}

func (r *recorder) Observe(ev *harvestwatch.Event) harvestwatch.Outcome {
	out := harvestwatch.Outcome{Notice: r.notice}
	r.notice = nil
	if r.fire != nil && r.fire(ev) {
		out.Offence = &harvestwatch.Offence{Rule: "test"}
	}
	return out
}

func (r *recorder) Settle(*harvestwatch.Decision) { r.settled++ }

func (r *recorder) Judge(o *harvestwatch.Offence) harvestwatch.Decision {
	return harvestwatch.Decision{Offence: *o}
}

func (r *recorder) Decision(*harvestwatch.Decision) {
	r.decided++
	if r.settled != r.decided {
		panic("a decision was told before it was settled")
	}
}

func (r *recorder) Event(ev *harvestwatch.Event, out *harvestwatch.Outcome) {
	if out.Future {
		r.future++
		return
	}
	r.seen = append(r.seen, ev.Pos)
	r.times = append(r.times, ev.Time/int64(time.Second))
}

func (r *recorder) Notice(*harvestwatch.Notice) { r.notices++ }

func (r *recorder) Commit(_ context.Context, b *Batch) error {
	r.counts.Add(b.Counts)
	if b.Counts.Lines > 0 {
		r.ends[b.Stream] = b.End
	}
	return nil
}

func newRecorder() *recorder { return &recorder{ends: map[int]harvestwatch.Pos{}} }

func run(t *testing.T, rec *recorder, texts ...string) {
	t.Helper()
	var sources []Stream
	for i, text := range texts {
		r := &textReader{text: []byte(text), rnd: rand.New(rand.NewPCG(1, uint64(i))), pos: harvestwatch.Pos{Input: int32(i), Line: 1}}
		ps := Parse(t.Context(), r, lineParser{}, ParseOptions{Workers: 3, Stream: i, Unparsed: func(harvestwatch.Pos, []byte) {}})
		defer ps.Close()
		sources = append(sources, Stream{Open: func() Source { return ps }})
	}
	if err := Run(t.Context(), Merge(sources...), Engine{}, Lane{Detector: rec, Judge: rec, Sink: rec}); err != nil {
		t.Fatal(err)
	}
}

func TestOneStreamKeepsItsOrder(t *testing.T) {
	rec := newRecorder()
	run(t, rec, "5\n3\nrubbish\n9\n9\n1\n")
	if want := []int64{5, 3, 9, 9, 1}; !slices.Equal(rec.times, want) {
		t.Errorf("got %v, want %v", rec.times, want)
	}
	if want := (harvestwatch.Counts{Lines: 6, Events: 5, Unparsed: 1}); rec.counts != want {
		t.Errorf("got %+v, want %+v", rec.counts, want)
	}
	if want := (harvestwatch.Pos{Offset: 18, Line: 7}); rec.ends[0] != want {
		t.Errorf("end %+v, want %+v", rec.ends[0], want)
	}
}

// TestMergeIsTheSameHoweverLinesAreRead compares the merge with an obviously right one, over random streams and
// random cuts into batches.
func TestMergeIsTheSameHoweverLinesAreRead(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for round := range 200 {
		var texts []string
		var want []order
		for i := range 1 + rnd.IntN(5) {
			text, latest := "", int64(0)
			for range rnd.IntN(40) {
				sec := int64(rnd.IntN(30) + len(text)/4)
				latest = max(latest, sec)
				want = append(want, order{latest, i, int64(len(text))})
				text += fmt.Sprintln(sec)
			}
			texts = append(texts, text)
		}
		slices.SortStableFunc(want, order.compare)
		rec := newRecorder()
		run(t, rec, texts...)
		got := make([]order, len(rec.seen))
		for i, p := range rec.seen {
			got[i] = order{0, int(p.Input), p.Offset}
		}
		for i := range want {
			want[i].time = 0
		}
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: %q\ngot  %v\nwant %v", round, texts, got, want)
		}
	}
}

type order struct {
	time   int64
	input  int
	offset int64
}

func (o order) compare(p order) int {
	if o.time != p.time {
		return int(o.time - p.time)
	}
	if o.input != p.input {
		return o.input - p.input
	}
	return int(o.offset - p.offset)
}

func TestEveryBufferIsReleasedOnce(t *testing.T) {
	r := &textReader{text: []byte("1\n2\n3\n4\n5\n6\n7\n8\n"), rnd: rand.New(rand.NewPCG(1, 2))}
	ps := Parse(t.Context(), r, lineParser{}, ParseOptions{Workers: 2})
	other := Slice([]harvestwatch.Event{{Time: 3e9}, {Time: 5e9}})
	rec := newRecorder()
	if err := Run(t.Context(), Merge(Stream{Open: func() Source { return ps }}, Stream{Open: func() Source { return other }, Starts: 3e9}), Engine{}, Lane{Detector: rec, Sink: rec}); err != nil {
		t.Fatal(err)
	}
	ps.Close()
	batches := 0
	again := &textReader{text: []byte("1\n2\n3\n4\n5\n6\n7\n8\n"), rnd: rand.New(rand.NewPCG(1, 2))}
	for {
		if _, err := again.Next(); err != nil {
			break
		}
		batches++
	}
	if r.released != batches {
		t.Errorf("%d of %d buffers released", r.released, batches)
	}
	if len(rec.times) != 10 {
		t.Errorf("%d events, want 10", len(rec.times))
	}
}

func TestReadErrorEndsTheRun(t *testing.T) {
	bad := errors.New("disk on fire")
	ps := Parse(t.Context(), &textReader{err: bad}, lineParser{}, ParseOptions{Workers: 1})
	defer ps.Close()
	rec := newRecorder()
	if err := Run(t.Context(), ps, Engine{}, Lane{Detector: rec, Sink: rec}); !errors.Is(err, bad) {
		t.Errorf("got %v", err)
	}
}

func TestCancelEndsTheRunAndTheGoroutines(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	text := bytes.Repeat([]byte("1\n"), 1000)
	ps := Parse(ctx, &textReader{text: text, rnd: rand.New(rand.NewPCG(1, 1))}, lineParser{}, ParseOptions{Workers: 2})
	rec := newRecorder()
	rec.fire = func(*harvestwatch.Event) bool { cancel(); return true }
	err := Run(ctx, ps, Engine{}, Lane{Detector: rec, Judge: rec, Sink: rec})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	ps.Close()
}

func TestBoundsAndCeiling(t *testing.T) {
	rec := newRecorder()
	rec.fire = func(ev *harvestwatch.Event) bool { return ev.Time == 40 }
	events := []harvestwatch.Event{{Time: 10}, {Time: 20}, {Time: 90}, {Time: 30}, {Time: 40}, {Time: 50}}
	e := Engine{Since: 20, Until: 50, Ceiling: func() int64 { return 60 }}
	if err := Run(t.Context(), Slice(events), e, Lane{Detector: rec, Judge: rec, Sink: rec}); err != nil {
		t.Fatal(err)
	}
	if len(rec.seen) != 3 || rec.future != 0 || rec.decided != 1 {
		t.Errorf("saw %d, future %d, decided %d", len(rec.seen), rec.future, rec.decided)
	}
	rec = newRecorder()
	e.Until = 0
	if err := Run(t.Context(), Slice(events), Engine{Ceiling: e.Ceiling}, Lane{Detector: rec, Sink: rec}); err != nil {
		t.Fatal(err)
	}
	if len(rec.seen) != 5 || rec.future != 1 {
		t.Errorf("saw %d, future %d: the event ahead of the clock must not reach the detector", len(rec.seen), rec.future)
	}
}

func TestRefs(t *testing.T) {
	var r Refs
	rnd := rand.New(rand.NewPCG(3, 3))
	type known struct {
		ref    uint32
		input  int32
		offset int64
	}
	var list []known
	for range 2000 {
		in, off := int32(rnd.IntN(5)), int64(rnd.IntN(40*SegmentBytes))
		list = append(list, known{r.Ref(in, off), in, off})
	}
	var again Refs
	r.Fresh(again.Set)
	for _, k := range list {
		for _, refs := range []*Refs{&r, &again} {
			in, off, ok := refs.Place(k.ref)
			if !ok || in != k.input || k.offset < off || k.offset >= off+RefBytes {
				t.Fatalf("%+v is found at %d:%d %v", k, in, off, ok)
			}
		}
	}
	if _, _, ok := new(Refs).Place(7); ok {
		t.Error("an empty table knows a place")
	}
	var small Refs
	first := small.Ref(1, 0)
	for i := range int64(segments) {
		small.Ref(2, i*SegmentBytes)
	}
	if in, _, _ := small.Place(first); in == 1 {
		t.Error("a number that was given again still means its first segment")
	}
	if got := small.Ref(2, 5*SegmentBytes); !reflect.DeepEqual(got>>20, uint32(6)) {
		t.Errorf("segment 5 has the number %d, want 6", got>>20)
	}
}

// Two lanes see the same events, each decides by itself, and what the engine is told of the client reaches both.
func TestTwoLanes(t *testing.T) {
	a, b := newRecorder(), newRecorder()
	a.fire = func(ev *harvestwatch.Event) bool { return ev.Time == 20 }
	b.fire = func(ev *harvestwatch.Event) bool { return ev.Time >= 20 && string(ev.Name) == "mail.example" }
	b.notice = &harvestwatch.Notice{Guard: "directory-outage"}
	events := []harvestwatch.Event{{Time: 10}, {Time: 20}, {Time: 30}}
	e := Engine{Annotate: func(ev *harvestwatch.Event) { ev.Name = []byte("mail.example") }}
	denied := 0
	deny := func(ev *harvestwatch.Event) *harvestwatch.Decision {
		if denied++; ev.Time == 10 {
			return &harvestwatch.Decision{Action: harvestwatch.ActBlock}
		}
		return nil
	}
	if err := Run(t.Context(), Slice(events), e, Lane{Detector: a, Judge: a, Sink: a, Deny: deny}, Lane{Detector: b, Judge: b, Sink: b}); err != nil {
		t.Fatal(err)
	}
	if len(a.seen) != 3 || len(b.seen) != 3 || a.decided != 2 || b.decided != 2 || a.notices != 0 || b.notices != 1 {
		t.Errorf("a saw %d and decided %d, b saw %d and decided %d", len(a.seen), a.decided, len(b.seen), b.decided)
	}
	if denied != 2 {
		t.Errorf("asked %d times for the deny list", denied)
	}
}
