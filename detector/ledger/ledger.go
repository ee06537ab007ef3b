// Package ledger remembers what the site's own good mail teaches: which recipients really received mail, how much good
// mail an hour of the week brings, and how much good mail the active blocks hold up. Three guards rest on it: ex-users
// and the directory-outage breaker (Recipients), the good-mail breaker (Hours), the collateral budget (Budget). Like the
// detector, which owns one of each, it is a state machine: seconds of event time come in, nothing reads a clock, does
// I/O or starts a goroutine; the same calls give the same answers, however often the state was saved and restored.
// It neither hashes addresses nor decides anything: it keeps numbers and answers questions.
//
// Seconds are Unix seconds. Windows are half-open: the last 600 seconds at now are those after now-600 up to now.
package ledger

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
)

// Errors of Restore.
var (
	ErrDamaged = errors.New("the saved ledger is damaged: start without it, the logs bring back what they still hold")
	ErrVersion = errors.New("the saved ledger has a version that this program does not know: use the program that wrote it, or start without the ledger")
)

// Saved state, version 3 (the detector's own values have version 2; none of them is taken for one of these). All numbers
// are little-endian.
//
//	value     = version byte, kind byte, body, CRC-32 (IEEE) of all before it
//	recipient = flags byte, last u32, counted u32
//	outage    = now u32, turned away u64, since, until, last u32, over byte, denials, mails
//	denials   = number byte, (hash u64, second u32, source u64)…
//	mails     = number byte, (hash u64, second u32)…
//	hours     = first u32, now u32
//	page      = number u32, 24 counts u32
const (
	stateVersion  = 3
	kindRecipient = 'R'
	kindOutage    = 'O'
	kindHours     = 'H'
	kindDay       = 'D'
	kindFine      = 'F'

	frame = 6 // bytes of a value that are not its body
)

func begin(b []byte, kind byte) []byte { return append(b[:0], stateVersion, kind) }

func seal(b []byte) []byte { return put32(b, crc32.ChecksumIEEE(b)) }

func put32(b []byte, list ...uint32) []byte {
	for _, x := range list {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	return b
}

func put64(b []byte, x uint64) []byte { return binary.LittleEndian.AppendUint64(b, x) }

// open checks a value's frame and returns a reader of what is in it.
func open(value []byte, kind byte) (*reader, error) {
	if len(value) < frame {
		return nil, ErrDamaged
	}
	body, sum := value[:len(value)-4], binary.LittleEndian.Uint32(value[len(value)-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return nil, ErrDamaged
	}
	if body[0] != stateVersion {
		return nil, ErrVersion
	}
	if body[1] != kind {
		return nil, ErrDamaged
	}
	return &reader{b: body[2:]}, nil
}

// reader reads numbers until there are no more; then it returns zeros and remembers that.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.bad = true
		return make([]byte, n)
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u8() byte    { return r.take(1)[0] }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

// ok says whether everything was read, and nothing is left.
func (r *reader) ok() bool { return !r.bad && len(r.b) == 0 }

// before returns the second that lies a window before another, 0 at the least.
func before(sec, window uint32) uint32 {
	if sec < window {
		return 0
	}
	return sec - window
}

// add returns a sum that stops at the largest number.
func add(a, b uint32) uint32 {
	if a > math.MaxUint32-b {
		return math.MaxUint32
	}
	return a + b
}
