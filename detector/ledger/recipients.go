package ledger

import "fmt"

// Recipients is the exact set of recipients that received accepted mail, or were imported as former users. It tells
// which refused recipients are no guesses, and when so many of them are refused that the server's directory must be
// down. Recipients are given by 64-bit keyed hashes; the hashes 0 and 1 count as one. Seconds may come out of order by
// a few minutes: a late call counts for its own second. It is not safe for concurrent use.
type Recipients struct {
	set        set
	outage     outage
	now        uint32   // the latest second of all calls
	turnedAway uint64   // recipients that found no room
	global     bool     // the global part changed
	all        bool     // more recipients changed than list has room for
	list       []uint64 // keys that changed
	gone       []uint64 // keys that were told of and are forgotten
	value      []byte
}

// NewRecipients makes an empty set that holds at most limit recipients. 0: 262,144; more than 16,777,216 are cut.
func NewRecipients(limit int) *Recipients {
	if limit <= 0 {
		limit = defaultSize
	}
	return &Recipients{set: set{limit: min(limit, maxSize)}}
}

// Deliver notes that a recipient, given by a keyed hash, received accepted mail at a second. In a full set it takes the
// place of the one that went without mail for longest, 30 days at least, among 16 that chance names; where there is
// none, it is turned away.
//
// Mail for a recipient that was known before the call, and had none as late, speaks against an outage, from its own
// second on: it may keep the breaker from tripping, and it ends an outage. For this the second should be the one at which
// the server accepted the mail, since it can deliver what it accepted long after the directory went away. An outage that
// is held ends when five such recipients received mail after its latest denial, or three that were denied in it.
func (r *Recipients) Deliver(hash uint64, sec uint32) {
	sec = r.advance(sec)
	key := keyOf(hash)
	i, known := r.set.find(key)
	if !known {
		var ok bool
		if i, ok = r.enter(key, before(r.now, oldMail)); !ok {
			r.turnedAway++
			r.global = true
			return
		}
	}
	s := &r.set.slots[i]
	if sec <= s.last {
		return
	}
	s.last = sec
	r.touch(i)
	if known {
		r.outage.mails = note(r.outage.mails, witness{hash: hashOf(key), sec: sec})
		r.global = true
		r.settle()
	}
}

// settle ends an outage that is held when enough recipients received mail after its latest denial.
func (r *Recipients) settle() {
	o := &r.outage
	if !o.held(r.now) {
		return
	}
	var back, denied int
	var latest uint32
	for _, m := range o.mails {
		if m.sec <= o.last {
			continue
		}
		back++
		latest = max(latest, m.sec)
		if i, ok := r.set.find(keyOf(m.hash)); ok && r.set.slots[i].counted >= o.since {
			denied++
		}
	}
	if back >= answers || denied >= witnesses {
		o.over, o.until = true, latest
	}
}

// Known reports whether the recipient once received mail, or is a former user. It changes nothing.
func (r *Recipients) Known(hash uint64) bool {
	_, ok := r.set.find(keyOf(hash))
	return ok
}

// Import notes a former user: known for good, and no sign of an outage when refused. In a full set it takes the place
// of whichever of the 16 went without mail for longest; it is turned away only when all of them are former users too.
func (r *Recipients) Import(hash uint64) {
	key := keyOf(hash)
	i, ok := r.set.find(key)
	if !ok {
		if i, ok = r.enter(key, ^uint32(0)); !ok {
			r.turnedAway++
			r.global = true
			return
		}
	}
	if r.set.flags[i]&imported == 0 {
		r.set.flags[i] |= imported
		r.touch(i)
	}
}

