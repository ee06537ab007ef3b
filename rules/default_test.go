package rules

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

const (
	minute = time.Minute
	hour   = time.Hour
	day    = 24 * time.Hour
)

// wanted are the default rules, by their numbers.
func wanted() []Rule {
	unknown, fail := []harvestwatch.Kind{harvestwatch.RcptUnknown}, []harvestwatch.Kind{harvestwatch.AuthFail}
	one := func(window time.Duration, n int) []Condition { return []Condition{{Window: window, AtLeast: n}} }
	steps := func(list ...time.Duration) []time.Duration { return list }
	delivered := []harvestwatch.Kind{harvestwatch.Delivered}
	return []Rule{
		{Name: "harvest", Mode: Enforce, Events: unknown, Distinct: Recipient, Conditions: one(hour, 10), GoodFactor: 2, VerifiedFactor: 1.5, ListedFactor: 0.7,
			Ladder: steps(hour, 4*hour, day, 7*day)},
		{Name: "harvest-slow", Mode: Enforce, Events: unknown, Distinct: Recipient, Conditions: one(day, 15), GoodFactor: 2, VerifiedFactor: 1.5, ListedFactor: 0.7,
			Ladder: steps(4*hour, day, day, 7*day)},
		{Name: "auth-spray", Mode: Enforce, Events: fail, Distinct: User, Conditions: []Condition{{Window: day, AtLeast: 6}, {Window: day, AtLeast: 3, NoUser: true}},
			UnlessSuccessWithin: 30 * day, Ladder: steps(4*hour, day, 7*day)},
		{Name: "auth-bruteforce", Mode: Enforce, Events: fail, Distinct: UserMinute, Conditions: []Condition{{Window: 10 * minute, AtLeast: 10}, {Window: day, AtLeast: 20}},
			AfterSuccess: AfterSuccess{30 * day, 50, 5}, Ladder: steps(hour, day, 7*day)},
		{Name: "conn-flood", Mode: Enforce, Events: []harvestwatch.Kind{harvestwatch.Connect}, Bucket: 5 * time.Second, Conditions: one(minute, 100),
			UnlessDeliveredWithin: 10 * minute, Ladder: steps(15*minute, hour, 4*hour)},
		{Name: "conn-hog", Mode: Observe, Events: []harvestwatch.Kind{harvestwatch.Disconnect}, Only: IdleOnly, Bucket: 30 * time.Second,
			Conditions:       []Condition{{Window: 10 * minute, AtLeast: 40}, {Window: 10 * minute, Seconds: 6000}, {Window: 10 * minute, Open: 50}},
			UnlessMailWithin: 10 * minute, Ladder: steps(15*minute, hour, 4*hour)},
		{Name: "msg-flood", Mode: Observe, Events: []harvestwatch.Kind{harvestwatch.SpamRefused, harvestwatch.RcptRefused}, Bucket: minute,
			Conditions: one(30*minute, 200), Share: 0.95, Against: delivered, UnlessDeliveredWithin: 30 * minute, Ladder: steps(hour, 4*hour, day)},
		{Name: "relay-probe", Mode: Observe, Events: []harvestwatch.Kind{harvestwatch.RcptRelayDenied}, Distinct: Domain, Conditions: one(10*minute, 5),
			Ladder: steps(hour, day)},
		{Name: "harvest-crawl", Mode: Observe, Events: unknown, Distinct: Recipient, Conditions: one(7*day, 30), GoodFactor: 2, GoodWindow: 7 * day,
			UnlessDeliveredWithin: 30 * day, Ladder: steps(day, 7*day)},
		{Name: "dictionary-overlap", Mode: Observe, Events: unknown, Distinct: Recipient, Conditions: one(day, 10), GoodFactor: 2,
			Shared: Shared{7 * day, 20, 3}, Ladder: steps(hour, 4*hour, day, 7*day)},
		{Name: "backscatter", Mode: Observe, Events: unknown, Only: NullSender, Distinct: Recipient, Conditions: one(hour, 50), Share: 0.95, Against: delivered,
			UnlessCredited: true, Ladder: steps(hour, 2*hour, 4*hour)},
		{Name: "campaign", Mode: Observe, Events: unknown, Keys: []Key{ByHelo, BySenderDomain}, Conditions: []Condition{{Window: 6 * hour, AtLeast: 40, Sources: 25}},
			Share: 0.9, Against: []harvestwatch.Kind{harvestwatch.Delivered, harvestwatch.Accepted}, UnlessCredited: true, UnlessDeliveredWithin: 30 * day,
			Ladder: steps(hour, day)},
		{Name: "prefix", Mode: Observe, Blocks: true, Keys: []Key{ByPrefix}, Conditions: []Condition{{Window: day, AtLeast: 8, AtLeastV6: 16}}, Share: 0.9,
			UnlessCredited: true, Ladder: steps(hour, 4*hour, day)},
		{Name: "auth-account-distributed", Mode: Alert, Events: fail, Keys: []Key{ByUser}, Distinct: Client, Conditions: one(hour, 30)},
	}
}

