package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/harvestwatch/harvestwatch/internal/recipients"
	"github.com/harvestwatch/harvestwatch/parsers/site"
	"github.com/harvestwatch/harvestwatch/rules"
)

// futureSlack is how far ahead of the clock a log's stamp may be: beyond it lie bad clocks and local times that were
// taken for UTC.
const futureSlack = 300 * time.Second

// readOptions say which logs to read, and how. The flags are shared by the commands that read old logs.
type readOptions struct {
	paths        []string
	format       string // "" to recognise it
	year         int    // 0 to decide from the file
	zone         *time.Location
	since, until int64            // nanoseconds since 1970, 0 for no bound
	now          time.Time        // one moment for the whole run
	site         site.Site        // without what differs from input to input
	recipients   *recipients.List // the valid ones, nil for no list
}

func readFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "format", Usage: "`NAME` of the logs' format, instead of recognising it"},
		&cli.IntFlag{Name: "year", Usage: "`YEAR` of the first line, for stamps that carry none"},
		&cli.StringFlag{Name: "zone", Usage: "IANA `ZONE` of stamps that carry none, and of the times printed"},
		&cli.StringFlag{Name: "since", Usage: "leave out what was before `TIME`: RFC 3339, 2026-03-02, -2h, yesterday"},
		&cli.StringFlag{Name: "until", Usage: "leave out what was at or after `TIME`"},
	}, siteFlags()...)
}

func (p *program) readOptions(c *cli.Context) (readOptions, error) {
	o := readOptions{paths: c.Args().Slice(), format: c.String("format"), year: c.Int("year"), zone: localZone(), now: p.now()}
	if len(o.paths) == 0 {
		return o, usage("%w", errNoLogs)
	}
	if err := notAJournal(o.paths); err != nil {
		return o, err
	}
	var err error
	if o.site, err = siteOf(c); err != nil {
		return o, err
	}
	if o.recipients, err = recipientsOf(c, &o.site); err != nil {
		return o, err
	}
	if o.year != 0 && (o.year < 1970 || o.year > 2105) {
		return o, usage("--year %d: it must be from 1970 to 2105", o.year)
	}
	if name := c.String("zone"); name != "" {
		zone, err := time.LoadLocation(name)
		if err != nil {
			return o, usage("--zone %s: name an IANA zone like Europe/Berlin (%w)", name, err)
		}
		o.zone = zone
	}
	for flag, bound := range map[string]*int64{"since": &o.since, "until": &o.until} {
		if text := c.String(flag); text != "" {
			t, err := parseWhen(text, o.now.In(o.zone))
			if err != nil {
				return o, usage("--%s: %w", flag, err)
			}
			if t.Year() < 1971 || t.Year() > 2200 {
				return o, usage("--%s %s: it must lie between 1971 and 2200", flag, text)
			}
			*bound = t.UnixNano()
		}
	}
	if o.since != 0 && o.until != 0 && o.since >= o.until {
		return o, usage("--since is not before --until: nothing lies between them")
	}
	return o, nil
}

// whenLayouts are the forms of a moment, besides RFC 3339.
var whenLayouts = [...]string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02"}

// parseWhen reads a moment as people give it; now has the zone that they mean.
func parseWhen(text string, now time.Time) (time.Time, error) {
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch text {
	case "now":
		return now, nil
	case "today":
		return midnight, nil
	case "yesterday":
		return midnight.AddDate(0, 0, -1), nil
	}
	if ago, ok := strings.CutPrefix(text, "-"); ok {
		d, err := parseDuration(ago)
		if err != nil {
			return time.Time{}, err
		}
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, layout := range whenLayouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no moment: say 2026-03-02T15:04:05Z, 2026-03-02, -2h, today or yesterday", text)
}

// parseDuration reads a duration in the words of rule files; a negative one is an error.
func parseDuration(text string) (time.Duration, error) {
	d, err := rules.ParseDuration(text)
	if err == nil && d < 0 {
		err = fmt.Errorf("the duration %q is negative: say how long, without a sign", text)
	}
	return d, err
}

// localZone returns this machine's zone under its own name where that can be found: "Europe/Berlin" tells more than
// "Local" when a log's zone had to be assumed.
func localZone() *time.Location {
	name := os.Getenv("TZ")
	if name == "" {
		if target, err := os.Readlink("/etc/localtime"); err == nil {
			_, name, _ = strings.Cut(target, "zoneinfo/")
		}
	}
	if name != "" {
		if zone, err := time.LoadLocation(strings.TrimPrefix(name, ":")); err == nil {
			return zone
		}
	}
	if now := time.Unix(0, 0).In(time.Local); now.Format("MST") == "UTC" {
		return time.UTC
	}
	return time.Local
}
