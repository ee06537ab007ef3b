package loggen

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"time"
)

// class is a kind of client.
type class uint8

const (
	fast class = iota
	slow
	evader
	botnet
	spammer
	guesser
	flooder
	backscatter
	partner
	provider
	newsletter
	typist
	office
	monitor
	classes
)

// spec says what the entities of a class do. plan draws the entity's character from its own stream and says how many
// lines to expect of it; act makes its next session and says when it wakes again.
type spec struct {
	name string
	plan func(w *world, e *entity) float64
	act  func(w *world, e *entity, s *session)
}

// specs is a function and no table because what it names refers to it.
func specs() [classes]spec {
	return [classes]spec{
		fast:        {"fast", planFast, actHarvest},
		slow:        {"slow", planSlow, actHarvest},
		evader:      {"evader", planEvader, actHarvest},
		botnet:      {"botnet", planBotnet, actBotnet},
		spammer:     {"spammer", planSpammer, actSpammer},
		guesser:     {"guesser", planGuesser, actGuesser},
		flooder:     {"flooder", planFlooder, actFlooder},
		backscatter: {"backscatter", planBackscatter, actBackscatter},
		partner:     {"partner", planPartner, actPartner},
		provider:    {"provider", planProvider, actProvider},
		newsletter:  {"newsletter", planNewsletter, actNewsletter},
		typist:      {"typist", planTypist, actTypist},
		office:      {"office", planOffice, actOffice},
		monitor:     {"monitor", planMonitor, actMonitor},
	}
}

// Classes returns the names of the classes of entities, as Source.Class has them.
func Classes() []string {
	var names []string
	for _, s := range specs() {
		names = append(names, s.name)
	}
	return names
}

func classOf(name string) (class, bool) {
	for c, s := range specs() {
		if s.name == name {
			return class(c), true
		}
	}
	return 0, false
}

// entity is one actor. All that it does comes from its own stream of random numbers, whose seed is made of the run's
// seed, its class and its number: so who else takes part doesn't change it.
type entity struct {
	rng   *rand.Rand
	at    int64   // when it wakes next, nanoseconds since 1970; negative once it is done
	gap   float64 // mean nanoseconds between its sessions
	pick  uint64  // where its dictionary, its names begin
	count int32   // how many recipients, attempts or sessions it has yet to make
	done  int32   // how many it has made
	per   int32   // how many of them it makes in one session
	good  int32   // how many successes it has had
	burst int32   // how many attempts are left of a burst
	index uint32
	class class
	style uint8 // draws what its sessions look like
	v6    bool
	srcs  []tally
}

// tally is what is kept of a source while time passes.
type tally struct {
	addr   netip.Addr // one of its addresses
	first  int64      // its first connect
	last   int64
	counts Counts
}

// world is all that takes part, and the clock.
type world struct {
	cfg       Config
	format    *format
	specs     [classes]spec
	only      [classes]bool
	begin     int64
	end       int64
	good      float64 // factor of the good traffic against 1,700 messages a day
	entities  []entity
	sessions  []*session
	idle      []int32 // places of sessions that can be used again
	agenda    agenda
	total     Truth
	lastBegun int64 // when the last session began
}

// seedOf mixes the run's seed with a class and a number.
func (w *world) seedOf(c class, index uint32, what uint64) uint64 {
	return mix64(mix64(w.cfg.Seed^what*0x9e3779b97f4a7c15) + uint64(c)<<40 + uint64(index))
}

