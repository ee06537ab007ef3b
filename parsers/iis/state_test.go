package iis

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// pieces cuts a log behind the lines for which cut says so.
func pieces(data []byte, cut func(line int) bool) (list []*harvestwatch.Lines) {
	start, first, line := 0, 1, 1
	for i, c := range data {
		if c != '\n' && i+1 < len(data) {
			continue
		}
		if line++; cut(line) || i+1 == len(data) {
			list = append(list, &harvestwatch.Lines{Data: data[start : i+1], Pos: harvestwatch.Pos{Input: 3, Line: int64(first), Offset: int64(start)}})
			start, first = i+1, line
		}
	}
	return list
}

func whole(data []byte) []*harvestwatch.Lines { return pieces(data, func(int) bool { return false }) }

// fold lexes all pieces at once, and folds them in order.
func fold(p *Parser, list []*harvestwatch.Lines) (got []string, counts harvestwatch.Counts) {
	var lexing sync.WaitGroup
	for _, l := range list {
		lexing.Go(func() { p.Lex(l) })
	}
	lexing.Wait()
	for _, l := range list {
		counts.Add(p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, full(ev)) },
			func(pos harvestwatch.Pos, line []byte) { got = append(got, fmt.Sprintf("%v %q", pos, line)) }))
	}
	return got, counts
}

func TestBatchingChangesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for name, log := range mixed() {
		data := []byte(log)
		want, counts := fold(formats[name](home()), whole(data))
		if counts.Unparsed != 0 || len(want) < 50 {
			t.Fatalf("%s: %d events, %+v", name, len(want), counts)
		}
		for _, every := range []int{1, 2, 7, 40} {
			list := pieces(data, func(int) bool { return rng.IntN(every) == 0 })
			got, sum := fold(formats[name](home()), list)
			if !slices.Equal(got, want) || sum != counts {
				t.Errorf("%s in %d pieces: %d events, want %d; %+v, want %+v", name, len(list), len(got), len(want), sum, counts)
			}
		}
	}
}

// The layout that Lex assumes must not matter, whatever it is.
func TestHintChangesNothing(t *testing.T) {
	data := []byte(mixed()["w3c"])
	want, counts := fold(NewW3C(home()), whole(data))
	for _, hint := range []layout{{}, usualLayout, shortLayout, {n: unreadable}, layoutOf([]byte("cs-method time sc-status c-ip"))} {
		p := NewW3C(home())
		list := pieces(data, func(line int) bool { return line%3 == 0 })
		var got []string
		var sum harvestwatch.Counts
		for _, l := range list {
			p.hint.Store(&hint)
			p.Lex(l)
			sum.Add(p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, full(ev)) }, nil))
		}
		if !slices.Equal(got, want) || sum != counts {
			t.Errorf("with %v: %d events, want %d; %+v, want %+v", hint, len(got), len(want), sum, counts)
		}
	}
}

// disk plays the daemon's store.
type disk map[string]string

func (d disk) take(p *Parser) {
	p.Changes(func(key, value []byte) {
		if value == nil {
			delete(d, string(key))
		} else {
			d[string(key)] = string(value)
		}
	})
}

func (d disk) give(t *testing.T, p *Parser) {
	t.Helper()
	for k, v := range d {
		if err := p.Restore([]byte(k), []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
}

// A log is cut at every line, and another parser goes on.
func TestRestoreGoesOn(t *testing.T) {
	for name, log := range mixed() {
		want, _ := fold(formats[name](home()), whole([]byte(log)))
		d := disk{}
		p := formats[name](home())
		var got []string
		for _, l := range pieces([]byte(log), func(int) bool { return true }) {
			p.Lex(l)
			p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, full(ev)) }, nil)
			said := p.Assumed()
			d.take(p)
			p.Changes(func(key, _ []byte) { t.Errorf("%q changed though nothing happened", key) })
			p = formats[name](home())
			d.give(t, p)
			p.Changes(func(key, _ []byte) { t.Errorf("%q changed by restoring", key) })
			if p.Assumed() != said {
				t.Errorf("%q is said instead of %q", p.Assumed(), said)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d events, want %d", name, len(got), len(want))
		}
	}
	p := NewNative(nil) // what was inferred and said survives too
	times(p, dates("13/7/09, 1:00:00", "7/13/09, 1:00:00"))
	read(p, "203.0.113.5, x, 13/7/09, 1:00:00"+nativeRow+"550, 0, RCPT, -, TO:<a@b.example>,\n", show)
	d, q := disk{}, NewNative(nil)
	d.take(p)
	d.give(t, q)
	if q.Assumed() != p.Assumed() || !strings.Contains(q.Assumed(), "day/month") || !strings.Contains(q.Assumed(), "local domains") {
		t.Errorf("%q, before %q", q.Assumed(), p.Assumed())
	}
}

