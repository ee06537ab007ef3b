package pools

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Resolver asks the DNS. No records and no error means that there are none; an error, that the DNS did not answer.
type Resolver interface {
	// TXT returns the texts of a name, the strings of each record joined.
	TXT(ctx context.Context, name string) ([]string, error)
	// Addresses returns the IPv4 and IPv6 addresses of a host.
	Addresses(ctx context.Context, name string) ([]netip.Addr, error)
	// MX returns the names of the hosts that take a domain's mail.
	MX(ctx context.Context, name string) ([]string, error)
}

// The bounds of an expansion. RFC 7208 section 4.6.4 allows 10 terms that ask the DNS and 2 of these that find nothing,
// for the sake of who checks a message; here a provider's whole tree is wanted, once in days.
const (
	maxTerms   = 200 // terms that ask the DNS: include, redirect, a, mx; and hosts of an mx
	maxVoid    = 10  // of these that find nothing
	maxDepth   = 20  // records within records
	maxHosts   = 10  // of one mx, as the RFC has it
	maxSkipped = 20  // terms that are reported as left out
	maxRecord  = 32 << 10
)

// ErrSPF is wrapped by the errors of an expansion that are the records' fault: no record or several, a term that is none,
// records that include each other in a circle, more of anything than is bounded.
var ErrSPF = errors.New("SPF record not usable")

// Expansion is what an SPF record comes to.
type Expansion struct {
	Networks []netip.Prefix // collapsed
	Skipped  []string       // the terms that could not be taken in and why, 20 at most; they hold quoted text from the DNS
	Terms    int            // terms that asked the DNS
}

// Expand returns the networks that a domain's SPF record allows to send, with all that it includes. Only what passes
// counts: terms with the qualifier "-", "~" or "?" are left out, and so are those whose outcome depends on the message
// ("ptr", "exists", macros): they are named in Skipped. An error means that the networks are not known.
func Expand(ctx context.Context, r Resolver, domain string) (Expansion, error) {
	e := &expander{r: r, seen: map[string]bool{}}
	if err := e.domain(ctx, domain); err != nil {
		return Expansion{}, fmt.Errorf("expand the SPF record of %s: %w", domain, err)
	}
	return Expansion{Networks: Collapse(e.networks), Skipped: e.skipped, Terms: e.terms}, nil
}

// expander is the state of one expansion.
type expander struct {
	r        Resolver
	networks []netip.Prefix
	skipped  []string
	terms    int
	void     int
	path     []string        // the domains whose records are being read, outermost first
	seen     map[string]bool // domains whose records were read
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrSPF, fmt.Errorf(format, args...))
}

// skip notes a term that is left out.
func (e *expander) skip(domain, term, why string) {
	if len(e.skipped) < maxSkipped {
		e.skipped = append(e.skipped, fmt.Sprintf("%.60q in the record of %s: %s", term, domain, why))
	}
}

// ask counts a term that asks the DNS.
func (e *expander) ask() error {
	if e.terms++; e.terms > maxTerms {
		return bad("its terms ask the DNS more than %d times", maxTerms)
	}
	return nil
}

// nothing counts a term that found nothing in the DNS.
func (e *expander) nothing() error {
	if e.void++; e.void > maxVoid {
		return bad("more than %d of its terms find nothing in the DNS", maxVoid)
	}
	return nil
}

// domain takes in a domain's record.
func (e *expander) domain(ctx context.Context, domain string) error {
	if slices.Contains(e.path, domain) {
		return bad("%s includes itself by way of %s", domain, e.path[len(e.path)-1])
	}
	if e.seen[domain] {
		return nil // what it allows was taken in already
	}
	if len(e.path) == maxDepth {
		return bad("records are nested more than %d deep", maxDepth)
	}
	if err := e.ask(); err != nil {
		return err
	}
	e.seen[domain] = true
	e.path = append(e.path, domain)
	defer func() { e.path = e.path[:len(e.path)-1] }()
	texts, err := e.r.TXT(ctx, domain)
	if err != nil {
		return err
	}
	record, err := spfOf(domain, texts)
	if err != nil {
		return err
	}
	return e.record(ctx, domain, record)
}

