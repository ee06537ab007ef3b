package evaluate

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/loggen"
)

const (
	bad   = "240.0.0.1"
	other = "240.0.0.2"
	nice  = "240.0.1.1"
)

// harvest is a harvester that tries a recipient every ten seconds, twenty in all; each fifth exists.
func harvest() *script {
	s := &script{}
	s.source(bad+"/32", "fast", loggen.MustBlock)
	for i := range 20 {
		k := harvestwatch.RcptUnknown
		if i%5 == 4 {
			k = harvestwatch.RcptOK
		}
		s.add(float64(10*i), bad, harvestwatch.Connect)
		s.add(float64(10*i)+1, bad, k)
	}
	return s
}

func TestWhatABlockKeepsOutIsPrevented(t *testing.T) {
	// The fourth unknown recipient, at 31 s, brings a block that is in force from 34 s and ends at 91 s: the tries from
	// 41 s to 81 s are prevented, one of which exists (41 s). The one of 91 s exists and comes through. The next four bring
	// a block from 134 s to 191 s: the tries from 141 s to 181 s, of which that of 141 s exists, are prevented.
	c := &plain{kind: harvestwatch.RcptUnknown, n: 4, block: time.Minute}
	m, stats := replay(t, harvest(), c, ReplayOptions{})
	if stats.Probes != 20 || stats.Learned != 4 || stats.Concentrated != 20 || stats.Junk != 20 || stats.Events != 40 || stats.Worlds != 1 {
		t.Errorf("world %+v", stats)
	}
	if m.Probes != 20 || m.Prevented != 10 || m.Learned != 4 || m.Leaked != 2 || m.Blocks != 2 || m.Peak != 1 {
		t.Errorf("%+v", m)
	}
	if m.JunkPrevented != 12 { // those of 40 to 90 s, and of 140 to 190 s
		t.Errorf("%d connections prevented", m.JunkPrevented)
	}
	// Who leaves at its first block had 4 tries before and 5 in it.
	if m.LeaveProbes != 9 || m.LeavePrevented != 5 {
		t.Errorf("leaving: %d of %d", m.LeavePrevented, m.LeaveProbes)
	}
	f := m.Of("fast")
	if f == nil || f.Attempts != 20 || f.Prevented != 10 || f.AttemptsP50 != 4 || f.AttemptsP95 != 4 || f.DetectP50 != 30 || f.Must != 1 || f.MustLeft != 0 {
		t.Errorf("class %+v", f)
	}
	if f.Leak() != .5 || m.Share() != .5 || m.PerBlock() != 5 {
		t.Errorf("leak %v, share %v, per block %v", f.Leak(), m.Share(), m.PerBlock())
	}
	for _, ev := range c.all {
		if sec := float64(ev.Time-t0.UnixNano()) / 1e9; sec >= 34 && sec < 91 || sec >= 134 && sec < 191 {
			t.Errorf("%s at %v s was shown to the contender", ev.Kind, sec)
		}
		if ev.Kind == harvestwatch.RcptUnknown && string(ev.Recipient) != "someone@site.example" {
			t.Errorf("the recipient is %q by now", ev.Recipient)
		}
	}
	if m.Events != int64(len(c.all)) || len(c.all) != 18 {
		t.Errorf("%d events reached it, %d are counted", len(c.all), m.Events)
	}
}

func TestWithoutBlocksNothingIsPrevented(t *testing.T) {
	m, _ := replay(t, harvest(), &plain{kind: harvestwatch.RcptUnknown, n: 1000}, ReplayOptions{})
	f := m.Of("fast")
	if m.Prevented != 0 || m.Leaked != 4 || m.LeaveProbes != 20 || m.LeavePrevented != 0 || f.MustLeft != 1 || f.AttemptsP95 != -1 || f.DetectP95 != -1 {
		t.Errorf("%+v, %+v", m, f)
	}
}

// mail is a server that mustn't be blocked: it mistypes a recipient and delivers mail that was accepted at these times.
func mail(wrong []float64, accepted ...float64) *script {
	s := &script{}
	s.source(nice+"/32", "partner", loggen.MustNotBlock)
	for _, w := range wrong {
		s.add(w, nice, harvestwatch.RcptUnknown)
	}
	for _, a := range accepted {
		s.add(a+2, nice, harvestwatch.Delivered).Began = at(a)
	}
	return s
}

