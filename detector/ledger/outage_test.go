package ledger

import "testing"

const at = start + 10*day

// yesterday returns a set of recipients who had mail a day before at, and of some others.
func yesterday() *Recipients {
	r := NewRecipients(0)
	for hash := range uint64(9) {
		r.Deliver(10+hash, at-day)
	}
	r.Deliver(30, at-7*day)
	r.Deliver(31, at-7*day+1)
	r.Import(40)
	r.Deliver(41, at-day)
	r.Import(41)
	for hash := range uint64(20) {
		r.Deliver(50+hash, at-day)
	}
	return r
}

// TestTripsToTheSecond walks along the edges of what trips the breaker.
func TestTripsToTheSecond(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []told
		trip  bool // with the last
	}{
		{"three within ten minutes", []told{{10, 0, 1}, {11, 0, 2}, {12, 599, 3}}, true},
		{"three within ten minutes and a second", []told{{10, 0, 1}, {11, 0, 2}, {12, 600, 3}}, false},
		{"two, one of them twice", []told{{10, 0, 1}, {11, 1, 2}, {10, 2, 3}}, false},
		{"one whose mail is seven days old", []told{{10, 0, 1}, {11, 0, 2}, {30, 0, 3}}, false},
		{"one whose mail is seven days old but for a second", []told{{10, 0, 1}, {11, 0, 2}, {31, 0, 3}}, true},
		{"one who never was", []told{{10, 0, 1}, {11, 0, 2}, {99, 0, 3}}, false},
		{"a former user", []told{{10, 0, 1}, {11, 0, 2}, {40, 0, 3}}, false},
		{"a former user who received mail", []told{{10, 0, 1}, {11, 0, 2}, {41, 0, 3}}, false},
		{"one late", []told{{10, 0, 1}, {11, 400, 2}, {12, 10, 3}}, true},
		{"one too late", []told{{10, 700, 1}, {11, 700, 2}, {12, 100, 3}}, false},
		{"the first has passed when the late third comes", []told{{10, 0, 1}, {11, 700, 2}, {12, 590, 3}}, false},

		{"one source", []told{{10, 0, 1}, {11, 0, 1}, {12, 0, 1}}, false},
		{"two sources", []told{{10, 0, 1}, {11, 0, 1}, {12, 0, 0}, {13, 0, 0}}, false},
		{"three sources, one of them twice", []told{{10, 0, 1}, {11, 0, 1}, {12, 0, 0}, {13, 0, 2}}, true},
		{"two sources, and another too early", []told{{10, 0, 1}, {11, 600, 2}, {12, 600, 3}, {13, 600, 2}}, false},
		{"two sources, another for somebody new", []told{{10, 0, 1}, {11, 0, 1}, {12, 0, 2}, {99, 0, 3}}, false},
		{"three sources for two", []told{{10, 0, 1}, {11, 0, 2}, {11, 1, 3}}, false},

		{"as much mail", []told{{10, 0, 1}, {50, 1, mail}, {51, 2, mail}, {11, 3, 2}, {52, 4, mail}, {12, 5, 3}}, false},
		{"less mail", []told{{10, 0, 1}, {50, 1, mail}, {11, 3, 2}, {52, 4, mail}, {12, 5, 3}}, true},
		{"as much mail, one more is denied", []told{{10, 0, 1}, {50, 1, mail}, {51, 2, mail}, {52, 4, mail}, {11, 5, 2}, {12, 6, 3}, {13, 7, 4}}, true},
		{"as much mail, one more to the same", []told{{10, 0, 1}, {11, 1, 2}, {50, 5, mail}, {51, 5, mail}, {52, 5, mail}, {12, 6, 3}, {13, 7, 1}}, false},
		{"as much mail, of former users", []told{{10, 0, 1}, {40, 1, mail}, {41, 2, mail}, {50, 4, mail}, {11, 5, 2}, {12, 6, 3}}, false},
		{"mail in the second of the first denial", []told{{10, 0, 1}, {50, 0, mail}, {51, 0, mail}, {52, 0, mail}, {11, 1, 2}, {12, 1, 3}}, true},
		{"mail for one only", []told{{10, 0, 1}, {50, 1, mail}, {50, 2, mail}, {50, 3, mail}, {11, 4, 2}, {12, 4, 3}}, true},
		{"mail for three who never had any", []told{{10, 0, 1}, {97, 1, mail}, {98, 2, mail}, {99, 3, mail}, {11, 4, 2}, {12, 4, 3}}, true},
		{"the same, told twice", []told{{10, 0, 1}, {97, 1, mail}, {98, 2, mail}, {99, 3, mail}, {97, 1, mail}, {98, 2, mail}, {99, 3, mail}, {11, 4, 2},
			{12, 4, 3}}, true},
		{"mail for three who had later mail", []told{{50, 90, mail}, {51, 90, mail}, {52, 90, mail}, {10, 100, 1}, {50, 80, mail}, {51, 80, mail},
			{52, 80, mail}, {11, 110, 2}, {12, 110, 3}}, true},
		{"mail that is told before an earlier denial", []told{{50, 9, mail}, {51, 9, mail}, {52, 9, mail}, {10, 10, 1}, {11, 10, 2}, {12, 8, 3}}, false},
		{"mail that is told after later denials", []told{{10, 0, 1}, {11, 9, 2}, {50, 5, mail}, {51, 5, mail}, {52, 5, mail}, {12, 9, 3}}, false},
		{"the denied get mail again", []told{{10, 0, 1}, {11, 0, 2}, {10, 1, mail}, {11, 1, mail}, {50, 1, mail}, {12, 2, 3}}, false},
		{"mail after the outage was found", []told{{10, 0, 1}, {11, 0, 2}, {12, 0, 3}, {50, 1, mail}, {13, 2, 4}}, false},
	} {
		r := yesterday()
		for i, s := range c.steps {
			want := c.trip && i == len(c.steps)-1 || c.name == "mail after the outage was found" && i == 2
			if trip := s.of(r); trip != want {
				t.Errorf("%s: step %d: tripped %v", c.name, i, trip)
			}
		}
	}
}

