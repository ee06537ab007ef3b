package tailer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var errCrash = errors.New("crash")

// daemon is a follower that is killed and started again, and what it has committed.
type daemon struct {
	*world
	poll bool

	linger time.Duration // of the follower
	nudge  time.Duration // how far the clock is put forward when everything has to be delivered

	// Guarded by world.mu:
	moved  *sync.Cond
	cursor []byte // the committed cursor, as it would be stored
	crash  int    // chunks until the next crash, 0 for none
	alien  []string
	chunks []evidence
	last   map[*epoch]int
	states map[State]int
	opened map[*epoch]bool // delivered from since the last start, so open
	kills  int
	twice  map[*epoch]bool
	chunk  *Chunk

	running bool
	stop    context.CancelFunc
	ended   chan error
	clock   *testClock
}

// evidence is a copy of a delivered chunk.
type evidence struct {
	Data        []byte
	Offset, Cut int64
	File        FileID
}

// testClock gives ticks whose time the test can put forward.
type testClock struct {
	ticks chan time.Time
	jump  chan time.Duration
	done  chan struct{}
}

func newClock(t *testing.T, every time.Duration) *testClock {
	c := &testClock{ticks: make(chan time.Time), jump: make(chan time.Duration), done: make(chan struct{})}
	go func() {
		real := time.NewTicker(every)
		defer real.Stop()
		var ahead time.Duration
		for {
			select {
			case at := <-real.C:
				select {
				case c.ticks <- at.Add(ahead):
				case <-c.done:
					return
				default:
				}
			case d := <-c.jump:
				ahead += d
			case <-c.done:
				return
			}
		}
	}()
	t.Cleanup(func() { close(c.done) })
	return c
}

func newDaemon(t *testing.T, w *world, poll bool) *daemon {
	return newDaemonOf(t, w, poll, func(*daemon) {}, func() {})
}

// newDaemonOf is newDaemon with settings of one's own. What after does happens when the follower runs.
func newDaemonOf(t *testing.T, w *world, poll bool, set func(*daemon), after func()) *daemon {
	every := 20 * time.Millisecond // so that notifications matter
	if poll {
		every = time.Millisecond
	}
	d := &daemon{world: w, poll: poll, last: map[*epoch]int{}, states: map[State]int{},
		clock: newClock(t, every), linger: time.Hour}
	d.twice = map[*epoch]bool{}
	d.moved = sync.NewCond(&d.mu)
	set(d)
	d.start()
	after()
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.cursor == nil { // a follower that never began can't be resumed
		d.moved.Wait()
	}
	return d
}

func (d *daemon) start() {
	var from Cursor
	if d.cursor != nil {
		d.must(json.Unmarshal(d.cursor, &from))
	}
	if os.Getenv("TRACE") != "" {
		d.t.Logf("start at %s", d.cursor)
	}
	var ctx context.Context
	ctx, d.stop = context.WithCancel(d.t.Context())
	d.ended = make(chan error, 1)
	d.opened = map[*epoch]bool{}
	d.running = true
	opt := Options{Poll: d.poll, Ticks: d.clock.ticks, Linger: d.linger, Status: d.status}
	go func() { d.ended <- Follow(ctx, d.path, from, opt, d.take) }()
}

func (d *daemon) status(s Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.states[s.State]++
	if os.Getenv("TRACE") != "" {
		d.t.Log("status", s.State, s.Err)
	}
	if s.State == Following && d.cursor == nil {
		d.cursor, _ = json.Marshal(s.Cursor)
		d.moved.Broadcast()
	}
}

// take is the consumer: what it notes and the cursor are committed together.
func (d *daemon) take(c *Chunk) error {
	defer c.Release()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crash > 0 {
		if d.crash--; d.crash == 0 {
			return errCrash
		}
	}
	d.chunk = c
	for _, text := range strings.SplitAfter(string(c.Data), "\n") {
		if text != "" {
			d.deliver(strings.TrimSuffix(text, "\n"))
		}
	}
	d.cursor, _ = json.Marshal(c.Next)
	d.chunks = append(d.chunks, evidence{bytes.Clone(c.Data), c.Offset, c.Cut, c.File})
	d.moved.Broadcast()
	return nil
}

func (d *daemon) deliver(text string) {
	l := d.byText[text]
	if l == nil {
		d.alien = append(d.alien, text[:min(len(text), 80)])
		return
	}
	if last, ok := d.last[l.epoch]; ok && l.nth <= last && l.got == 0 {
		d.t.Errorf("epoch %d: line %d delivered after line %d", l.epoch.id, l.nth, last)
	}
	d.last[l.epoch] = l.nth
	d.opened[l.epoch] = true
	if l.got++; l.got == 1 {
		d.owe(l, -1)
	}
	if os.Getenv("TRACE") != "" && l.got == 2 && !d.twice[l.epoch] {
		d.twice[l.epoch] = true
		d.t.Logf("twice: epoch %d line %d, chunk %+v at %d, cursor before %s", l.epoch.id, l.nth, d.chunk.File, d.chunk.Offset, d.cursor)
		out, _ := exec.Command("sh", "-c", "ls -lai --time-style=full-iso "+d.path+"*; grep -l "+text[:8]+" "+d.path+"*").CombinedOutput()
		d.t.Logf("%s", out)
	}
}

