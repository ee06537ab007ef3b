package receive

import (
	"slices"

	"github.com/harvestwatch/harvestwatch/parsers/address"
)

// Bounds of what is remembered of a session: with all of them used up, some 10 KiB.
const (
	maxPending = 64      // commands that wait for their replies; of further ones only the number is known
	maxTexts   = 2 << 10 // bytes of their texts; above it commands are remembered without
	maxRcpts   = 256     // accepted recipients of a transaction; further ones are forgotten
	maxNames   = 6 << 10 // bytes of their names
)

// What is known of a session.
const (
	sessInner  uint8 = 1 << iota // another server of the site speaks: what it names as the client is believed
	sessBehind                   // a front end speaks for its clients, whose connections its own log tells
	sessTold                     // the connection was told, so its end is
	sessNull                     // the sender is the null reverse path
	sessSender                   // the transaction's sender is known
	sessAuth                     // user has authenticated
	sessFailed                   // a piece of the message was refused
	sessIdle                     // it was seen from its beginning, and nothing of a message since
)

// session is what is remembered of a session.
type session struct {
	client address.IP // whose doing it all is; none tells nothing
	id     uint64     // for Event.Session
	began  int64      // 0 where the log doesn't tell
	copy   uint64     // of the latest row
	flags  uint8
	helo   []byte
	sender []byte // of the transaction
	user   []byte // who tries to authenticate, or has
	queue  queue
	rcpts  names // accepted ones of the transaction
}

// clear forgets everything but keeps memory of a usual size.
func (s *session) clear() {
	*s = session{helo: s.helo[:0], sender: s.sender[:0], user: s.user[:0], queue: s.queue, rcpts: s.rcpts}
	s.queue.clear()
	s.rcpts.clear()
}

// endTransaction forgets the sender and the recipients.
func (s *session) endTransaction() {
	s.flags &^= sessNull | sessSender | sessFailed
	s.sender = s.sender[:0]
	s.rcpts.clear()
}

// command is a command that waits for its reply.
type command struct {
	verb verbs // one of them
	null bool  // a sender that is the null reverse path
	has  bool  // its text is remembered
	n    uint16
}

// queue holds the commands that wait for their replies, the first of them first.
type queue struct {
	list  []command
	head  int // index of the first
	texts []byte
	at    int    // where the text of the first begins
	more  uint32 // commands behind the list of which nothing else is known
}

func (q *queue) clear() {
	*q = queue{list: q.list[:0], texts: q.texts[:0]}
	if cap(q.texts) > maxTexts/4 {
		q.texts = nil
	}
}

// push puts a command at the end.
func (q *queue) push(verb verbs, text []byte, null bool) {
	if q.head == len(q.list) {
		q.list, q.texts, q.head, q.at = q.list[:0], q.texts[:0], 0, 0
	}
	if q.more > 0 || len(q.list)-q.head >= maxPending {
		q.more++
		return
	}
	if q.head >= maxPending || q.at > maxTexts {
		q.list = slices.Delete(q.list, 0, q.head)
		q.texts = slices.Delete(q.texts, 0, q.at)
		q.head, q.at = 0, 0
	}
	c := command{verb: verb, null: null, has: text != nil && len(q.texts)-q.at+len(text) <= maxTexts}
	if c.has {
		c.n = uint16(len(text))
		q.texts = append(q.texts, text...)
	}
	q.list = append(q.list, c)
}

// pop takes off the command that a reply answers, which is one of the verbs: the first, or, where that one can't be
// answered so, the first that can, with all before it, whose replies were missed. Where none can, nothing is taken off
// and the verb is 0: the log, or this memory of it, began behind the command. The text holds until the next push.
func (q *queue) pop(v verbs) (c command, text []byte) {
	at := q.at
	for i := q.head; i < len(q.list); i++ {
		c = q.list[i]
		if c.verb&v != 0 {
			text = q.texts[at : at+int(c.n) : at+int(c.n)]
			q.head, q.at = i+1, at+int(c.n)
			if !c.has {
				text = nil
			}
			return c, text
		}
		at += int(c.n)
	}
	if q.head == len(q.list) && q.more > 0 && v != 0 {
		q.more--
		return command{}, nil
	}
	return command{}, nil
}

// align takes off what stands before the first of the verbs, if there is one.
func (q *queue) align(v verbs) {
	at := q.at
	for i := q.head; i < len(q.list); i++ {
		if q.list[i].verb&v != 0 {
			q.head, q.at = i, at
			return
		}
		at += int(q.list[i].n)
	}
}

// names is a list of texts of up to 256 bytes each.
type names struct {
	n    int
	text []byte // each behind its length less one, in one byte
}

func (l *names) clear() {
	l.n, l.text = 0, l.text[:0]
	if cap(l.text) > maxNames/4 {
		l.text = nil
	}
}

// add appends a text; an empty one, or one above the bounds, is not taken.
func (l *names) add(text []byte) {
	if len(text) == 0 || l.n >= maxRcpts || len(l.text)+1+len(text) > maxNames {
		return
	}
	l.n++
	l.text = append(append(l.text, byte(len(text)-1)), text...)
}

// cutName takes the first text off what names.text holds.
func cutName(b []byte) (name, rest []byte) {
	n := int(b[0]) + 1
	return b[1 : 1+n : 1+n], b[1+n:]
}
