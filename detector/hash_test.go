package detector

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestLowerIsASCIIOnly holds lower against a byte at a time, for every byte in every place of a word of eight.
func TestLowerIsASCIIOnly(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var buf [64]byte
	for n := range 40 {
		for c := range 256 {
			text := make([]byte, n)
			for i := range text {
				text[i] = byte(r.Uint32())
			}
			if n > 0 {
				text[r.IntN(n)] = byte(c)
			}
			want := bytes.Clone(text)
			for i, b := range want {
				if 'A' <= b && b <= 'Z' {
					want[i] = b + 'a' - 'A'
				}
			}
			buf[n] = '!'
			if got := lower(buf[:], text); got != n || !bytes.Equal(buf[:n], want) || buf[n] != '!' {
				t.Fatalf("%q: %q, want %q", text, buf[:got], want)
			}
		}
	}
}

// TestRolesAreMarked holds that names of roles are marked in whatever case and with whatever tag, and no others.
func TestRolesAreMarked(t *testing.T) {
	h := newHasher(testKey)
	for addr, want := range map[string]bool{"info@example.com": true, "No-Reply+x@example.com": true, "MAILER-DAEMON@example.com": true, "Administracion@example.com": true,
		"it": true, "datenschutz@x.example": true, "": false, "@": false, "info7@example.com": false, "@info": false, "informatiker@example.com": false, "7@example.com": false} {
		if _, role := h.address([]byte(addr)); role != want {
			t.Errorf("%q: %v", addr, role)
		}
	}
}
