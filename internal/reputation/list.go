package reputation

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// List is a block list in the DNS (DNSBL, RFC 5782).
type List struct {
	Zone   string         // the name that reversed addresses are asked about below, such as "bl.example"
	Accept []Codes        // the return codes that count; none: all of 127.0.0.0/8 but 127.0.0.1 and the error codes
	Except []netip.Prefix // addresses that the list is never asked about
	Weight int            // what an entry adds to Answer.Weight; 0 is taken for 1
}

// Codes is a range of a block list's return codes, addresses of 127.0.0.0/8, both ends included.
type Codes struct{ From, To netip.Addr }

// String returns the range as ParseCodes reads it.
func (c Codes) String() string {
	if c.From == c.To {
		return c.From.String()
	}
	return c.From.String() + "-" + c.To.String()
}

// ParseCodes reads a return code, "127.0.0.4", or a range of them, "127.0.0.2-127.0.0.11".
func ParseCodes(text string) (Codes, error) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	var c Codes
	var bad error
	if c.From, bad = netip.ParseAddr(strings.TrimSpace(from)); bad == nil {
		c.To, bad = netip.ParseAddr(strings.TrimSpace(to))
	}
	if bad != nil || !loopback.Contains(c.From) || !loopback.Contains(c.To) || c.To.Less(c.From) {
		return Codes{}, fmt.Errorf("return code %.40q is no address or range in 127.0.0.0/8: write it such as \"127.0.0.4\" or \"127.0.0.2-127.0.0.11\"", text)
	}
	if quota.Contains(c.From) || quota.Contains(c.To) || c.From == notListed {
		return Codes{}, fmt.Errorf("return code %.40q takes in 127.0.0.1 or 127.255.255.0/24, which never mean that an address is listed: leave them out", text)
	}
	return c, nil
}

// The addresses that have a meaning in a block list's answers and in its test.
var (
	loopback  = netip.MustParsePrefix("127.0.0.0/8")      // where all return codes lie (RFC 5782 section 2.1)
	quota     = netip.MustParsePrefix("127.255.255.0/24") // error codes: a query that was refused, as Spamhaus answers open resolvers
	listed    = netip.MustParseAddr("127.0.0.2")          // every list has it (RFC 5782 section 5)
	notListed = netip.MustParseAddr("127.0.0.1")          // no list has it
	listed6   = netip.MustParseAddr("::ffff:127.0.0.2")   // as a list for IPv6 has it
	notList6  = netip.MustParseAddr("::ffff:127.0.0.1")
)

// maxLists is how many block lists are asked about a suspect.
const maxLists = 16

// check returns the list with its zone in the form that questions need.
func (l List) check() (List, error) {
	zone, ok := CleanName(l.Zone)
	if !ok || len(zone) > maxName-64 { // an IPv6 address takes 64 bytes in front of it
		return l, fmt.Errorf("block list %.80q is no host name: write its zone, such as \"zen.example\"", l.Zone)
	}
	if l.Weight < 0 || l.Weight > 100 {
		return l, fmt.Errorf("block list %s: weight %d is not between 0 and 100: leave it out for 1", zone, l.Weight)
	}
	for _, c := range l.Accept {
		if _, err := ParseCodes(c.String()); err != nil {
			return l, fmt.Errorf("block list %s: %w", zone, err)
		}
	}
	l.Zone, l.Weight = zone, max(l.Weight, 1)
	return l, nil
}

// accepts reports whether a return code counts as an entry.
func (l *List) accepts(code netip.Addr) bool {
	if code == notListed || quota.Contains(code) || !loopback.Contains(code) {
		return false
	}
	return len(l.Accept) == 0 || slices.ContainsFunc(l.Accept, func(c Codes) bool {
		return c.From.Compare(code) <= 0 && code.Compare(c.To) <= 0
	})
}

// verdict is what a block list's answer means.
type verdict struct {
	entry bool   // it has the address, whatever the code
	hit   bool   // it has the address, with a code that counts
	fault string // why the answer is none of a working block list's, for a person; "" for nothing
}

// judge reads the codes that a zone gave. One code that no list may give spoils the answer: a zone that was given up,
// and sold, or a resolver that sends the lost to advertisements, answers everything.
func (l *List) judge(codes []netip.Addr) verdict {
	var v verdict
	for _, code := range codes {
		switch {
		case !loopback.Contains(code):
			return verdict{fault: fmt.Sprintf("it answers with %s, which no block list does: "+
				"the zone was given up, or a resolver on the way invents answers", code)}
		case quota.Contains(code):
			return verdict{fault: fmt.Sprintf("it answers with the error code %s: it refuses queries from this resolver, "+
				"as a public one, or as one that asks too much; ask it through a resolver of your own", code)}
		}
		v.entry = true
		v.hit = v.hit || l.accepts(code)
	}
	return v
}

// question is what to ask about an address.
func (l *List) question(addr netip.Addr) question {
	return question{reversed(addr) + "." + l.Zone + ".", dns.TypeA}
}

// query asks the zone about an address.
func (l *List) query(ctx context.Context, c *Client, addr netip.Addr) (verdict, error) {
	a, err := c.find(ctx, l.question(addr))
	if err != nil {
		return verdict{}, err
	}
	return l.judge(a.addrs), nil
}
