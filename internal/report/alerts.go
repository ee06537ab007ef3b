package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// Alert is what somebody is told of, and nobody is blocked for.
type Alert struct {
	Rule      string   `json:"rule"`
	Key       string   `json:"key"`    // by what the rule adds up: "source", "user", …
	Group     string   `json:"group"`  // which one; may be text from a log
	Source    string   `json:"source"` // whose event reached the threshold first
	First     Time     `json:"first"`  // the first counted event of the first time
	Fired     Time     `json:"fired"`  // the first time
	Last      Time     `json:"last"`   // the last time
	Times     int64    `json:"times"`
	Count     int      `json:"count"` // the most that was counted
	Threshold int      `json:"threshold"`
	Reason    string   `json:"reason"` // of the first time
	Evidence  []string `json:"evidence"`
}

// Bounds of the alerts: of so many different ones, so many are listed; the others are counted.
const (
	maxAlerts   = 1000
	listedAlert = 100
)

// alerts gathers what somebody is told of, by rule and what it is about.
type alerts struct {
	by   map[alertKey]*alert
	list []*alert // in the order of their first time
	all  int64
}

type alertKey struct{ rule, group string }

type alert struct {
	alertKey
	key, reason        string
	target             target
	source             harvestwatch.Source
	first, fired, last int64
	times              int64
	count, threshold   int
	refs               []uint32
}

func (a *alerts) add(dec *harvestwatch.Decision) {
	o := &dec.Offence
	a.all++
	t := targetOf(o)
	key := alertKey{o.Rule, o.Group}
	if o.Group == "" {
		key.group = t.String()
	}
	al := a.by[key]
	if al == nil && len(a.list) == maxAlerts {
		return
	}
	if al == nil {
		al = &alert{alertKey: key, key: o.Key, reason: dec.Reason, target: t, source: o.Source, first: o.First.Unix(), fired: o.Fired.Unix(),
			threshold: o.Threshold, refs: slices.Clone(o.Evidence)}
		if al.key == "" {
			al.key = "source"
		}
		a.by[key], a.list = al, append(a.list, al)
	}
	al.times++
	al.last = o.Fired.Unix()
	al.count = max(al.count, o.Count)
}

// told returns the alerts for a result, and asks for their lines.
func (a *alerts) told(zone *time.Location) ([]Alert, []Want) {
	at := func(sec int64) Time { return Time{time.Unix(sec, 0).In(zone)} }
	list, wants := []Alert{}, []Want{}
	for _, al := range a.list[:min(len(a.list), listedAlert)] {
		list = append(list, Alert{Rule: al.rule, Key: al.key, Group: al.group, Source: al.source.String(), First: at(al.first),
			Fired: at(al.fired), Last: at(al.last), Times: al.times, Count: al.count, Threshold: al.threshold, Reason: al.reason, Evidence: []string{}})
		group := al.group
		if al.key == "source" {
			group = ""
		}
		wants = append(wants, wanted(al.target, al.source, group, al.refs))
	}
	return list, wants
}

// shownAlerts is how many alerts a text lists.
const shownAlerts = 10

func textAlerts(p *printer, list []Alert, all int64, o TextOptions) {
	if len(list) == 0 {
		return
	}
	shown := list[:min(len(list), shownAlerts)]
	more := ""
	if len(shown) < len(list) {
		more = fmt.Sprintf(", the first %d about different things", len(shown))
	}
	p.printf("\nTo be looked at, nobody is blocked for it: %s%s\n", plural(all, "alert", "alerts"), more)
	tw := p.table()
	tw.printf("  ABOUT\tRULE\tFIRST\tTIMES\tWHY\n")
	for i := range shown {
		al := &shown[i]
		tw.printf("  %s\t%s\t%s\t%s\t%s\n", al.about(), al.Rule, al.Fired.Format(stamp), thousands(al.Times), al.Reason)
	}
	tw.flush()
	for i := range shown {
		if al := &shown[i]; o.Evidence > 0 && len(al.Evidence) > 0 {
			p.printf("\n  %s: %s\n", al.about(), al.Reason)
			textEvidence(p, al.Evidence, 4, o)
		}
	}
}

// about names what the alert is about.
func (al *Alert) about() string {
	if al.Key == "source" || al.Key == "prefix" {
		return al.Group
	}
	return strings.ReplaceAll(al.Key, "_", " ") + " " + quoted(al.Group)
}
