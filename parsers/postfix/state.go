package postfix

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

// ErrState is returned by Restore for a key or value that Changes didn't give out.
var ErrState = errors.New("not the state of a Postfix parser")

// The first byte of each stored key.
const (
	keyClock   = 'c'
	keySession = 's'
	keyMessage = 'm'
	keyPass    = 'p'
)

// What the last byte of a session says, and two bits of a message's state. Earlier versions remembered no user, and the
// first no names.
const (
	storedKnown = 1 << 0
	storedNames = 1 << 1 // the client's names follow
	storedUser  = 1 << 2 // the user follows
	msgUser     = 1 << 6 // the same two in a message's state, only in what is stored
	msgNames    = 1 << 7
)

// Changes calls yield for each thing remembered that changed since the last call; a nil value means forgotten. The
// slices hold until yield returns. Not to be called while Fold runs.
func (p *Parser) Changes(yield func(key, value []byte)) {
	if state, _ := p.clock.MarshalBinary(); string(state) != p.stored { //nolint:errcheck // it never fails
		p.stored = string(state)
		yield([]byte{keyClock}, state)
	}
	var k, v []byte
	p.sessions.Changes(
		func(key uint64) { k = sessionKey(k, key); yield(k, nil) },
		func(key uint64, seq uint64, s *session) {
			k, v = sessionKey(k, key), s.append(binary.BigEndian.AppendUint64(v[:0], seq))
			yield(k, v)
		})
	p.messages.Changes(
		func(key queueKey) { k = key.append(k); yield(k, nil) },
		func(key queueKey, seq uint64, m *message) {
			k, v = key.append(k), m.append(binary.BigEndian.AppendUint64(v[:0], seq))
			yield(k, v)
		})
	p.passes.Changes(
		func(key passKey) { k = key.append(k); yield(k, nil) },
		func(key passKey, seq uint64, a *pass) {
			k, v = key.append(k), a.append(binary.BigEndian.AppendUint64(v[:0], seq))
			yield(k, v)
		})
}

// Restore takes back what Changes gave out, in any order, before the first Fold. It returns ErrState for foreign bytes,
// and then has changed nothing.
func (p *Parser) Restore(key, value []byte) error {
	err := ErrState
	switch {
	case len(key) == 0:
	case key[0] == keyClock && len(key) == 1:
		if err = p.clock.UnmarshalBinary(value); err == nil {
			p.stored = string(value)
		}
	case key[0] == keySession && len(key) == 9:
		err = p.restoreSession(key[1:], value)
	case key[0] == keyMessage && len(key) == 1+maxQueueID+4:
		err = p.restoreMessage(key[1:], value)
	case key[0] == keyPass && len(key) == 23:
		err = p.restorePass(key[1:], value)
	}
	if err != nil {
		return fmt.Errorf("restore %d bytes under the key %q: %w", len(value), key, err)
	}
	return nil
}

func sessionKey(b []byte, key uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b[:0], keySession), key)
}

func (k *queueKey) append(b []byte) []byte {
	return binary.BigEndian.AppendUint32(append(append(b[:0], keyMessage), k.id[:]...), k.host)
}

func (k *passKey) append(b []byte) []byte {
	b = k.ip.Append(append(b[:0], keyPass))
	b = binary.BigEndian.AppendUint32(b, k.host)
	return binary.BigEndian.AppendUint16(b, k.port)
}

func (s *session) append(b []byte) []byte {
	b = s.ip.Append(binary.BigEndian.AppendUint64(b, s.id))
	b = binary.BigEndian.AppendUint64(b, uint64(s.began))
	b = binary.BigEndian.AppendUint32(b, s.told)
	flags := byte(0)
	if s.known {
		flags |= storedKnown
	}
	return s.caller.append(append(b, flags|s.stored(storedNames, storedUser)))
}