// TestDefaultRules holds the numbers of the default rules.
func TestDefaultRules(t *testing.T) {
	s, want := Default(), wanted()
	if len(s.Rules) != len(want) {
		t.Fatalf("%d rules", len(s.Rules))
	}
	for i, w := range want {
		w.Text, w.Probation, w.CreditFactor = s.Rules[i].Text, 0.5, 4
		w.GoodWindow, w.VerifiedFactor, w.ListedFactor = max(w.GoodWindow, day), max(w.VerifiedFactor, 1), min(w.ListedFactor, 1)
		if w.ListedFactor == 0 {
			w.ListedFactor = 1
		}
		if got := fmt.Sprintf("%+v", s.Rules[i]); got != fmt.Sprintf("%+v", w) {
			t.Errorf("\n%s, want\n%+v", got, w)
		}
		if n := s.Rules[i].Entries(); n > 1024 {
			t.Errorf("%s keeps %d entries of a source", w.Name, n)
		}
	}
	if _, ok := s.Rule("conn-flood"); !ok {
		t.Error("a rule is not found by its name")
	}
	if again, err := New(s.Rules...); err != nil || again.Fingerprint() != s.Fingerprint() {
		t.Errorf("the same rules made a set with another fingerprint: %v", err)
	}
}

// TestEnforcedComeFirst holds that no rule on trial decides in place of one in force.
func TestEnforcedComeFirst(t *testing.T) {
	s := Default()
	for i := 1; i < len(s.Rules); i++ {
		if s.Rules[i].Mode < s.Rules[i-1].Mode {
			t.Errorf("%s stands behind %s", s.Rules[i].Name, s.Rules[i-1].Name)
		}
	}
}

// golden compares with a file, part by part.
func golden(t *testing.T, path string, got []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n"), "\n")
	for i := range max(len(got), len(want)) {
		g, w := "", ""
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("line %d:\n%s\nwant\n%s", i+1, g, w)
		}
	}
}

func TestExplainDefaults(t *testing.T) {
	var got []string
	for i := range Default().Rules {
		r := &Default().Rules[i]
		got = append(got, r.Name+": "+r.Explain())
	}
	golden(t, "testdata/explain.golden", got)
}

// TestExplainWarns holds that who counts what speaks for a source is told, and may all the same.
func TestExplainWarns(t *testing.T) {
	for _, k := range speakFor {
		r := Rule{Name: "a", Text: "Because.", Mode: Enforce, Events: []harvestwatch.Kind{k}, Conditions: []Condition{{Window: hour, AtLeast: 10}},
			Ladder: []time.Duration{hour}}
		s, err := New(r)
		if err != nil {
			t.Errorf("%s: %v", k, err)
			continue
		}
		if text := s.Rules[0].Explain(); !strings.Contains(text, "Careful: "+k.String()) {
			t.Errorf("%s: %s", k, text)
		}
		s.Rules[0].Mode = Alert
		if text := s.Rules[0].Explain(); strings.Contains(text, "Careful") {
			t.Errorf("%s of an alert: %s", k, text)
		}
	}
	r, _ := Default().Rule("auth-account-distributed")
	blocks := *r
	blocks.Mode, blocks.Ladder = Enforce, []time.Duration{hour}
	if text := blocks.Explain(); !strings.Contains(text, "Careful: what strangers do under a user's name can block that user too.") {
		t.Error(text)
	}
}

// TestFingerprintCoversEverything changes each field of a rule, and each of its parts, by itself.
func TestFingerprintCoversEverything(t *testing.T) {
	for i := range Default().Rules {
		s := Default()
		before := s.Fingerprint()
		if len(before) != 16 {
			t.Fatalf("the fingerprint %s", before)
		}
		changed := 0
		change(reflect.ValueOf(&s.Rules[i]).Elem(), s.Rules[i].Name, func(field string) {
			changed++
			if same := s.Fingerprint() == before; same != strings.HasSuffix(field, ".Text") {
				t.Errorf("%s: the same fingerprint %v", field, same)
			}
		})
		if changed < 25 {
			t.Errorf("only %d fields were changed", changed)
		}
		if s.Fingerprint() != before {
			t.Errorf("rule %d was not put back", i)
		}
	}
}