func TestRestoreRefusesForeignBytes(t *testing.T) {
	for name, log := range mixed() {
		d := disk{}
		p := formats[name](home())
		fold(p, whole([]byte(log)))
		d.take(p)
		if len(d) < 3 {
			t.Errorf("%s: only %d things to restore", name, len(d))
		}
		q := formats[name](home())
		for k, v := range d {
			for cut := range len(v) {
				if err := q.Restore([]byte(k), []byte(v[:cut])); !errors.Is(err, ErrState) {
					t.Errorf("%s: %d of %d bytes of %q are taken: %v", name, cut, len(v), k, err)
				}
			}
			if q.Restore([]byte(k), []byte(v+"x")) == nil || q.Restore([]byte(k+"x"), []byte(v)) == nil || q.Restore(nil, []byte(v)) == nil {
				t.Errorf("%s: a byte too many is taken in %q", name, k)
			}
		}
		q.Changes(func(key, value []byte) {
			if len(value) > 0 && key[0] == keyClient {
				t.Errorf("refused bytes left %q behind", key)
			}
		})
		if q.stream != formats[name](home()).stream {
			t.Error("refused bytes changed the stream")
		}
		for other, open := range formats {
			if other != name && open(home()).Restore([]byte{keyStream}, []byte(d["s"])) == nil {
				t.Errorf("the state of %s is taken by %s", name, other)
			}
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var log bytes.Buffer
	log.WriteString(usualHeader(start))
	for i := range MaxClients + 10 {
		ip := fmt.Sprintf("240.%d.%d.%d", i>>16, i>>8&255, i&255)
		log.WriteString(command{start, ip, "x", "MAIL", "+FROM:<" + strings.Repeat("x", 400) + ">", "250"}.w3c())
	}
	p := NewW3C(home())
	fold(p, whole(log.Bytes()))
	if p.clients.Len() != MaxClients || p.Pushed() != 10 {
		t.Errorf("%d clients, %d pushed", p.clients.Len(), p.Pushed())
	}
	p.clients.Each(func(_ address.IP, c *client) bool {
		if len(c.sender) > harvestwatch.MaxField {
			t.Fatalf("a sender of %d bytes", len(c.sender))
		}
		return true
	})
}

// The texts of all events of a batch hold until the lines are given back.
func TestTextsHold(t *testing.T) {
	log := w3c("203.0.113.5 x MAIL +FROM:<first@b.example> 250", "203.0.113.5 x RCPT +TO:<a@home.example> 250",
		"203.0.113.5 x MAIL +FROM:<other@b.example> 250", "203.0.113.5 x RCPT +TO:<b@home.example> 250")
	l := &harvestwatch.Lines{Data: []byte(log)}
	p := NewW3C(home())
	p.Lex(l)
	var senders [][]byte
	p.Fold(l, func(ev *harvestwatch.Event) { senders = append(senders, ev.Sender) }, nil)
	if got := string(bytes.Join(senders, []byte(" "))); got != "first@b.example other@b.example" {
		t.Errorf("%q", got)
	}
}

// A reader uses the memory of its lines again: nothing remembered may lie in it.
func TestLinesAreReused(t *testing.T) {
	for name, log := range mixed() {
		data := []byte(log)
		want, _ := fold(formats[name](home()), whole(data))
		l := &harvestwatch.Lines{}
		p := formats[name](home())
		var got []string
		for _, piece := range pieces(data, func(line int) bool { return line%4 == 0 }) {
			l.Data, l.Pos = append(l.Data[:0], piece.Data...), piece.Pos
			p.Lex(l)
			p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, full(ev)) }, nil)
			for i := range l.Data {
				l.Data[i] = '!'
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d events, want %d, or others", name, len(got), len(want))
		}
	}
}

// A client that takes the place of a forgotten one has nothing of it.
func TestForgottenClientsLeaveNothing(t *testing.T) {
	p := NewW3C(home())
	p.clients = memory.NewTable[address.IP, client](1)
	expect(t, p, w3c(
		"203.0.113.5 x MAIL +FROM:<> 250",
		"203.0.113.5 x STARTTLS - 220",
		"203.0.113.6 y STARTTLS - 220",
		"203.0.113.6 y RCPT +TO:<a@home.example> 250",
		"203.0.113.5 x MAIL +FROM:<s@b.example> 250",
		"203.0.113.5 x EHLO +x 250",
	), "8 rcpt_ok 203.0.113.6 250 to=a@home.example helo=y", "10 connect 203.0.113.5 250 helo=x")
}

// What is configured after a restart holds, whatever was inferred before.
func TestConfiguredOrderOutlivesState(t *testing.T) {
	p := NewNative(nil)
	times(p, dates("7/1/09, 1:00:00"))
	d := disk{}
	d.take(p)
	q := NewNative(&site.Site{DateOrder: "dmy"})
	d.give(t, q)
	if got, _ := times(q, dates("2/7/09, 1:00:00")); len(got) != 1 || got[0] != "2009-07-02 01:00:00" {
		t.Errorf("%q", got)
	}
}
