package loggen

import "strconv"

const millisecond = int64(1_000_000)

// data takes a message into the queue, or has the filter refuse it. What follows is told by job.
func (p *postfix) data(s *session, d *smtpd, st *step) {
	idx := int32(len(p.deliveries))
	if n := len(p.free); n > 0 {
		idx, p.free = p.free[n-1], p.free[:n-1]
	} else {
		p.deliveries = append(p.deliveries, delivery{})
	}
	m := &p.deliveries[idx]
	*m = delivery{queueID: append(m.queueID[:0], d.queueID...), from: append(m.from[:0], s.get(d.from)...), text: m.text[:0],
		rcpts: m.rcpts[:0], accepted: d.accepted, queued: s.at, size: st.n, next: -1, agent: uint8(daemonLMTP)}
	for _, r := range d.rcpts {
		lo := int32(len(m.text))
		m.text = append(m.text, s.get(r)...)
		m.rcpts = append(m.rcpts, span{lo, int32(len(m.text))})
	}
	if s.service == svcSubmission {
		m.agent = uint8(daemonSMTP)
	}
	m.cleanup = p.pids.take(daemonCleanup, s.at)
	b := append(append(p.head(s.at, daemonCleanup, m.cleanup.pid), m.queueID...), ": message-id=<"...)
	b = strconv.AppendUint(b, p.rng.Uint64(), 36)
	b = append(strconv.AppendInt(append(b, '.'), s.at/1e9, 10), '@')
	p.end(append(append(b, domainOf(m.from, p.w.cfg.Host)...), '>'))
	if st.op == opSpam {
		b = append(append(p.head(s.at, daemonCleanup, m.cleanup.pid), m.queueID...), ": milter-reject: END-OF-MESSAGE from "...)
		b = append(append(b, d.client...), ": 5.7.1 Spam message rejected"...)
		p.end(d.whatsUp(s, b, s.get(d.rcpts[len(d.rcpts)-1])))
		p.release(idx, s.at)
	} else {
		p.w.agenda.push(s.at+queueTime(m.accepted, s.at), wakeJob, idx)
	}
	d.queueID, d.rcpts = d.queueID[:0], d.rcpts[:0]
}

// domainOf returns the part of an address behind its @, or other if it has none.
func domainOf(address []byte, other string) string {
	for i := range len(address) {
		if address[i] == '@' {
			return string(address[i+1:])
		}
	}
	return other
}

func (p *postfix) release(idx int32, at int64) {
	m := &p.deliveries[idx]
	p.pids.give(m.cleanup, at)
	if m.proc.pid != 0 {
		p.pids.give(m.proc, at)
	}
	p.free = append(p.free, idx)
}

// job tells the next line of a message's way: active in the queue, delivered to each recipient, removed.
func (p *postfix) job(at int64, idx int32) int64 {
	m := &p.deliveries[idx]
	switch {
	case m.next < 0:
		b := append(append(p.head(at, daemonQmgr, p.pids.qmgr), m.queueID...), ": from=<"...)
		b = strconv.AppendInt(append(append(b, m.from...), ">, size="...), int64(m.size), 10)
		b = strconv.AppendInt(append(b, ", nrcpt="...), int64(len(m.rcpts)), 10)
		p.end(append(b, " (queue active)"...))
		m.queued = at
		m.next = 0
	case int(m.next) < len(m.rcpts):
		if m.proc.pid == 0 {
			m.proc = p.pids.take(daemon(m.agent), at)
		}
		p.sent(at, m)
		m.next++
		if int(m.next) == len(m.rcpts) {
			return at + millisecond
		}
	default:
		b := append(p.head(at, daemonQmgr, p.pids.qmgr), m.queueID...)
		p.end(append(b, ": removed"...))
		p.release(idx, at)
		return -1
	}
	return at + deliveryTime(m.accepted, m.next)
}

func (p *postfix) sent(at int64, m *delivery) {
	to := m.text[m.rcpts[m.next].lo:m.rcpts[m.next].hi]
	b := append(append(p.head(at, daemon(m.agent), m.proc.pid), m.queueID...), ": to=<"...)
	b = append(append(b, to...), ">, relay="...)
	if m.agent == uint8(daemonLMTP) {
		b = append(append(b, p.w.cfg.Host...), ".kontor.example[private/dovecot-lmtp]"...)
	} else {
		b = append(append(b, "mx."...), domainOf(to, "example")...)
		b = append(b, "[240.0.0.25]:25"...)
	}
	b = appendDelay(append(b, ", delay="...), at-m.accepted)
	b = appendDelay(append(b, ", delays="...), m.queued-m.accepted)
	b = appendDelay(append(b, "/0.01/0.02/"...), at-m.queued)
	b = append(b, ", dsn=2.0.0, status=sent (250 2.0.0 "...)
	if m.agent == uint8(daemonLMTP) {
		b = append(append(append(b, '<'), to...), "> "...)
		b = strconv.AppendUint(b, p.rng.Uint64(), 36)
		p.end(append(b, " Saved)"...))
		return
	}
	b = strconv.AppendUint(append(b, "Ok: queued as "...), p.rng.Uint64()>>16, 36)
	p.end(append(b, ')'))
}

// appendDelay appends a time span as Postfix does: in seconds, with two digits that say something.
func appendDelay(b []byte, d int64) []byte {
	switch ms := d / millisecond; {
	case ms >= 10_000:
		return strconv.AppendInt(b, (ms+500)/1000, 10)
	case ms >= 1_000:
		b = strconv.AppendInt(b, ms/1000, 10)
		if tenth := ms % 1000 / 100; tenth > 0 {
			b = append(b, '.', byte('0'+tenth))
		}
		return b
	case ms <= 0:
		return append(b, '0')
	default:
		b = append(b, '0', '.', byte('0'+ms/100))
		if ms%100 > 0 {
			b = append(b, byte('0'+ms/10%10))
		}
		if ms < 100 && ms%10 > 0 {
			b = append(b, byte('0'+ms%10))
		}
		return b
	}
}

const hexDigits = "0123456789ABCDEF"

// appendQueueID makes up a short queue id: the microseconds in five hexadecimal digits, and the queue file's inode.
func (p *postfix) appendQueueID(b []byte, at int64) []byte {
	us := uint32(at / 1000 % 1_000_000)
	for shift := 16; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[us>>shift&15])
	}
	k := p.rng.IntN(len(p.inodes))
	inode := p.inodes[k]
	p.inodes[k] = 0x1a000 + p.rng.Uint32N(0xe0000)
	for shift := 16; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[inode>>shift&15])
	}
	return b
}
