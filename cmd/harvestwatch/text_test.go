package main

import (
	"encoding/json"
	"testing"
)

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"m\xfcller@kontor.example": "müller@kontor.example", "\x80\x92": "€’", "\x81": "\ufffd", "müller": "müller",
		"\x1b[31m\x00\"\\\n": "\x1b[31m\x00\"\\\n", "\u202e": "\u202e",
	} {
		out := appendString(nil, []byte(in))
		var got string
		if err := json.Unmarshal(out, &got); err != nil || got != want {
			t.Errorf("%q: %s is %q (%v), want %q", in, out, got, err, want)
		}
		for _, r := range string(out) {
			if unsafeRune(r) || r < ' ' {
				t.Errorf("%q: %q reaches the terminal", in, out)
			}
		}
	}
}
