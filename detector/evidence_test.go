package detector

import (
	"fmt"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// unnamed is a refusal whose line names no recipient.
func unnamed(session uint64, offset int64) harvestwatch.Event {
	ev := unknown(bad, "")
	ev.Recipient, ev.Session, ev.Pos = nil, session, harvestwatch.Pos{Offset: offset}
	return ev
}

func TestRefusalsThatNameNobodyCountEach(t *testing.T) {
	for name, line := range map[string]func(i int64) (sec int64, ev harvestwatch.Event){
		"one session, stamps a second apart": func(i int64) (int64, harvestwatch.Event) { return i, unnamed(7, 0) },
		"a burst of one session":             func(i int64) (int64, harvestwatch.Event) { return 0, unnamed(7, 80*i) },
		"many sessions at once":              func(i int64) (int64, harvestwatch.Event) { return 0, unnamed(uint64(i), 0) },
		"an empty path":                      func(i int64) (int64, harvestwatch.Event) { ev := unnamed(0, i); ev.Recipient = []byte{}; return 0, ev },
	} {
		b := byDefault(t)
		fired := 0
		for i := range int64(570) {
			if out := b.see(line(i)); out.Offence != nil {
				fired = int(i) + 1
				break
			}
		}
		if fired != 10 {
			t.Errorf("%s: fired after %d of 570 refusals, want 10", name, fired)
		}
	}
}

// TestTheSameLineCountsOnce holds that a line that is read twice, after a crash perhaps, is one refusal, wherever the
// input has its number.
func TestTheSameLineCountsOnce(t *testing.T) {
	b := byDefault(t)
	for i := range int32(50) {
		ev := unnamed(7, 4096)
		ev.Pos.Input, ev.Pos.Line, ev.Ref = i, int64(i), uint32(i)
		if out := b.see(3, ev); out.Offence != nil {
			t.Fatalf("after %d times: %+v", i+1, out.Offence)
		}
	}
	if n := b.d.counted(src(bad), 0, 0); n != 1 {
		t.Errorf("counted %d times", n)
	}
}

func TestStampsAreToldApartWithinASecond(t *testing.T) {
	d := byDefault(t).d
	for i := range int64(9) {
		ev := unnamed(7, 0)
		ev.Time = start*int64(time.Second) + i*int64(time.Millisecond)
		d.Observe(&ev)
	}
	if n := d.counted(src(bad), 0, 0); n != 9 {
		t.Errorf("nine milliseconds count %d", n)
	}
}

// TestDeliveriesThatNameNobodyAreOne holds that what speaks for a source is never more than the log says.
func TestDeliveriesThatNameNobodyAreOne(t *testing.T) {
	b := byDefault(t)
	for i := range int64(20) {
		ev := unnamed(uint64(i), 100*i)
		ev.Kind, ev.Code = harvestwatch.Delivered, 250
		b.see(i, ev)
	}
	for i := range int64(12) {
		out := b.see(30+i, unknown(bad, fmt.Sprintf("u%d@example.com", i)))
		if (out.Offence != nil) != (i == 11) {
			t.Fatalf("refusal %d: %+v", i+1, out.Offence)
		}
	}
}

// TestUsersOfTheSiteDoNotHarvest is the telephone with last year's address book.
func TestUsersOfTheSiteDoNotHarvest(t *testing.T) {
	b := byDefault(t)
	for i := range int64(200) {
		ev := unknown(bad, fmt.Sprintf("u%d@example.com", i))
		ev.User, ev.Session = []byte("jo@example.com"), 7
		if out := b.see(i, ev); out.Ignored != (i != 9 && i != 14) || out.Offence != nil {
			t.Fatalf("refusal %d to a user: %+v", i+1, out)
		}
	}
	if n := b.d.counted(src(bad), 0, 0); n != 0 {
		t.Errorf("%d of a user's refusals count", n)
	}
	for i := range int64(10) { // a stranger at the same address gets nothing from that
		out := b.see(200+i, unknown(bad, fmt.Sprintf("v%d@example.com", i)))
		if (out.Offence != nil) != (i == 9) {
			t.Fatalf("refusal %d to a stranger: %+v", i+1, out.Offence)
		}
	}
}

// TestUsersAreHeldToTheOtherRules holds that the user's name excuses unknown recipients only.
func TestUsersAreHeldToTheOtherRules(t *testing.T) {
	b := byDefault(t)
	fired := 0
	for i := range 100 {
		ev := connect(bad)
		ev.User = []byte("jo@example.com")
		if out := b.see(0, ev); out.Offence != nil {
			fired = i + 1
		}
	}
	if fired != 100 {
		t.Errorf("a flood of connections fired after %d, want 100", fired)
	}
}