// spfOf picks the one SPF record among a domain's texts (RFC 7208 section 4.5).
func spfOf(domain string, texts []string) (string, error) {
	var records []string
	for _, t := range texts {
		if v, rest, _ := strings.Cut(t, " "); strings.EqualFold(v, "v=spf1") {
			records = append(records, rest)
		}
	}
	switch {
	case len(records) == 0:
		return "", bad("%s has none", domain)
	case len(records) > 1:
		return "", bad("%s has %d of them, where one is allowed", domain, len(records))
	case len(records[0]) > maxRecord:
		return "", bad("the one of %s has more than %d bytes", domain, maxRecord)
	}
	return records[0], nil
}

// record takes in the terms of a record in their order. Nothing after "all" counts (RFC 7208 section 5.1).
func (e *expander) record(ctx context.Context, domain, record string) error {
	redirect := ""
	for _, text := range strings.Fields(record) {
		if name, value, ok := modifier(text); ok {
			if strings.EqualFold(name, "redirect") {
				if redirect != "" {
					return bad("%s redirects twice", domain)
				}
				redirect = value
			}
			continue // exp and unknown modifiers say nothing about networks
		}
		t, err := parseTerm(domain, text)
		if err != nil {
			return err
		}
		if t.mechanism == "all" {
			if t.qualifier == '+' {
				return bad("%s lets everybody send (%.20q)", domain, text)
			}
			return nil
		}
		if err := e.term(ctx, domain, t); err != nil {
			return err
		}
	}
	if redirect == "" {
		return nil
	}
	target, ok := e.target(domain, "redirect="+redirect, redirect)
	if !ok {
		return nil
	}
	return e.domain(ctx, target)
}

// modifier splits "name=value" (RFC 7208 section 4.6.1): a name of letters, digits, "-", "_" and "." before the first "=".
func modifier(text string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(text, "=")
	return name, value, ok && name != "" && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// term is one mechanism of a record.
type term struct {
	text      string
	qualifier byte // '+' where none is written
	mechanism string
	value     string // after ":", without the lengths; "" for none
	bits4     int    // the lengths that a and mx give
	bits6     int
}

// parseTerm reads a mechanism (RFC 7208 section 4.6.1 and 5).
func parseTerm(domain, text string) (term, error) {
	t := term{text: text, qualifier: '+', bits4: 32, bits6: 128}
	rest := text
	if strings.IndexByte("+-~?", rest[0]) >= 0 {
		t.qualifier, rest = rest[0], rest[1:]
	}
	end := strings.IndexAny(rest, ":/")
	if end < 0 {
		end = len(rest)
	}
	t.mechanism, rest = strings.ToLower(rest[:end]), rest[end:]
	value := strings.TrimPrefix(rest, ":")
	needs := rest != "" && rest[0] == ':'
	switch t.mechanism {
	case "all":
		if rest != "" {
			return t, bad("%.60q in the record of %s: all takes nothing", text, domain)
		}
		return t, nil
	case "ip4", "ip6", "include", "exists":
		t.value = value
		if !needs || value == "" {
			return t, bad("%.60q in the record of %s lacks its value", text, domain)
		}
		return t, nil
	case "a", "mx":
		var ok bool
		if t.value, t.bits4, t.bits6, ok = lengths(value); !ok || needs && t.value == "" {
			return t, bad("%.60q in the record of %s is not in the form of the RFC", text, domain)
		}
		return t, nil
	case "ptr":
		return t, nil
	}
	return t, bad("%.60q in the record of %s is no mechanism", text, domain)
}

// lengths splits "domain/24//64", each part of which may be missing.
func lengths(s string) (domain string, bits4, bits6 int, ok bool) {
	bits4, bits6, ok = 32, 128, true
	if head, six, has := strings.Cut(s, "//"); has {
		s = head
		bits6, ok = length(six, 128)
	}
	domain, four, has := strings.Cut(s, "/")
	if has && ok {
		bits4, ok = length(four, 32)
	}
	return domain, bits4, bits6, ok
}

func length(s string, limit int) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && n <= limit && len(s) <= 3 && s[0] != '+' && s[0] != '-'
}

