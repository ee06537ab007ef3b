package pipeline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

const second = int64(1e9)

var client = netip.MustParseAddr("192.0.2.7")

// story is what a timeline makes of events.
type story struct {
	t    *Timeline
	told []string
}

func (s *story) tell(ev *harvestwatch.Event, twin bool) {
	addr := "-"
	if ev.Addr.IsValid() {
		addr = ev.Addr.String()
	}
	line := fmt.Sprintf("%d %s %s %s", ev.Time/second, ev.Kind, addr, ev.Recipient)
	if twin {
		line = strings.TrimSpace(line) + " again"
	}
	s.told = append(s.told, strings.TrimSpace(line))
}

func (s *story) twin(at int64, stream int, twin uint64, rcpt string) {
	s.t.Place(&harvestwatch.Event{Time: at * second, Kind: harvestwatch.RcptUnknown, Addr: client, Twin: twin, Recipient: []byte(rcpt)}, stream, s.tell)
}

func (s *story) accepted(at int64, join uint64, addr netip.Addr) {
	s.t.Place(&harvestwatch.Event{Time: at * second, Kind: harvestwatch.Accepted, Addr: addr, Join: join, Twin: join + 1, Session: 5, Null: true}, 0, s.tell)
}

func (s *story) delivered(at int64, join uint64, rcpt string) {
	s.t.Place(&harvestwatch.Event{Time: at * second, Kind: harvestwatch.Delivered, Join: join, Recipient: []byte(rcpt)}, 1, s.tell)
}

func (s *story) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(s.told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(s.told, "\n"), strings.Join(want, "\n"))
	}
	s.told = nil
}

// recipientTwin tells recipients apart by their lengths.
func recipientTwin(_ netip.Addr, rcpt []byte) uint64 { return 1<<40 + uint64(len(rcpt)) }

func newStory() *story { return &story{t: NewTimeline([]uint32{11, 22, 33}, recipientTwin)} }

func TestADeedThatTwoLogsTellIsOne(t *testing.T) {
	s := newStory()
	s.twin(0, 0, 7, "a")
	s.twin(5, 1, 7, "a")
	s.twin(6, 2, 7, "a")
	s.twin(7, 1, 8, "b") // another deed
	s.expect(t, "0 rcpt_unknown 192.0.2.7 a", "5 rcpt_unknown 192.0.2.7 a again", "6 rcpt_unknown 192.0.2.7 a again", "7 rcpt_unknown 192.0.2.7 b")
}

func TestWhatOneLogTellsTwiceIsTwoDeeds(t *testing.T) {
	s := newStory()
	for _, at := range []int64{0, 1, 2} {
		s.twin(at, 0, 7, "a")
	}
	for _, at := range []int64{3, 4, 5, 6} { // the second log tells one more
		s.twin(at, 1, 7, "a")
	}
	s.expect(t, "0 rcpt_unknown 192.0.2.7 a", "1 rcpt_unknown 192.0.2.7 a", "2 rcpt_unknown 192.0.2.7 a", "3 rcpt_unknown 192.0.2.7 a again",
		"4 rcpt_unknown 192.0.2.7 a again", "5 rcpt_unknown 192.0.2.7 a again", "6 rcpt_unknown 192.0.2.7 a")
}

func TestDeedsFarApartAreTwo(t *testing.T) {
	s := newStory()
	s.twin(100, 0, 7, "a")
	s.twin(161, 1, 7, "a")
	s.twin(40, 2, 7, "a") // a log that is read late: a minute before the first
	s.twin(39, 2, 7, "a")
	s.expect(t, "100 rcpt_unknown 192.0.2.7 a", "161 rcpt_unknown 192.0.2.7 a", "40 rcpt_unknown 192.0.2.7 a again", "39 rcpt_unknown 192.0.2.7 a")
	s.t.Place(&harvestwatch.Event{Time: 100 * second, Kind: harvestwatch.AuthFail, Addr: client, Twin: 7}, 1, s.tell)
	s.expect(t, "100 auth_fail 192.0.2.7") // another kind is another deed
}

func TestAMessageNamesTheClientOfItsDeliveries(t *testing.T) {
	s := newStory()
	s.delivered(3, 40, "early") // its log was read first
	s.accepted(1, 40, client)
	s.delivered(4, 40, "late")
	s.delivered(5, 41, "nobody's")
	s.expect(t, "1 accepted 192.0.2.7", "3 delivered 192.0.2.7 early", "4 delivered 192.0.2.7 late")
	s.t.Rest(s.tell)
	s.expect(t, "5 delivered - nobody's")
}

func TestNothingIsLostWhereThereIsNoRoom(t *testing.T) {
	s := newStory()
	n := maxHeld + 1000
	for i := range n {
		s.delivered(int64(i), uint64(100+i), "r")
	}
	for i := range maxDeeds + 10 {
		s.twin(int64(i), 0, uint64(1000+i), "x")
	}
	if got := s.t.deeds.Len(); got != maxDeeds || len(s.t.latest) != maxDeeds {
		t.Errorf("%d deeds and %d twins are remembered", got, len(s.t.latest))
	}
	s.t.Rest(s.tell)
	if len(s.told) != n+maxDeeds+10 || s.t.held != 0 {
		t.Errorf("%d of %d told, %d held", len(s.told), n+maxDeeds+10, s.t.held)
	}
}

