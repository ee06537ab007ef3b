package evaluate

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// step is one event for an imitation, and what it is to say: until which second it blocks, 0 for nothing; -1 hangs up.
type step struct {
	sec     float64
	id      int32
	kind    harvestwatch.Kind
	session uint64
	until   float64
}

const (
	unknown = harvestwatch.RcptUnknown
	policy  = harvestwatch.RcptRefused
	fine    = harvestwatch.RcptOK
)

func walk(t *testing.T, c Contender, steps ...step) {
	t.Helper()
	for i, s := range steps {
		ev := harvestwatch.Event{Time: at(s.sec), Kind: s.kind, Session: s.session, Addr: netip.AddrFrom4([4]byte{240, 0, 0, byte(s.id)})}
		var a Answer
		got := 0.
		if c.See(&ev, s.id, &a) {
			got = float64(a.Until-t0.UnixNano()) / 1e9
			if a.Session {
				got = -1
			}
			if a.Rule == "" {
				t.Errorf("step %d: a block without a reason", i)
			}
		} else if a.Until != 0 || a.Session {
			t.Errorf("step %d: an answer that nobody reads: %+v", i, a)
		}
		if got != s.until {
			t.Errorf("step %d, at %v s: blocked until %v s, want %v", i, s.sec, got, s.until)
		}
	}
}

// every makes steps of a source at that distance.
func every(gap, from float64, n int, id int32, k harvestwatch.Kind) []step {
	var list []step
	for i := range n {
		list = append(list, step{sec: from + gap*float64(i), id: id, kind: k, session: 1})
	}
	return list
}

func until(list []step, sec float64) []step {
	list[len(list)-1].until = sec
	return list
}

func TestFail2banLike(t *testing.T) {
	walk(t, Fail2ban(), slices.Concat(
		every(150, 0, 4, 0, unknown), []step{{600, 0, policy, 0, 1200}}, // the fifth, just within ten minutes, of whatever kind
		every(100, 700, 5, 0, unknown),                 // under way while it is blocked: not counted
		until(every(1, 1200, 5, 0, unknown), 1804))...) // and from the block's end it takes five again
	walk(t, Fail2ban(), slices.Concat(every(150.1, 0, 4, 0, unknown), []step{
		{600.4, 0, unknown, 0, 0}, // four within ten minutes, and one before
		{601, 1, unknown, 0, 0},   // somebody else
		{602, -1, unknown, 0, 0},  // nobody
		{603, 0, fine, 0, 0},      // speaks neither for nor against it
		{604, 0, harvestwatch.AuthFail, 0, 0},
		{605, 0, unknown, 0, 1205}, // 150.1 … 605
	})...)
}

func TestCrowdSecLike(t *testing.T) {
	walk(t, CrowdSec(), slices.Concat(every(1, 0, 5, 0, unknown), []step{{5, 0, policy, 0, 14405}, {6, 0, unknown, 0, 0}},
		until(every(0, 14405, 6, 0, unknown), 28805))...)
	walk(t, CrowdSec(), every(10, 0, 200, 0, unknown)...) // what leaks out in time
	// One in 9 s: each leaves a tenth behind, and four fit in on top of the first. 4 of them, in tenths, are there after 41.
	walk(t, CrowdSec(), until(every(9, 0, 42, 0, unknown), 41*9+14400)...)
	walk(t, CrowdSec(), append(every(1, 0, 5, 0, unknown), step{10, 0, unknown, 0, 0}, step{11, 0, unknown, 0, 14411})...)
}

func TestIronPortLike(t *testing.T) {
	walk(t, IronPort(), slices.Concat(until(every(10, 0, 25, 0, unknown), 3600), every(10, 250, 5, 0, unknown), // noon is t0
		until(every(1, 3600, 25, 0, unknown), 7200))...)
	walk(t, IronPort(), slices.Concat(every(1, 3570, 24, 0, unknown), every(1, 3600, 24, 0, unknown), every(1, 3700, 30, 1, fine),
		every(1, 3740, 30, 0, policy), until(every(1, 3800, 1, 0, unknown), 7200))...) // 24 before and 24 after the hour are no 25
}

func TestCleanMailLike(t *testing.T) {
	walk(t, CleanMail(), until(every(1, 0, 10, 0, unknown), -1)...)
	walk(t, CleanMail(), slices.Concat(every(1, 0, 9, 0, unknown), []step{{9, 0, fine, 1, 0}}, every(1, 10, 9, 0, unknown), // set back
		[]step{{20, 0, harvestwatch.Disconnect, 1, 0}}, every(1, 21, 9, 0, policy), // a new session under the old number
		[]step{{31, 0, unknown, 2, 0}, {32, 0, unknown, 1, -1}})...)
	walk(t, CleanMail(), step{0, 0, unknown, 0, 0})
	var steps []step
	for i := range 30 {
		steps = append(steps, step{float64(i), 0, unknown, uint64(i + 1), 0}) // one each
	}
	walk(t, CleanMail(), steps...)
}

func TestCleanMailSourceLike(t *testing.T) {
	var steps []step
	for i := range 9 {
		steps = append(steps, step{float64(i), 3, unknown, uint64(i + 1), 0})
	}
	walk(t, CleanMailSource(), append(slices.Clone(steps), step{9, 3, policy, 99, 3609}, step{10, 3, unknown, 1, 0})...)
	walk(t, CleanMailSource(), slices.Concat(steps, []step{{9, 3, fine, 0, 0}, {10, -1, unknown, 0, 0}}, every(1, 11, 9, 3, unknown),
		[]step{{30, 3, unknown, 0, 3630}})...)
}

func TestForcepointLike(t *testing.T) {
	walk(t, Forcepoint(), append(every(1, 0, 5, 0, unknown), step{6, 0, unknown, 0, 10806}, step{7, 0, unknown, 0, 0})...)
	// Six of twelve are not more than half; the seventh of thirteen is.
	walk(t, Forcepoint(), slices.Concat(every(1, 0, 6, 0, fine), every(1, 10, 6, 0, unknown), []step{{20, 0, policy, 0, 0}, {21, 0, unknown, 0, 10821}})...)
	walk(t, Forcepoint(), every(12, 0, 100, 0, unknown)...) // five a minute
}

func TestMcAfeeLike(t *testing.T) {
	walk(t, McAfee(), until(every(100, 0, 20, 0, unknown), 1900+14400)...)
	walk(t, McAfee(), slices.Concat(every(1, 0, 8, 0, fine), every(1, 10, 12, 0, unknown), []step{{30, 0, unknown, 0, 14430}})...) // 60 % are not over 60 %
	walk(t, McAfee(), every(190, 0, 100, 0, unknown)...)                                                                           // nineteen an hour
}

func TestEmulationsAreAllThere(t *testing.T) {
	names := map[string]bool{}
	for _, e := range Emulations() {
		c, err := e.New()
		d, err2 := e.New()
		if err != nil || err2 != nil || c == d || e.Note == "" || names[e.Name] {
			t.Errorf("%+v: %v, %v", e, err, err2)
		}
		names[e.Name] = true
	}
	if len(names) != 7 {
		t.Errorf("%d imitations", len(names))
	}
}