func TestGoodMailThatIsHit(t *testing.T) {
	for name, c := range map[string]struct {
		wrong    []float64
		accepted []float64
		hit      int64
		delay    int64
	}{
		"before the block is in force":     {[]float64{0}, []float64{2.9}, 0, 0},
		"accepted before, delivered in it": {[]float64{0}, []float64{2, 2.5}, 0, 0},
		"at its beginning":                 {[]float64{0}, []float64{3}, 1, 597},
		"just before its end":              {[]float64{0}, []float64{599.5}, 1, 1},
		"at its end":                       {[]float64{0}, []float64{600}, 0, 0},
		"accepted in it, delivered after":  {[]float64{0}, []float64{599}, 1, 1},
		"two in one block":                 {[]float64{0}, []float64{100, 200}, 2, 500},
		"blocks that follow":               {[]float64{0, 1000}, []float64{100}, 1, 1500},
		"blocks far apart":                 {[]float64{0, 1501}, []float64{100, 1600}, 2, 501},
	} {
		m, _ := replay(t, mail(c.wrong, c.accepted...), &plain{kind: harvestwatch.RcptUnknown, n: 1, block: 10 * time.Minute}, ReplayOptions{})
		if m.GoodHit != c.hit || m.MaxDelay != c.delay || m.Good != int64(len(c.accepted)) {
			t.Errorf("%s: hit %d, delay %d, of %d", name, m.GoodHit, m.MaxDelay, m.Good)
		}
		if len(m.Wrong) != 1 || m.Wrong[0].Class != "partner" || m.Wrong[0].Rule != "plain" || m.Wrong[0].Tries != 1 || int64(m.Wrong[0].Hit) != c.hit ||
			!m.Wrong[0].At.Equal(t0) || m.Wrong[0].Source != nice {
			t.Errorf("%s: wrong %+v", name, m.Wrong)
		}
		if m.Probes != 0 || m.Prevented != 0 || len(m.Classes) != 0 || m.OtherHit != 0 {
			t.Errorf("%s: a harmless server counts as an attacker: %+v", name, m)
		}
	}
}

func TestMailOfAttackersIsNoGoodMail(t *testing.T) {
	s := mail([]float64{0}, 100, 200)
	s.truth.Sources[0].Label = loggen.MayBlock
	m, stats := replay(t, s, &plain{kind: harvestwatch.RcptUnknown, n: 1, block: time.Hour}, ReplayOptions{})
	if m.Good != 0 || m.GoodHit != 0 || m.OtherHit != 2 || m.MaxDelay != 0 || stats.Delivered != 2 || len(m.Wrong) != 0 {
		t.Errorf("%+v, %+v", m, stats)
	}
}

func TestReleaseEndsABlock(t *testing.T) {
	s := mail([]float64{0}, 100, 400)
	s.source(other+"/32", "fast", loggen.MustBlock)
	s.add(300, other, harvestwatch.Connect)
	src, _ := harvestwatch.SourceOf(netip.MustParseAddr(nice))
	unknown, _ := harvestwatch.SourceOf(netip.MustParseAddr("240.9.9.9"))
	c := &plain{kind: harvestwatch.RcptUnknown, n: 1, block: time.Hour, also: func(ev *harvestwatch.Event, a *Answer) bool {
		a.Release = []harvestwatch.Source{src, unknown}
		return ev.Kind == harvestwatch.Connect
	}}
	m, _ := replay(t, s, c, ReplayOptions{})
	if m.GoodHit != 1 || m.MaxDelay != 200 || m.Released != 1 || m.Blocks != 1 {
		t.Errorf("%+v", m)
	}
}

