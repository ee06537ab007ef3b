package loggen

import (
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// sourceOf reads the source from text that begins with a client, name[address].
func sourceOf(t testing.TB, text string) string {
	t.Helper()
	_, rest, _ := strings.Cut(text, "[")
	addr, _, ok := strings.Cut(rest, "]")
	a, err := netip.ParseAddr(addr)
	if !ok || err != nil {
		t.Fatalf("no client in %q: %v", text, err)
	}
	bits := 64
	if a.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(a, bits).Masked().String()
}

// seen is what an oracle gathers about one source.
type seen struct {
	unknown, delivered, auth []deed
	connects                 []time.Time
	succeeded                bool
}

type deed struct {
	at   time.Time
	what string
}

// distinct counts different deeds among those in the window that ends with the i-th.
func distinct(d []deed, at time.Time, window time.Duration) int {
	set := map[string]bool{}
	for i := len(d) - 1; i >= 0; i-- {
		if !d[i].at.After(at) && d[i].at.After(at.Add(-window)) {
			set[d[i].what] = true
		}
	}
	return len(set)
}

// offends says whether the default rules, taken literally and slowly, would hit the source. It looks at the first
// sixty refusals only: what isn't plain by then isn't plain.
func (s *seen) offends() bool {
	for i := range s.unknown[:min(len(s.unknown), 60)] {
		at := s.unknown[i].at
		good := 2 * distinct(s.delivered, at, 24*time.Hour)
		if distinct(s.unknown[:i+1], at, time.Hour) >= 10+good || distinct(s.unknown[:i+1], at, 24*time.Hour) >= 15+good {
			return true
		}
	}
	for i := range s.auth[:min(len(s.auth), 60)] {
		if !s.succeeded && distinct(s.auth[:i+1], s.auth[i].at, 10*time.Minute) >= 10 {
			return true
		}
	}
	for i := range s.connects {
		if i >= 99 && s.connects[i].Sub(s.connects[i-99]) < time.Minute && distinct(s.delivered, s.connects[i], 10*time.Minute) == 0 {
			return true
		}
	}
	return false
}

var clientPlaces = []string{"]: connect from ", ": reject: RCPT from ", ": client=", "]: warning: "}

// observe reads a log by plain string search.
func observe(t *testing.T, log string) map[string]*seen {
	all := map[string]*seen{}
	queue := map[string]*seen{}
	for line := range strings.Lines(log) {
		at, err := time.Parse(time.RFC3339Nano, line[:32])
		if err != nil {
			t.Fatal(err)
		}
		_, message, _ := strings.Cut(line, "]: ")
		if s := queue[strings.SplitN(message, ":", 2)[0]]; s != nil && strings.Contains(message, " status=sent ") {
			to, _, _ := strings.Cut(message, ">, relay=")
			s.delivered = append(s.delivered, deed{at, to[strings.Index(to, "to=<"):]})
			continue
		}
		for k, place := range clientPlaces {
			_, rest, ok := strings.Cut(line, place)
			if !ok {
				continue
			}
			key := sourceOf(t, rest)
			if all[key] == nil {
				all[key] = &seen{}
			}
			s := all[key]
			switch k {
			case 0:
				s.connects = append(s.connects, at)
			case 1:
				if _, to, ok := strings.Cut(rest, "]: 550 5.1.1 <"); ok && !strings.Contains(rest, " from=<>") {
					s.unknown = append(s.unknown, deed{at, strings.SplitN(to, ">", 2)[0]})
				}
			case 2:
				queue[strings.SplitN(message, ":", 2)[0]] = s
				s.succeeded = s.succeeded || strings.Contains(rest, "sasl_username=")
			case 3:
				s.auth = append(s.auth, deed{at, rest[strings.Index(rest, "sasl_username="):] + at.Format("15:04")})
			}
			break
		}
	}
	return all
}

// The labels must hold: the default rules' arithmetic, done by brute force over the text, hits every source that must be
// blocked and none that must not.
func TestLabelsHold(t *testing.T) {
	for _, mix := range []Mix{Classic(), Mixed()} {
		log, truth := generate(t, Config{Seed: 11, Lines: 150_000, Mix: mix})
		all := observe(t, string(log))
		n := map[Label]int{}
		for _, s := range truth.Sources {
			n[s.Label]++
			hit := all[s.Prefix.String()].offends()
			if s.Label == MustBlock && !hit || s.Label == MustNotBlock && hit {
				t.Errorf("%s (%s) is labelled %s, and hit is %v: %+v", s.Prefix, s.Entity, s.Label, hit, s.Counts)
			}
		}
		if n[MustBlock] < 50 || n[MustNotBlock] < 100 {
			t.Errorf("too few sources to say anything: %v", n)
		}
	}
}

var changing = regexp.MustCompile(`\[\d+\]: ([0-9A-F]{10}|NOQUEUE): |\[\d+\]: `)

// of keeps the lines that carry one of the sources of a class as client, without process and queue ids, which the server gives.
func of(t *testing.T, log []byte, truth Truth, class string) string {
	mine := map[string]bool{}
	for _, s := range truth.Sources {
		if s.Class == class {
			mine[s.Prefix.String()] = true
		}
	}
	var b strings.Builder
	for line := range strings.Lines(string(log)) {
		for _, place := range clientPlaces {
			if _, rest, ok := strings.Cut(line, place); ok && mine[sourceOf(t, rest)] {
				b.WriteString(changing.ReplaceAllString(line, ""))
			}
		}
	}
	return b.String()
}

func TestOthersDoNotChangeAnEntity(t *testing.T) {
	cfg := Config{Seed: 21, Lines: 60_000}
	log, truth := generate(t, cfg)
	for _, class := range []string{"fast", "slow", "office", "provider", "guesser"} {
		alone := cfg
		alone.Only = []string{class}
		log2, truth2 := generate(t, alone)
		a, b := of(t, log, truth, class), of(t, log2, truth2, class)
		if a != b || a == "" {
			t.Errorf("%s behaves differently alone: %d and %d bytes of log", class, len(b), len(a))
		}
		for _, s := range truth2.Sources {
			if s.Class != class {
				t.Errorf("%s takes part in a log of %s only", s.Entity, class)
			}
		}
	}
	// more entities of every hostile class than before: the old ones do what they did
	more := cfg
	more.Lines = 0
	more.JunkPerDay, more.GoodPerDay = 20_000, 700
	_, truth1 := generate(t, more)
	more.JunkPerDay *= 2
	_, truth2 := generate(t, more)
	before, after := map[string]Source{}, map[string]Source{}
	for _, s := range truth1.Sources {
		before[s.Entity+s.Prefix.String()] = s
	}
	for _, s := range truth2.Sources {
		after[s.Entity+s.Prefix.String()] = s
	}
	if len(after) < len(before)*3/2 {
		t.Errorf("%d sources with twice the junk, %d before", len(after), len(before))
	}
	changed := 0
	for k, s := range before {
		if after[k] != s {
			changed++
		}
	}
	if changed > 8 { // the last one of each class may have been left out where it was too much
		t.Errorf("%d of %d sources changed because others came", changed, len(before))
	}
}

func TestAddressesAreDistinct(t *testing.T) {
	addrs := map[netip.Addr]bool{}
	add := func(a netip.Addr, within string) {
		if addrs[a] {
			t.Fatalf("%s twice", a)
		}
		addrs[a] = true
		if !netip.MustParsePrefix(within).Contains(a) {
			t.Fatalf("%s lies outside %s", a, within)
		}
	}
	for c := range classes {
		for i := range uint32(3_000) {
			add(hostV4(c, i), "240.0.0.0/4")
			add(hostV6(c, i, 1), "2001:db8::/32")
			if i < 100 {
				add(poolV4(c, i, 20), "240.0.0.0/4")
			}
			if c == rotator {
				add(poolV6(i, uint16(i), 1), "2001:db8::/32")
			}
		}
	}
}

func TestNamesOfNobodyAreNobodys(t *testing.T) {
	exist := map[string]bool{}
	for k := range uint64(mailboxes) {
		exist[string(appendValid(nil, k))] = true
	}
	if len(exist) != mailboxes {
		t.Errorf("%d mailboxes instead of %d", len(exist), mailboxes)
	}
	guesses := map[string]bool{}
	for k := range uint64(200_000) {
		g := string(appendGuess(nil, k))
		if guesses[g] {
			t.Fatalf("the dictionary has %s twice", g)
		}
		guesses[g] = true
		for _, name := range []string{g, string(appendDead(nil, k)), string(appendTypo(nil, k))} {
			if exist[name] {
				t.Fatalf("%s exists", name)
			}
		}
	}
}

func TestAgendaIsInOrder(t *testing.T) {
	var g agenda
	r := rand.New(rand.NewPCG(1, 2))
	var want []int64
	for i := range 2_000 {
		at := int64(r.IntN(500))
		g.push(at, uint8(i%3), int32(i))
		want = append(want, at)
	}
	slices.Sort(want)
	last := item{at: -1}
	for i := range want {
		if g.due(want[i] - 1) {
			t.Fatalf("something is due before %d", want[i])
		}
		it, ok := g.pop()
		if !ok || it.at != want[i] || it.at == last.at && it.idx < last.idx {
			t.Fatalf("item %d is %+v, want time %d, after %+v", i, it, want[i], last)
		}
		last = it
	}
	if _, ok := g.pop(); ok || g.due(1<<62) {
		t.Error("the agenda isn't empty")
	}
}

func TestDelays(t *testing.T) {
	for ms, want := range map[int64]string{0: "0", 4: "0.004", 10: "0.01", 34: "0.034", 100: "0.1", 340: "0.34", 1000: "1", 1249: "1.2", 12_600: "13"} {
		if got := string(appendDelay(nil, ms*millisecond)); got != want {
			t.Errorf("%d ms give %s, want %s", ms, got, want)
		}
	}
}
