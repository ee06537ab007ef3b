package loggen_test

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/loggen"
	"github.com/harvestwatch/harvestwatch/parsers"
)

// carried says what a format's log tells of the events: which kinds, as which kinds, with which texts.
type carried struct {
	format  string
	junk    int64         // how much a day is enough to say something
	unit    time.Duration // of its stamps
	kinds   map[harvestwatch.Kind]harvestwatch.Kind
	session bool // which events are of one session
	began   bool // a disconnect's connect
	mail    bool // a disconnect without MAIL
	helo    []harvestwatch.Kind
	name    []harvestwatch.Kind
	sender  []harvestwatch.Kind
	code    []harvestwatch.Kind
}

// The kinds, for short.
const (
	connect    = harvestwatch.Connect
	disconnect = harvestwatch.Disconnect
	unknown    = harvestwatch.RcptUnknown
	relay      = harvestwatch.RcptRelayDenied
	refused    = harvestwatch.RcptRefused
	taken      = harvestwatch.RcptOK
	accepted   = harvestwatch.Accepted
	delivered  = harvestwatch.Delivered
	spam       = harvestwatch.SpamRefused
	authFail   = harvestwatch.AuthFail
	authOK     = harvestwatch.AuthOK
	protocol   = harvestwatch.ProtocolError
)

func same(kinds ...harvestwatch.Kind) map[harvestwatch.Kind]harvestwatch.Kind {
	m := map[harvestwatch.Kind]harvestwatch.Kind{}
	for _, k := range kinds {
		m[k] = k
	}
	return m
}

// Postfix tells of accepted recipients only those of messages, and of a login only with a message; what a filter refuses
// another process tells, who doesn't know the session. Exchange tells of no client that went away without a word.
func formats() []carried {
	refusals := []harvestwatch.Kind{unknown, relay, refused}
	post := carried{format: "postfix", junk: 14_000, unit: time.Microsecond, session: true, began: true, mail: true,
		kinds: same(connect, disconnect, unknown, relay, refused, accepted, delivered, spam, authFail, protocol),
		helo:  append(refusals, spam), sender: append(refusals, spam, delivered), code: refusals,
		name: append(refusals, connect, disconnect, accepted, delivered, authFail)}
	rcv := carried{format: "exchange-receive", junk: 5_000, unit: time.Millisecond, session: true, began: true, mail: true,
		kinds:  same(connect, disconnect, unknown, relay, refused, taken, accepted, delivered, spam, authFail, authOK),
		helo:   append(refusals, taken, accepted, delivered, spam, authFail, authOK),
		sender: append(refusals, taken, accepted, delivered, spam), code: []harvestwatch.Kind{unknown, taken}}
	iis := carried{format: "iis-w3c", junk: 12_000, unit: time.Second, kinds: same(unknown, relay, refused, taken, accepted, delivered),
		helo: append(refusals, taken, accepted, delivered), sender: append(refusals, taken, accepted, delivered),
		code: []harvestwatch.Kind{unknown, refused, taken}}
	iis.kinds[spam] = refused // a row has no text
	return []carried{post, rcv, iis}
}

// deed is what is compared of an event.
type deed struct {
	at, began  int64
	kind       harvestwatch.Kind
	addr       netip.Addr
	session    uint64
	rcpt, user string
	helo, name string
	sender     string
	null, idle bool
	code       uint16
}

func (c *carried) deed(ev *harvestwatch.Event) deed {
	return deed{at: ev.Time - ev.Time%int64(c.unit), began: ev.Began - ev.Began%int64(c.unit), kind: ev.Kind, addr: ev.Addr, session: ev.Session,
		rcpt: string(ev.Recipient), user: string(ev.User), helo: string(ev.Helo), name: string(ev.Name), sender: string(ev.Sender), null: ev.Null,
		idle: ev.Idle, code: ev.Code}
}

func order(list []deed) {
	slices.SortStableFunc(list, func(a, b deed) int {
		return cmp.Or(cmp.Compare(a.at, b.at), a.addr.Compare(b.addr), cmp.Compare(a.kind, b.kind), cmp.Compare(a.rcpt, b.rcpt),
			cmp.Compare(a.sender, b.sender))
	})
}

// differs says in which field that the format carries two events differ, "" for none.
func (c *carried) differs(want, got *deed, lone bool) string {
	has := func(kinds []harvestwatch.Kind, a, b string) bool { // what is told must be true, and told where it has to be
		return a == b || b == "" && !slices.Contains(kinds, want.kind)
	}
	switch {
	case want.at != got.at:
		return "time"
	case want.addr != got.addr:
		return "address"
	case want.kind != got.kind:
		return "kind"
	case want.kind != spam && c.format != "iis-w3c" && want.rcpt != got.rcpt, want.kind != refused && want.rcpt != got.rcpt && want.kind != spam:
		return "recipient"
	case want.kind == authFail && want.user != got.user:
		return "user"
	case !has(c.helo, want.helo, got.helo):
		return "HELO"
	case !has(c.name, want.name, got.name):
		return "name"
	case lone && !has(c.sender, want.sender, got.sender), lone && slices.Contains(c.sender, want.kind) && want.null != got.null:
		return "sender"
	case slices.Contains(c.code, want.kind) && want.code != got.code:
		return "code"
	case c.began && want.kind == disconnect && want.began != got.began:
		return "begin"
	case c.mail && want.kind == disconnect && want.idle != got.idle:
		return "idle"
	}
	return ""
}

