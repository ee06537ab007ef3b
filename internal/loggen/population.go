package loggen

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// world is all that takes part, and the clock.
type world struct {
	cfg       Config
	format    *format
	specs     [classes]spec
	only      [classes]bool // if any is set, only those take part
	also      [classes]bool
	begin     int64
	open      int64 // when the hostile ones begin, and what is out of the ordinary
	end       int64
	good      float64 // factor of the good traffic against 1,700 messages a day
	chunks    [][]entity
	count     int     // of entities
	asleep    []sleep // the entities that haven't begun yet, in the order of time
	sessions  []*session
	idle      []int32 // places of sessions that can be used again
	agenda    agenda
	total     Truth
	lastBegun int64  // when the last session began
	stopped   bool   // nobody wants to hear more
	quiet     uint32 // the steps, as bits, that may be taken before their time, since nobody is told

	outFrom, outTo int64 // the directory is out of order
	moved          int64 // when the addresses of oldDomain died
	restarted      int64 // when the server was restarted
}

// sleep is an entity that waits for its first session.
type sleep struct {
	at  int64
	idx int32
}

// chunk is how many entities are kept together: they never move, since each rng points to its own pcg.
const chunk = 1024

// mostEntities is how many a class can have: their addresses differ up to there.
const mostEntities = 1 << 21

func (w *world) entity(i int32) *entity { return &w.chunks[i/chunk][i%chunk] }

// seedOf mixes the run's seed with a class and a number.
func (w *world) seedOf(c class, index uint32, what uint64) uint64 {
	return mix64(mix64(w.cfg.Seed^what*0x9e3779b97f4a7c15) + uint64(c)<<40 + uint64(index))
}

func newWorld(cfg Config, f *format) *world {
	w := &world{cfg: cfg, format: f, specs: specs(), begin: cfg.Start.UnixNano(), end: cfg.Start.Add(cfg.Duration).UnixNano(),
		open: cfg.Start.Add(cfg.Warmup).UnixNano()}
	for _, names := range [2][]string{cfg.Only, cfg.Scenarios} {
		for _, name := range names {
			c, _ := classOf(name)
			w.only[c] = true
		}
	}
	for _, name := range cfg.Also {
		c, _ := classOf(name)
		w.also[c] = true
	}
	for _, name := range cfg.Scenarios {
		c, _ := classOf(name)
		w.also[c] = true
	}
	days := cfg.Duration.Hours() / 24
	w.good = float64(cfg.GoodPerDay) / 1_700
	if most := float64(cfg.Lines) / 6; cfg.Lines > 0 && w.good*f.goodLines*days > most {
		w.good = most / (f.goodLines * days)
	}
	good := w.good*f.goodLines*days + f.issues*max(0, 1-w.good) + w.addGood()
	w.addJunk(good)
	w.lull()
	return w
}

// addGood adds who isn't counted by the mix, and returns how many lines to expect beyond those of the usual mail.
func (w *world) addGood() float64 {
	lines := 0.0
	for c := range classes {
		s := &w.specs[c]
		n := s.number
		switch {
		case w.also[c], s.kind == regular:
		case s.kind == tricky && w.cfg.Mix.Tricky, c == backscatter && w.cfg.Mix.Tricky:
		default:
			n = 0
		}
		for i := range uint32(n) {
			amount := w.add(c, i)
			if s.kind != regular { // who is has planned for the format
				amount = w.format.rows(w.entity(int32(w.count-1)), amount)
			}
			lines += amount
		}
	}
	return lines
}

// addJunk adds hostile entities as the mix has them: as many as fill up Lines, or as try as often as JunkPerDay says.
func (w *world) addJunk(good float64) {
	days := (w.cfg.Duration - w.cfg.Warmup).Hours() / 24
	junk := float64(w.cfg.JunkPerDay) * days
	if w.cfg.Lines > 0 {
		junk = max(0, float64(w.cfg.Lines)-good)
		if w.format.volume == nil {
			junk *= 1.025 // what the end cuts off
		}
	}
	shares := w.format.shares(w.cfg.Mix)
	for c, share := range shares {
		if share == 0 && w.also[c] && w.specs[c].number == 0 {
			share = .01 * total(shares)
		}
		if class(c) == backscatter && (w.cfg.Mix.Tricky || w.also[c]) {
			continue // addGood has them
		}
		left, skipped, most := junk*share/total(shares), 0, uint32(mostEntities)
		switch class(c) {
		case snowshoe:
			most = mostPools
		case rotator:
			most = mostRotators
		}
		for i := uint32(0); left > 0 && i < most && skipped < 16; i++ {
			amount := w.add(class(c), i)
			if e := w.entity(int32(w.count - 1)); w.cfg.Lines == 0 {
				amount = float64(e.count)
			} else {
				amount = w.format.rows(e, amount)
			}
			if amount > 2*left { // far too much: another one may fit
				w.count--
				skipped++
				continue
			}
			left -= amount
			skipped = 0
		}
	}
}

// lull puts the entities to sleep until their first sessions.
func (w *world) lull() {
	for i := range int32(w.count) {
		e := w.entity(i)
		if e.at >= 0 && w.takesPart(e) && w.specs[e.class].act != nil {
			w.asleep = append(w.asleep, sleep{e.at, i})
		}
	}
	slices.SortFunc(w.asleep, func(a, b sleep) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.idx, b.idx)) })
}

func (w *world) takesPart(e *entity) bool {
	return len(w.cfg.Only)+len(w.cfg.Scenarios) == 0 || w.only[e.class]
}

// add makes an entity and returns how many lines to expect of it.
func (w *world) add(c class, index uint32) float64 {
	if w.count == len(w.chunks)*chunk {
		w.chunks = append(w.chunks, make([]entity, chunk))
	}
	e := w.entity(int32(w.count))
	w.count++
	*e = entity{class: c, index: index}
	e.pcg.Seed(w.seedOf(c, index, 1), w.seedOf(c, index, 2))
	e.rng = *rand.New(&e.pcg)
	e.pick = e.rng.Uint64N(1 << 20)
	e.style = uint8(e.rng.Uint32())
	return w.specs[c].plan(w, e)
}
