package rules

import (
	"net/netip"

	"github.com/harvestwatch/harvestwatch"
)

// Spares says whether nothing may block a target whose client has that verified name, by which guard, whatever it did:
// the never-list, the accept list, the provider pools and verified names, in this order.
func (j *Judge) Spares(target netip.Prefix, name string) (guard string, ok bool) {
	o := &harvestwatch.Offence{Prefix: target, Name: name}
	if guard, _, ok = j.spared(o); ok {
		return guard, true
	}
	if _, ok = j.verified.match(name); ok {
		return GuardVerified, true
	}
	return "", false
}