// A restart anywhere changes nothing of what is told.
func TestTimelineSurvivesRestarts(t *testing.T) {
	script := func(s *story, restart func()) {
		rnd := rand.New(rand.NewPCG(1, 2))
		for i := range 2000 {
			at := int64(i) / 4
			switch rnd.IntN(5) {
			case 0, 1:
				s.twin(at-rnd.Int64N(30), rnd.IntN(3), 1+rnd.Uint64N(40), "a")
			case 2:
				s.accepted(at, 1+rnd.Uint64N(50), client)
				s.tried(at, 1+rnd.Uint64N(90), "t")
			default:
				s.delivered(at, 1+rnd.Uint64N(50), "r")
			}
			if restart != nil && rnd.IntN(10) < 4 {
				restart()
			} else if restart == nil {
				rnd.IntN(10)
			}
		}
		s.t.Rest(s.tell)
	}
	whole, cut := newStory(), newStory()
	script(whole, nil)
	disk := map[string]string{}
	script(cut, func() {
		cut.t.Changes(func(k, v []byte) {
			if v == nil {
				delete(disk, string(k))
			} else {
				disk[string(k)] = string(v)
			}
		})
		cut.t = newStory().t
		for k, v := range disk {
			if err := cut.t.Restore([]byte(k), []byte(v)); err != nil {
				t.Fatal(err)
			}
		}
	})
	if len(whole.told) < 1500 || !strings.Contains(strings.Join(whole.told, "\n"), "again") {
		t.Fatalf("the script tells too little: %d", len(whole.told))
	}
	cut.expect(t, whole.told...)
}

func TestTimelineRefusesForeignState(t *testing.T) {
	s := newStory()
	s.twin(1, 0, 7, "a")
	s.accepted(1, 9, client)
	s.delivered(2, 10, "r")
	s.t.Changes(func(k, v []byte) {
		for _, bad := range [][2]string{{string(k), string(v[:len(v)-1])}, {string(k), string(v) + "x"}, {string(k[:4]), string(v)}, {"x" + string(k[1:]), string(v)}} {
			if newStory().t.Restore([]byte(bad[0]), []byte(bad[1])) == nil {
				t.Errorf("%q was taken", bad)
			}
		}
	})
}

// tried is a delivery that the dialogue's log tells, of the message that take names.
func (s *story) tried(at int64, join uint64, rcpt string) {
	s.t.Place(&harvestwatch.Event{Time: at * second, Kind: harvestwatch.Delivered, Addr: client, Join: join, Recipient: []byte(rcpt), Code: 250}, 0, s.tell)
}

// moment lets the time go on.
func (s *story) moment(at int64) {
	s.t.Place(&harvestwatch.Event{Time: at * second, Kind: harvestwatch.Connect, Addr: client}, 0, s.tell)
}

// A delivery that the dialogue's log tells counts unless another log knows better, before or soon after.
func TestDeliveriesAreOnTrial(t *testing.T) {
	s := newStory()
	s.accepted(10_000, 80, client) // message tracking: the twin of this message is 81
	s.tried(10_001, 81, "tracked")
	s.tried(10_001, 70, "a")
	s.tried(10_001, 70, "b")
	s.moment(10_002)
	s.delivered(10_002, 80, "really")
	s.expect(t, "10000 accepted 192.0.2.7", "10002 connect 192.0.2.7", "10002 delivered 192.0.2.7 really")
	s.moment(10_004)
	s.expect(t, "10001 delivered 192.0.2.7 a", "10001 delivered 192.0.2.7 b", "10004 connect 192.0.2.7")

	s.tried(10_020, 71, "spam")
	s.t.Place(&harvestwatch.Event{Time: 10_021 * second, Kind: harvestwatch.SpamRefused, Addr: client, Join: 71}, 1, s.tell)
	s.tried(10_022, 71, "spam, of another front end")
	s.moment(10_040)
	s.expect(t, "10021 spam_refused 192.0.2.7", "10040 connect 192.0.2.7")

	s.tried(10_080, 90, "last")
	s.t.Rest(s.tell)
	s.expect(t, "10080 delivered 192.0.2.7 last")
}

// Nobody is doubted where no log of deliveries speaks of that time, or there is none.
func TestDeliveriesWithoutTracking(t *testing.T) {
	s := newStory()
	s.tried(10_000, 70, "a")
	s.expect(t, "10000 delivered 192.0.2.7 a")
	s.accepted(20_000, 80, client)
	s.tried(20_000-3601, 72, "long before")
	s.tried(20_000+3601, 73, "long after")
	s.expect(t, "20000 accepted 192.0.2.7", "16399 delivered 192.0.2.7 long before", "23601 delivered 192.0.2.7 long after")
	s.t.Place(&harvestwatch.Event{Time: 30_000 * second, Kind: harvestwatch.SpamRefused, Addr: client, Join: 74}, 1, s.tell)
	s.tried(30_001, 74, "spam")
	s.expect(t, "30000 spam_refused 192.0.2.7")

	alone := &story{t: NewTimeline([]uint32{11}, recipientTwin)}
	alone.tried(0, 70, "a") // nobody else could know better
	alone.expect(t, "0 delivered 192.0.2.7 a")
}

