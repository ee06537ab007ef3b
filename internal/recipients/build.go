package recipients

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// Errors of entries, for errors.Is.
var (
	errNotAddress = errors.New("is not a mail address")
	errLongWild   = fmt.Errorf("has a wildcard with more than %d characters before the @: shorten it", maxElements)
	errHashWild   = errors.New("has a wildcard that begins with #, which makes the line a comment: begin it with ?")
	errFull       = errors.New("too large")
)

// builder collects entries in any order; list makes the list of them.
type builder struct {
	text    []byte
	ends    []uint32
	wild    map[string]bool
	leftOut int
}

// add takes an entry in canonical form.
func (b *builder) add(a address) error {
	if a.at > 0 && !a.wild {
		return addText(b, a.text)
	}
	text := string(a.text)
	if strings.Trim(text[:a.at], "*") == "" {
		text = text[a.at:] // *@domain and @domain say the same
	} else if text[0] == '#' {
		return errHashWild
	} else if _, ok := newWildcard(text[:a.at]); !ok {
		return errLongWild
	}
	if err := room(len(b.ends)+len(b.wild), len(b.text)); err != nil {
		return err
	}
	if b.wild == nil {
		b.wild = map[string]bool{}
	}
	b.wild[text] = true
	return nil
}

// addText takes an address in canonical form.
func addText[T string | []byte](b *builder, text T) error {
	if err := room(len(b.ends)+len(b.wild), len(b.text)+len(text)); err != nil {
		return err
	}
	b.text = append(b.text, text...)
	b.ends = append(b.ends, uint32(len(b.text)))
	return nil
}

// room reports whether there is room for one more entry, after which the text has so many bytes.
func room(entries, text int) error {
	if entries >= MaxEntries {
		return fmt.Errorf("%w: more than %d addresses", errFull, MaxEntries)
	}
	if text > maxText {
		return fmt.Errorf("%w: more than %d MiB of addresses", errFull, maxText>>20)
	}
	return nil
}

// entry returns the i-th address that was added.
func (b *builder) entry(i uint32) []byte {
	from := uint32(0)
	if i > 0 {
		from = b.ends[i-1]
	}
	return b.text[from:b.ends[i]]
}

// list makes the list: sorted, each entry once. The builder is used up.
func (b *builder) list() (*List, error) {
	l := &List{seed: maphash.MakeSeed(), domains: map[string]*domain{}, leftOut: b.leftOut}
	b.sort(l)
	b.text, b.ends = nil, nil
	last := ""
	for i := range l.ends {
		if d := cutDomain(l.entry(i)); d != last {
			l.domains[d], last = nil, d
		}
	}
	l.hash()
	return l, b.addWild(l)
}

// sort puts the addresses into the list, in order, each once.
func (b *builder) sort(l *List) {
	order := make([]uint32, len(b.ends))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int { return bytes.Compare(b.entry(x), b.entry(y)) })
	order = slices.CompactFunc(order, func(x, y uint32) bool { return bytes.Equal(b.entry(x), b.entry(y)) })
	size := 0
	for _, i := range order {
		size += len(b.entry(i))
	}
	var text strings.Builder
	text.Grow(size)
	l.ends = make([]uint32, 0, len(order))
	for _, i := range order {
		text.Write(b.entry(i))
		l.ends = append(l.ends, uint32(text.Len()))
	}
	l.text = text.String()
}

// hash fills the hash table, at most three quarters of it.
func (l *List) hash() {
	size := 1
	for size < len(l.ends)+len(l.ends)/3+1 {
		size *= 2
	}
	l.slots = make([]uint32, size)
	mask := uint64(size - 1)
	for n := range l.ends {
		i := maphash.String(l.seed, l.entry(n)) & mask
		for l.slots[i] != 0 {
			i = (i + 1) & mask
		}
		l.slots[i] = uint32(n + 1)
	}
}

// addWild puts wildcards and catch-alls into the list.
func (b *builder) addWild(l *List) error {
	narrow := 0
	for text := range b.wild {
		l.wild = append(l.wild, text)
		at := strings.LastIndexByte(text, '@')
		d := l.domains[text[at+1:]]
		if d == nil {
			d = &domain{}
			l.domains[text[at+1:]] = d
		}
		if at == 0 {
			d.all = true
			continue
		}
		w, _ := newWildcard(text[:at]) // add has checked it
		d.wild = append(d.wild, w)
		narrow++
	}
	if narrow > MaxWildcards {
		return fmt.Errorf("%w: %d wildcards, %d are allowed: join some of them, or name the whole domain as @domain", errFull, narrow, MaxWildcards)
	}
	slices.Sort(l.wild)
	return nil
}

// addList takes the entries of another list whose domain passes.
func (b *builder) addList(l *List, keep func(domain string) bool) error {
	if l == nil {
		return nil
	}
	for i := range l.ends {
		if text := l.entry(i); keep(cutDomain(text)) {
			if err := addText(b, text); err != nil {
				return err
			}
		}
	}
	for _, text := range l.wild {
		if keep(cutDomain(text)) {
			at := strings.LastIndexByte(text, '@')
			if err := b.add(address{text: []byte(text), at: at, wild: at > 0}); err != nil {
				return err
			}
		}
	}
	b.leftOut += l.leftOut
	return nil
}

// Merge makes one list of several, nil ones left out. An error says that the whole is beyond MaxEntries or
// MaxWildcards. The delimiters are the first list's.
func Merge(lists ...*List) (*List, error) {
	lists = slices.DeleteFunc(slices.Clone(lists), func(l *List) bool { return l == nil })
	if len(lists) == 1 {
		return lists[0], nil
	}
	var b builder
	for _, l := range lists {
		if err := b.addList(l, func(string) bool { return true }); err != nil {
			return nil, fmt.Errorf("joining the lists of recipients: %w", err)
		}
	}
	l, err := b.list()
	if err != nil {
		return nil, fmt.Errorf("joining the lists of recipients: %w", err)
	}
	if len(lists) > 0 {
		l.delims = lists[0].delims
	}
	return l, nil
}

// Only returns the part of the list that speaks for the domains given, of which one that begins with a dot stands for
// all domains below it; without any it returns the list itself. An error says which of them is no domain.
func (l *List) Only(domains ...string) (*List, error) {
	if len(domains) == 0 || l == nil {
		return l, nil
	}
	ours := map[string]bool{}
	for _, d := range domains {
		name, below := strings.CutPrefix(d, ".")
		a, ok := canonical(nil, []byte("@"+name), asEntry)
		if !ok || a.at != 0 {
			return nil, fmt.Errorf("%q is no domain: write it as in firm.example", d)
		}
		if below {
			a.text[0] = '.'
			ours[string(a.text)] = true
		} else {
			ours[string(a.text[1:])] = true
		}
	}
	var b builder
	if err := b.addList(l, func(d string) bool { return listed(ours, d) }); err != nil {
		return nil, err
	}
	kept, err := b.list()
	if err != nil {
		return nil, err
	}
	kept.delims = l.delims
	return kept, nil
}

// listed reports whether a domain is among those given, or below one that is there with a dot before it.
func listed(domains map[string]bool, d string) bool {
	if domains[d] {
		return true
	}
	for i := strings.IndexByte(d, '.'); i >= 0; {
		if domains[d[i:]] {
			return true
		}
		next := strings.IndexByte(d[i+1:], '.')
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}
