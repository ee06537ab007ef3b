package recipients

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// maxRanged bounds how many attributes may come in parts.
const maxRanged = 10_000

// collector takes addresses out of directory entries. Not every address there is one of ours: a contact's is the address
// of somebody elsewhere. Those are valid recipients only where the domain is ours by another entry, and never make a
// domain one that the list speaks for: otherwise one contact at a big provider would make all other users of that
// provider unknown.
type collector struct {
	b          builder
	attributes []string
	ranged     []ranged
	proxies    bool   // an entry had proxyAddresses: the directory is Exchange's
	guests     guests // addresses of somebody elsewhere
	mailOnly   guests // addresses of entries without proxyAddresses: guests where there is Exchange
}

// guests are addresses in canonical form whose domain may not be ours.
type guests []string

// ranged is an attribute that came in part.
type ranged struct {
	dn, attribute string
	next          int // the number of the first value that is missing; -1: none is
	guest         bool
}

func newCollector(attributes []string) *collector {
	return &collector{attributes: attributes}
}

const (
	proxyAddresses = "proxyAddresses"
	targetAddress  = "targetAddress" // where Exchange sends on what comes for a contact or a remote mailbox
)

// wanted is which attributes to ask for.
func (c *collector) wanted() []string {
	return append(slices.Clone(c.attributes), "objectClass", targetAddress)
}

// entry takes the addresses of an entry.
func (c *collector) entry(e *ldap.Entry) error {
	contact := slices.ContainsFunc(e.GetEqualFoldAttributeValues("objectClass"), func(v string) bool { return strings.EqualFold(v, "contact") })
	target := ""
	for _, v := range e.GetEqualFoldAttributeValues(targetAddress) {
		target = canonicalValue(v)
	}
	exchange := slices.ContainsFunc(e.Attributes, func(a *ldap.EntryAttribute) bool {
		return strings.EqualFold(baseName(a.Name), proxyAddresses)
	})
	c.proxies = c.proxies || exchange
	for _, a := range e.Attributes {
		name := baseName(a.Name)
		if !slices.ContainsFunc(c.attributes, func(w string) bool { return strings.EqualFold(w, name) }) {
			continue
		}
		for _, v := range a.Values {
			if err := c.value(v, target, contact, exchange); err != nil {
				return err
			}
		}
		if _, last, ok := parseRange(a.Name); ok && last >= 0 {
			if len(c.ranged) == maxRanged {
				return errManyLong
			}
			c.ranged = append(c.ranged, ranged{e.DN, name, last + 1, contact})
		}
	}
	return nil
}

// value takes one value of an entry that is a contact, or one of Exchange's, or neither.
func (c *collector) value(v, target string, contact, exchange bool) error {
	text := canonicalValue(v)
	switch {
	case text == "":
		if looksLikeMail(v) {
			c.b.leftOut++
		}
		return nil
	case contact || text == target:
		return c.guests.add(text)
	case !exchange:
		return c.mailOnly.add(text)
	}
	return addText(&c.b, text)
}

// rest takes the further part of an attribute, and notes where the next one begins.
func (c *collector) rest(r *ranged, entries []*ldap.Entry) error {
	for _, e := range entries {
		for _, a := range e.Attributes {
			first, last, ok := parseRange(a.Name)
			if !ok || first != r.next || !strings.EqualFold(baseName(a.Name), r.attribute) {
				continue
			}
			for _, v := range a.Values {
				if err := c.value(v, "", r.guest, true); err != nil {
					return err
				}
			}
			r.next = last
			if last >= 0 {
				r.next++
			}
			return nil
		}
	}
	return fmt.Errorf("%w (%q, %s from %d)", errNoRange, r.dn, r.attribute, r.next)
}

// list makes the list, with the guests whose domain is ours.
func (c *collector) list() (*List, error) {
	if !c.proxies {
		for _, text := range c.mailOnly {
			if err := addText(&c.b, text); err != nil {
				return nil, err
			}
		}
		c.mailOnly = nil
	}
	ours := map[string]bool{}
	for i := range c.b.ends {
		if d := cutDomain(string(c.b.entry(uint32(i)))); !ours[d] {
			ours[d] = true
		}
	}
	for _, text := range slices.Concat(c.guests, c.mailOnly) {
		if !ours[cutDomain(text)] {
			c.b.leftOut++
			continue
		}
		if err := addText(&c.b, text); err != nil {
			return nil, err
		}
	}
	return c.b.list()
}

func (g *guests) add(text string) error {
	if err := room(len(*g), 0); err != nil {
		return err
	}
	*g = append(*g, text)
	return nil
}

// canonicalValue returns the address in a value, in canonical form, or "" for one that is none: values with another
// scheme than smtp: (x500:, sip:, eum:) have a colon where an address has none. * and ? stand for themselves: who may
// write his own entry may not speak for others.
func canonicalValue(v string) string {
	var room [maxCanonical]byte
	if len(v) > 2*MaxAddress {
		return ""
	}
	a, ok := canonical(room[:0], withoutScheme([]byte(v)), asEntry)
	if !ok || a.at == 0 {
		return ""
	}
	return string(a.text)
}

// looksLikeMail reports whether a value claims to be a mail address.
func looksLikeMail(v string) bool {
	scheme, _, ok := strings.Cut(v, ":")
	return !ok || strings.EqualFold(scheme, "smtp")
}

// baseName is an attribute's name without options.
func baseName(description string) string {
	name, _, _ := strings.Cut(description, ";")
	return name
}