// That one of several recipients was unknown counts unless another log has just named one of the same client's.
func TestSomebodyIsUnknown(t *testing.T) {
	s := newStory()
	someone := func(at int64, stream int) {
		s.t.Place(&harvestwatch.Event{Time: at * second, Kind: harvestwatch.RcptUnknown, Addr: client, Join: 9, Recipient: []byte("a, b")}, stream, s.tell)
	}
	someone(100, 0)
	s.twin(200, 1, 7, "a")
	someone(205, 0)
	someone(206, 1) // this stream's own names are of other messages
	someone(261, 0)
	s.expect(t, "100 rcpt_unknown 192.0.2.7 a, b", "200 rcpt_unknown 192.0.2.7 a", "205 rcpt_unknown 192.0.2.7 a, b again",
		"206 rcpt_unknown 192.0.2.7 a, b", "261 rcpt_unknown 192.0.2.7 a, b")
}

// The same tracking log in two folders tells each delivery once.
func TestCopiesOfATrackingLog(t *testing.T) {
	s := newStory()
	for stream := range 2 {
		s.t.Place(&harvestwatch.Event{Time: second, Kind: harvestwatch.Accepted, Addr: client, Join: 40, Twin: 41}, stream, s.tell)
		s.t.Place(&harvestwatch.Event{Time: 2 * second, Kind: harvestwatch.Delivered, Join: 40, Recipient: []byte("a")}, stream, s.tell)
		s.t.Place(&harvestwatch.Event{Time: 2 * second, Kind: harvestwatch.Delivered, Join: 40, Recipient: []byte("bb")}, stream, s.tell)
	}
	s.expect(t, "1 accepted 192.0.2.7", "2 delivered 192.0.2.7 a", "2 delivered 192.0.2.7 bb",
		"1 accepted 192.0.2.7 again", "2 delivered 192.0.2.7 a again", "2 delivered 192.0.2.7 bb again")
}

// More logs than can be noted still tell one deed.
func TestManyCopies(t *testing.T) {
	ids := make([]uint32, 20)
	for i := range ids {
		ids[i] = uint32(i) + 1
	}
	s := &story{t: NewTimeline(ids, recipientTwin)}
	for i := range ids {
		s.twin(1, i, 7, "a")
	}
	if n := len(s.told) - strings.Count(strings.Join(s.told, "\n"), "again"); n != 1 {
		t.Errorf("%d deeds", n)
	}
}

// listed is a site whose list of recipients lacks "gone".
func listed(rcpt []byte) bool { return string(rcpt) == "gone" }

func TestRecipientsThatAreMissing(t *testing.T) {
	var got []string
	sink := &kinds{got: &got}
	events := []harvestwatch.Event{
		{Kind: harvestwatch.RcptOK, Addr: client, Recipient: []byte("gone")}, {Kind: harvestwatch.RcptOK, Addr: client, Recipient: []byte("here")},
		{Kind: harvestwatch.Delivered, Addr: client, Recipient: []byte("gone"), Code: 250}, // the dialogue's log: its acceptance was told
		{Kind: harvestwatch.Delivered, Addr: client, Recipient: []byte("gone")}, {Kind: harvestwatch.Delivered, Addr: client, Recipient: []byte("here")},
	}
	if err := Run(t.Context(), Slice(events), Engine{Missing: listed}, Lane{Detector: sink, Sink: sink}); err != nil {
		t.Fatal(err)
	}
	want := []string{"seen rcpt_unknown", "rcpt_unknown", "seen rcpt_ok", "rcpt_ok", "seen rcpt_unknown", "rcpt_unknown", "seen delivered", "delivered"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// kinds is a detector and a sink that note what they are shown.
type kinds struct{ got *[]string }

// Observe implements Detector.
func (k *kinds) Observe(ev *harvestwatch.Event) harvestwatch.Outcome {
	*k.got = append(*k.got, "seen "+ev.Kind.String())
	return harvestwatch.Outcome{}
}

// Settle implements Detector.
func (*kinds) Settle(*harvestwatch.Decision) {}

// Event implements Sink.
func (k *kinds) Event(ev *harvestwatch.Event, out *harvestwatch.Outcome) {
	text := ev.Kind.String()
	if out.Void {
		text += " void"
	}
	*k.got = append(*k.got, text)
}

// Decision implements Sink.
func (*kinds) Decision(*harvestwatch.Decision) {}

// Commit implements Sink.
func (*kinds) Notice(*harvestwatch.Notice) {}

func (*kinds) Commit(context.Context, *Batch) error { return nil }