// parse reads a log and returns its events of the kinds that are compared.
func (c *carried) parse(t *testing.T, log []byte, start time.Time) (list []deed, counts harvestwatch.Counts) {
	t.Helper()
	p, err := parsers.Open(c.format, parsers.Options{Reference: start.Add(30 * 24 * time.Hour), Domains: loggen.Domains()})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[harvestwatch.Kind]bool{}
	for _, k := range c.kinds {
		kinds[k] = true
	}
	l := &harvestwatch.Lines{Pos: harvestwatch.Pos{Line: 1}}
	for len(log) > 0 {
		n := min(len(log), 1<<18)
		if i := bytes.LastIndexByte(log[:n], '\n'); i >= 0 {
			n = i + 1
		}
		l.Data = log[:n]
		p.Lex(l)
		x := p.Fold(l, func(ev *harvestwatch.Event) {
			if kinds[ev.Kind] {
				list = append(list, c.deed(ev))
			}
		}, nil)
		counts.Add(x)
		l.Pos.Offset += int64(n)
		l.Pos.Line += x.Lines
		log = log[n:]
	}
	return list, counts
}

// What is generated and what is read from its text are the same events, in all that the format carries.
func TestRoundTrip(t *testing.T) {
	for _, c := range formats() {
		for i, mix := range []loggen.Mix{loggen.MixB(), loggen.Classic()} {
			t.Run(fmt.Sprint(c.format, i), func(t *testing.T) { c.roundTrip(t, mix) })
		}
	}
}

func (c *carried) roundTrip(t *testing.T, mix loggen.Mix) {
	cfg := loggen.Config{Seed: 77, Format: c.format, JunkPerDay: c.junk, GoodPerDay: 700, Duration: 48 * time.Hour, Warmup: 6 * time.Hour, Mix: mix,
		Start: time.Date(2026, time.March, 4, 0, 0, 0, 0, time.UTC)}
	if mix.Tricky {
		cfg.Also = []string{"clock", "malformed", "restart"}
	}
	want, shared, log := c.generate(t, cfg)
	got, counts := c.parse(t, log, cfg.Start)
	if mix.Tricky != (counts.Unparsed > 0) {
		t.Errorf("%d lines were not understood", counts.Unparsed)
	}
	order(want)
	order(got)
	if c.format == "iis-w3c" { // two sessions of one address can't be told apart there
		alone := func(d deed) bool { return d.kind == delivered && shared[d.addr] }
		want, got = slices.DeleteFunc(want, alone), slices.DeleteFunc(got, alone)
	}
	c.compare(t, want, got, shared)
	t.Logf("%d lines, %d events, %d not understood", counts.Lines, len(got), counts.Unparsed)
}

func (c *carried) generate(t *testing.T, cfg loggen.Config) (want []deed, shared map[netip.Addr]bool, log []byte) {
	t.Helper()
	var text bytes.Buffer
	keep := func(ev *harvestwatch.Event) {
		k, ok := c.kinds[ev.Kind]
		if ok {
			d := c.deed(ev)
			d.kind = k
			want = append(want, d)
		}
	}
	var err error
	if c.format == "postfix" {
		if _, err = loggen.Events(cfg, func(ev *harvestwatch.Event) bool { keep(ev); return true }); err == nil {
			_, err = loggen.Generate(&text, cfg)
		}
	} else {
		_, shared, err = loggen.Tee(&text, cfg, keep)
	}
	if err != nil {
		t.Fatal(err)
	}
	return want, shared, text.Bytes()
}

func (c *carried) compare(t *testing.T, want, got []deed, shared map[netip.Addr]bool) {
	t.Helper()
	sessions, back := map[uint64]uint64{}, map[uint64]uint64{}
	faults := map[string]int{}
	for i := range min(len(want), len(got)) {
		w, g := &want[i], &got[i]
		what := c.differs(w, g, !shared[w.addr])
		if spamless := c.format == "postfix" && w.kind == spam && g.session == 0; c.session && what == "" && !spamless {
			if sessions[g.session] == 0 {
				sessions[g.session] = w.session
			}
			if back[w.session] == 0 {
				back[w.session] = g.session
			}
			if g.session == 0 || sessions[g.session] != w.session || back[w.session] != g.session {
				what = "session"
			}
		}
		if what == "" {
			continue
		}
		if faults[what]++; faults[what] <= 2 {
			t.Errorf("event %d: %s:\n%+v is read as\n%+v", i, what, *w, *g)
		}
		if what == "time" || what == "address" || what == "kind" {
			break // what follows is out of step
		}
	}
	if len(want) != len(got) || len(faults) > 0 || len(want) < 20_000 {
		t.Errorf("%d events are read of %d; faults %v", len(got), len(want), faults)
	}
}
