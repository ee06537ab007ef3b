package evaluate

import (
	"net/netip"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// What others do, as their documentation says it. Each imitation does what is stated at its constructor and nothing
// else; all of them get their blocks into force as slowly as ours, but for the one that hangs up.

const (
	second = int64(time.Second)
	minute = 60 * second
	hour   = 60 * minute
)

// Emulations returns the entries of all imitations. Like ours they leave the site's own hosts alone.
func Emulations(own ...netip.Prefix) []Entry {
	entry := func(name, note string, c func() Contender) Entry {
		return Entry{Name: name, Note: note, New: func() (Contender, error) { return exempt(c(), own), nil }}
	}
	return []Entry{
		entry("fail2ban-like", "5 refused recipients in 10 min, 10 min blocked", Fail2ban),
		entry("crowdsec-like", "leaky bucket of 5, 10 s each, 4 h blocked", CrowdSec),
		entry("ironport-like", "25 unknown recipients in a clock hour, blocked for the rest of it", IronPort),
		entry("cleanmail-like", "10 refused recipients in a session, none accepted between: hang up", CleanMail),
		entry("cleanmail-source", "the same over a source's sessions, 1 h blocked", CleanMailSource),
		entry("forcepoint-like", "over 5 unknown recipients and over 50 % in 60 s, 3 h blocked", Forcepoint),
		entry("mcafee-like", "20 recipients or more and over 60 % unknown in 1 h, 4 h blocked", McAfee),
	}
}

// exempt returns a contender that never says anything of some hosts.
func exempt(c Contender, own []netip.Prefix) Contender {
	x := &exempted{Contender: c, own: map[harvestwatch.Source]bool{}}
	for _, p := range own {
		if src, ok := harvestwatch.SourceOf(p.Addr()); ok {
			x.own[src] = true
		}
	}
	return x
}

type exempted struct {
	Contender
	own map[harvestwatch.Source]bool
}

// See implements Contender.
func (x *exempted) See(ev *harvestwatch.Event, id int32, a *Answer) bool {
	if !x.Contender.See(ev, id, a) {
		return false
	}
	if src, ok := harvestwatch.SourceOf(ev.Addr); ok && x.own[src] {
		*a = Answer{}
		return false
	}
	return true
}

// per keeps a value for each source.
type per[T any] struct{ list []T }

func (p *per[T]) of(id int32) *T {
	if int(id) >= len(p.list) {
		grown := make([]T, max(2*len(p.list), int(id)+1, 1024))
		copy(grown, p.list)
		p.list = grown
	}
	return &p.list[id]
}

func refused(k harvestwatch.Kind) bool {
	return k == harvestwatch.RcptUnknown || k == harvestwatch.RcptRefused || k == harvestwatch.RcptRelayDenied
}

type fail2ban struct{ per[failures] }

type failures struct {
	at    [fail2banRetry]int64 // a ring
	next  uint8
	n     uint8
	until int64
}

const (
	fail2banRetry = 5
	fail2banFind  = 10 * minute
	fail2banBan   = 10 * minute
)

// Fail2ban imitates the Postfix jail of fail2ban with its defaults, in the mode that takes unknown users in: the fifth
// refused recipient within 10 minutes, whatever was refused and however often, blocks for 10 minutes. What comes while
// it is blocked counts nothing, and after the block the count begins anew.
func Fail2ban() Contender { return &fail2ban{} }

// See implements Contender.
func (c *fail2ban) See(ev *harvestwatch.Event, id int32, a *Answer) bool {
	if id < 0 || !refused(ev.Kind) {
		return false
	}
	f := c.of(id)
	if ev.Time < f.until {
		return false
	}
	f.at[f.next] = ev.Time
	f.next = (f.next + 1) % fail2banRetry
	f.n = min(f.n+1, fail2banRetry)
	if f.n < fail2banRetry || ev.Time-f.at[f.next] > fail2banFind {
		return false
	}
	*f = failures{until: ev.Time + fail2banBan}
	a.Until, a.Rule = f.until, "postfix"
	return true
}

type crowdsec struct{ per[bucket] }

type bucket struct {
	full  int64 // when the bucket would be empty again
	until int64
}

const (
	crowdsecCapacity = 5
	crowdsecLeak     = 10 * second
	crowdsecBan      = 4 * hour
)

// CrowdSec imitates the scenario postfix-spam of CrowdSec: each refused recipient is poured into the source's bucket,
// which holds 5 and loses one every 10 seconds; what it can't hold any more blocks for 4 hours.
func CrowdSec() Contender { return &crowdsec{} }

// See implements Contender.
func (c *crowdsec) See(ev *harvestwatch.Event, id int32, a *Answer) bool {
	if id < 0 || !refused(ev.Kind) {
		return false
	}
	b := c.of(id)
	if ev.Time < b.until {
		return false
	}
	b.full = max(b.full, ev.Time)
	if b.full-ev.Time <= (crowdsecCapacity-1)*crowdsecLeak {
		b.full += crowdsecLeak
		return false
	}
	*b = bucket{until: ev.Time + crowdsecBan}
	a.Until, a.Rule = b.until, "postfix-spam"
	return true
}

type ironport struct{ per[hourly] }

type hourly struct {
	hour int64
	n    int32
}

const ironportMost = 25

// IronPort imitates the directory harvest prevention of IronPort and Cisco: 25 unknown recipients of a source within an
// hour by the clock (of UTC), and it is refused for the rest of that hour.
func IronPort() Contender { return &ironport{} }

// See implements Contender.
func (c *ironport) See(ev *harvestwatch.Event, id int32, a *Answer) bool {
	if id < 0 || ev.Kind != harvestwatch.RcptUnknown {
		return false
	}
	h := c.of(id)
	if now := ev.Time / hour; h.hour != now {
		*h = hourly{hour: now}
	}
	if h.n++; h.n != ironportMost {
		return false
	}
	a.Until, a.Rule = (h.hour+1)*hour, "dhap"
	return true
}

const (
	cleanmailMost  = 10
	cleanmailBlock = hour
)

type cleanmail struct{ open map[uint64]uint8 } // failures in a row, by session

// CleanMail imitates the directory harvest protection of CleanMail: the tenth refused recipient of a session with no
// accepted one since the first ends the session. Nothing is remembered from one session to the next. It works within
// the server, so that what the client had under way is lost too.
func CleanMail() Contender { return &cleanmail{open: map[uint64]uint8{}} }

// See implements Contender.
func (c *cleanmail) See(ev *harvestwatch.Event, _ int32, a *Answer) bool {
	switch {
	case ev.Session == 0:
	case ev.Kind == harvestwatch.RcptOK || ev.Kind == harvestwatch.Disconnect:
		delete(c.open, ev.Session)
	case refused(ev.Kind):
		n := c.open[ev.Session] + 1
		if n == cleanmailMost {
			delete(c.open, ev.Session)
			a.Session, a.Rule = true, "session"
			return true
		}
		c.open[ev.Session] = n
	}
	return false
}

type cleanmailSource struct{ per[row] }

type row struct {
	n     int32
	until int64
}

// CleanMailSource is a stronger thing than CleanMail does: its count goes on from one session of a source to the next,
// and the source is blocked for an hour. Still any accepted recipient sets it back.
func CleanMailSource() Contender { return &cleanmailSource{} }

// See implements Contender.
func (c *cleanmailSource) See(ev *harvestwatch.Event, id int32, a *Answer) bool {
	if id < 0 {
		return false
	}
	if ev.Kind == harvestwatch.RcptOK {
		c.of(id).n = 0
		return false
	}
	if !refused(ev.Kind) {
		return false
	}
	r := c.of(id)
	if ev.Time < r.until {
		return false
	}
	if r.n++; r.n < cleanmailMost {
		return false
	}
	*r = row{until: ev.Time + cleanmailBlock}
	a.Until, a.Rule = r.until, "source"
	return true
}

// ratio blocks a source when, within a period that begins with its first recipient, enough recipients were unknown and
// these are more than a share of all.
type ratio struct {
	per[asked]
	window  int64
	unknown int32 // at least so many unknown
	all     int32 // at least so many in all
	percent int32 // and more than so many per cent of all unknown
	block   int64
	rule    string
}

type asked struct {
	from, until  int64
	all, unknown int32
}

// Forcepoint imitates Websense and Forcepoint: more than 5 unknown recipients within 60 seconds, and more than half of
// all, block for 3 hours.
func Forcepoint() Contender {
	return &ratio{window: minute, unknown: 6, percent: 50, block: 3 * hour, rule: "directory-attack"}
}

// McAfee imitates McAfee's service: of 20 recipients or more over 60 per cent unknown, and the source is blocked for 4
// hours. Over which time is not documented; an hour is taken.
func McAfee() Contender {
	return &ratio{window: hour, all: 20, percent: 60, block: 4 * hour, rule: "harvest"}
}

// See implements Contender.
func (c *ratio) See(ev *harvestwatch.Event, id int32, a *Answer) bool {
	if id < 0 || ev.Kind != harvestwatch.RcptUnknown && ev.Kind != harvestwatch.RcptOK {
		return false
	}
	s := c.of(id)
	if ev.Time < s.until {
		return false
	}
	if s.all == 0 || ev.Time-s.from >= c.window {
		*s = asked{from: ev.Time}
	}
	s.all++
	if ev.Kind == harvestwatch.RcptUnknown {
		s.unknown++
	}
	if s.unknown < c.unknown || s.all < c.all || s.unknown*100 <= s.all*c.percent {
		return false
	}
	*s = asked{until: ev.Time + c.block}
	a.Until, a.Rule = s.until, c.rule
	return true
}