// Refuse notes that the server said "no such user" at a second to a source, which any number may name. known: the
// recipient once received mail, or is a former user, so asking for it is no guess. tripped: with this refusal the
// directory-outage breaker trips, which it didn't hold before.
//
// A recipient is a witness when it received mail within the seven days before, and is no former user; it speaks for the
// source that it was refused to last. The breaker trips when within ten minutes, from some second on, witnesses speak for
// at least three sources, and fewer recipients received mail (see Deliver) at seconds after the first of these refusals
// than there are such sources. Of more than twelve witnesses only the latest twelve count, so that a crowd that asks for
// dead recipients cannot outweigh mail for ever. Refusals that mail outweighs are not dropped: they count for their ten
// minutes with those that follow.
//
// A recipient counts once for each time that it received mail: after it has counted, it counts again when a later second
// brought it mail. So whoever knows some leavers can't hold the breaker by asking for them again and again. A refusal
// that comes late counts for its own second while that lies in the ten minutes or in the outage; it doesn't count when
// the recipient is known to have received mail after it. An outage that is found out only when it is over, since mail
// that ends it has been told already, does not trip the breaker, but moves Floor.
func (r *Recipients) Refuse(hash uint64, sec uint32, source uint64) (known, tripped bool) {
	sec = r.advance(sec)
	key := keyOf(hash)
	i, ok := r.set.find(key)
	if !ok {
		return false, false
	}
	s := &r.set.slots[i]
	if r.set.flags[i]&imported != 0 || s.last > sec || s.last <= before(sec, recentMail) || s.last <= s.counted {
		return true, false
	}
	held := r.outage.held(r.now)
	if !r.outage.deny(witness{hash: hashOf(key), source: source, sec: sec}, r.now) {
		return true, false
	}
	s.counted = sec
	r.touch(i)
	r.global = true
	r.settle()
	return true, !held && r.outage.held(r.now)
}

// Outage returns since when and until when harvest rules are suspended; ok is false when they aren't at that second.
// since is the first of the refusals that show the outage. until is 30 minutes after the latest of them, and moves on
// with each further recipient; it moves back to the second at which the directory turned out to be back.
func (r *Recipients) Outage(now uint32) (since, until uint32, ok bool) {
	if !r.outage.held(now) {
		return 0, 0, false
	}
	return r.outage.since, r.outage.until, true
}

// Floor returns the second up to which, that second included, refused recipients are no evidence, because of the latest
// outage: its end, and while it lasts the latest second that a call has named. 0: there was none. It goes back only
// when the delivery that ended the outage came late, and by no more than that.
func (r *Recipients) Floor() uint32 { return min(r.outage.until, r.now) }

// Len returns how many recipients are known, former users included.
func (r *Recipients) Len() int { return r.set.count }

// TurnedAway returns how many calls of Deliver and Import brought a new recipient that found no room.
func (r *Recipients) TurnedAway() uint64 { return r.turnedAway }

// Bytes returns what is allocated: about 23 for each recipient of a full set, at most 46 below.
func (r *Recipients) Bytes() int {
	return r.set.bytes() + 8*cap(r.list) + 8*cap(r.gone) + witnessBytes*(cap(r.outage.recent)+cap(r.outage.mails)) + cap(r.value)
}

// advance moves the clock, and returns the second, which is not 0.
func (r *Recipients) advance(sec uint32) uint32 {
	sec = max(sec, 1)
	if sec > r.now {
		r.now, r.global = sec, true
	}
	return sec
}

// enter makes a slot for a new key, if need be that of one whose latest mail is at a second up to the given one.
func (r *Recipients) enter(key uint64, upTo uint32) (i int, ok bool) {
	if r.set.count >= r.set.limit {
		old, ok := r.set.stale(key, upTo)
		if !ok {
			return 0, false
		}
		if r.set.flags[old]&saved != 0 {
			r.gone = append(r.gone, r.set.slots[old].key)
		}
		r.set.remove(old)
	}
	return r.set.insert(key), true
}

// touch remembers that a recipient changed.
func (r *Recipients) touch(i int) {
	if r.set.flags[i]&changed != 0 {
		return
	}
	r.set.flags[i] |= changed
	switch {
	case r.all:
	case len(r.list) < maxChanged:
		r.list = append(r.list, r.set.slots[i].key)
	default:
		r.all, r.list = true, r.list[:0]
	}
}