// told is a refusal to a source, or mail.
type told struct {
	hash   uint64
	after  uint32
	source int
}

const mail = -1

func (s told) of(r *Recipients) (trip bool) {
	if s.source == mail {
		r.Deliver(s.hash, at+s.after)
		return false
	}
	_, trip = r.Refuse(s.hash, at+s.after, uint64(s.source))
	return trip
}

// TestMailOutweighsOlderDenials holds that denials that mail outweighs neither trip the breaker nor keep others from it.
func TestMailOutweighsOlderDenials(t *testing.T) {
	r := yesterday()
	for i, s := range []told{{10, 0, 1}, {11, 0, 2}, {50, 10, mail}, {51, 11, mail}, {52, 12, mail}, {53, 13, mail}, {54, 14, mail}, {55, 15, mail},
		{12, 100, 3}, {13, 110, 4}} {
		if s.of(r) {
			t.Fatalf("tripped with step %d", i)
		}
	}
	if !(told{14, 120, 5}).of(r) {
		t.Fatal("three are denied since the last mail, and the breaker does not trip")
	}
	if since, _, _ := r.Outage(at + 120); since != at+100 {
		t.Errorf("the outage began at %d, want 100", int(since)-at)
	}
	r = yesterday()
	for _, s := range []told{{10, 0, 1}, {50, 10, mail}, {51, 11, mail}, {52, 12, mail}, {11, 20, 2}, {12, 30, 3}} {
		s.of(r)
	}
	if !(told{13, 31, 4}).of(r) {
		t.Fatal("four are denied to four, three got mail, and the breaker does not trip")
	}
	if since, _, _ := r.Outage(at + 31); since != at {
		t.Errorf("the outage began at %d, want 0: the longest run counts", int(since)-at)
	}
}

// TestALongListIsOutweighed holds that of many that ask for dead recipients only twelve witnesses count, and of one none.
func TestALongListIsOutweighed(t *testing.T) {
	for _, mails := range []uint64{11, 12} {
		r := yesterday()
		for hash := range uint64(300) {
			r.Deliver(1000+hash, at-day)
		}
		for hash := range mails {
			r.Deliver(50+hash, at+10)
		}
		for hash := range uint64(150) {
			if _, trip := r.Refuse(1000+hash, at+uint32(hash/50), 1+hash%2); trip || len(r.outage.recent) > maxWitness {
				t.Fatal("two sources trip the breaker")
			}
		}
		for hash := range uint64(150) { // they are told late: the mail that came after them has ended the outage already
			r.Refuse(1150+hash, at+3, 3+hash)
		}
		if r.outage.over != (mails < 12) {
			t.Errorf("150 denied to as many sources, %d got mail: an outage: %v", mails, r.outage.over)
		}
	}
}

// TestThirteenInOneSecond holds which twelve count.
func TestThirteenInOneSecond(t *testing.T) {
	for _, last := range []uint64{50, 63} {
		r := yesterday()
		for hash := range uint64(12) {
			r.Refuse(51+hash, at, 1+hash/11)
		}
		if _, trip := r.Refuse(last, at, 3); trip != (last == 63) {
			t.Errorf("twelve are denied to two sources, and recipient %d to another: tripped %v", last, trip)
		}
	}
}

// TestMailEndsAnOutage holds who counts among the five.
func TestMailEndsAnOutage(t *testing.T) {
	r := yesterday()
	held := func(what string, want bool) {
		t.Helper()
		if _, _, ok := r.Outage(r.now); ok != want {
			t.Errorf("%s: held %v", what, ok)
		}
	}
	for i := range uint32(3) {
		r.Refuse(10+uint64(i), at+i, uint64(i))
	}
	for _, s := range []told{{50, 1, mail}, {51, 2, mail}, {52, 2, mail}, {60, 9, mail}, {61, 10, mail}, {62, 11, mail}, {63, 12, mail}, {63, 13, mail},
		{99, 14, mail}} {
		s.of(r)
	}
	held("four got mail since the last denial, and somebody new", true)
	told{13, 9, 9}.of(r)
	told{64, 20, mail}.of(r)
	held("one of them no later than a further denial", true)
	told{60, 19, mail}.of(r)
	held("five", false)
	if r.Floor() != at+20 {
		t.Errorf("it ended at %d, want 20", int(r.Floor())-at)
	}
}