// target returns the domain that a term names. It reports false, and notes the term, where it depends on the message or
// is no domain.
func (e *expander) target(domain, text, value string) (string, bool) {
	if strings.Contains(value, "%") {
		e.skip(domain, text, "a macro, whose outcome depends on the message")
		return "", false
	}
	clean, ok := cleanDomain(value)
	if !ok {
		e.skip(domain, text, "it names no domain")
	}
	return clean, ok
}

// term takes in what a mechanism allows.
func (e *expander) term(ctx context.Context, domain string, t term) error {
	if t.qualifier != '+' {
		e.skip(domain, t.text, "it does not allow anything")
		return nil
	}
	switch t.mechanism {
	case "ip4", "ip6":
		return e.literal(domain, t)
	case "ptr", "exists":
		e.skip(domain, t.text, "its outcome depends on the message")
		return nil
	}
	name := domain
	if t.value != "" {
		var ok bool
		if name, ok = e.target(domain, t.text, t.value); !ok {
			return nil
		}
	}
	switch t.mechanism {
	case "include":
		return e.domain(ctx, name)
	case "mx":
		return e.mx(ctx, domain, name, t)
	}
	return e.host(ctx, domain, name, t)
}

// literal takes in an ip4 or ip6 term.
func (e *expander) literal(domain string, t term) error {
	n, err := netip.ParsePrefix(t.value)
	if err != nil {
		var a netip.Addr
		if a, err = netip.ParseAddr(t.value); err == nil && a.Zone() == "" {
			n = netip.PrefixFrom(a, a.BitLen())
		}
	}
	if !n.IsValid() || n.Addr().Is4() != (t.mechanism == "ip4") {
		return bad("%.60q in the record of %s is no network", t.text, domain)
	}
	return e.add(domain, t, n)
}

// add takes in a network that is not too wide.
func (e *expander) add(domain string, t term, n netip.Prefix) error {
	if n.Addr().Is4In6() {
		e.skip(domain, t.text, "an IPv4 address in IPv6 form")
		return nil
	}
	if n.Bits() < widest(n.Addr()) {
		return bad("%.60q in the record of %s is wider than /%d: no provider's network is", t.text, domain, widest(n.Addr()))
	}
	if len(e.networks) == maxNetworks {
		return bad("it has more than %d networks", maxNetworks)
	}
	e.networks = append(e.networks, n.Masked())
	return nil
}

// host takes in the addresses of a host, widened as the term says.
func (e *expander) host(ctx context.Context, domain, name string, t term) error {
	if err := e.ask(); err != nil {
		return err
	}
	addrs, err := e.r.Addresses(ctx, name)
	if err != nil {
		return err
	}
	if len(addrs) == 0 {
		return e.nothing()
	}
	for _, a := range addrs {
		bits := t.bits6
		if a.Is4() {
			bits = t.bits4
		}
		if err := e.add(domain, t, netip.PrefixFrom(a, bits)); err != nil {
			return err
		}
	}
	return nil
}

// mx takes in the addresses of the hosts that take a domain's mail.
func (e *expander) mx(ctx context.Context, domain, name string, t term) error {
	if err := e.ask(); err != nil {
		return err
	}
	hosts, err := e.r.MX(ctx, name)
	if err != nil {
		return err
	}
	if len(hosts) == 0 {
		return e.nothing()
	}
	if len(hosts) > maxHosts {
		return bad("%s has more than %d MX hosts (RFC 7208 section 4.6.4)", name, maxHosts)
	}
	for _, h := range hosts {
		if err := e.host(ctx, domain, h, t); err != nil {
			return err
		}
	}
	return nil
}
