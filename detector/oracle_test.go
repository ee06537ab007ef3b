package detector

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// oracle does what the detector does by keeping every event and looking at all of them each time. It shares no code
// with the detector and takes its meaning from the description of the windows alone. It knows the guards that belong to
// one source; those of the whole site stay silent in its streams.
type oracle struct {
	set     *rules.Set
	grace   int64
	now     int64
	former  map[string]bool
	all     []happened // what counts, for or against anybody
	sources map[harvestwatch.Source]*seen
	keys    map[string]*seenKey
	taught  []lesson
	pending map[string]map[int]bool
}

// seen is what is known of a source besides its events.
type seen struct {
	good, ok               []happened
	from, until, hold      int64
	probation, mail        int64
	offences, cleared      int
	resting                map[int]int64
	taughtAt               int64
	messages               []int64
	message                string
	delivered, everBlocked bool
}

// seenKey is what is known of a prefix, a HELO name, a domain or a user besides its events.
type seenKey struct {
	resting             map[int]int64
	delivered, credited int64
	blocked             []lesson
	from, until, hold   int64
	probation           int64
	offences, cleared   int
}

// lesson is a recipient that a source had tried when it was blocked, or a blocked source.
type lesson struct {
	t    int64
	what string
	src  harvestwatch.Source
	ref  uint32
}

type happened struct {
	t, lasted     int64
	kind          harvestwatch.Kind
	src           harvestwatch.Source
	keys          [5]string
	session       uint64
	rcpt, domain  string
	user          string
	ref           uint32
	null, idle    bool
	noUser, ended bool
}

const oDay = 24 * 3600

func newOracle(set *rules.Set, grace int64, former ...string) *oracle {
	o := &oracle{set: set, grace: grace, sources: map[harvestwatch.Source]*seen{}, keys: map[string]*seenKey{}, former: map[string]bool{},
		pending: map[string]map[int]bool{}}
	for _, f := range former {
		o.former[f] = true
	}
	return o
}

func (o *oracle) source(s harvestwatch.Source) *seen {
	if o.sources[s] == nil {
		o.sources[s] = &seen{resting: map[int]int64{}}
	}
	return o.sources[s]
}

func (o *oracle) key(k string) *seenKey {
	if o.keys[k] == nil {
		o.keys[k] = &seenKey{resting: map[int]int64{}}
	}
	return o.keys[k]
}

func plainRecipient(text string) string {
	text = strings.ToLower(text)
	local, domain, found := text, "", false
	if i := strings.LastIndex(text, "@"); i >= 0 {
		local, domain, found = text[:i], text[i:], true
	}
	if name, _, tagged := strings.Cut(local, "+"); tagged && name != "" {
		local = name
	}
	if found {
		return local + domain
	}
	return local
}

// distinctRecipient returns what tells one recipient from another. Where a line names none, the line itself stands for
// it, unless it speaks for the source.
func distinctRecipient(ev *harvestwatch.Event, good bool) string {
	if len(ev.Recipient) == 0 && !good {
		return fmt.Sprintf("session %d, stamp %d, offset %d", ev.Session, ev.Time, ev.Pos.Offset)
	}
	return plainRecipient(string(ev.Recipient))
}

func secs(d time.Duration) int64 { return int64(d / time.Second) }

// inWindow is the definition of a window, half open; with buckets, of whole buckets.
func inWindow(t, now, window, bucket int64) bool {
	if bucket > 0 {
		return t/bucket > now/bucket-window/bucket
	}
	return now-window < t
}

// textKeys returns the keys of an event, each with its kind before it; "" where it has none.
func textKeys(ev *harvestwatch.Event) [5]string {
	var keys [5]string
	if ev.Addr.Is4() {
		keys[rules.ByPrefix] = "prefix " + netip.PrefixFrom(ev.Addr, 24).Masked().String()
	} else {
		keys[rules.ByPrefix] = "prefix " + netip.PrefixFrom(ev.Addr, 48).Masked().String()
	}
	helo := strings.ToLower(string(ev.Helo))
	if helo != "" && helo[0] != '[' && helo != strings.ToLower(string(ev.Name)) && strings.Trim(helo, "0123456789.") != "" {
		var b strings.Builder
		for i, c := range helo {
			if digit := '0' <= c && c <= '9'; !digit {
				b.WriteRune(c)
			} else if i == 0 || helo[i-1] < '0' || helo[i-1] > '9' {
				b.WriteByte('0')
			}
		}
		keys[rules.ByHelo] = "helo " + b.String()
	}
	if _, domain, ok := strings.Cut(strings.ToLower(string(ev.Sender)), "@"); ok && !ev.Null && domain != "gmail.com" {
		keys[rules.BySenderDomain] = "sender " + domain
	}
	if len(ev.User) > 0 {
		keys[rules.ByUser] = "user " + strings.ToLower(string(ev.User))
	}
	return keys
}

