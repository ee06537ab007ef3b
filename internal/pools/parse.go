package pools

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The bounds of a list.
const (
	maxFile      = 8 << 20 // bytes: more than Text writes of what the other bounds allow
	maxLine      = 512     // bytes
	maxProviders = 50
	maxNetworks  = 2000 // of one provider
	maxNotes     = 20   // comment lines of one provider; further ones are not kept
	maxNote      = 300  // bytes of a comment that is kept
)

// ErrList is wrapped by the errors of Parse.
var ErrList = errors.New("list of provider networks")

// parser is the state while a list is read.
type parser struct {
	file string
	line int
	list []Provider
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w: %w", p.file, p.line, ErrList, fmt.Errorf(format, args...))
}

// Parse reads a list. A line "provider NAME DOMAIN DATE" begins a provider, DOMAIN being whose SPF record to ask or "-"
// for none, DATE such as 2026-01-31; its networks follow, one a line. Empty lines and comments, which begin with "#", may
// stand anywhere. The errors name file and line.
func Parse(file string, data []byte) (*Pools, error) {
	p := &parser{file: file}
	if len(data) > maxFile {
		return nil, p.errorf("it has more than %d bytes: take out what is no provider's network", maxFile)
	}
	for line := range bytes.Lines(data) {
		p.line++
		if len(line) > maxLine {
			return nil, p.errorf("the line has more than %d bytes: write one network a line", maxLine)
		}
		if err := p.take(strings.TrimSpace(string(line))); err != nil {
			return nil, err
		}
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if len(p.list) == 0 {
		return nil, p.errorf("it has no provider: begin one with \"provider NAME DOMAIN DATE\"")
	}
	return build(p.list), nil
}

func (p *parser) take(line string) error {
	switch {
	case line == "":
		return nil
	case line[0] == '#':
		p.note(line)
		return nil
	case line == "provider" || strings.HasPrefix(line, "provider ") || strings.HasPrefix(line, "provider\t"):
		return p.provider(strings.Fields(line)[1:])
	}
	return p.network(line)
}

// note keeps a comment that stands within a provider's lines.
func (p *parser) note(line string) {
	if len(p.list) == 0 {
		return
	}
	pr := &p.list[len(p.list)-1]
	if len(pr.Notes) < maxNotes && len(line) <= maxNote {
		pr.Notes = append(pr.Notes, strings.TrimSpace(printable(line[1:])))
	}
}

func (p *parser) provider(words []string) error {
	if err := p.end(); err != nil {
		return err
	}
	if len(words) != 3 {
		return p.errorf("provider takes a name, an SPF domain or \"-\", and a date: such as \"provider example spf.example.com 2026-01-31\"")
	}
	pr := Provider{Name: words[0]}
	if !goodName(pr.Name) {
		return p.errorf("%q is no provider's name: use up to 40 lower case letters, digits and hyphens", pr.Name)
	}
	if slices.ContainsFunc(p.list, func(o Provider) bool { return o.Name == pr.Name }) {
		return p.errorf("provider %s stands here for the second time: put all its networks in one place", pr.Name)
	}
	if words[1] != "-" {
		domain, ok := cleanDomain(words[1])
		if !ok {
			return p.errorf("%q is no domain: name the one whose SPF record has the networks, or write \"-\"", words[1])
		}
		pr.Domain = domain
	}
	var err error
	if pr.Date, err = time.Parse(time.DateOnly, words[2]); err != nil {
		return p.errorf("%q is no date: write it such as 2026-01-31", words[2])
	}
	if len(p.list) == maxProviders {
		return p.errorf("more than %d providers: take some out", maxProviders)
	}
	p.list = append(p.list, pr)
	return nil
}

func (p *parser) network(line string) error {
	if len(p.list) == 0 {
		return p.errorf("%.60q stands before the first provider: begin with \"provider NAME DOMAIN DATE\"", line)
	}
	pr := &p.list[len(p.list)-1]
	n, err := netip.ParsePrefix(line)
	if err != nil {
		a, bad := netip.ParseAddr(line)
		if bad != nil || a.Zone() != "" {
			return p.errorf("%.60q is no network: write one a line, such as 192.0.2.0/24 or 2001:db8::/32", line)
		}
		n = netip.PrefixFrom(a, a.BitLen())
	}
	if n != n.Masked() {
		return p.errorf("%s has bits beyond its length: write %s", n, n.Masked())
	}
	if n.Addr().Is4In6() {
		return p.errorf("%s is an IPv4 network in IPv6 form: write it as IPv4", n)
	}
	if n.Bits() < widest(n.Addr()) {
		return p.errorf("%s is too wide to be one provider's: no network may be wider than /%d", n, widest(n.Addr()))
	}
	if len(pr.Networks) == maxNetworks {
		return p.errorf("provider %s has more than %d networks: write wider ones", pr.Name, maxNetworks)
	}
	pr.Networks = append(pr.Networks, n)
	return nil
}

// end closes the provider that was begun last.
func (p *parser) end() error {
	if len(p.list) == 0 {
		return nil
	}
	pr := &p.list[len(p.list)-1]
	if len(pr.Networks) == 0 {
		return p.errorf("provider %s has no network: add some, or take the provider out", pr.Name)
	}
	pr.Networks = Collapse(pr.Networks)
	return nil
}

// printable replaces what is no letter, sign or space.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

func goodName(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// cleanDomain returns a domain in lower case without its last dot, and whether it is one: at least two labels of letters,
// digits, hyphens and underscores.
func cleanDomain(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	labels := strings.Split(s, ".")
	if len(s) > 253 || len(labels) < 2 {
		return "", false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", false
		}
	}
	return s, true
}

// Text returns the list as Parse reads it.
func (p *Pools) Text() []byte {
	var b bytes.Buffer
	b.WriteString("# The networks that large mail providers send from. A line \"provider NAME DOMAIN DATE\" begins a provider: the\n" +
		"# domain whose SPF record has its networks, or - for none, and the day at which they were so.\n")
	for i := range p.providers {
		pr := &p.providers[i]
		fmt.Fprintf(&b, "\nprovider %s %s %s\n", pr.Name, dashed(pr.Domain), pr.Date.Format(time.DateOnly))
		for _, n := range pr.Notes {
			fmt.Fprintf(&b, "# %s\n", n)
		}
		for _, n := range pr.Networks {
			fmt.Fprintln(&b, n)
		}
	}
	return b.Bytes()
}

func dashed(domain string) string {
	if domain == "" {
		return "-"
	}
	return domain
}
