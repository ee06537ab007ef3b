package ledger

import (
	"cmp"
	"slices"
	"testing"
)

// model says what Recipients is to answer by looking through the list of all calls.
type model struct {
	now     uint32
	calls   []call
	outages []*span
	cut     int // how often there were more than twelve witnesses
	spoke   int // how often mail spoke against an outage
}

type call struct {
	hash    uint64
	sec     uint32
	kind    byte // 'd' delivery, 'i' import, 'r' refusal
	source  uint64
	mail    bool  // a delivery that speaks against an outage
	counted bool  // a refusal that counts
	of      *span // the outage that a counted refusal belongs to
}

type span struct {
	since, until uint32
	over         bool
}

func (m *model) latest() *span {
	if len(m.outages) == 0 {
		return &span{}
	}
	return m.outages[len(m.outages)-1]
}

// last returns the latest second of a recipient's calls of a kind; counted: only of those that count.
func (m *model) last(hash uint64, kind byte, counted bool) (sec uint32) {
	for _, c := range m.calls {
		if c.hash == hash && c.kind == kind && (c.counted || !counted) {
			sec = max(sec, c.sec)
		}
	}
	return sec
}

func (m *model) has(hash uint64, kind byte) bool {
	for _, c := range m.calls {
		if c.hash == hash && c.kind == kind {
			return true
		}
	}
	return false
}

// end returns the latest refusal of an outage.
func (m *model) end(o *span) (sec uint32) {
	for _, c := range m.calls {
		if c.of == o && c.kind == 'r' {
			sec = max(sec, c.sec)
		}
	}
	return sec
}

func (m *model) deliver(hash uint64, sec uint32) {
	m.now = max(m.now, sec)
	last := m.last(hash, 'd', false)
	known := last > 0 || m.has(hash, 'i')
	m.calls = append(m.calls, call{hash: hash, sec: sec, kind: 'd', mail: known && sec > last})
	m.settle()
}

// mailed returns who received mail after a second that speaks against an outage, and when so last.
func (m *model) mailed(after uint32) map[uint64]uint32 {
	list := map[uint64]uint32{}
	for _, c := range m.calls {
		if c.mail && c.sec > after {
			list[c.hash] = max(list[c.hash], c.sec)
		}
	}
	return list
}

// settle ends an outage.
func (m *model) settle() {
	o := m.latest()
	if _, _, held := m.outage(m.now); !held || o.over {
		return
	}
	denied, latest := 0, uint32(0)
	back := m.mailed(m.end(o))
	for hash, sec := range back {
		denied += one(m.last(hash, 'r', true) >= o.since)
		latest = max(latest, sec)
	}
	if len(back) >= 5 || denied >= 3 {
		o.until, o.over = latest, true
	}
}

func (m *model) refuse(hash uint64, sec uint32, source uint64) (known, tripped bool) {
	m.now = max(m.now, sec)
	last, former := m.last(hash, 'd', false), m.has(hash, 'i')
	if last == 0 && !former {
		return false, false
	}
	o, late := m.latest(), sec <= m.now-600
	in := sec < o.until && (sec >= o.since || !late)
	if former || last > sec || last <= sec-7*day || last <= m.last(hash, 'r', true) || late && !in {
		return true, false
	}
	_, _, before := m.outage(m.now)
	c := call{hash: hash, sec: sec, kind: 'r', source: source, counted: true}
	if in {
		o.since = min(o.since, sec)
		if !o.over {
			c.of = o
			m.calls = append(m.calls, c)
			o.until = m.end(o) + 1800
		} else {
			m.calls = append(m.calls, c)
			m.calls[len(m.calls)-1].of = &span{} // it is used up
		}
	} else {
		m.calls = append(m.calls, c)
		m.trip()
	}
	m.settle()
	_, _, after := m.outage(m.now)
	return true, !before && after
}

