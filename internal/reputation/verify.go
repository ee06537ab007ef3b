package reputation

import (
	"context"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// maxPointers is how many names of one address are followed. Who gives an address more has no use for any of them.
const maxPointers = 10

// VerifiedName returns the name of the address that leads back to it: one that a PTR record gives and whose A or AAAA
// records have the address (RFC 8601 section 2.7.3). It returns "" where there is none, and the first by the alphabet
// where there are several. The name is clean, as CleanName has it. The error says that the DNS did not answer, so that a
// name may be verified later.
func (c *Client) VerifiedName(ctx context.Context, addr netip.Addr) (string, error) {
	addr = plain(addr)
	if !addr.IsValid() {
		return "", nil
	}
	a, err := c.find(ctx, question{arpa(addr), dns.TypePTR})
	if err != nil {
		return "", err
	}
	names := slices.Compact(slices.Sorted(slices.Values(a.texts)))
	kind := dns.TypeAAAA
	if addr.Is4() {
		kind = dns.TypeA
	}
	var unknown error
	for _, name := range names[:min(len(names), maxPointers)] {
		f, err := c.find(ctx, question{name + ".", kind})
		if err != nil {
			unknown = err
			continue
		}
		if slices.Contains(f.addrs, addr) {
			return name, nil
		}
	}
	return "", unknown
}
