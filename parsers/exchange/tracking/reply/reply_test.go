package reply

import (
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]struct {
		code   uint16
		status harvestwatch.Enhanced
	}{
		"550 5.1.1 User unknown":      {550, harvestwatch.Enhanced{5, 1, 1}},
		"550 5.1.10 RESOLVER.ADR":     {550, harvestwatch.Enhanced{5, 1, 10}},
		"550-5.1.10":                  {550, harvestwatch.Enhanced{5, 1, 10}},
		"550":                         {550, harvestwatch.Enhanced{}},
		"550 ":                        {550, harvestwatch.Enhanced{}},
		"550 no such user, 5.1.1":     {550, harvestwatch.Enhanced{}},
		"5.1.1;rest":                  {0, harvestwatch.Enhanced{5, 1, 1}},
		"250 2.1.5 Recipient OK":      {250, harvestwatch.Enhanced{2, 1, 5}},
		"5501 5.1.1":                  {0, harvestwatch.Enhanced{}},
		"550 5.1.1x":                  {550, harvestwatch.Enhanced{}},
		"550 5.1.1.1":                 {550, harvestwatch.Enhanced{}},
		"550 5.1.":                    {550, harvestwatch.Enhanced{}},
		"550 9.1.1 x":                 {550, harvestwatch.Enhanced{}},
		"550 192.0.2.1":               {550, harvestwatch.Enhanced{}},
		"999 5.1.1":                   {0, harvestwatch.Enhanced{}},
		"099 5.1.1":                   {0, harvestwatch.Enhanced{}},
		"":                            {0, harvestwatch.Enhanced{}},
		" 550 5.1.1":                  {0, harvestwatch.Enhanced{}},
		"451 4.3.2 Temporary trouble": {451, harvestwatch.Enhanced{4, 3, 2}},
	} {
		code, status := Parse([]byte(text))
		if code != want.code || status != want.status {
			t.Errorf("%q gives %d %v, want %d %v", text, code, status, want.code, want.status)
		}
	}
	if Unknown(harvestwatch.Enhanced{5, 1, 2}) || Unknown(harvestwatch.Enhanced{4, 1, 1}) || !Unknown(harvestwatch.Enhanced{5, 1, 10}) {
		t.Error("the wrong statuses mean an unknown user")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"550 5.1.1 x", "550-5.7.606", "999 1.2.3", "5.1.10", "250"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		code, status := Parse(b)
		if code != 0 && (code < 200 || code > 599) || status[0] > 5 || status[1] > 999 || status[2] > 999 {
			t.Errorf("%q gives %d %v", b, code, status)
		}
	})
}