// Changes yields what changed since the last call, in a form that Restore takes: one value for each recipient, under
// its hash, and one for all else under key 0. A nil value means that the recipient is forgotten. A value holds until
// yield returns. A recipient may be yielded twice, forgotten and then known anew: the later holds.
func (r *Recipients) Changes(yield func(key uint64, value []byte)) {
	for _, key := range r.gone {
		yield(hashOf(key), nil)
	}
	r.gone = r.gone[:0]
	if r.all {
		for i := range r.set.slots {
			r.tell(i, yield)
		}
	}
	for _, key := range r.list {
		if i, ok := r.set.find(key); ok {
			r.tell(i, yield)
		}
	}
	r.all, r.list = false, r.list[:0]
	if r.global {
		r.global = false
		r.value = seal(r.encode(begin(r.value, kindOutage)))
		yield(0, r.value)
	}
}

// tell yields a slot's recipient if it changed.
func (r *Recipients) tell(i int, yield func(uint64, []byte)) {
	f := &r.set.flags[i]
	if *f&changed == 0 {
		return
	}
	*f = *f&^changed | saved
	s := &r.set.slots[i]
	r.value = seal(put32(append(begin(r.value, kindRecipient), *f&imported), s.last, s.counted))
	yield(hashOf(s.key), r.value)
}

func (r *Recipients) encode(b []byte) []byte {
	o := &r.outage
	b = put64(put32(b, r.now), r.turnedAway)
	b = put32(b, o.since, o.until, o.last)
	over := byte(0)
	if o.over {
		over = 1
	}
	b = append(b, over)
	b = append(b, byte(len(o.recent)))
	for _, w := range o.recent {
		b = put64(put32(put64(b, w.hash), w.sec), w.source)
	}
	b = append(b, byte(len(o.mails)))
	for _, w := range o.mails {
		b = put32(put64(b, w.hash), w.sec)
	}
	return b
}

// Restore takes in what Changes yielded for a key, in place of what is known under it. After all values, in any order,
// the set behaves as the one that was saved. With a smaller limit than that one's, some recipients find no room; Changes
// tells that they are forgotten. The value is not kept. On an error, which wraps ErrDamaged or ErrVersion, the set is as
// it was.
func (r *Recipients) Restore(key uint64, value []byte) error {
	var err error
	if key == 0 {
		err = r.restoreOutage(value)
	} else {
		err = r.restoreRecipient(keyOf(key), value)
	}
	if err != nil {
		return fmt.Errorf("restore the recipients, key %016x: %w", key, err)
	}
	return nil
}

func (r *Recipients) restoreRecipient(key uint64, value []byte) error {
	in, err := open(value, kindRecipient)
	if err != nil {
		return err
	}
	f, last, counted := in.u8(), in.u32(), in.u32()
	if !in.ok() || f&^imported != 0 || f == 0 && last == 0 {
		return ErrDamaged
	}
	i, ok := r.set.find(key)
	if !ok {
		upTo := before(r.now, oldMail)
		if f == imported {
			upTo = ^uint32(0)
		}
		if i, ok = r.enter(key, upTo); !ok {
			r.gone = append(r.gone, key)
			return nil
		}
	}
	r.set.slots[i].last, r.set.slots[i].counted = last, counted
	r.set.flags[i] = f | saved
	return nil
}

func (r *Recipients) restoreOutage(value []byte) error {
	in, err := open(value, kindOutage)
	if err != nil {
		return err
	}
	now, turnedAway := in.u32(), in.u64()
	o := outage{since: in.u32(), until: in.u32(), last: in.u32()}
	over := in.u8()
	o.over = over == 1
	o.recent, o.mails = in.witnesses(now, true), in.witnesses(now, false)
	if !in.ok() || over > 1 || o.last > now || !o.sane() {
		return ErrDamaged
	}
	r.now, r.turnedAway, r.outage, r.global = now, turnedAway, o, false
	return nil
}

// witnesses reads at most maxWitness, each another recipient, none later than now.
func (r *reader) witnesses(now uint32, sources bool) []witness {
	n := int(r.u8())
	var list []witness
	for range min(n, maxWitness) {
		w := witness{hash: r.u64(), sec: r.u32()}
		if sources {
			w.source = r.u64()
		}
		r.bad = r.bad || w.hash == 0 || w.sec == 0 || w.sec > now
		list = note(list, w)
	}
	r.bad = r.bad || len(list) != n
	return list
}
