package gfi

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/harvestwatch/harvestwatch"
)

// verdicts says which kind of event a verdict's text is.
type verdicts struct {
	whole map[string]harvestwatch.Kind // by the text in lower case
	begin []beginning                  // the longest first
}

// beginning is an entry that ends with an asterisk.
type beginning struct {
	text string // in lower case
	kind harvestwatch.Kind
}

func newVerdicts(m map[string]harvestwatch.Kind) (verdicts, error) {
	v := verdicts{whole: map[string]harvestwatch.Kind{}}
	if len(m) > maxVerdicts {
		return v, fmt.Errorf("%w: %d verdicts, %d are allowed", ErrMapping, len(m), maxVerdicts)
	}
	for text, kind := range m {
		if kind == 0 || kind.String() == "" {
			return v, fmt.Errorf("%w: the verdict %q has no kind", ErrMapping, text)
		}
		key := string(appendLower(nil, []byte(strings.TrimSpace(text))))
		if rest, ok := strings.CutSuffix(key, "*"); ok {
			v.begin = append(v.begin, beginning{rest, kind})
			continue
		}
		v.whole[key] = kind
	}
	slices.SortFunc(v.begin, func(a, b beginning) int {
		if len(a.text) != len(b.text) {
			return len(b.text) - len(a.text)
		}
		return strings.Compare(a.text, b.text)
	})
	return v, nil
}

// kind returns the kind of a verdict in lower case, 0 for none: the whole text goes before a beginning, a longer
// beginning before a shorter one.
func (v *verdicts) kind(lower []byte) harvestwatch.Kind {
	if k, ok := v.whole[string(lower)]; ok {
		return k
	}
	for i := range v.begin {
		b := &v.begin[i]
		if len(lower) >= len(b.text) && string(lower[:len(b.text)]) == b.text {
			return b.kind
		}
	}
	return 0
}

// appendLower appends a text in lower case. Broken UTF-8 becomes the replacement character.
func appendLower(out, text []byte) []byte {
	for len(text) > 0 {
		c := text[0]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			out, text = append(out, c), text[1:]
			continue
		}
		r, n := utf8.DecodeRune(text)
		out, text = utf8.AppendRune(out, unicode.ToLower(r)), text[n:]
	}
	return out
}
