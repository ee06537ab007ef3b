package loggen

import (
	"bufio"
	"io"
	"net/netip"

	"github.com/harvestwatch/harvestwatch"
)

// Tee writes a log as Generate does, and gives yield the events of just that traffic: with the pauses that the log's server
// makes, and a message accepted and delivered when its DATA is answered. shared has every address that two sessions had at
// the same time.
func Tee(w io.Writer, cfg Config, yield func(*harvestwatch.Event)) (truth Truth, shared map[netip.Addr]bool, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return Truth{}, nil, err
	}
	f, _ := formatOf(cfg.Format)
	out := &sink{out: bufio.NewWriter(w)}
	world := newWorld(cfg, f)
	t := &tee{w: world, renderer: f.open(world, out), open: map[netip.Addr]int{}, shared: map[netip.Addr]bool{}}
	t.events = newTeller(world, func(ev *harvestwatch.Event) bool {
		if ev.Kind != harvestwatch.Accepted || t.taking {
			yield(ev)
		}
		return true
	})
	world.run(t)
	truth = world.truth()
	truth.Lines = out.lines
	return truth, t.shared, out.out.Flush()
}

type tee struct {
	renderer
	w      *world
	events *teller
	open   map[netip.Addr]int
	shared map[netip.Addr]bool
	taking bool
}

func (t *tee) step(s *session, st *step) int64 {
	switch st.op {
	case opConnect:
		if t.open[s.addr]++; t.open[s.addr] > 1 {
			t.shared[s.addr] = true
		}
	case opQuit, opEnd:
		t.open[s.addr]--
	}
	if pause := t.renderer.step(s, st); pause > 0 {
		return pause
	}
	t.tell(s, st)
	return 0
}

func (t *tee) answer(s *session, st *step) {
	t.renderer.answer(s, st)
	t.tell(s, st)
}

func (t *tee) tell(s *session, st *step) {
	if st.op != opData {
		t.events.step(s, st)
		return
	}
	d := t.events.of(s)
	ev := t.events.begin(s, d, harvestwatch.Accepted, 250)
	t.events.about(s, d)
	t.taking = true
	t.events.send()
	t.taking = false
	ev.Kind = harvestwatch.Delivered
	for _, r := range d.rcpts {
		ev.Recipient = s.get(r)
		t.events.send()
	}
	d.endTransaction()
}
