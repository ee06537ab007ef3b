package twin

import (
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

func ip(t *testing.T, text string) address.IP {
	t.Helper()
	a, ok := address.Parse([]byte(text))
	if !ok {
		t.Fatal(text)
	}
	return a
}

func TestOneDeedOneTwin(t *testing.T) {
	a := ip(t, "192.0.2.65")
	long := []byte(strings.Repeat("x", 300))
	for _, same := range [][2]uint64{
		{Recipient(a, []byte("Joe@Kontor.example")), Recipient(a, []byte("joe@kontor.EXAMPLE"))},
		{Recipient(a, long), Recipient(a, site.Cut(long, new([]byte)))},
		{Spam(a, long), Spam(a, site.Cut(long, new([]byte)))},
		{Message(a, append([]byte("<"), append(long, '>')...)), Message(a, site.Cut(long, new([]byte)))},
		{Recipient(ip(t, "::ffff:192.0.2.65"), nil), Recipient(a, []byte{})},
		{Auth(a, []byte("MBX01"), []byte("Default Frontend MBX01")), Auth(a, []byte("mbx01.kontor.example"), []byte("Default Frontend MBX01 "))},
		{Message(a, []byte("<1@a.example>")), Message(a, []byte("1@a.example"))},
		{Join([]byte("<1@a.example>")), Join([]byte("1@a.example"))},
		{Spam(a, nil), Spam(a, []byte{})},
	} {
		if same[0] != same[1] || same[0] == 0 {
			t.Errorf("%x and %x", same[0], same[1])
		}
	}
}

func TestTwoDeedsTwoTwins(t *testing.T) {
	a, b := ip(t, "192.0.2.65"), ip(t, "192.0.2.97") // 65 and 97 are A and a
	text, long := []byte("x@a.example"), []byte(strings.Repeat("x", 300))
	seen := map[uint64]int{}
	for i, h := range []uint64{
		Recipient(a, text), Recipient(b, text), Recipient(ip(t, "2001:db8::1"), text), Recipient(ip(t, "2001:db8:0:1::1"), text),
		Recipient(a, nil), Recipient(a, []byte("<x@a.example>")), Message(a, text), Message(b, text), Join(text), Spam(a, text),
		Spam(b, text), Auth(a, text, nil), Auth(a, nil, text), Auth(b, text, nil), Recipient(address.IP{}, text),
		Recipient(a, long), Recipient(a, long[1:]), Message(a, long), Message(a, long[1:]), Spam(a, long), Spam(a, long[1:]), Join(long), Join(long[1:]),
	} {
		if j, ok := seen[h]; ok {
			t.Errorf("%d and %d are both %x", i, j, h)
		}
		seen[h] = i
	}
}
