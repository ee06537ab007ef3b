package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// file is a rule file as TOML has it. What a person may write as zero and mean it is a pointer: leaving it out is
// something else.
type file struct {
	Rule []fileRule `toml:"rule"`
}

type fileRule struct {
	Name            string          `toml:"name"`
	Text            string          `toml:"text"`
	Mode            Mode            `toml:"mode"`
	Events          []kind          `toml:"events"`
	Only            Only            `toml:"only"`
	Key             any             `toml:"key"` // one name or a list of them
	Distinct        Distinct        `toml:"distinct"`
	Bucket          duration        `toml:"bucket"`
	When            []fileCondition `toml:"when"`
	Share           *float64        `toml:"share"`
	Against         []kind          `toml:"against"`
	GoodFactor      float64         `toml:"good_factor"`
	GoodWindow      duration        `toml:"good_window"`
	UnlessDelivered duration        `toml:"unless_delivered_within"`
	UnlessMail      duration        `toml:"unless_mail_within"`
	UnlessSuccess   duration        `toml:"unless_success_within"`
	UnlessCredited  bool            `toml:"unless_credited"`
	AfterSuccess    *fileSuccess    `toml:"after_success"`
	Shared          *fileShared     `toml:"shared"`
	CreditFactor    *float64        `toml:"credit_factor"`
	VerifiedFactor  *float64        `toml:"verified_factor"`
	ListedFactor    *float64        `toml:"listed_factor"`
	Ladder          []duration      `toml:"ladder"`
	Probation       *float64        `toml:"probation"`
}

type fileCondition struct {
	Window    duration `toml:"window"`
	AtLeast   int      `toml:"at_least"`
	AtLeastV6 int      `toml:"at_least_v6"`
	Seconds   int      `toml:"seconds"`
	Open      int      `toml:"open"`
	Sources   int      `toml:"sources"`
	NoUser    bool     `toml:"no_user"`
}

type fileSuccess struct {
	Within  duration `toml:"within"`
	AtLeast int      `toml:"at_least"`
	Users   int      `toml:"users"`
}

type fileShared struct {
	Within  duration `toml:"within"`
	Sources int      `toml:"sources"`
	Names   int      `toml:"names"`
}

type duration time.Duration

// UnmarshalText reads a duration of a rule file.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("%.40q is no duration above zero", text)
	}
	*d = duration(v)
	return nil
}

type kind harvestwatch.Kind

// blocked stands in a list of events for the sources that are blocked. It is no kind of event.
const (
	blocked     = kind(255)
	blockedName = "blocked"
)

// UnmarshalText reads the name of a kind of event.
func (k *kind) UnmarshalText(text []byte) error {
	if string(text) == blockedName {
		*k = blocked
		return nil
	}
	v, ok := harvestwatch.KindOf(string(text))
	if !ok {
		return fmt.Errorf("%.40q is no kind of event that a rule can count", text)
	}
	*k = kind(v)
	return nil
}

// kinds returns the names of what a rule may count.
func kinds() []string {
	var list []string
	for k := harvestwatch.Kind(1); int(k) < harvestwatch.Kinds; k++ {
		list = append(list, k.String())
	}
	return list
}

// UnmarshalText reads a mode's name.
func (m *Mode) UnmarshalText(text []byte) error {
	i := slices.Index(modeNames[:], string(text))
	if i < 1 {
		return fmt.Errorf("%.40q is no mode", text)
	}
	*m = Mode(i)
	return nil
}

// UnmarshalText reads the name of a restriction.
func (o *Only) UnmarshalText(text []byte) error {
	i := slices.Index(onlyNames[:], string(text))
	if i < 1 {
		return fmt.Errorf("%.40q is no restriction", text)
	}
	*o = Only(i)
	return nil
}

// UnmarshalText reads the name of a way to count.
func (d *Distinct) UnmarshalText(text []byte) error {
	i := slices.Index(distinctNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%.40q is no way to count", text)
	}
	*d = Distinct(i)
	return nil
}

// rule makes a rule of what stands in a file, and says what can't be one of the types that a Rule has.
func (f *fileRule) rule() (Rule, *problem) {
	r := Rule{Name: f.Name, Text: f.Text, Mode: f.Mode, Only: f.Only, Distinct: f.Distinct, Bucket: time.Duration(f.Bucket),
		GoodFactor: f.GoodFactor, GoodWindow: time.Duration(f.GoodWindow), UnlessDeliveredWithin: time.Duration(f.UnlessDelivered),
		UnlessMailWithin: time.Duration(f.UnlessMail), UnlessSuccessWithin: time.Duration(f.UnlessSuccess), UnlessCredited: f.UnlessCredited}
	for _, k := range f.Events {
		r.Events = append(r.Events, harvestwatch.Kind(k))
	}
	if len(f.Events) == 1 && f.Events[0] == blocked {
		r.Events, r.Blocks = nil, true
	}
	for _, k := range f.Against {
		r.Against = append(r.Against, harvestwatch.Kind(k))
	}
	for _, c := range f.When {
		r.Conditions = append(r.Conditions, Condition{Window: time.Duration(c.Window), AtLeast: c.AtLeast, AtLeastV6: c.AtLeastV6,
			Seconds: c.Seconds, Open: c.Open, Sources: c.Sources, NoUser: c.NoUser})
	}
	for _, d := range f.Ladder {
		r.Ladder = append(r.Ladder, time.Duration(d))
	}
	keys, p := keysOf(f.Key)
	r.Keys = keys
	fill(&r)
	if f.Against != nil && r.Against == nil {
		r.Against = []harvestwatch.Kind{} // an empty list is refused, not taken for none
	}
	f.tables(&r)
	f.factors(&r)
	if f.Share != nil && *f.Share == 0 && p == nil {
		p = shareProblem(0)
	}
	return r, p
}