func (a *pass) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(a.at))
	b = binary.BigEndian.AppendUint64(b, uint64(a.began))
	b = binary.BigEndian.AppendUint64(b, a.id)
	return binary.BigEndian.AppendUint64(b, a.key)
}

func (m *message) append(b []byte) []byte {
	b = m.ip.Append(append(b, m.state|m.stored(msgNames, msgUser)))
	b = binary.BigEndian.AppendUint64(b, m.session)
	b = binary.BigEndian.AppendUint64(b, uint64(m.accepted))
	b = m.caller.append(memory.AppendText(b, m.sender))
	b = binary.BigEndian.AppendUint64(b, m.holdSeq)
	for i := range m.held {
		h := &m.held[i]
		b = binary.BigEndian.AppendUint64(b, uint64(h.at))
		b = binary.BigEndian.AppendUint32(b, uint32(h.pos.Input))
		b = binary.BigEndian.AppendUint64(b, uint64(h.pos.Line))
		b = binary.BigEndian.AppendUint64(b, uint64(h.pos.Offset))
		b = memory.AppendText(b, h.rcpt)
	}
	return b
}

// reader takes apart what append wrote.
type reader struct{ memory.Reader }

func newReader(b []byte) *reader { return &reader{*memory.NewReader(b)} }

func (r *reader) ip() ip { return ip{Hi: r.U64(), Lo: r.U64()} }

func (r *reader) done() error {
	if !r.Done() {
		return ErrState
	}
	return nil
}

func (p *Parser) restoreSession(key, value []byte) error {
	r := newReader(value)
	seq := r.U64()
	s := session{id: r.U64(), ip: r.ip(), began: int64(r.U64()), told: r.U32()}
	flags := r.U8()
	s.known = flags&storedKnown != 0
	s.caller = readCaller(&r.Reader, flags&storedNames != 0, flags&storedUser != 0)
	if err := r.done(); err != nil {
		return err
	}
	*p.sessions.Restore(binary.BigEndian.Uint64(key), seq) = s
	return nil
}

func (p *Parser) restorePass(key, value []byte) error {
	r := newReader(value)
	seq := r.U64()
	a := pass{at: int64(r.U64()), began: int64(r.U64()), id: r.U64(), key: r.U64()}
	if err := r.done(); err != nil {
		return err
	}
	r = newReader(key)
	*p.passes.Restore(passKey{ip: r.ip(), host: r.U32(), port: r.U16()}, seq) = a
	return nil
}

func (p *Parser) restoreMessage(key, value []byte) error {
	r := newReader(value)
	seq := r.U64()
	m := message{state: r.U8(), ip: r.ip(), session: r.U64(), accepted: int64(r.U64()), sender: r.Text()}
	m.caller = readCaller(&r.Reader, m.is(msgNames), m.is(msgUser))
	m.state &^= msgNames | msgUser
	m.holdSeq = r.U64()
	for r.Rest() > 0 && len(m.held) < maxHeld {
		h := held{at: int64(r.U64())}
		h.pos = harvestwatch.Pos{Input: int32(r.U32()), Line: int64(r.U64()), Offset: int64(r.U64())}
		h.rcpt = r.Text()
		m.held = append(m.held, h)
	}
	if err := r.done(); err != nil {
		return err
	}
	var k queueKey
	copy(k.id[:], key)
	k.host = binary.BigEndian.Uint32(key[maxQueueID:])
	p.forget(k)
	*p.messages.Restore(k, seq) = m
	if m.is(msgLive) {
		p.senders[m.slot()]++
	}
	if len(m.held) > 0 {
		i, _ := slices.BinarySearchFunc(p.holds.list, m.holdSeq, func(h hold, seq uint64) int { return cmp.Compare(h.seq, seq) })
		p.holds.list = slices.Insert(p.holds.list, i, hold{key: k, seq: m.holdSeq, until: m.held[0].at + holdTime})
		p.holdSeq = max(p.holdSeq, m.holdSeq)
	}
	return nil
}
