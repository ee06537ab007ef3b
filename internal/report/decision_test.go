package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

func sourceOf(t *testing.T, addr string) harvestwatch.Source {
	t.Helper()
	src, ok := harvestwatch.ParseSource(addr)
	if !ok {
		t.Fatalf("%s is no source", addr)
	}
	return src
}

// decided makes a decision about a source.
func decided(t *testing.T, addr, rule string, action harvestwatch.Action, guard string, at time.Time) *harvestwatch.Decision {
	d := &harvestwatch.Decision{Action: action, Guard: guard, Until: at.Add(time.Hour), Reason: rule + " about " + addr,
		Offence: harvestwatch.Offence{Source: sourceOf(t, addr), Rule: rule, First: at.Add(-time.Minute), Fired: at, Count: 12, Threshold: 10, Level: 1,
			Evidence: []uint32{1, 2}}}
	if action == harvestwatch.ActAlert {
		d.Until = time.Time{}
	}
	return d
}

// allLines is evidence that shows what was asked for.
type allLines struct{}

func (allLines) Lines(wants []Want) [][]string {
	var out [][]string
	for _, w := range wants {
		out = append(out, []string{fmt.Sprintf("line of %s %v %v", w.Source, w.Prefix, w.Any)})
	}
	return out
}

func (allLines) Standing(s harvestwatch.Source) harvestwatch.Standing {
	return harvestwatch.Standing{Source: s, Rule: "harvest", Count: 6, Threshold: 10}
}

// decide plays one decision of each kind.
func decide(t *testing.T) *Scan {
	c := newCollector()
	for s, n := range map[string]int{"198.51.100.1": 30, "198.51.100.2": 12, "198.51.100.3": 20, "198.51.100.4": 11, "203.0.113.5": 40, "203.0.113.6": 8,
		"192.0.2.7": 8} {
		for range n {
			c.Event(event(harvestwatch.RcptUnknown, s, noon), &harvestwatch.Outcome{})
		}
	}
	c.Decision(decided(t, "198.51.100.1", "harvest", harvestwatch.ActBlock, "", noon))
	c.Decision(decided(t, "198.51.100.2", "harvest", harvestwatch.ActSuppress, rules.GuardNever, noon))
	c.Decision(decided(t, "198.51.100.3", "harvest", harvestwatch.ActSuppress, rules.GuardCredit, noon))
	c.Decision(decided(t, "198.51.100.4", "harvest", harvestwatch.ActSuppress, rules.GuardExUser, noon))
	c.Decision(decided(t, "198.51.100.4", "harvest", harvestwatch.ActBlock, "", noon.Add(time.Hour))) // the guard is not the last word
	wide := decided(t, "203.0.113.6", "prefix", harvestwatch.ActObserve, "", noon)
	wide.Offence.Prefix, wide.Offence.Key, wide.Offence.Group = netip.MustParsePrefix("203.0.113.0/24"), "prefix", "203.0.113.0/24"
	c.Decision(wide)
	helo := decided(t, "198.51.100.1", "by-helo", harvestwatch.ActObserve, "", noon)
	helo.Offence.Key, helo.Offence.Group = "helo", "evil\x1b\u202e.example"
	c.Decision(helo)
	for i := range 3 {
		user := decided(t, "192.0.2.9", "auth-account-distributed", harvestwatch.ActAlert, "", noon.Add(time.Duration(i)*time.Hour))
		user.Offence.Key, user.Offence.Group = "user", "anna\x1b"
		c.Decision(user)
	}
	c.Decision(decided(t, "192.0.2.9", "mine", harvestwatch.ActAlert, "", noon))
	for i := range maxNotices + 3 {
		c.Notice(&harvestwatch.Notice{Guard: rules.GuardOutage, At: noon.Add(time.Duration(i) * time.Minute), Until: noon.Add(time.Hour),
			Reason: "3 recipients that received mail this week are unknown", Release: []harvestwatch.Source{1, 2}})
	}
	return c.Result(ResultOptions{Evidence: allLines{}, Standings: allLines{}})
}

func TestWhoIsAnOffenderAndWhoIsSpared(t *testing.T) {
	s := decide(t)
	var got []string
	for _, o := range s.Offenders {
		got = append(got, fmt.Sprint(o.about(), " ", o.Rule, " ", o.decision(), " ", o.Tries, " ", o.Evidence))
	}
	want := []string{"203.0.113.0/24 prefix observe 48 [line of 203.0.113.6 203.0.113.0/24 false]",
		"198.51.100.1 harvest block 30 [line of 198.51.100.1 invalid Prefix false]",
		"198.51.100.1 by-helo observe 30 [line of 198.51.100.1 invalid Prefix true]",
		"198.51.100.2 harvest suppress (never-list) 12 [line of 198.51.100.2 invalid Prefix false]",
		"198.51.100.4 harvest block 11 [line of 198.51.100.4 invalid Prefix false]"}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("offenders\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	// Whom a guard spoke for comes first; who lies in a blocked prefix is not spared.
	if len(s.Spared) != 2 || s.Spared[0].Source != "198.51.100.3" || s.Spared[0].Guard != rules.GuardCredit || s.Spared[0].Why != "harvest about 198.51.100.3" ||
		s.Spared[0].Tries != 20 || s.Spared[1].Source != "192.0.2.7" || s.Spared[1].Guard != "" {
		t.Errorf("spared %+v", s.Spared)
	}
	if len(s.HeldBack) != 1 || s.HeldBack[0] != (Held{rules.GuardCredit, 1}) {
		t.Errorf("held back %+v", s.HeldBack)
	}
	if len(s.Alerts) != 2 || s.AlertsAll != 4 || s.Alerts[0].Times != 3 || s.Alerts[0].Key != "user" || s.Alerts[1].Group != "192.0.2.9" ||
		!s.Alerts[0].Last.Equal(noon.Add(2*time.Hour)) || !strings.HasSuffix(s.Alerts[0].Evidence[0], "true") {
		t.Errorf("alerts %+v", s.Alerts)
	}
	if len(s.Notices) != maxNotices || s.NoticesAll != maxNotices+3 || s.Notices[0].Released != 2 || !s.Notices[0].At.Equal(noon) {
		t.Errorf("%d notices of %d, the first %+v", len(s.Notices), s.NoticesAll, s.Notices[0])
	}
}

func TestTextOfEveryKindOfDecision(t *testing.T) {
	s := decide(t)
	s.Inputs = []Input{{Path: "mail.log", Format: "postfix", Lines: 131, Events: 131}}
	var b bytes.Buffer
	if err := s.Text(&b, TextOptions{Evidence: 1, Spared: true}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\u202e") {
		t.Errorf("a log's bytes reach the terminal: %q", b.String())
	}
	golden(t, "scan.txt", b.Bytes())
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}

func TestAlertsAreBounded(t *testing.T) {
	c := newCollector()
	for i := range 3 * maxAlerts {
		d := decided(t, "192.0.2.9", "auth-account-distributed", harvestwatch.ActAlert, "", noon)
		d.Offence.Key, d.Offence.Group = "user", fmt.Sprint("user", i)
		c.Decision(d)
	}
	s := c.Result(ResultOptions{})
	if len(c.alerts.by) != maxAlerts || len(s.Alerts) != listedAlert || s.AlertsAll != 3*maxAlerts {
		t.Errorf("%d kept, %d listed, %d counted", len(c.alerts.by), len(s.Alerts), s.AlertsAll)
	}
}