func TestAPrefixBlocksItsSources(t *testing.T) {
	for _, v := range []struct{ first, second, stranger, prefix string }{
		{"240.0.0.1", "240.0.0.200", "240.0.1.1", "240.0.0.0/24"},
		{"2001:db8:1:1::1", "2001:db8:1:ff::9", "2001:db8:2::1", "2001:db8:1::/48"},
	} {
		s := &script{}
		for i, a := range []string{v.first, v.second, v.stranger} {
			src, _ := harvestwatch.SourceOf(netip.MustParseAddr(a))
			s.source(src.Prefix().String(), "fast", loggen.MustBlock)
			for k := range 5 {
				s.add(float64(10*k+i), a, harvestwatch.RcptUnknown)
			}
		}
		p := netip.MustParsePrefix(v.prefix)
		c := &plain{kind: harvestwatch.RcptUnknown, n: 2, block: 15 * time.Second, prefix: func(a harvestwatch.Addr) netip.Prefix {
			if a == netip.MustParseAddr(v.first) {
				return p
			}
			return netip.Prefix{}
		}}
		// The first one's second try (10 s) blocks the prefix from 13 to 25 s: 20 and 21 s are prevented. The second one's
		// own second try, at 11 s, blocks it until 26 s, and the stranger's until 27 s: 22 s is prevented. Then both have
		// their third at 31 s and 32 s, their fourth at 41 s and 42 s, and the first its fourth at 40 s.
		m, _ := replay(t, s, c, ReplayOptions{})
		if m.Prevented != 3 || m.Blocks != 6 || m.Of("fast").Blocked != 3 {
			t.Errorf("%s: prevented %d with %d blocks, %+v", v.prefix, m.Prevented, m.Blocks, m.Of("fast"))
		}
	}
}

func TestNeighboursOfABlockedPrefixCountAsBlocked(t *testing.T) {
	s := mail(nil, 20, 40)
	s.source("240.0.1.9/32", "fast", loggen.MustBlock)
	s.add(0, "240.0.1.9", harvestwatch.RcptUnknown)
	c := &plain{kind: harvestwatch.RcptUnknown, n: 1, block: 30 * time.Second,
		prefix: func(a harvestwatch.Addr) netip.Prefix { return netip.PrefixFrom(a, 24) }}
	m, _ := replay(t, s, c, ReplayOptions{})
	if m.GoodHit != 1 || m.MaxDelay != 10 || len(m.Wrong) != 1 || m.Wrong[0].Rule != "prefix" {
		t.Errorf("%+v", m)
	}
}

func TestHangingUpEndsTheSessionOnly(t *testing.T) {
	s := &script{}
	s.source(bad+"/32", "fast", loggen.MustBlock)
	for i := range 3 { // three sessions at once
		for k := range 15 {
			s.add(float64(k)+float64(i)/10, bad, harvestwatch.RcptUnknown).Session = uint64(i + 1)
		}
	}
	s.add(30, bad, harvestwatch.RcptUnknown).Session = 9
	m, _ := replay(t, s, CleanMail(), ReplayOptions{})
	if m.Prevented != 15 || m.HungUp != 3 || m.Blocks != 0 || m.Of("fast").Blocked != 1 || m.Of("fast").AttemptsP50 != 28 {
		t.Errorf("%+v, %+v", m, m.Of("fast"))
	}
	if m.LeavePrevented != 5 || m.LeaveProbes != 33 { // 28 before, and what the first session still had; the others' are taken along
		t.Errorf("leaving: %d of %d", m.LeavePrevented, m.LeaveProbes)
	}
}

func TestPeak(t *testing.T) {
	l := &lane{spans: []period{{10, 20}, {20, 30}, {15, 16}, {12, 40}, {50, 45}, {25, 26}}}
	if got := l.peak(); got != 3 {
		t.Errorf("%d at a time", got)
	}
	if got := (&lane{}).peak(); got != 0 {
		t.Errorf("%d at a time of none", got)
	}
}

func TestReplayTellsWhatWentWrong(t *testing.T) {
	entry := []Entry{{Name: "it", New: func() (Contender, error) { return &plain{n: 1}, nil }}}
	s := harvest()
	s.truth.Sources = nil
	if _, _, err := Replay(t.Context(), s.world(), entry, ReplayOptions{}); !errors.Is(err, ErrTruth) {
		t.Errorf("a source without a label: %v", err)
	}
	broken := errors.New("no power")
	w := func(func(*harvestwatch.Event) bool) (loggen.Truth, error) { return loggen.Truth{}, broken }
	if _, _, err := Replay(t.Context(), w, entry, ReplayOptions{}); !errors.Is(err, broken) {
		t.Errorf("a broken world: %v", err)
	}
	none := []Entry{{Name: "it", New: func() (Contender, error) { return nil, broken }}}
	if _, _, err := Replay(t.Context(), harvest().world(), none, ReplayOptions{}); !errors.Is(err, broken) {
		t.Errorf("a broken contender: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	endless := func(yield func(*harvestwatch.Event) bool) (loggen.Truth, error) {
		cancel()
		for yield(&harvestwatch.Event{}) {
		}
		return loggen.Truth{}, nil
	}
	if _, _, err := Replay(ctx, endless, entry, ReplayOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a world without an end: %v", err)
	}
}
