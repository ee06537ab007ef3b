package reputation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestVerifiedName(t *testing.T) {
	w := newWorld(t, soa+
		ptr("192.0.2.1", "Mail.Example.")+"mail.example. A 192.0.2.1\n"+ // honest
		ptr("192.0.2.2", "mail.example.")+ // a lie: the name is another's
		ptr("192.0.2.3", "gone.example.")+ // leads nowhere
		ptr("192.0.2.4", "zz.example.")+ptr("192.0.2.4", "aa.example.")+"zz.example. A 192.0.2.4\naa.example. A 192.0.2.4\n"+
		ptr("192.0.2.5", `evil\027[2J.example.`)+ptr("192.0.2.5", `x\010y.example.`)+ptr("192.0.2.5", "192.0.2.5.")+
		"192.0.2.5. A 192.0.2.5\n"+
		"6.2.0.192.in-addr.arpa. CNAME 6.0-63.2.0.192.in-addr.arpa.\n6.0-63.2.0.192.in-addr.arpa. PTR six.example.\n"+ // RFC 2317
		"six.example. CNAME host6.example.\nhost6.example. A 198.51.100.1\nhost6.example. A 192.0.2.6\n"+
		ptr("2001:db8::7", "seven.example.")+"seven.example. AAAA 2001:db8::7\n"+
		ptr("2001:db8::8", "seven.example.")+
		ptr("192.0.2.9", "nine.example.")+"nine.example. AAAA ::ffff:192.0.2.9\n")
	c := newClient(t, w, newClock(), nil)
	for a, want := range map[string]string{"192.0.2.1": "mail.example", "::ffff:192.0.2.1": "mail.example", "192.0.2.2": "", "192.0.2.3": "",
		"192.0.2.4": "aa.example", "192.0.2.5": "", "192.0.2.6": "six.example", "2001:db8::7": "seven.example", "2001:db8::8": "",
		"192.0.2.9": "", "192.0.2.200": ""} {
		got, err := c.VerifiedName(context.Background(), addr(a))
		if err != nil || got != want {
			t.Errorf("VerifiedName(%s) = %q, %v; want %q", a, got, err, want)
		}
	}
}

func TestVerifiedNameFollowsTenNamesOnly(t *testing.T) {
	var zone strings.Builder
	zone.WriteString(soa)
	for i := range 40 {
		zone.WriteString(ptr("192.0.2.1", fmt.Sprintf("n%02d.example.", i)))
	}
	zone.WriteString("n39.example. A 192.0.2.1\nn09.example. A 192.0.2.2\n")
	w := newWorld(t, zone.String())
	c := newClient(t, w, newClock(), nil)
	got, err := c.VerifiedName(context.Background(), addr("192.0.2.1"))
	if got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	asked := 0
	for i := range 40 {
		asked += w.count(fmt.Sprintf("n%02d.example.", i), "A", "udp")
	}
	if asked != maxPointers {
		t.Errorf("%d names were followed, want %d", asked, maxPointers)
	}
}

func TestVerifiedNameSaysWhenItDoesNotKnow(t *testing.T) {
	w := newWorld(t, soa+ptr("192.0.2.1", "sick.example.")+ptr("192.0.2.2", "a.example.")+ptr("192.0.2.2", "sick.example.")+
		"a.example. A 192.0.2.2\n"+ptr("192.0.2.3", "sick.example.")+ptr("192.0.2.3", "z.example.")+"z.example. A 192.0.2.3\n")
	w.fail("sick.example.", dns.RcodeServerFailure)
	w.fail(arpa(addr("192.0.2.4")), dns.RcodeRefused)
	c := newClient(t, w, newClock(), nil)
	for a, want := range map[string]string{"192.0.2.1": "", "192.0.2.2": "a.example", "192.0.2.3": "z.example", "192.0.2.4": ""} {
		got, err := c.VerifiedName(context.Background(), addr(a))
		if got != want || (want == "") != errors.Is(err, ErrUnanswered) {
			t.Errorf("VerifiedName(%s) = %q, %v; want %q", a, got, err, want)
		}
	}
}

func TestParseCodes(t *testing.T) {
	for in, want := range map[string]string{"127.0.0.4": "127.0.0.4", "127.0.0.2-127.0.0.11": "127.0.0.2-127.0.0.11",
		" 127.0.0.2 - 127.0.0.3 ": "127.0.0.2-127.0.0.3", "127.0.0.2-127.255.254.255": "127.0.0.2-127.255.254.255"} {
		c, err := ParseCodes(in)
		if err != nil || c.String() != want {
			t.Errorf("ParseCodes(%q) = %v, %v", in, c, err)
		}
	}
	for _, in := range []string{"", "4", "127.0.0", "192.0.2.1", "127.0.0.9-127.0.0.2", "127.0.0.1", "127.255.255.254", "127.0.0.2-127.255.255.1",
		"127.0.0.2-", "::1", "127.0.0.2-127.0.0.3-127.0.0.4", "::ffff:127.0.0.2"} {
		if c, err := ParseCodes(in); err == nil {
			t.Errorf("ParseCodes(%q) = %v", in, c)
		} else if !strings.Contains(err.Error(), ":") {
			t.Errorf("ParseCodes(%q): %v has no remedy", in, err)
		}
	}
}

