package lines

import (
	"slices"
	"testing"
)

func TestNext(t *testing.T) {
	for data, want := range map[string][]string{
		"a\nbc\r\n\n\r\nd": {"a", "bc", "", "", "d"},
		"a\r":              {"a"},
		"a\rb\n":           {"a\rb"},
		"\r\r\n":           {"\r"},
		"\n":               {""},
	} {
		var got []string
		for off := 0; off < len(data); {
			end, next := Next([]byte(data), off)
			got = append(got, data[off:end])
			off = next
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", data, got, want)
		}
	}
}

func TestWhole(t *testing.T) {
	for head, want := range map[string]string{"a\nb\nc": "a\nb\n", "a\n": "a\n", "a": "a", "": "", "\nb": "\n"} {
		if got := string(Whole([]byte(head))); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
}
