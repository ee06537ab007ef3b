package rules

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// locate finds where in a rule file a rule's key stands, from 1; when the key is not there, where the nearest thing
// above it stands: the table around it, the rule's header, the file.
func locate(data []byte, rule int, path string) (line, column int) {
	w := walk(data)
	key := fmt.Sprintf("rule.%d.%s", rule, path)
	for {
		if at, ok := w.places[key]; ok {
			return at[0], at[1]
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			return 1, 1
		}
		key = key[:i]
	}
}

// keyAt returns the key that a place of a rule file belongs to, without the indices of arrays: "rule.when.window"; ""
// where there is none. It says whether the place is that of the key's value.
func keyAt(data []byte, line, column int) (key string, value bool) {
	w, at := walk(data), [2]int{line, column}
	return plainPath(w.paths[at]), w.values[at]
}

// plainPath returns a path without the indices of arrays.
func plainPath(path string) string {
	var parts []string
	for _, part := range strings.Split(path, ".") {
		if part != "" && strings.Trim(part, "0123456789") != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ".")
}

// known are the keys of a rule file.
var known = strings.Fields(`rule rule.name rule.text rule.mode rule.events rule.only rule.key rule.distinct rule.bucket
	rule.when rule.when.window rule.when.at_least rule.when.at_least_v6 rule.when.seconds rule.when.open rule.when.sources rule.when.no_user
	rule.share rule.against rule.good_factor rule.good_window
	rule.unless_delivered_within rule.unless_mail_within rule.unless_success_within rule.unless_credited
	rule.after_success rule.after_success.within rule.after_success.at_least rule.after_success.users
	rule.shared rule.shared.within rule.shared.sources rule.shared.names
	rule.credit_factor rule.verified_factor rule.listed_factor rule.ladder rule.probation`)

func walk(data []byte) *walker {
	w := &walker{starts: []int{0}, places: map[string][2]int{}, paths: map[[2]int]string{}, values: map[[2]int]bool{}, counts: map[string]int{}}
	for i, c := range data {
		if c == '\n' {
			w.starts = append(w.starts, i+1)
		}
	}
	w.p.Reset(data)
	for w.p.NextExpression() {
		w.expression(w.p.Expression())
	}
	return w
}

// walker notes where each key of a document stands, under the path that check gives it: rule.0.when.1.window.
type walker struct {
	p         unstable.Parser
	prefix    string // of the table that the parser is in
	starts    []int  // where each line begins
	places    map[string][2]int
	paths     map[[2]int]string // the other way round, values included
	values    map[[2]int]bool   // the places of values
	strange   string            // the first key that no rule file has
	strangeAt [2]int
	counts    map[string]int // tables of each array so far
}

func (w *walker) expression(n *unstable.Node) {
	switch n.Kind {
	case unstable.Table, unstable.ArrayTable:
		w.table(n)
	case unstable.KeyValue:
		w.pair(w.prefix, n)
	}
}

// table enters a [table] or [[array of tables]], whose key may go through arrays: their last table is meant.
func (w *walker) table(n *unstable.Node) {
	path := ""
	it := n.Key()
	for it.Next() {
		part := it.Node()
		path = join(path, string(part.Data))
		w.key(path, part)
		if n.Kind == unstable.ArrayTable && it.IsLast() {
			w.counts[path]++
		}
		if c := w.counts[path]; c > 0 {
			path = fmt.Sprintf("%s.%d", path, c-1)
		}
		w.note(path, part)
	}
	w.prefix = path
}

// pair notes a key, and the keys and elements inside its value.
func (w *walker) pair(prefix string, n *unstable.Node) {
	it := n.Key()
	for it.Next() {
		prefix = join(prefix, string(it.Node().Data))
		w.key(prefix, it.Node())
		w.note(prefix, it.Node())
	}
	w.value(prefix, n.Value())
}

func (w *walker) value(path string, v *unstable.Node) {
	if v.Raw.Length > 0 {
		w.note(path, v)
		w.values[w.at(v)] = true
	}
	switch v.Kind {
	case unstable.Array:
		i := 0
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.Comment {
				continue
			}
			at := fmt.Sprintf("%s.%d", path, i)
			w.note(at, it.Node())
			w.value(at, it.Node())
			i++
		}
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			w.pair(path, it.Node())
		}
	}
}

// note remembers the first place of a path. A node that knows no place of its own leaves it to what is above.
func (w *walker) note(path string, n *unstable.Node) {
	if n.Raw.Length == 0 {
		return
	}
	at := w.at(n)
	if _, known := w.places[path]; !known {
		w.places[path] = at
	}
	w.paths[at] = path
}

// key looks whether a key is one that rule files have.
func (w *walker) key(path string, n *unstable.Node) {
	if w.strange == "" && !slices.Contains(known, plainPath(path)) {
		w.strange, w.strangeAt = plainPath(path), w.at(n)
		if w.strange == "" {
			w.strange = path
		}
	}
}

// at returns the line and column of a node.
func (w *walker) at(n *unstable.Node) [2]int {
	line := sort.SearchInts(w.starts, int(n.Raw.Offset)+1)
	return [2]int{line, int(n.Raw.Offset) - w.starts[line-1] + 1}
}

// maxPath is the length in bytes beyond which a path is not told further: no key of ours is so long.
const maxPath = 200

func join(prefix, key string) string {
	switch {
	case len(prefix) > maxPath:
		return prefix
	case prefix == "":
		return key
	}
	return prefix + "." + key
}
