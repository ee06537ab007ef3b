package discover

import (
	"os"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch/parsers/gfi"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// The example that is shipped can be read, is marked in its first line, and the pattern in its comments compiles.
func TestShippedExample(t *testing.T) {
	text, err := os.ReadFile("../../etc/gfi-example.toml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "# unverified: ") {
		t.Error("it is not marked as unverified")
	}
	_, fields := decode(t, string(text))
	if _, err := gfi.New(&site.Site{Fields: fields}); err != nil {
		t.Error(err)
	}
	_, rest, _ := strings.Cut(string(text), "# pattern = ")
	line, _, _ := strings.Cut(rest, "\n")
	c, _ := decode(t, "pattern = "+line)
	fields.Pattern = c.Pattern
	if _, err := gfi.New(&site.Site{Fields: fields}); err != nil {
		t.Errorf("the pattern: %v", err)
	}
}
