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

// agenda holds what is to happen next, by time, and by order of entry among equals. What happens soon is kept apart from
// the many entities that wake some time.
type agenda struct {
	near heap
	far  heap
	seq  uint32
}

func (a *item) before(b *item) bool {
	return a.at < b.at || a.at == b.at && int32(a.seq-b.seq) < 0
}

func (g *agenda) push(at int64, what uint8, idx int32) {
	g.seq++
	x := item{at: at, seq: g.seq, idx: idx, what: what}
	if what == wakeEntity {
		g.far.push(x)
	} else {
		g.near.push(x)
	}
}

func (g *agenda) pop() (item, bool) {
	switch {
	case len(g.near) == 0 && len(g.far) == 0:
		return item{}, false
	case len(g.near) == 0 || len(g.far) > 0 && g.far[0].before(&g.near[0]):
		return g.far.pop(), true
	default:
		return g.near.pop(), true
	}
}

// due reports whether something is to happen before that time, or at it.
func (g *agenda) due(at int64) bool {
	return len(g.near) > 0 && g.near[0].at <= at || len(g.far) > 0 && g.far[0].at <= at
}

// heap is one in which each item stands before its four children.
type heap []item

func (q *heap) push(x item) {
	*q = append(*q, x)
	h := *q
	i := len(h) - 1
	for i > 0 {
		p := (i - 1) / 4
		if !x.before(&h[p]) {
			break
		}
		h[i] = h[p]
		i = p
	}
	h[i] = x
}

// pop takes the first item of a heap that has one.
func (q *heap) pop() item {
	h := *q
	top, n := h[0], len(h)-1
	x := h[n]
	h = h[:n]
	*q = h
	i := 0
	for c := 1; c < n; c = 4*i + 1 {
		least := c
		for k := c + 1; k < min(c+4, n); k++ {
			if h[k].before(&h[least]) {
				least = k
			}
		}
		if !h[least].before(&x) {
			break
		}
		h[i] = h[least]
		i = least
	}
	if n > 0 {
		h[i] = x
	}
	return top
}