// TestFoundWhenOver holds that late denials can show an outage that mail has ended already.
func TestFoundWhenOver(t *testing.T) {
	r := yesterday()
	for i := range uint64(5) {
		r.Deliver(50+i, at+10+uint32(i))
	}
	for i := range uint64(5) {
		r.Refuse(10+i, at+uint32(i), i)
	}
	if r.outage.since != 0 {
		t.Error("five got mail, which doesn't outweigh five sources")
	}
	if _, trip := r.Refuse(16, at+6, 5); trip {
		t.Error("tripped by what is over")
	}
	if _, _, ok := r.Outage(at + 14); ok || r.Floor() != at+14 || r.outage.since != at {
		t.Errorf("held %v, floor %d, since %d", ok, int(r.Floor())-at, int(r.outage.since)-at)
	}
}

// TestOutageToTheSecond walks along the edges of what holds and ends the breaker.
func TestOutageToTheSecond(t *testing.T) {
	r := yesterday()
	expect := func(what string, now, since, until, floor uint32) {
		t.Helper()
		s, u, ok := r.Outage(at + now)
		if ok != (until != 0) || ok && (s != at+since || u != at+until) || r.Floor() != at+floor {
			t.Errorf("%s: %d to %d %v, floor %d, want %d to %d, floor %d", what, int(s)-at, int(u)-at, ok, int(r.Floor())-at, since, until, floor)
		}
	}
	for i := range uint32(3) {
		r.Refuse(10+uint64(i), at+60*i, uint64(i))
	}
	expect("tripped", 120, 0, 120+1800, 120)
	r.Refuse(99, at+1000, 99)
	r.Refuse(10, at+1000, 10)
	expect("no further recipient", 1000, 0, 120+1800, 1000)
	r.Refuse(13, at+900, 13)
	expect("a further one, late", 1000, 0, 900+1800, 1000)
	r.Deliver(10, at+1100)
	r.Deliver(11, at+1200)
	r.Deliver(11, at+1250)
	r.Deliver(17, at+1250)
	r.Deliver(12, at+890)
	expect("two are back", 1300, 0, 900+1800, 1250)
	r.Refuse(14, at+1150, 14)
	r.Deliver(12, at+1300)
	expect("a denial since the first came back: two are left", 1300, 0, 1150+1800, 1300)
	r.Deliver(13, at+1400)
	expect("three are back", 1399, 0, 1400, 1400)
	expect("three are back, at that second", 1400, 0, 0, 1400)
	r.Refuse(15, at+1390, 15)
	expect("a late denial does not bring it back", 1400, 0, 0, 1400)
	for i, trip := range []bool{false, false, true} {
		if _, got := r.Refuse([]uint64{16, 17, 10}[i], at+1500, uint64(i)); got != trip {
			t.Errorf("the directory fails again: tripped with refusal %d: %v", i, got)
		}
	}
	expect("it fails again", 1500, 1500, 1500+1800, 1500)
}

// TestMailInTheSameSecond holds that a recipient that was denied in the second in which it received mail counts once.
func TestMailInTheSameSecond(t *testing.T) {
	r := NewRecipients(0)
	for hash := range uint64(3) {
		r.Deliver(10+hash, start)
		if _, trip := r.Refuse(10+hash, start, 10+hash); trip != (hash == 2) {
			t.Errorf("refusal %d: tripped %v", hash, trip)
		}
	}
	for hash := range uint64(3) {
		r.Refuse(10+hash, start, 10+hash)
		r.Refuse(10+hash, start+60, 10+hash)
		r.Deliver(10+hash, start) // late, and nothing new
		r.Refuse(10+hash, start+120, 10+hash)
	}
	if _, until, _ := r.Outage(start + 120); until != start+30*60 {
		t.Errorf("held until %d s, want 1800", until-start)
	}
}

// TestMailOfAnEarlierOutage holds that mail which spoke against one outage does not speak against the next.
func TestMailOfAnEarlierOutage(t *testing.T) {
	r := NewRecipients(0)
	for hash := range uint64(9) {
		r.Deliver(10+hash, start)
	}
	for hash := range uint64(3) {
		r.Refuse(10+hash, start+10, 10+hash)
	}
	r.Deliver(10, start+1000)
	r.Deliver(11, start+1000)
	for hash := range uint64(3) {
		r.Refuse(13+hash, start+2000, 13+hash)
	}
	r.Deliver(13, start+2100)
	if _, _, ok := r.Outage(start + 2100); !ok {
		t.Error("one recipient ended an outage that began after two others had mail")
	}
	r.Deliver(12, start+2200)
	r.Deliver(14, start+2200)
	if _, _, ok := r.Outage(start + 2200); !ok {
		t.Error("a recipient that was not denied in this outage helped to end it")
	}
	r.Deliver(15, start+2300)
	if _, _, ok := r.Outage(start + 2300); ok {
		t.Error("three recipients did not end it")
	}
}
