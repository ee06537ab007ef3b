package tailer

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// epoch is what was written into one file between its creation and its end by deletion or truncation.
type epoch struct {
	id    int
	buf   []byte // written since the last line feed
	lines []*line
}

// line is one line that was written whole.
type line struct {
	text    string // as it has to be delivered
	epoch   *epoch
	nth     int
	got     int
	canLose bool // emptied or deleted before it was delivered
	tail    bool // without line feed at the end of a file: delivered when the file is given up
}

// world is the logger and logrotate, and what they know they wrote.
type world struct {
	t       *testing.T
	mu      sync.Mutex // guards what both sides know: epochs, lines and their counters
	rng     *rand.Rand
	path    string
	dated   bool // rotated files are dated instead of numbered
	file    *os.File
	cur     *epoch // what the logger writes into
	stale   bool   // the logger still writes into a file that was renamed
	fragile bool   // a deleted file was open in the follower: it must not be killed before it has read it
	pending []byte // the rest of a line that is half written
	epochs  []*epoch
	byText  map[string]*line
	due     int // lines that have to be delivered and weren't yet, and
	tails   int // those of them without line feed
	seq     int
	turns   int
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 2)), path: filepath.Join(t.TempDir(), "mail.log"),
		dated: seed%2 == 0, byText: map[string]*line{}}
	w.open()
	t.Cleanup(func() { _ = w.file.Close() })
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open() {
	f, err := os.OpenFile(w.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	w.must(err)
	w.file = f
	w.epoch()
	w.stale = false
}

// epoch begins a file's contents. What the last one holds without line feed can only come when the file is given up.
func (w *world) epoch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cur = &epoch{id: len(w.epochs)}
	w.epochs = append(w.epochs, w.cur)
}

// put writes bytes and notes the lines that they complete.
func (w *world) put(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.file.Write(b)
	w.must(err)
	w.cur.buf = append(w.cur.buf, b...)
	for {
		i := bytes.IndexByte(w.cur.buf, '\n')
		if i < 0 {
			return
		}
		w.note(&line{text: string(w.cur.buf[:min(i, MaxLine)])})
		w.cur.buf = w.cur.buf[i+1:]
	}
}

func (w *world) note(l *line) {
	l.epoch, l.nth = w.cur, len(w.cur.lines)
	w.cur.lines = append(w.cur.lines, l)
	w.byText[l.text] = l
	w.owe(l, 1)
}

// owe counts a line among those that are due.
func (w *world) owe(l *line, n int) {
	switch {
	case l.canLose:
	case l.tail:
		w.tails += n
	default:
		w.due += n
	}
}

// endEpoch notes what stands without line feed at the end of the current file.
func (w *world) endEpoch(canLose bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.cur.buf) > 0 {
		text := string(w.cur.buf[:min(len(w.cur.buf), MaxLine)])
		w.note(&line{text: text, tail: true, canLose: canLose})
	}
}

// text makes a line that is unique in both its halves.
func (w *world) text() []byte {
	w.seq++
	n := 20 + w.rng.IntN(100)
	switch w.rng.IntN(5000) {
	case 0:
		n = MaxLine + w.rng.IntN(3*bufSize)
	case 1:
		n = MaxLine - 60 + w.rng.IntN(120)
	}
	return fmt.Appendf(nil, "%08d 2026-01-05T00:00:00 mx postfix/smtpd[1]: %s %08d\n", w.seq,
		bytes.Repeat([]byte{'x'}, n), w.seq)
}

func (w *world) write() {
	w.complete()
	if w.rng.IntN(4) == 0 {
		var all []byte
		for range w.rng.IntN(2000) {
			all = append(all, w.text()...)
		}
		w.put(all)
		return
	}
	for range w.rng.IntN(20) {
		w.put(w.text())
	}
}

func (w *world) partial() {
	w.complete()
	b := w.text()
	i := 12 + w.rng.IntN(len(b)-24)
	w.put(b[:i])
	w.pending = b[i:]
}

func (w *world) complete() {
	if w.pending != nil {
		w.put(w.pending)
		w.pending = nil
	}
}

// turn renames the file at the path as logrotate does and returns its new name.
func (w *world) turn() string {
	w.turns++
	if w.dated {
		return fmt.Sprintf("%s-20260105-%d", w.path, 1767600000+w.turns)
	}
	for i := w.turns - 1; i > 0; i-- {
		err := os.Rename(fmt.Sprintf("%s.%d", w.path, i), fmt.Sprintf("%s.%d", w.path, i+1))
		if err != nil && !os.IsNotExist(err) {
			w.must(err)
		}
	}
	return w.path + ".1"
}

func (w *world) rename() {
	if err := os.Rename(w.path, w.turn()); err != nil && !os.IsNotExist(err) {
		w.must(err)
	}
}

func (w *world) renameCreate() {
	if w.rng.IntN(2) == 0 {
		w.complete()
	}
	w.pending = nil // the logger died
	w.endEpoch(false)
	w.rename()
	w.must(w.file.Close())
	w.open()
}

// renameKeep rotates; the logger keeps writing into the old file until hup.
func (w *world) renameKeep() {
	w.rename()
	w.stale = true
	if w.rng.IntN(2) == 0 {
		f, err := os.OpenFile(w.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		w.must(err)
		w.must(f.Close())
	}
}

func (w *world) hup() {
	if !w.stale {
		return
	}
	w.complete()
	w.must(w.file.Close())
	w.open()
}

func (w *world) copyTruncate() {
	if w.stale {
		w.hup()
	}
	w.excuse()
	w.endEpoch(true)
	in, err := os.Open(w.path)
	w.must(err)
	out, err := os.Create(w.turn())
	w.must(err)
	_, err = io.Copy(out, in)
	w.must(err)
	w.must(out.Close())
	w.must(in.Close())
	w.must(os.Truncate(w.path, 0))
	w.epoch() // a half written line goes on in the emptied file
}

// excuse allows the lines of the current file that haven't been delivered to be lost.
func (w *world) excuse() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.cur.lines {
		if l.got == 0 {
			w.owe(l, -1)
			l.canLose = true
		}
	}
}

// deleteRecreate deletes the file. A follower that has it open still reads it to its end.
func (w *world) deleteRecreate(isOpen func(*epoch) bool) {
	if w.stale {
		w.hup()
	}
	if isOpen(w.cur) {
		w.fragile = true
	} else {
		w.excuse()
	}
	w.pending = nil
	w.endEpoch(true)
	w.must(os.Remove(w.path))
	w.must(w.file.Close())
	w.open()
}

// missing lists the lines that have to be delivered and weren't.
func (w *world) missing(tails bool) []string {
	var m []string
	for _, e := range w.epochs {
		for _, l := range e.lines {
			if l.got == 0 && !l.canLose && (tails || !l.tail) {
				m = append(m, l.text)
			}
		}
	}
	return m
}
