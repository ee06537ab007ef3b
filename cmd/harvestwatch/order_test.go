package main

import (
	"context"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// Others wait for an input that catches up, and not for one whose clock is slow.
func TestWhoIsWaitedFor(t *testing.T) {
	start := time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		behind time.Duration // at the start
		speed  int           // seconds of events a second
		want   []bool        // after 0, 5, 10, 20 and 60 seconds
	}{
		"live":                    {time.Second, 1, []bool{false, false, false, false, false}},
		"a slow clock":            {10 * time.Minute, 1, []bool{true, true, false, false, false}},
		"a backlog of a day":      {24 * time.Hour, 1000, []bool{true, true, true, true, true}},
		"a backlog of an hour":    {time.Hour, 100, []bool{true, true, true, true, false}},
		"slower than it happened": {time.Hour, 0, []bool{true, true, false, false, false}},
	} {
		in := &liveInput{}
		for i, after := range []int{0, 5, 10, 20, 60} {
			in.heard = start.Add(time.Duration(after) * time.Second)
			in.last = start.Add(-c.behind + time.Duration(after*c.speed)*time.Second)
			if got := in.catchesUp(); got != c.want[i] {
				t.Errorf("%s, after %d s: %v", name, after, got)
			}
		}
	}
}

// What a command asks for is run, and all is committed before it, while no event is between the queue and the detector: such
// an event would be neither observed nor kept for later, and lost if the daemon were killed then.
func TestNothingIsUnderWayWhileACommandRuns(t *testing.T) {
	in := &liveInput{queue: make([]harvestwatch.Event, 3)}
	l := &live{d: &daemon{inputs: []*liveInput{in}, p: &program{now: time.Now}}, asks: make(chan func(), 1)}
	kept := -1
	l.commit = func(context.Context) error { kept = len(in.queue) - in.next; return nil }
	ran := false
	l.asks <- func() { ran = true }
	b, err := l.Next(t.Context())
	if err != nil || len(b.Events) != 3 {
		t.Fatalf("batch %+v, %v", b, err)
	}
	if !ran || kept != 3 {
		t.Errorf("it ran: %t; committed with %d of 3 events kept for later", ran, kept)
	}
}

// The events of several inputs come in the order of time, equal times in the order of the inputs; what an input that is
// behind may still tell is waited for, and nothing else.
func TestReadyMergesByTime(t *testing.T) {
	now := time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
	queue := func(times ...int64) (list []harvestwatch.Event) {
		for _, at := range times {
			list = append(list, harvestwatch.Event{Time: at})
		}
		return list
	}
	a, b := &liveInput{stream: 0, queue: queue(1, 4, 9)}, &liveInput{stream: 1, queue: queue(2, 4, 5)}
	d := &daemon{inputs: []*liveInput{a, b}, p: &program{now: func() time.Time { return now }}}
	l := &live{d: d}
	var got []int64
	for {
		batch, wait := l.ready()
		if batch == nil && wait > 0 {
			got = append(got, -1)
			now = now.Add(wait)
			continue
		}
		if batch == nil {
			break
		}
		for i := range batch.Events {
			got = append(got, batch.Events[i].Time*10+int64(batch.Stream))
		}
		if b.next == len(b.queue) && b.heard.IsZero() { // it told all that it has for now, and lags
			b.behind, b.heard = true, now
		}
	}
	want := []int64{10, 21, 40, 41, 51, -1, 90}
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}
