package site

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

func TestShortTextsStay(t *testing.T) {
	var scratch []byte
	for _, n := range []int{1, harvestwatch.MaxField - 17, harvestwatch.MaxField} {
		b := bytes.Repeat([]byte{'x'}, n)
		if got := Cut(b, &scratch); &got[0] != &b[0] || len(got) != n || cap(got) != n {
			t.Errorf("%d bytes became %d, of %d", n, len(got), cap(got))
		}
	}
	if got := Cut(nil, &scratch); got != nil {
		t.Errorf("nothing became %q", got)
	}
	if got := Cut([]byte{}, &scratch); got == nil || len(got) > 0 || len(scratch) > 0 {
		t.Errorf("an empty text became %q", got)
	}
}

// Texts that differ behind the bound are told apart, whatever their length, and those that are one stay one.
func TestLongTextsStayApart(t *testing.T) {
	scratch := []byte("of another")
	fill := strings.Repeat("x", harvestwatch.MaxField)
	seen := map[string]int{}
	for i := range 1000 {
		for _, text := range []string{fmt.Sprintf("@%s.example:real%d@kontor.example", fill, i), fill + strings.Repeat("y", i+1)} {
			got := Cut([]byte(text), &scratch)
			if len(got) != harvestwatch.MaxField || !strings.HasPrefix(text, string(got[:harvestwatch.MaxField-17])) || got[harvestwatch.MaxField-17] != '~' {
				t.Fatalf("%q", got)
			}
			seen[string(got)]++
			if again := Cut(got, &scratch); string(again) != string(got) {
				t.Fatalf("%q was cut once more, to %q", got, again)
			}
		}
	}
	if len(seen) != 2000 {
		t.Errorf("2000 texts became %d", len(seen))
	}
	lower, upper := Cut([]byte(fill+"@kontor.example"), &scratch), Cut([]byte(fill+"@KONTOR.example"), &scratch)
	if string(lower) != string(upper) {
		t.Errorf("%q and %q", lower, upper)
	}
	if !strings.HasPrefix(string(scratch), "of another"+fill[:10]) && !strings.HasPrefix(string(scratch), "of another@") {
		t.Errorf("the scratch holds %.30q", scratch)
	}
}

func TestCutAllocatesNothingWhenWarm(t *testing.T) {
	scratch, text := []byte{}, []byte(strings.Repeat("x", 5000))
	Cut(text, &scratch)
	if n := testing.AllocsPerRun(100, func() { scratch = scratch[:0]; Cut(text, &scratch) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
