package detector

import (
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// TestForgottenSourceIsToldOf: a scan still wants to say how near a source came that time has made meaningless.
func TestForgottenSourceIsToldOf(t *testing.T) {
	var told []harvestwatch.Standing
	set := classic(t)
	b := &bench{t: t, d: New(set, Options{Forgotten: func(s harvestwatch.Standing) { told = append(told, s) }}), set: set, act: true}
	for i := range 9 {
		b.see(int64(1000+i), unknown(bad, string(rune('a'+i))+"@example.com"))
	}
	for i := range 100 {
		b.see(int64(1000+40*24*3600+i), connect("192.0.2.200"))
	}
	want := harvestwatch.Standing{Source: src(bad), Rule: "harvest", Count: 9, Threshold: 10}
	if len(told) != 1 || told[0] != want {
		t.Errorf("told %+v, want once %+v", told, want)
	}
}