func newWorld(cfg Config, f *format) *world {
	w := &world{cfg: cfg, format: f, specs: specs(), begin: cfg.Start.UnixNano(), end: cfg.Start.Add(cfg.Duration).UnixNano()}
	for _, name := range cfg.Only {
		c, _ := classOf(name)
		w.only[c] = true
	}
	days := cfg.Duration.Hours() / 24
	w.good = float64(cfg.GoodPerDay) / 1_700
	if most := float64(cfg.Lines) / 6; cfg.Lines > 0 && w.good*f.goodLines*days > most {
		w.good = most / (f.goodLines * days)
	}
	w.addGood()
	const linesPerJunk = 2.2 // of Postfix, so that the same junk is the same entities in every format
	junk := float64(cfg.JunkPerDay) * days * linesPerJunk
	if cfg.Lines > 0 {
		good := w.good*f.goodLines*days + f.issues*max(0, 1-w.good) + w.monitorLines()
		junk = max(0, float64(cfg.Lines)-good)
		if f.volume == nil {
			junk *= 1.025 // what the end cuts off
		}
	}
	shares := f.shares(cfg.Mix)
	for c, share := range shares {
		for i, left := uint32(0), junk*share/total(shares); left > 0 && i < 1<<22; i++ {
			lines := w.add(class(c), i)
			if cfg.Lines > 0 {
				lines = f.rows(&w.entities[len(w.entities)-1], lines)
			}
			if lines > 2*left { // the last one would be far too much
				w.entities = w.entities[:len(w.entities)-1]
			}
			left -= lines
		}
	}
	for i := range w.entities {
		if at := w.entities[i].at; at >= 0 && w.takesPart(&w.entities[i]) {
			w.agenda.push(at, wakeEntity, int32(i))
		}
	}
	return w
}

func (w *world) takesPart(e *entity) bool { return len(w.cfg.Only) == 0 || w.only[e.class] }

// add makes an entity and returns how many lines to expect of it.
func (w *world) add(c class, index uint32) float64 {
	w.entities = append(w.entities, entity{class: c, index: index,
		rng: rand.New(rand.NewPCG(w.seedOf(c, index, 1), w.seedOf(c, index, 2)))})
	e := &w.entities[len(w.entities)-1]
	e.pick = e.rng.Uint64N(1 << 20)
	e.style = uint8(e.rng.Uint32())
	return w.specs[c].plan(w, e)
}

// start draws the time of an entity's first session so that what it needs of time fits before the end, if it can.
func (w *world) start(e *entity, needs float64) {
	room := float64(w.end-w.begin) - needs
	e.at = w.begin + int64(max(room, float64(w.end-w.begin)/20)*e.rng.Float64())
}

// rest lets the entity wake again after its usual gap, half of it to one and a half times it; or never, if it is done.
func (e *entity) rest(w *world, s *session) {
	length := int64(0)
	for i := range s.steps {
		length += s.steps[i].wait
	}
	e.at += length + int64(e.gap*(.5+e.rng.Float64()))
	if e.count <= 0 {
		e.at = -1
	}
}

// working is the share of the busiest hour's traffic at a time: by day 1, in the evening .35, at night .15, and .3 of it
// at weekends.
func (w *world) working(at int64) float64 {
	t := time.Unix(0, at).In(w.cfg.Start.Location())
	f := .15
	switch h := t.Hour(); {
	case h >= 8 && h < 18:
		f = 1
	case h >= 6 && h < 23:
		f = .35
	}
	if d := t.Weekday(); d == time.Saturday || d == time.Sunday {
		f *= .3
	}
	return f
}

// later finds the entity's next time by day and night: a Poisson process whose rate follows working, with a mean gap of
// e.gap at the busiest hour.
func (e *entity) later(w *world) {
	for e.at < w.end {
		e.at += int64(e.rng.ExpFloat64()*e.gap) + 1
		if e.rng.Float64() < w.working(e.at) {
			return
		}
	}
	e.at = -1
}

// lognormal draws a number with that median, between lo and hi.
func (e *entity) lognormal(median, sigma, lo, hi float64) int32 {
	return int32(min(hi, max(lo, median*math.Exp(sigma*e.rng.NormFloat64()))))
}

// source returns the tally of the k-th source of the entity, which has that address.
func (e *entity) source(k int32, addr netip.Addr) *tally {
	for int32(len(e.srcs)) <= k {
		e.srcs = append(e.srcs, tally{})
	}
	t := &e.srcs[k]
	if !t.addr.IsValid() {
		t.addr = addr
	}
	return t
}
