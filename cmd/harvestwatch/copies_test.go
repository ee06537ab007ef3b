package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A log that lies there twice, in another folder or beside itself, is read once; two logs of equal size are two.
func TestCopiesAreReadOnce(t *testing.T) {
	text, err := os.ReadFile("../../testdata/logs/exchange-receive/auth.log")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	other := append([]byte{}, text...)
	other[len(other)-3]++ // the last row's reason
	for name, b := range map[string][]byte{"RECV2026030209-1.LOG": text, "RECV2026030209-1 - Copy.LOG": text, "sub/RECV2026030209-1.LOG": text, "RECV2026030210-1.LOG": other} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := scanJSON(t, dir)
	read := 0
	for _, in := range s.Inputs {
		if in.Format != "" {
			read++
		}
	}
	if read != 2 || len(s.Inputs) != 4 {
		t.Errorf("%d of %d logs were read: %+v", read, len(s.Inputs), s.Inputs)
	}
}
