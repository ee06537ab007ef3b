//go:build !linux

package nstest

import "testing"

// Main runs the tests where they are: there are no network namespaces here.
func Main(m *testing.M) int { return m.Run() }

// Inside skips or fails the test by Need.
func Inside(t testing.TB) {
	t.Helper()
	Need(t, "netns", "network namespaces need Linux")
}
