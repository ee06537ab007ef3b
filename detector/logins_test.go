package detector

import (
	"fmt"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

func TestTelephoneWithAnOldPassword(t *testing.T) {
	b := byDefault(t)
	b.see(0, authOK(bad))
	for i := range int64(288 * 3) { // every five minutes, three times in the minute, for three days
		for j := range int64(3) {
			if out := b.see(i*300+j, authFail(bad, "Jo")); out.Offence != nil {
				t.Fatalf("after %d: %+v", i, out.Offence)
			}
		}
	}
}

// TestTelephoneThatNobodyNames is the telephone on a site whose log names no user: it is one unnamed user.
func TestTelephoneThatNobodyNames(t *testing.T) {
	b := byDefault(t)
	for i := range int64(9) { // for nine minutes twelve times a minute, then it gives up
		for j := range int64(12) {
			if out := b.see(40+60*i+5*j, authFail(bad, "")); out.Offence != nil { // from a whole minute on
				t.Fatalf("minute %d, attempt %d: %+v", i+1, j+1, out.Offence)
			}
		}
	}
	if out := b.see(40+60*9, authFail(bad, "")); out.Offence == nil || out.Offence.Count != 10 {
		t.Errorf("the tenth minute: %+v", out)
	}
}

// TestNamedAndUnnamedFailuresOfAMinute holds that the unnamed user is another than each named one, and only one.
func TestNamedAndUnnamedFailuresOfAMinute(t *testing.T) {
	b := byDefault(t)
	for i := range int64(9) {
		for range 3 {
			if out := b.see(40+i, authFail(bad, fmt.Sprint("user", i))); out.Offence != nil {
				t.Fatalf("user %d: %+v", i, out.Offence)
			}
		}
	}
	if out := b.see(50, authFail(bad, "")); out.Offence == nil || out.Offence.Count != 10 {
		t.Errorf("nine users and the unnamed one: %+v", out)
	}
}

func TestOfficeWithMistypedPasswords(t *testing.T) {
	for _, c := range []struct {
		users int
		fires int // after how many failures; 0: never
	}{{4, 0}, {5, 50}, {12, 50}} {
		b := byDefault(t)
		b.see(0, authOK(bad))
		fired := 0
		for i := range int64(200) {
			if out := b.see(60*i, authFail(bad, fmt.Sprintf("user%d", i%int64(c.users)))); out.Offence != nil && fired == 0 {
				fired = int(i) + 1
			}
		}
		if fired != c.fires {
			t.Errorf("%d users: fired after %d, want %d", c.users, fired, c.fires)
		}
	}
}

func TestPasswordGuesser(t *testing.T) {
	for _, c := range []struct {
		name  string
		every int64
		user  func(i int64) string
		fires int64
	}{
		{"fast, many users", 1, func(i int64) string { return fmt.Sprint("user", i) }, 10},
		{"fast, no user named", 1, func(int64) string { return "" }, 9*60 + 1},
		{"fast, one user", 1, func(int64) string { return "root" }, 9*60 + 1},
		{"one user each minute", 60, func(int64) string { return "root" }, 10},
		{"slow", 3600, func(i int64) string { return fmt.Sprint("user", i%2) }, 20},
		{"slower than the window", 4600, func(i int64) string { return fmt.Sprint("user", i) }, 0},
	} {
		b := byDefault(t)
		fired := int64(0)
		for i := range int64(1000) {
			if out := b.see(60*1000000+i*c.every, authFail(bad, c.user(i))); out.Offence != nil {
				fired = i + 1
				break
			}
		}
		if c.fires > 9*60 { // the first minute is not a whole one
			c.fires -= (start + 60*1000000) % 60
		}
		if fired != c.fires {
			t.Errorf("%s: fired after %d, want %d", c.name, fired, c.fires)
		}
	}
}

func TestConnectionFlood(t *testing.T) {
	flood := func(b *bench, sec int64, n int) *harvestwatch.Offence {
		for range n {
			if out := b.see(sec, connect(bad)); out.Offence != nil {
				return out.Offence
			}
		}
		return nil
	}
	begin := int64(4 - (start-1)%5) // buckets are whole fives of seconds since 1970
	b := byDefault(t)
	if o := flood(b, begin, 99); o != nil {
		t.Fatalf("99: %+v", o)
	}
	if o := flood(b, begin+59, 1); o == nil || o.Count != 100 || o.First.Unix() != start+begin {
		t.Errorf("the hundredth in the twelfth bucket: %+v", o)
	}
	b = byDefault(t)
	flood(b, begin+4, 99)
	if o := flood(b, begin+60, 1); o != nil {
		t.Errorf("the hundredth in the thirteenth bucket: %+v", o)
	}
	b = byDefault(t)
	b.see(0, delivered(bad, "jo@example.com"))
	if o := flood(b, 599, 500); o != nil {
		t.Errorf("a source that delivered within ten minutes: %+v", o)
	}
	if o := flood(b, 600, 1); o == nil {
		t.Error("ten minutes after the delivery nothing fired")
	}
}

func TestSuccessWearsOff(t *testing.T) {
	b := byDefault(t)
	b.see(0, authOK(bad))
	late := b.see(31*day, connect("192.0.2.9"))
	if late.Late {
		t.Fatal(late)
	}
	if out := b.see(0, authOK(bad)); !out.Late {
		t.Errorf("a success of last month: %+v", out)
	}
	for i := range int64(10) {
		out := b.see(31*day+i, authFail(bad, fmt.Sprint("user", i)))
		if (out.Offence != nil) != (i == 9) {
			t.Fatalf("failure %d: %+v", i, out)
		}
	}
	if now := b.d.Now(); now != time.Unix(start+31*day+9, 0).UTC() {
		t.Errorf("now is %s", now)
	}
}

func TestSuccessIsRememberedForAMonth(t *testing.T) {
	b := byDefault(t)
	b.see(0, authOK(bad))
	for i := range int64(20) { // others keep the records moving, and the dead are swept
		b.see(29*day+i, connect("192.0.2.9"))
	}
	for i := range int64(49) {
		if out := b.see(29*day+100+i, authFail(bad, fmt.Sprint("user", i))); out.Offence != nil {
			t.Fatalf("failure %d: %+v", i, out.Offence)
		}
	}
}
