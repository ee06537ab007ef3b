package detector

// The dictionary holds which recipients blocked sources had tried that never existed: harvesters share their lists. It
// counts sources by the day, for eight days. It is a fixed number of places, eight for each value of a part of the hash,
// so that what is forgotten depends on the recipients alone.
type dictionary struct {
	words []word
	dirty []uint64 // a bit for each page that changed
	until uint32   // on this day, and before, a recipient that many sources tried may be known
	hot   int      // so many sources are many
	used  int
}

// word is one recipient of the dictionary.
type word struct {
	hash   uint32 // 0: the place is free
	day    uint32 // the latest day of counts, days since 1970
	counts [8]uint16
}

const (
	wordSets  = 25000
	wordWays  = 8
	wordPage  = 128 // words of a page
	wordBytes = 24
	wordPages = (wordSets*wordWays + wordPage - 1) / wordPage
)

func (w *dictionary) ask(hash uint32) []word {
	if w.words == nil {
		return nil
	}
	i := int(uint64(hash) * wordSets >> 32 * wordWays)
	return w.words[i : i+wordWays]
}

// tried returns how many blocked sources tried a recipient within so many days, today included.
func (w *word) tried(today, days uint32) int {
	n := 0
	for i := uint32(0); i < min(days, uint32(len(w.counts))); i++ {
		if at := today - i; at <= w.day && w.day-at < uint32(len(w.counts)) && today >= i {
			n += int(w.counts[at%8])
		}
	}
	return n
}

// add counts a source on a day. Days may come a little out of order.
func (w *word) add(today uint32) {
	if today > w.day {
		for at := max(w.day+1, before(today, 7)); at <= today; at++ {
			w.counts[at%8] = 0
		}
		w.day = today
	}
	if w.day-today < 8 && w.counts[today%8] < 1<<16-1 {
		w.counts[today%8]++
	}
}

// known says whether many blocked sources tried a recipient.
func (w *dictionary) known(hash, today uint32, days uint32, sources int) bool {
	for i, x := range w.ask(hash) {
		if x.hash == hash {
			return w.ask(hash)[i].tried(today, days) >= sources
		}
	}
	return false
}

// enter counts a blocked source's try at a recipient. It finds no room when all eight places that it could take hold
// recipients that more than one source tried lately.
func (w *dictionary) enter(hash, today uint32) {
	w.make()
	set := w.ask(hash)
	at := -1
	for i := range set {
		if set[i].hash == hash {
			at = i
			break
		}
	}
	if at < 0 {
		if at = victimOf(set, today); at < 0 {
			return
		}
		if set[at].hash == 0 {
			w.used++
		}
		set[at] = word{hash: hash, day: today}
	}
	set[at].add(today)
	w.heat(&set[at])
	w.touch((int(uint64(hash)*wordSets>>32)*wordWays + at) / wordPage)
}

func (w *dictionary) make() {
	if w.words == nil {
		w.words = make([]word, wordSets*wordWays)
		w.dirty = make([]uint64, (wordPages+63)/64)
	}
}

// heat notes until when a recipient may be known, if it is.
func (w *dictionary) heat(x *word) {
	if x.tried(x.day, 8) >= w.hot {
		w.until = max(w.until, x.day+8)
	}
}

func (w *dictionary) touch(page int) { w.dirty[page/64] |= 1 << (page % 64) }

// victimOf returns which word of a set can be forgotten: a free place, one that no source tried within eight days, or
// of those that one source tried the longest ago; -1 for none.
func victimOf(set []word, today uint32) int {
	best, bestDay := -1, uint32(0)
	for i := range set {
		n := set[i].tried(today, 8)
		if set[i].hash == 0 || n == 0 {
			return i
		}
		if n == 1 && (best < 0 || set[i].day < bestDay) {
			best, bestDay = i, set[i].day
		}
	}
	return best
}

// teach enters the recipients that a source had tried when it was blocked, once in seven days. Neither role names, which
// anybody guesses, nor lines that name nobody teach anything.
func (d *Detector) teach(r record, s *side, fired uint32) {
	if d.asks == nil || d.guesses < 0 || s.shared != 0 && fired < plus(s.shared, 7*day) {
		return
	}
	c := &d.counters[d.guesses]
	list := d.live(r, c, c.longest)
	for i := range list {
		if list[i].hash&roleMark == 0 {
			d.dict.enter(list[i].hash, fired/day)
		}
	}
	if len(list) > 0 {
		s.shared = max(fired, 1)
	}
}

// sharedNames returns how many recipients of a list many blocked sources had tried, and 0 when they are fewer than the
// rule asks for, or than need: so many of them would bring the source to what is asked where nothing speaks for it.
func (d *Detector) sharedNames(ru *rule, list []entry, need int) int {
	today := d.now / day
	if today > d.dict.until || len(list) < need {
		return 0
	}
	n, days := 0, uint32(ru.shared.Within/(day*1e9))
	for i := range list {
		if list[i].hash&roleMark == 0 && d.dict.known(list[i].hash, today, days, ru.shared.Sources) {
			n++
		}
		if n+len(list)-i-1 < need {
			return 0
		}
	}
	if n < ru.shared.Names {
		return 0
	}
	return n
}