func (o *oracle) makeOf(ev *harvestwatch.Event) happened {
	src, _ := harvestwatch.SourceOf(ev.Addr)
	e := happened{t: ev.Time / int64(time.Second), kind: ev.Kind, src: src, keys: textKeys(ev), session: ev.Session, rcpt: distinctRecipient(ev, false),
		user: strings.ToLower(string(ev.User)), ref: ev.Ref, null: ev.Null, idle: ev.Idle, noUser: ev.NoUser, lasted: -1}
	if i := strings.LastIndex(string(ev.Recipient), "@"); i >= 0 {
		e.domain = strings.ToLower(string(ev.Recipient[i+1:]))
	}
	if ev.Began > 0 {
		e.lasted = max(ev.Time-ev.Began, 0) / int64(time.Second)
	}
	return e
}

// What a counter counts, in the words of the rules.
type wants struct {
	r       *rules.Rule
	c       *rules.Condition
	against bool
	sources bool
}

// takes says whether a counter counts an event, whatever its time.
func (w wants) takes(e *happened) bool {
	if w.c.Open > 0 && !w.against {
		return e.kind == harvestwatch.Connect && e.session != 0 && !e.ended
	}
	kinds := w.r.Events
	if w.against {
		kinds = w.r.Against
	}
	if !slices.Contains(kinds, e.kind) || w.r.Only == rules.NullSender && !e.null || w.r.Only != rules.NullSender && e.kind == harvestwatch.RcptUnknown && e.null {
		return false
	}
	if w.r.Only == rules.IdleOnly && e.idle == w.against || w.c.Seconds > 0 && e.lasted < 0 {
		return false
	}
	if w.sources {
		return true
	}
	switch w.r.Distinct {
	case rules.User:
		return e.user != "" && (!w.c.NoUser || w.against || e.noUser && e.user != "info" && e.user != "admin")
	case rules.Domain:
		return e.domain != ""
	}
	return true
}

// tally is what a condition counts: one entry for each distinct thing, with its latest event; in buckets, each bucket.
type tally struct {
	count  int
	first  int64
	refs   []uint32
	users  int
	things map[string]happened
}

// tally counts for a source (k is BySource) or a key.
func (o *oracle) tally(w wants, k rules.Key, src harvestwatch.Source, key string) tally {
	out := tally{first: 1 << 62, things: map[string]happened{}}
	users := map[string]bool{}
	bucket := secs(w.r.Bucket)
	if w.sources || w.c.Open > 0 && !w.against {
		bucket = 0
	}
	for i := range o.all {
		e := &o.all[i]
		if k == rules.BySource && (e.src != src || i < o.source(src).cleared) || k != rules.BySource && (e.keys[k] != key || i < o.key(key).cleared) {
			continue
		}
		if !w.takes(e) || !inWindow(e.t, o.now, secs(w.c.Window), bucket) {
			continue
		}
		thing := "each " + strconv.Itoa(i)
		switch {
		case w.sources || w.r.Distinct == rules.Client:
			thing = strconv.FormatUint(uint64(e.src), 16)
		case w.c.Open > 0 && !w.against:
			thing = strconv.FormatUint(e.session, 16)
		case bucket > 0:
			thing = strconv.FormatInt(e.t/bucket, 10)
			if out.count++; w.c.Seconds > 0 {
				out.count += int(e.lasted) - 1
			}
			out.first = min(out.first, e.t)
		case w.r.Distinct == rules.Recipient:
			thing = e.rcpt
		case w.r.Distinct == rules.Domain:
			thing = e.domain
		case w.r.Distinct == rules.User:
			thing = e.user
		case w.r.Distinct == rules.UserMinute:
			thing = e.user + " " + strconv.FormatInt(e.t/60, 10)
		}
		if e.user != "" {
			users[e.user] = true
		}
		if was, ok := out.things[thing]; !ok || bucket > 0 || e.t >= was.t {
			out.things[thing] = *e
		}
	}
	for _, e := range out.things {
		out.refs = append(out.refs, e.ref)
		if bucket == 0 {
			out.count++
			out.first = min(out.first, e.t)
		}
	}
	slices.Sort(out.refs)
	out.users = len(users)
	return out
}