// kill ends the follower, by its context or by a crash between delivery and commit.
func (d *daemon) kill() {
	if !d.running {
		return
	}
	if d.fragile {
		d.settle(false)
	}
	d.fragile = false
	d.kills++
	if d.rng.IntN(2) == 0 {
		d.stop()
	} else {
		d.mu.Lock()
		d.crash = 1
		d.mu.Unlock()
		d.complete()
		d.put(d.text())
	}
	err := <-d.ended
	if !errors.Is(err, context.Canceled) && !errors.Is(err, errCrash) {
		d.t.Fatalf("Follow ended with %v", err)
	}
	d.stop()
	d.running = false
}

// alarm puts the clock forward now and then and wakes who waits at the end. What it returns ends it.
func (d *daemon) alarm(end time.Time) func() {
	over := make(chan struct{})
	go func() {
		for time.Now().Before(end) {
			select {
			case d.clock.jump <- d.nudge:
			case <-over:
				return
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-over:
				return
			}
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.moved.Broadcast()
	}()
	return func() { close(over) }
}

// settle waits until everything that has to be delivered was.
func (d *daemon) settle(tails bool) {
	d.t.Helper()
	const patience = 8 * time.Second
	end := time.Now().Add(patience)
	defer d.alarm(end)()
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.due > 0 || tails && d.tails > 0 {
		if time.Now().After(end) {
			m := d.missing(tails)
			if os.Getenv("TRACE") != "" {
				l := d.byText[m[0]]
				d.t.Logf("epoch %d line %d of %d; cursor %s", l.epoch.id, l.nth, len(l.epoch.lines), d.cursor)
				out, _ := exec.Command("sh", "-c", "ls -lai --time-style=full-iso "+d.path+"*; grep -l "+m[0][:8]+" "+d.path+"*").CombinedOutput()
				d.t.Logf("%s", out)
			}
			d.t.Fatalf("%d lines are missing, first %.100q, last %.100q; states %v", len(m), m[0], m[len(m)-1], d.states)
		}
		d.moved.Wait()
	}
}

// isOpen reports whether the running follower surely holds the file open.
func (d *daemon) isOpen(e *epoch) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running && d.opened[e]
}

// step does one random thing.
func (d *daemon) step() {
	n := d.rng.IntN(100)
	if os.Getenv("TRACE") != "" {
		d.t.Log("op", n, d.running, d.stale, len(d.epochs), d.seq, d.fragile)
	}
	switch {
	case n < 40:
		d.write()
	case n < 50:
		d.partial()
	case n < 56:
		d.complete()
	case n < 66:
		d.renameCreate()
	case n < 72:
		d.renameKeep()
	case n < 80:
		d.hup()
	case n < 84:
		d.copyTruncate()
	case n < 86:
		d.deleteRecreate(d.isOpen)
	case n < 94 && d.running:
		if n < 90 {
			d.settle(false)
			d.fragile = false
			return
		}
		d.kill()
	default:
		if !d.running {
			d.start()
		}
	}
}

// finish gives up the rotated files, ends the follower and compares what was written with what was delivered.
func (d *daemon) finish() (written, lost int) {
	d.hup()
	d.complete()
	if !d.running {
		d.start()
	}
	d.settle(false)
	over := make(chan struct{})
	go func() {
		for {
			select {
			case d.clock.jump <- 2 * d.linger:
			case <-over:
				return
			}
		}
	}()
	d.settle(true)
	close(over)
	d.stop()
	<-d.ended
	for _, e := range d.epochs {
		twice := 0
		for _, l := range e.lines {
			written++
			if l.got == 0 {
				lost++
			}
			if l.got > 1 {
				twice++
			}
		}
		if twice > 0 {
			d.t.Errorf("epoch %d: %d of %d lines delivered more than once", e.id, twice, len(e.lines))
		}
	}
	if len(d.alien) > 0 {
		d.t.Errorf("%d lines were delivered that nobody wrote, first %q", len(d.alien), d.alien[0])
	}
	return written, lost
}

// checkEvidence reads chunks again from the files as they are called now.
func (d *daemon) checkEvidence() (found int) {
	for _, c := range d.chunks[max(0, len(d.chunks)-60):] {
		b, err := ReadAt(d.path, c.File, c.Offset, len(c.Data))
		switch {
		case errors.Is(err, ErrGone): // deleted, or emptied with too short a head
		case err != nil:
			d.t.Errorf("ReadAt: %v", err)
		case c.Cut == 0 && !bytes.Equal(b, c.Data):
			d.t.Errorf("ReadAt %+v at %d gives %.60q, delivered was %.60q", c.File, c.Offset, b, c.Data)
		default:
			found++
		}
	}
	return found
}

// modelSeeds returns how many seeds are tried: 6, or what HARVESTWATCH_SEEDS says for a long run.
func modelSeeds(t *testing.T) uint64 {
	text := os.Getenv("HARVESTWATCH_SEEDS")
	if text == "" {
		return 6
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever happens to a log and to the follower, every line is delivered exactly once, in the order of its file,
// but for those that were destroyed before they could be read.
func TestModel(t *testing.T) {
	for _, poll := range []bool{false, true} {
		for seed := range modelSeeds(t) {
			t.Run(fmt.Sprintf("poll=%v/seed=%d", poll, seed), func(t *testing.T) {
				d := newDaemon(t, newWorld(t, seed), poll)
				steps := 400
				for range steps {
					d.step()
				}
				written, lost := d.finish()
				evidence := d.checkEvidence()
				t.Logf("%d steps, %d files, %d kills: written %d, delivered %d, destroyed before they could be read %d, "+
					"lost 0; %d chunks read again", steps, len(d.epochs), d.kills, written, written-lost, lost, evidence)
			})
		}
	}
}
