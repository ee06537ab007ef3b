package report

import (
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// maxNotices is how many notices a result lists; more are counted.
const maxNotices = 100

// Notice is what a guard told that spoke for the whole site.
type Notice struct {
	Guard    string `json:"guard"`
	At       Time   `json:"at"`
	Until    Time   `json:"until"` // until when it holds back; null where it only tells
	Reason   string `json:"reason"`
	Released int    `json:"released"` // sources whose blocks were ended because of it
}

// notices keeps the first of them and counts all.
type notices struct {
	list []harvestwatch.Notice // without Release
	ends []int                 // how many sources each released
	all  int64
}

func (n *notices) add(notice *harvestwatch.Notice) {
	n.all++
	if len(n.list) == maxNotices {
		return
	}
	kept := *notice
	kept.Release = nil
	n.list, n.ends = append(n.list, kept), append(n.ends, len(notice.Release))
}

// told returns the notices for a result, in that zone.
func (n *notices) told(zone *time.Location) []Notice {
	list := make([]Notice, 0, len(n.list))
	for i := range n.list {
		k := &n.list[i]
		list = append(list, Notice{Guard: k.Guard, At: inZone(k.At, zone), Until: inZone(k.Until, zone), Reason: k.Reason, Released: n.ends[i]})
	}
	return list
}

// inZone returns a moment as it is told in that zone; the zero time stays zero.
func inZone(t time.Time, zone *time.Location) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.In(zone)}
}

// shownNotices is how many notices a text lists.
const shownNotices = 5

func textNotices(p *printer, title string, list []Notice, all int64) {
	if len(list) == 0 {
		return
	}
	p.printf("\n%s: %s\n", title, plural(all, "time", "times"))
	for _, n := range list[:min(len(list), shownNotices)] {
		p.printf("  %s  %s: %s", n.At.Format(stamp), n.Guard, n.Reason)
		if !n.Until.IsZero() {
			p.printf("; until %s", n.Until.Format(stamp))
		}
		if n.Released > 0 {
			p.printf("; %s ended", plural(int64(n.Released), "block", "blocks"))
		}
		p.printf("\n")
	}
	if all > shownNotices {
		p.printf("  … and %s more\n", thousands(all-shownNotices))
	}
}