// tables takes over the tables. An empty one is refused by check, not taken for none.
func (f *fileRule) tables(r *Rule) {
	if a := f.AfterSuccess; a != nil {
		r.AfterSuccess = AfterSuccess{time.Duration(a.Within), a.AtLeast, a.Users}
		if r.AfterSuccess == (AfterSuccess{}) {
			r.AfterSuccess.AtLeast = -1
		}
	}
	if s := f.Shared; s != nil {
		r.Shared = Shared{time.Duration(s.Within), s.Sources, s.Names}
		if r.Shared == (Shared{}) {
			r.Shared.Sources = -1
		}
	}
}

// factors takes over the factors that have a default, and the share.
func (f *fileRule) factors(r *Rule) {
	for _, x := range []struct {
		from *float64
		to   *float64
	}{{f.CreditFactor, &r.CreditFactor}, {f.VerifiedFactor, &r.VerifiedFactor}, {f.ListedFactor, &r.ListedFactor}, {f.Probation, &r.Probation}} {
		if x.from != nil {
			*x.to = *x.from
		}
	}
	if f.Share != nil {
		r.Share = *f.Share
	}
}

// keysOf reads a key or a list of keys.
func keysOf(value any) ([]Key, *problem) {
	var names []any
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		names = []any{v}
	case []any:
		names = v
	default:
		return nil, &problem{0, "key", "the value is no name", wants["key"]}
	}
	if len(names) == 0 {
		return nil, &problem{0, "key", "the list is empty", "leave key out to count by source, or name a key"}
	}
	var keys []Key
	for i, n := range names {
		at := "key"
		if _, list := value.([]any); list {
			at = fmt.Sprintf("key.%d", i)
		}
		name, ok := n.(string)
		k := slices.Index(keyNames[:], name)
		if !ok || k < 0 {
			return nil, &problem{0, at, fmt.Sprintf("%.40q is no key", fmt.Sprint(n)), wants["key"]}
		}
		keys = append(keys, Key(k))
	}
	return keys, nil
}

// wants says what each key of a rule is to hold, for the person who wrote something else.
var wants = map[string]string{
	"name":   `write a short name, as in name = "harvest"`,
	"text":   `write one sentence in quotation marks`,
	"mode":   `use "enforce", "observe" or "alert"`,
	"events": `name kinds of event, as in events = ["rcpt_unknown"]; there are ` + strings.Join(kinds(), ", ") + `; or ["blocked"] alone`,
	"only":   `use "null_sender" or "idle", or leave only out`,
	"key": `use "source", "prefix", "helo", "sender_domain" or "user", or a list of two of the last three, as in ` +
		`key = ["helo", "sender_domain"]`,
	"distinct":                `use "none", "recipient", "user", "user/minute", "domain" or "source"`,
	"bucket":                  `write a duration, as in bucket = "5s"`,
	"when":                    `write conditions, as in when = [{ window = "1h", at_least = 10 }]`,
	"window":                  `write a duration, as in window = "1h"`,
	"at_least":                `write a whole number without quotation marks`,
	"at_least_v6":             `write a whole number without quotation marks`,
	"seconds":                 `write a whole number of seconds without quotation marks, as in seconds = 6000`,
	"open":                    `write a whole number without quotation marks`,
	"sources":                 `write a whole number without quotation marks`,
	"no_user":                 `write no_user = true`,
	"share":                   `write a number, as in share = 0.9`,
	"against":                 `name kinds of event, as in against = ["delivered"]; there are ` + strings.Join(kinds(), ", "),
	"good_factor":             `write a number, as in good_factor = 2.0`,
	"good_window":             `write a duration, as in good_window = "24h"`,
	"unless_delivered_within": `write a duration, as in "10m"`,
	"unless_mail_within":      `write a duration, as in "10m"`,
	"unless_success_within":   `write a duration, as in "30d"`,
	"unless_credited":         `write unless_credited = true`,
	"after_success":           `write after_success = { within = "30d", at_least = 50, users = 5 }`,
	"within":                  `write a duration, as in within = "30d"`,
	"users":                   `write a whole number without quotation marks`,
	"shared":                  `write shared = { within = "7d", sources = 20, names = 3 }`,
	"names":                   `write a whole number without quotation marks`,
	"credit_factor":           `write a number, as in credit_factor = 4.0`,
	"verified_factor":         `write a number, as in verified_factor = 1.5`,
	"listed_factor":           `write a number, as in listed_factor = 0.7`,
	"ladder":                  `write durations, as in ladder = ["1h", "4h", "24h", "7d"]`,
	"probation":               `write a number, as in probation = 0.5`,
	"rule":                    `begin each rule with a line [[rule]]`,
}

// keysOfRule are the keys that a [[rule]] may have.
const keysOfRule = "name, text, mode, events, only, key, distinct, bucket, when (window, at_least, at_least_v6, seconds, open, sources, no_user), " +
	"share, against, good_factor, good_window, unless_delivered_within, unless_mail_within, unless_success_within, unless_credited, " +
	"after_success (within, at_least, users), shared (within, sources, names), credit_factor, verified_factor, listed_factor, ladder, probation"
