// Package nstest runs tests in network namespaces of their own, as nobody in particular: the test binary starts
// itself again in a new user and network namespace, where it is root over nothing but that. It is for tests only. It
// leaves no process and no namespace behind, and starts no goroutine that outlives the function that was called.
package nstest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// require is the variable that names the needs that must be met: a test that lacks one fails instead of skipping.
const require = "HARVESTWATCH_REQUIRE"

// Need skips the test because a need isn't met, and says why; when the need is named in HARVESTWATCH_REQUIRE, a list
// divided by commas or spaces, it fails it.
func Need(t testing.TB, need, why string) {
	t.Helper()
	named := strings.FieldsFunc(os.Getenv(require), func(r rune) bool { return r == ',' || r == ' ' })
	if slices.Contains(named, need) {
		t.Fatalf("%s is required, and missing: %s", need, why)
	}
	t.Skipf("needs %s: %s", need, why)
}