// trip begins an outage when, from some second of the last ten minutes on, recipients were refused to three sources, and
// fewer than these received mail after that second. Of more than twelve recipients only the latest are looked at.
func (m *model) trip() {
	var refused []*call
	for i := range m.calls {
		c := &m.calls[i]
		if !c.counted || c.of != nil || c.sec <= m.now-600 {
			continue
		}
		refused = slices.DeleteFunc(refused, func(r *call) bool { return r.hash == c.hash }) // a later one stands
		refused = append(refused, c)
	}
	slices.SortFunc(refused, func(a, b *call) int { return cmp.Or(cmp.Compare(b.sec, a.sec), cmp.Compare(b.hash, a.hash)) })
	if len(refused) > 12 {
		m.cut++
		refused = refused[:12]
	}
	run := 0 // the longest that shows an outage
	sources := map[uint64]bool{}
	for i, c := range refused {
		sources[c.source] = true
		if i+1 < len(refused) && refused[i+1].sec == c.sec || len(sources) < 3 {
			continue
		}
		if len(m.mailed(c.sec)) < len(sources) {
			run = i + 1
		} else {
			m.spoke++
		}
	}
	if run == 0 {
		return
	}
	o := &span{since: refused[run-1].sec, until: refused[0].sec + 1800}
	for i := range m.calls {
		if c := &m.calls[i]; c.counted && c.of == nil {
			c.of = &span{}
		}
	}
	for _, c := range refused[:run] {
		c.of = o
	}
	m.outages = append(m.outages, o)
}

func (m *model) outage(now uint32) (since, until uint32, ok bool) {
	if o := m.latest(); o.since <= now && now < o.until {
		return o.since, o.until, true
	}
	return 0, 0, false
}

