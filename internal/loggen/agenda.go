package loggen

// What an agenda's item wakes up.
const (
	wakeEntity  = iota // an entity begins its next session
	wakeSession        // a session takes its next step
	wakeJob            // work of the renderer's own, such as a delivery
)

type item struct {
	at   int64 // nanoseconds since 1970
	seq  uint32
	idx  int32
	what uint8
}

// agenda holds what is to happen next: a binary heap by time, and by order of entry among equals.
type agenda struct {
	items []item
	seq   uint32
}

func (a *item) before(b *item) bool {
	return a.at < b.at || a.at == b.at && int32(a.seq-b.seq) < 0
}

func (g *agenda) push(at int64, what uint8, idx int32) {
	g.seq++
	g.items = append(g.items, item{at: at, seq: g.seq, idx: idx, what: what})
	h := g.items
	for i := len(h) - 1; i > 0; {
		p := (i - 1) / 2
		if !h[i].before(&h[p]) {
			break
		}
		h[i], h[p] = h[p], h[i]
		i = p
	}
}

func (g *agenda) pop() (item, bool) {
	h := g.items
	if len(h) == 0 {
		return item{}, false
	}
	top := h[0]
	n := len(h) - 1
	h[0] = h[n]
	h = h[:n]
	g.items = h
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && h[c+1].before(&h[c]) {
			c++
		}
		if !h[c].before(&h[i]) {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	return top, true
}

// due reports whether something is to happen before that time, or at it.
func (g *agenda) due(at int64) bool { return len(g.items) > 0 && g.items[0].at <= at }
