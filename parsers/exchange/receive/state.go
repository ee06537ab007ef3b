package receive

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

// ErrState is returned by Restore for a key or value that Changes didn't give out.
var ErrState = errors.New("not the state of a parser of receive logs")

// keySession is the first byte of a session's stored key; csvlog's own key begins with another.
const keySession = 's'

// Changes calls yield for each thing remembered that changed since the last call; a nil value means forgotten. The
// slices hold until yield returns. Not to be called while Fold runs.
func (p *Parser) Changes(yield func(key, value []byte)) {
	p.log.Changes(yield)
	var k, v []byte
	p.sessions.Changes(
		func(key uint64) { k = sessionKey(k, key); yield(k, nil) },
		func(key uint64, seq uint64, s *session) {
			k, v = sessionKey(k, key), s.append(binary.BigEndian.AppendUint64(v[:0], seq))
			yield(k, v)
		})
}

// Restore takes back what Changes gave out, in any order, before the first Fold. It returns ErrState, or the package
// csvlog's, for foreign bytes, and then has changed nothing.
func (p *Parser) Restore(key, value []byte) error {
	if own, err := p.log.Restore(key, value); own {
		return err
	}
	if len(key) == 9 && key[0] == keySession {
		r := memory.NewReader(value)
		seq := r.U64()
		if s, ok := readSession(r); ok {
			if p.site.IsOwn(s.client.Addr()) { // since a while
				s.client, s.flags = address.IP{}, s.flags&^sessTold
			}
			*p.sessions.Restore(binary.BigEndian.Uint64(key[1:]), seq) = s
			return nil
		}
	}
	return fmt.Errorf("restore %d bytes under the key %q: %w", len(value), key, ErrState)
}

func sessionKey(b []byte, key uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b[:0], keySession), key)
}

func (s *session) append(b []byte) []byte {
	b = s.client.Append(b)
	for _, n := range [...]uint64{s.id, uint64(s.began), s.copy} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = append(b, s.flags)
	b = memory.AppendText(memory.AppendText(memory.AppendText(b, s.helo), s.sender), s.user)
	b = s.queue.append(b)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.rcpts.text)))
	return append(b, s.rcpts.text...)
}

func (q *queue) append(b []byte) []byte {
	b = append(binary.BigEndian.AppendUint32(b, q.more), byte(len(q.list)-q.head))
	for _, c := range q.list[q.head:] {
		b = binary.BigEndian.AppendUint16(b, uint16(c.verb))
		b = append(b, bit(c.null)|bit(c.has)<<1)
		b = binary.BigEndian.AppendUint16(b, c.n)
	}
	return append(b, q.texts[q.at:]...)
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func readSession(r *memory.Reader) (s session, ok bool) {
	s.client = address.IP{Hi: r.U64(), Lo: r.U64()}
	s.id, s.began, s.copy, s.flags = r.U64(), int64(r.U64()), r.U64(), r.U8()
	s.helo, s.sender, s.user = r.Text(), r.Text(), r.Text()
	if !s.queue.read(r) || !s.rcpts.read(r) {
		return s, false
	}
	return s, r.Done()
}

func (q *queue) read(r *memory.Reader) bool {
	q.more = r.U32()
	n, total := int(r.U8()), 0
	if n > maxPending {
		return false
	}
	for range n {
		c := command{verb: verbs(r.U16())}
		flags := r.U8()
		c.null, c.has, c.n = flags&1 != 0, flags&2 != 0, r.U16()
		if c.verb == 0 || c.verb&^anyVerb != 0 || c.verb&(c.verb-1) != 0 || flags > 3 || !c.has && c.n > 0 {
			return false
		}
		q.list = append(q.list, c)
		total += int(c.n)
	}
	if total > maxTexts || total > r.Rest() {
		return false
	}
	q.texts = append(q.texts, r.Take(total)...)
	return true
}

func (l *names) read(r *memory.Reader) bool {
	n := int(r.U16())
	if n > maxNames || n > r.Rest() {
		return false
	}
	l.text = append(l.text, r.Take(n)...)
	for rest := l.text; len(rest) > 0; l.n++ {
		if int(rest[0])+2 > len(rest) {
			return false
		}
		_, rest = cutName(rest)
	}
	return l.n <= maxRcpts
}