// bl is a working block list's zone.
func bl(zone string) string {
	return entry("127.0.0.2", zone, "127.0.0.2")
}

func mustCodes(t *testing.T, list ...string) []Codes {
	t.Helper()
	var out []Codes
	for _, s := range list {
		c, err := ParseCodes(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func newAsker(t *testing.T, c *Client, clk *clock, change func(*Options)) *Asker {
	t.Helper()
	o := Options{Client: c, Now: clk.Now, NoNames: true, Never: NeverAsked()[:0], Patience: time.Minute}
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestListsAreReadByTheirCodes(t *testing.T) {
	clk := newClock()
	w := newWorld(t, soa+bl("bl.example")+entry("::ffff:127.0.0.2", "bl.example", "127.0.0.2")+
		entry("192.0.2.1", "bl.example", "127.0.0.4")+
		entry("192.0.2.2", "bl.example", "127.0.0.10")+entry("192.0.2.2", "bl.example", "127.0.0.3")+
		entry("192.0.2.3", "bl.example", "127.0.0.11")+
		entry("2001:db8::1", "bl.example", "127.0.0.4"))
	for a, want := range map[string]string{"192.0.2.1": "all few", "192.0.2.2": "all few", "192.0.2.3": "all", "192.0.2.4": "", "2001:db8::1": "all few",
		"2001:db8::2": ""} {
		var got []string
		for name, l := range map[string]List{"all": {Zone: "BL.example."}, "few": {Zone: "bl.example", Accept: mustCodes(t, "127.0.0.2-127.0.0.3", "127.0.0.4")},
			"except": {Zone: "bl.example", Except: NeverAsked()}} {
			as := newAsker(t, newClient(t, w, clk, nil), clk, func(o *Options) { o.Lists = []List{l} })
			ans := as.resolve(context.Background(), addr(a))
			if !ans.Complete {
				t.Errorf("%s, %s: incomplete", a, name)
			}
			if len(ans.Listed) == 1 && ans.Listed[0] == "bl.example" && ans.Weight == 1 {
				got = append(got, name)
			}
		}
		if len(got) == 2 && got[0] == "few" {
			got[0], got[1] = got[1], got[0]
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", a, got, want)
		}
	}
}

func TestListsAreTestedBeforeTheyAreBelieved(t *testing.T) {
	const victim = "192.0.2.1"
	for what, c := range map[string]struct {
		zone string
		warn string // "" for no warning
		hits bool
	}{
		"works":     {bl("bl.example") + entry(victim, "bl.example", "127.0.0.2"), "", true},
		"dead":      {entry(victim, "bl.example", "127.0.0.2"), "does not have 127.0.0.2", false},
		"lists all": {bl("bl.example") + "*.bl.example. A 127.0.0.2\n" + entry("127.0.0.1", "bl.example", "127.0.0.2") + entry(victim, "bl.example", "127.0.0.2"), "has 127.0.0.1", false},
		"hijacked":  {entry("127.0.0.2", "bl.example", "203.0.113.80") + entry("127.0.0.1", "bl.example", "203.0.113.80") + entry(victim, "bl.example", "203.0.113.80"), "203.0.113.80", false},
		"quota":     {entry("127.0.0.2", "bl.example", "127.255.255.254") + entry("127.0.0.1", "bl.example", "127.255.255.254"), "127.255.255.254", false},
	} {
		t.Run(what, func(t *testing.T) {
			clk := newClock()
			w := newWorld(t, soa+c.zone)
			var warnings []string
			a := newAsker(t, newClient(t, w, clk, nil), clk, func(o *Options) {
				o.Lists = []List{{Zone: "bl.example", Weight: 3}}
				o.Warn = func(s string) { warnings = append(warnings, s) }
			})
			for range 3 {
				ans := a.resolve(context.Background(), addr(victim))
				if (len(ans.Listed) == 1) != c.hits || (ans.Weight == 3) != c.hits || !ans.Complete {
					t.Errorf("%+v", ans)
				}
			}
			h := a.Check(context.Background())
			if h[0].On != c.hits || (h[0].Why == "") != c.hits || !h[0].Tested.Equal(clk.Now()) {
				t.Errorf("%+v", h)
			}
			if (len(warnings) == 1) != (c.warn != "") || c.warn != "" && !strings.Contains(warnings[0], c.warn) {
				t.Errorf("warnings %q", warnings)
			}
			if !c.hits && w.count(reversed(addr(victim))+".bl.example.", "A", "udp") > 0 {
				t.Error("a list that failed its test was asked about a suspect")
			}
		})
	}
}

func TestListsAreTestedAgain(t *testing.T) {
	clk := newClock()
	w := newWorld(t, soa+bl("bl.example")+entry("192.0.2.1", "bl.example", "127.0.0.2"))
	var warnings []string
	a := newAsker(t, newClient(t, w, clk, nil), clk, func(o *Options) {
		o.Lists = []List{{Zone: "bl.example"}}
		o.Warn = func(s string) { warnings = append(warnings, s) }
	})
	listed := func() bool { return len(a.resolve(context.Background(), addr("192.0.2.1")).Listed) == 1 }
	if !listed() {
		t.Fatal("not listed")
	}
	w.remove("2.0.0.127.bl.example.", dns.TypeA) // the list dies
	clk.move(23 * time.Hour)
	if !listed() {
		t.Error("tested before its time")
	}
	clk.move(2 * time.Hour)
	if listed() || len(warnings) != 1 {
		t.Errorf("a dead list is believed after a day; warnings %q", warnings)
	}
	clk.move(2 * time.Hour)
	if listed() || len(warnings) != 1 {
		t.Errorf("warned %d times of one thing", len(warnings))
	}
	w.add(bl("bl.example"))
	clk.move(2 * time.Hour)
	if !listed() {
		t.Error("a list that works again is not asked")
	}
}

func TestAListThatGoesBadWhileItIsAskedIsSwitchedOff(t *testing.T) {
	for _, code := range []string{"198.51.100.80", "127.255.255.255"} {
		clk := newClock()
		w := newWorld(t, soa+bl("bl.example")+entry("192.0.2.1", "bl.example", code)+entry("192.0.2.2", "bl.example", "127.0.0.2"))
		var warnings []string
		a := newAsker(t, newClient(t, w, clk, nil), clk, func(o *Options) {
			o.Lists = []List{{Zone: "bl.example"}}
			o.Warn = func(s string) { warnings = append(warnings, s) }
		})
		if ans := a.resolve(context.Background(), addr("192.0.2.1")); len(ans.Listed) > 0 || ans.Complete {
			t.Errorf("%s: %+v", code, ans)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], code) || a.Health()[0].On {
			t.Errorf("%s: warnings %q, %+v", code, warnings, a.Health())
		}
		if ans := a.resolve(context.Background(), addr("192.0.2.2")); len(ans.Listed) > 0 {
			t.Errorf("%s: the list is still asked", code)
		}
		clk.move(61 * time.Minute)
		if ans := a.resolve(context.Background(), addr("192.0.2.2")); len(ans.Listed) != 1 || len(warnings) != 1 {
			t.Errorf("%s: the list is not tried again", code)
		}
	}
}

// A refusal that may be kept for a day must not keep the list switched off for so long.
func TestTestsAreNotAnsweredFromTheCache(t *testing.T) {
	clk := newClock()
	w := newWorld(t, soa+"2.0.0.127.bl.example. 86400 A 127.255.255.254\n"+entry("192.0.2.1", "bl.example", "127.0.0.2"))
	a := newAsker(t, newClient(t, w, clk, nil), clk, func(o *Options) { o.Lists = []List{{Zone: "bl.example"}} })
	if ans := a.resolve(context.Background(), addr("192.0.2.1")); len(ans.Listed) != 0 {
		t.Errorf("%+v", ans)
	}
	w.remove("2.0.0.127.bl.example.", dns.TypeA)
	w.add(bl("bl.example"))
	clk.move(61 * time.Minute)
	if ans := a.resolve(context.Background(), addr("192.0.2.1")); len(ans.Listed) != 1 {
		t.Errorf("%+v, %+v", ans, a.Health())
	}
}

func TestAListThatDoesNotAnswerLeavesTheAnswerIncomplete(t *testing.T) {
	clk := newClock()
	w := newWorld(t, soa+bl("good.example")+bl("sick.example")+entry("192.0.2.1", "good.example", "127.0.0.2"))
	for _, n := range []string{"127.0.0.1", "127.0.0.2"} {
		w.fail(reversed(addr(n))+".sick.example.", dns.RcodeServerFailure)
	}
	a := newAsker(t, newClient(t, w, clk, nil), clk, func(o *Options) { o.Lists = []List{{Zone: "sick.example"}, {Zone: "good.example"}} })
	ans := a.resolve(context.Background(), addr("192.0.2.1"))
	if ans.Complete || len(ans.Listed) != 1 || ans.Listed[0] != "good.example" {
		t.Errorf("%+v", ans)
	}
	if h := a.Health(); h[0].On || h[0].Why == "" || !h[1].On {
		t.Errorf("%+v", h)
	}
}