// TestRecipientsAgainstAModel holds every answer against the model's, and against those of a set that is saved and
// restored again and again.
func TestRecipientsAgainstAModel(t *testing.T) {
	var compared, known, tripped, held, ended, late, spoke, cuts int
	for seed := range uint64(160) {
		rng := random(seed)
		m, r, cut := &model{}, NewRecipients(0), NewRecipients(0)
		store := map[uint64][]byte{}
		users, sources := 4+rng.Uint64N([]uint64{30, 100}[seed%2]), 1+rng.Uint64N(16)
		c := &clock{rng, start, []uint32{20, 30, 120, 8, 600, 60, 20000}[seed%7], []uint32{5, 120, 900, 4000}[seed/7%4]}
		broken := 0
		for range 400 {
			sec, hash := c.next(), 2+rng.Uint64N(users)
			if sec < c.now {
				late++
			}
			if broken--; broken < -40-rng.IntN(40) {
				broken = rng.IntN(40)
			}
			switch n := rng.IntN(20); {
			case n == 0:
				former := hash + users*uint64(min(rng.IntN(4), 1))
				m.calls = append(m.calls, call{hash: former, kind: 'i'})
				r.Import(former)
				cut.Import(former)
			case n < 3: // somebody who never was, or a former user
				hash += users * rng.Uint64N(3)
				fallthrough
			case n < 12 && broken > 0 || n < 4:
				source := rng.Uint64N(sources)
				if seed%2 > 0 && rng.IntN(6) > 0 {
					source = 0 // one asks for most
				}
				k, tr := m.refuse(hash, sec, source)
				for _, r := range []*Recipients{r, cut} {
					if k1, tr1 := r.Refuse(hash, sec, source); k1 != k || tr1 != tr {
						t.Fatalf("seed %d at %s: refused: known %v, tripped %v, want %v, %v", seed, clockTime(sec), k1, tr1, k, tr)
					}
				}
				known, tripped = known+one(k), tripped+one(tr)
			default:
				m.deliver(hash, sec)
				r.Deliver(hash, sec)
				cut.Deliver(hash, sec)
			}
			since, until, ok := m.outage(m.now)
			held += one(ok)
			floor := min(m.latest().until, m.now)
			for _, r := range []*Recipients{r, cut} {
				if s, u, o := r.Outage(m.now); s != since || u != until || o != ok || r.Floor() != floor {
					t.Fatalf("seed %d at %s: outage %d to %d %v, floor %d, want %d to %d %v, floor %d", seed, clockTime(sec), s, u, o, r.Floor(),
						since, until, ok, floor)
				}
			}
			compared++
			if rng.IntN(10) == 0 {
				save(cut, store)
				cut = load(t, NewRecipients(0), store)
			}
		}
		spoke, cuts = spoke+m.spoke, cuts+m.cut
		for _, o := range m.outages {
			ended += one(o.over)
		}
	}
	t.Logf("%d comparisons, twice each; %d calls late, %d refusals known, %d trips, held after %d, %d ended by mail; mail spoke against %d runs, "+
		"more than twelve witnesses %d times", compared, late, known, tripped, held, ended, spoke, cuts)
	if tripped < 100 || ended < 50 || held < 1000 || spoke < 100 || cuts < 100 {
		t.Error("the streams hold too few outages to tell anything")
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestFullSet holds what goes, what stays and what is turned away, of a set that is never saved, of one that is saved,
// and of one that is saved and restored.
func TestFullSet(t *testing.T) {
	const limit = 200
	for seed := range uint64(20) {
		rng := random(seed)
		r, kept, cut := NewRecipients(limit), NewRecipients(limit), NewRecipients(limit)
		store, keptStore := map[uint64][]byte{}, map[uint64][]byte{}
		former := map[uint64]bool{}
		for i := range uint32(5000) {
			sec, hash := start+i*hour/4-rng.Uint32N(hour), 1+rng.Uint64N(1000)
			for _, r := range []*Recipients{r, kept, cut} {
				switch {
				case i%100 == 0:
					r.Import(hash)
					former[hash] = true
				default:
					r.Deliver(hash, sec)
				}
			}
			a, _ := r.Refuse(hash, sec, hash)
			b, _ := cut.Refuse(hash, sec, hash)
			if a != b || r.TurnedAway() != cut.TurnedAway() || r.Len() != cut.Len() || r.Len() > limit {
				t.Fatalf("seed %d, call %d: known %v and %v, turned away %d and %d, %d and %d recipients", seed, i, a, b, r.TurnedAway(), cut.TurnedAway(),
					r.Len(), cut.Len())
			}
			if rng.IntN(30) == 0 {
				save(cut, store)
				cut = load(t, NewRecipients(limit), store)
				save(kept, keptStore)
			}
		}
		for hash := range former {
			if known, _ := r.Refuse(hash, r.now, hash); !known {
				t.Fatalf("seed %d: a former user is forgotten", seed)
			}
		}
		save(cut, store)
		save(kept, keptStore)
		if r.TurnedAway() == 0 || r.Len() != limit || len(store) != limit+1 || len(keptStore) != limit+1 {
			t.Errorf("seed %d: %d turned away, %d known, %d and %d saved", seed, r.TurnedAway(), r.Len(), len(store), len(keptStore))
		}
		if cap(r.gone) > 0 {
			t.Errorf("seed %d: a set that nobody saves lists %d that it forgot", seed, len(r.gone))
		}
	}
}

func TestOnlyOldMailMakesRoom(t *testing.T) {
	r := NewRecipients(10)
	for hash := range uint64(10) {
		r.Deliver(10+hash, start+uint32(hash))
	}
	r.Deliver(99, start+30*day-1)
	if known, _ := r.Refuse(99, start+30*day-1, 99); known || r.TurnedAway() != 1 {
		t.Errorf("the set took a new one in when the oldest mail was a second short of 30 days: %d turned away", r.TurnedAway())
	}
	r.Deliver(98, start+30*day)
	for hash := range uint64(10) {
		if known, _ := r.Refuse(10+hash, start+30*day, 10+hash); known != (hash != 0) {
			t.Errorf("recipient %d is known: %v; only the oldest goes", hash, known)
		}
	}
	for hash := range uint64(11) {
		r.Import(200 + hash)
	}
	if known, _ := r.Refuse(210, start+30*day, 210); known || r.TurnedAway() != 2 {
		t.Errorf("an eleventh former user is known: %v, %d turned away", known, r.TurnedAway())
	}
	if known, _ := r.Refuse(200, start+30*day, 200); !known {
		t.Error("a former user made room")
	}
}

// TestBoundsUnderRandomRecipients holds that ten million deliveries to random recipients keep the set in its bounds.
func TestBoundsUnderRandomRecipients(t *testing.T) {
	n := 10_000_000
	if testing.Short() {
		n = 1_000_000
	}
	r, rng := NewRecipients(0), random(1)
	most := 0
	for i := range n {
		r.Deliver(rng.Uint64(), start+uint32(i/10))
		most = max(most, r.Bytes())
		if i == n/2 {
			save(r, map[uint64][]byte{})
		}
	}
	t.Logf("%d deliveries: %d recipients, %d turned away, at most %d bytes, %.1f a recipient", n, r.Len(), r.TurnedAway(), most, float64(most)/float64(r.Len()))
	if r.Len() != defaultSize || r.TurnedAway() != uint64(n-defaultSize) || most > 24*defaultSize {
		t.Errorf("%d recipients, %d turned away, %d bytes", r.Len(), r.TurnedAway(), most)
	}
	for range 300_000 {
		r.Deliver(rng.Uint64(), start+uint32(n/10)+31*day)
	}
	if r.TurnedAway() > uint64(n-defaultSize)+60_000 {
		t.Errorf("a month later %d are turned away", r.TurnedAway()-uint64(n-defaultSize))
	}
	if got := cap(r.gone); got > 2*defaultSize {
		t.Errorf("the list of the forgotten has room for %d", got)
	}
}