// change alters each value within v by itself, calls look, and puts it back.
func change(v reflect.Value, path string, look func(string)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			change(v.Field(i), path+"."+v.Type().Field(i).Name, look)
		}
		return
	case reflect.Slice:
		for i := range v.Len() {
			change(v.Index(i), fmt.Sprintf("%s[%d]", path, i), look)
		}
		old := reflect.ValueOf(v.Interface())
		more := reflect.New(v.Type().Elem()).Elem()
		if more.Kind() == reflect.Uint8 {
			more.SetUint(1)
		}
		v.Set(reflect.Append(v, more))
		look(path)
		v.Set(old)
		return
	}
	old := reflect.ValueOf(v.Interface())
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8:
		v.SetUint(v.Uint() + 1)
	case reflect.Float64:
		v.SetFloat(v.Float() + 0.001)
	default:
		panic(path)
	}
	look(path)
	v.Set(old)
}

func TestNewRefuses(t *testing.T) {
	for want, spoil := range map[string]func(*Rule){
		"rule a, ladder.0: 8d is out of bounds: ":    func(r *Rule) { r.Ladder = []time.Duration{8 * day} },
		"rule a, events: blocked sources are":        func(r *Rule) { r.Blocks = true },
		"rule a, events.0: 200 is no kind of event":  func(r *Rule) { r.Events = []harvestwatch.Kind{200} },
		"rule a, key: 9 is no key":                   func(r *Rule) { r.Keys = []Key{9} },
		"rule a, key: 3 keys: keep at most 2":        func(r *Rule) { r.Keys = []Key{ByHelo, BySenderDomain, ByUser} },
		"rule a, distinct: no such way to count":     func(r *Rule) { r.Distinct = 9 },
		"rule a, only: no such restriction":          func(r *Rule) { r.Only = 9 },
		"rule a, mode: no such mode":                 func(r *Rule) { r.Mode = 9 },
		"rule a, against: there is no share":         func(r *Rule) { r.Against = []harvestwatch.Kind{harvestwatch.Delivered} },
		"rule a, share: -1 is out of bounds":         func(r *Rule) { r.Share = -1 },
		"rule a, credit_factor: -1 is out of bounds": func(r *Rule) { r.CreditFactor = -1 },
		"rule a, bucket: -1s is out of bounds":       func(r *Rule) { r.Distinct, r.Bucket = Each, -time.Second },
		"rule a, unless_mail_within: -1s is out of":  func(r *Rule) { r.UnlessMailWithin = -time.Second },
		"rule a, shared.within: 0s is out of":        func(r *Rule) { r.Shared.Names = 3 },
	} {
		r := Rule{Name: "a", Text: "Because.", Mode: Enforce, Events: []harvestwatch.Kind{harvestwatch.RcptUnknown}, Distinct: Recipient,
			Conditions: []Condition{{Window: hour, AtLeast: 10}}, Ladder: []time.Duration{hour}}
		if _, err := New(r); err != nil {
			t.Fatal(err)
		}
		spoil(&r)
		if _, err := New(r); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := New(); err == nil {
		t.Error("an empty set was taken")
	}
	if _, err := New(make([]Rule, MaxRules+1)...); err == nil {
		t.Error("too many rules were taken")
	}
	if _, err := Parse("big.toml", make([]byte, maxFile+1)); err == nil {
		t.Error("too large a file was taken")
	}
}

// TestAnyKindCanBeCounted holds that a user may count every kind of event by every key that such events have.
func TestAnyKindCanBeCounted(t *testing.T) {
	taken := 0
	for _, name := range kinds() {
		for _, key := range []string{`"source"`, `"prefix"`, `"helo"`, `"sender_domain"`, `"user"`, `["helo", "user"]`} {
			_, err := Parse("a.toml", []byte(fmt.Sprintf("[[rule]]\nname = 'a'\ntext = 'b'\nmode = 'observe'\nevents = ['%s']\nkey = %s\n"+
				"when = [{ window = '2h', at_least = 10 }]\nladder = ['1h']\n", name, key)))
			switch {
			case err == nil:
				taken++
			case key == `"source"` || key == `"prefix"`:
				t.Errorf("%s by %s: %v", name, key, err)
			case !strings.Contains(err.Error(), "an event of kind "+name+" has no "):
				t.Errorf("%s by %s is refused for another reason: %v", name, key, err)
			}
		}
	}
	if taken < 60 {
		t.Errorf("only %d rules were taken", taken)
	}
}

// TestSourceIsTheKeyOfNone holds that a rule by source is the same, said or not.
func TestSourceIsTheKeyOfNone(t *testing.T) {
	with := strings.Replace(DefaultFile(), "distinct = \"recipient\"", "distinct = \"recipient\"\nkey = [\"source\"]", 1)
	s, err := Parse("a.toml", []byte(with))
	if err != nil || s.Rules[0].Keys != nil || s.Fingerprint() != Default().Fingerprint() {
		t.Errorf("%v, %v", s, err)
	}
}
