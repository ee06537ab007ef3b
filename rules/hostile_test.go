package rules

import (
	"strings"
	"testing"
	"time"
)

// TestHostileFilesAreRefusedSoon holds that no file within the bound takes long, whatever it repeats.
func TestHostileFilesAreRefusedSoon(t *testing.T) {
	for name, part := range map[string]string{"rules": "[[rule]]\nname='a'\n", "unknown": "[[rule]]\nz=1\n", "dots": "a.", "brackets": "[", "tables": "[[a]]\n",
		"braces": "x={a=", "lines": "\n", "quotes": "'''\n", "array": "x=['1h',", "paths": "[a.b.c.d.e.f.g.h.i.j]\n", "strings": "ladder = ['1h','1h','1h','1h']\n"} {
		for _, before := range []string{"", "[[rule]]\n", "[[rule]]\nladder=", "x="} {
			file := before + strings.Repeat(part, (maxFile-len(before))/len(part))
			begun := time.Now()
			if _, err := Parse("hostile.toml", []byte(file)); err == nil || len(err.Error()) > 1000 {
				t.Errorf("%s after %q: %d bytes of error, %v", name, before, len(err.Error()), err == nil)
			}
			if d := time.Since(begun); d > 5*time.Second {
				t.Errorf("%s after %q took %s", name, before, d)
			}
		}
	}
}
