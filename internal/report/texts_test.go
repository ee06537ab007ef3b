package report

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"strings"
	"testing"
)

func TestNormalForms(t *testing.T) {
	forms := map[string]struct {
		of   func(to, text []byte) []byte
		want map[string]string
	}{
		"helo": {appendHelo, map[string]string{
			"DSL-12-345.Isp.Example.": "dsl-0-0.isp.example", "ylmf-pc": "ylmf-pc", "[192.0.2.1]": "", "192.0.2.1": "", "2001:db8::1": "",
			"[IPv6:2001:db8::1]": "", "": "", "...": "", "a1b22c333": "a0b0c0", "münchen.example": "münchen.example", "x.": "x"}},
		"domain": {appendDomain, map[string]string{
			"a@B.Example": "b.example", "a@b@c.example.": "c.example", "nobody": "", "": "", "a@": ""}},
		"recipient": {appendRecipient, map[string]string{
			"Anna+News@E.Example": "anna@e.example", "+x@e.example": "+x@e.example", "a+b": "a+b", "a@b+c": "a@b+c", "a+b+c@d": "a@d"}},
	}
	for name, form := range forms {
		for in, want := range form.want {
			if got := string(form.of([]byte("kept "), []byte(in))); got != "kept "+want {
				t.Errorf("%s of %q is %q, want %q", name, in, got, "kept "+want)
			}
		}
	}
}

func TestTextsAreNumberedAndBounded(t *testing.T) {
	ts := texts{seed: maphash.MakeSeed()}
	for round := range 2 {
		for i := range 5000 {
			if got := ts.number(fmt.Appendf(nil, "text %d", i)); got != uint32(i+1) {
				t.Fatalf("round %d: text %d has the number %d", round, i, got)
			}
		}
	}
	if got := string(ts.text(1)) + "," + string(ts.text(5000)); got != "text 0,text 4999" {
		t.Errorf("texts %q", got)
	}
	long := []byte(strings.Repeat("x", 200))
	a, b := ts.number(long), ts.number(append(long, 'y'))
	if a == b || len(ts.text(a)) != maxText || len(ts.text(b)) != maxText {
		t.Errorf("long texts have the numbers %d and %d, and %d bytes", a, b, len(ts.text(a)))
	}
	if ts.number(nil) != 0 {
		t.Error("the empty text has a number")
	}
}

func TestSeenSetForgetsNothing(t *testing.T) {
	var s seenSet
	if s.has(1) {
		t.Error("the empty set has something")
	}
	hash := func(n int) uint64 {
		return maphash.Bytes(fixedSeed, binary.LittleEndian.AppendUint64(nil, uint64(n)))
	}
	for n := range 50000 {
		s.add(hash(n))
	}
	wrong := 0
	for n := range 100000 {
		if has := s.has(hash(n)); n < 50000 && !has {
			t.Fatalf("%d is forgotten", n)
		} else if n >= 50000 && has {
			wrong++
		}
	}
	if wrong > 30 || s.full() {
		t.Errorf("%d of 50,000 are found that were never added; full: %v", wrong, s.full())
	}
	for n := range 2_000_000 {
		s.add(hash(n))
	}
	if !s.full() {
		t.Error("two million do not fill it")
	}
}

var fixedSeed = maphash.MakeSeed()
