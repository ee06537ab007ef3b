package loggen

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"
)

// daemon is a program of Postfix that writes lines.
type daemon uint8

const (
	daemonSMTPD daemon = iota
	daemonSubmission
	daemonCleanup
	daemonLMTP
	daemonSMTP
	daemonQmgr
	daemonAnvil
	daemons
)

var daemonNames = [daemons]string{"smtpd", "submission/smtpd", "cleanup", "lmtp", "smtp", "qmgr", "anvil"}

// process is a process of a daemon. A zero pid stands for none.
type process struct {
	free int64 // when it became idle
	pid  int32
	used int32
	of   daemon
}

// pids has the processes that wait for work: the one that became idle last is taken first, as the kernel does it.
type pids struct {
	rng  *rand.Rand
	idle [daemons][]process
	last int32
	qmgr int32
}

// Postfix's defaults for max_use and max_idle.
const (
	maxUse  = 100
	maxIdle = 100 * int64(time.Second)
)

func (p *pids) take(d daemon, at int64) process {
	q := p.idle[d]
	if n := len(q); n > 0 {
		if top := q[n-1]; at-top.free < maxIdle {
			p.idle[d] = q[:n-1]
			return top
		}
		p.idle[d] = q[:0] // the others are idle for longer still
	}
	p.last += 1 + p.rng.Int32N(6)
	if p.last >= 4_190_000 {
		p.last = 1_000
	}
	return process{pid: p.last, of: d}
}

func (p *pids) give(x process, at int64) {
	x.used++
	x.free = at
	if x.pid != 0 && x.used < maxUse {
		p.idle[x.of] = append(p.idle[x.of], x)
	}
}

// stamper writes stamps. It works out date and zone once a second.
type stamper struct {
	loc    *time.Location
	text   []byte // everything before the fraction
	zone   []byte
	second int64
	form   Stamp
}

func (t *stamper) appendTo(b []byte, at int64) []byte {
	sec, ns := at/1e9, at%1e9 // all times lie after 1970
	if sec != t.second || t.text == nil {
		t.second = sec
		when := time.Unix(sec, 0).In(t.loc)
		if t.form == StampBSD {
			t.text = when.AppendFormat(t.text[:0], time.Stamp)
		} else {
			t.text = when.AppendFormat(t.text[:0], "2006-01-02T15:04:05")
			t.zone = when.AppendFormat(t.zone[:0], "-07:00")
		}
	}
	b = append(b, t.text...)
	if t.form == StampBSD {
		return b
	}
	us := uint32(ns / 1000)
	b = append(b, '.', byte('0'+us/100_000), byte('0'+us/10_000%10), byte('0'+us/1_000%10), byte('0'+us/100%10),
		byte('0'+us/10%10), byte('0'+us%10))
	return append(b, t.zone...)
}

// anvil counts connections as Postfix's daemon of that name does, and reports every ten minutes.
type anvil struct {
	minute map[netip.Addr]int32
	began  int64 // of the minute
	due    int64 // when the next report is
	most   int32
	who    netip.Addr
	when   int64
	svc    service
	cache  int
}

const reportEvery = 600 * int64(time.Second)

func (a *anvil) reset(at int64) {
	if a.minute == nil {
		a.minute = make(map[netip.Addr]int32)
	}
	a.most, a.cache, a.due = 0, 0, at+reportEvery
}

func (a *anvil) connect(at int64, svc service, addr netip.Addr) {
	if at-a.began > 60*int64(time.Second) {
		clear(a.minute)
		a.began = at
	}
	n := a.minute[addr] + 1
	a.minute[addr] = n
	a.cache = max(a.cache, len(a.minute))
	if n > a.most {
		a.most, a.who, a.when, a.svc = n, addr, at, svc
	}
}

var serviceNames = [services]string{"smtp", "submission"}

// idle writes anvil's reports that are due.
func (p *postfix) idle(at int64) {
	a := &p.anvil
	if at < a.due {
		return
	}
	if a.most > 0 {
		proc := p.pids.take(daemonAnvil, a.due)
		key := append(append(append([]byte(" for ("), serviceNames[a.svc]...), ':'), a.who.String()...)
		key = append(time.Unix(0, a.when).In(p.stamp.loc).AppendFormat(append(key, ") at "...), time.Stamp), '\n')
		key = key[:len(key)-1]
		b := append(p.head(a.due, daemonAnvil, proc.pid), "statistics: max connection rate "...)
		p.end(append(append(strconv.AppendInt(b, int64(a.most), 10), "/60s"...), key...))
		b = append(p.head(a.due, daemonAnvil, proc.pid), "statistics: max connection count "...)
		p.end(append(strconv.AppendInt(b, int64(1+a.most/40), 10), key...))
		b = append(p.head(a.due, daemonAnvil, proc.pid), "statistics: max cache size "...)
		b = append(strconv.AppendInt(b, int64(a.cache), 10), " at "...)
		p.end(time.Unix(0, a.when).In(p.stamp.loc).AppendFormat(b, time.Stamp))
		p.pids.give(proc, a.due)
	}
	a.reset(max(a.due, at-at%reportEvery))
}
