package detector

// What follows finds the lists of a source: two lie in its record, the others in words that hang off its side record.

// handle returns the list of a counter, 0 for none.
func (d *Detector) handle(r record, c *counter) uint32 {
	if c.inline {
		return r[c.slot]
	}
	if i := r.side(); i != 0 {
		if x := d.sides.at(i).extra; x != 0 {
			return d.words.at(x)[c.slot]
		}
	}
	return 0
}

// place returns where the list of a counter has its handle, made if there is none.
func (d *Detector) place(r record, c *counter) *uint32 {
	if c.inline {
		return &r[c.slot]
	}
	return &d.extraOf(r)[c.slot]
}

// extraOf returns the words of a source that hold further lists, made if there are none.
func (d *Detector) extraOf(r record) []uint32 {
	s := d.sideOf(r)
	if s.extra == 0 {
		s.extra = d.words.alloc()
	}
	return d.words.at(s.extra)
}

// exemptOf returns the list of a source's exempt events, 0 for none.
func (d *Detector) exemptOf(s *side) uint32 {
	if s == nil || s.extra == 0 {
		return 0
	}
	return d.words.at(s.extra)[d.extraWords-1]
}

// live returns what a source's counter holds for a window.
func (d *Detector) live(r record, c *counter, window uint32) []entry {
	return d.slabs.liveOf(d.handle(r, c), c, d.cutoff(c, window))
}

// cutoff is the counter's, and not before an outage of the directory that made refusals worthless.
func (d *Detector) cutoff(c *counter, window uint32) uint32 {
	cut := c.cutoff(d.now, window)
	if c.unknown {
		cut = max(cut, d.floor())
	}
	return cut
}

// floor returns the second up to which refused recipients are no evidence any more.
func (d *Detector) floor() uint32 {
	if d.outage() {
		return 0
	}
	return d.recipients.Floor()
}

// sideOf returns the side record of a record, made if there is none.
func (d *Detector) sideOf(r record) *side {
	i := r.side()
	if i == 0 {
		i = d.sides.alloc()
		r[wSide] |= i
	}
	return d.sides.at(i)
}

// sideAt returns the side record of a record, or nil.
func (d *Detector) sideAt(r record) *side {
	if i := r.side(); i != 0 {
		return d.sides.at(i)
	}
	return nil
}

// clearLists forgets what was counted against a source.
func (d *Detector) clearLists(r record) {
	for i := wLists; i < len(r); i++ {
		d.slabs.release(r[i])
		r[i] = 0
	}
	r[wUntil] = 0
	s := d.sideAt(r)
	if s == nil || s.extra == 0 {
		return
	}
	for _, h := range d.words.at(s.extra) {
		d.slabs.release(h)
	}
	d.words.release(s.extra)
	s.extra = 0
}

// trim gives back the lists of a source that hold nothing any more, and what held them. Nobody can see the difference.
// Where there is no side record, a list with a long memory is left to the end of the record, rather than looked at.
func (d *Detector) trim(r record) {
	for _, n := range d.ofSource {
		c := &d.counters[n]
		if c.inline && r[c.slot] != 0 && (c.longest < day || r.side() != 0) && d.slabs.at(r[c.slot])[0].sec <= c.cutoff(d.now, c.longest) {
			d.slabs.release(r[c.slot])
			r[c.slot] = 0
		}
	}
	s := d.sideAt(r)
	if s == nil {
		return
	}
	if s.extra != 0 {
		d.trimExtra(s)
	}
	for _, l := range []struct {
		h *uint32
		c *counter
	}{{&s.good, &d.good}, {&s.served, &d.served}} {
		if *l.h != 0 && d.slabs.at(*l.h)[0].sec <= before(d.now, l.c.longest) {
			d.slabs.release(*l.h)
			*l.h = 0
		}
	}
	if s.quiet != 0 && d.slabs.at(s.quiet)[0].sec <= d.now {
		d.slabs.release(s.quiet)
		s.quiet = 0
	}
	if s.blank() {
		d.sides.release(r.side())
		r[wSide] &^= sideMask
	}
}

func (d *Detector) trimExtra(s *side) {
	block := d.words.at(s.extra)
	left := false
	for _, n := range d.ofSource {
		if c := &d.counters[n]; !c.inline {
			left = d.trimWord(&block[c.slot], c) || left
		}
	}
	if left = d.trimWord(&block[len(block)-1], &d.exempt) || left; !left {
		d.words.release(s.extra)
		s.extra = 0
	}
}

// trimWord gives back a list that holds nothing any more. It reports whether one is left.
func (d *Detector) trimWord(h *uint32, c *counter) bool {
	if *h == 0 {
		return false
	}
	if d.slabs.at(*h)[0].sec > c.cutoff(d.now, c.longest) {
		return true
	}
	d.slabs.release(*h)
	*h = 0
	return false
}
