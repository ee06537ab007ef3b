package rules

import (
	"fmt"
	"time"
)

// The block-rate breaker: more is the signature of a wrong rule, a misread log or a parser's bug.
const (
	maxPerMinute = 120
	maxActive    = 20000
)

// breaker counts blocks, in the offences' own time.
type breaker struct {
	recent [maxPerMinute]int64 // the seconds of the latest blocks, a ring
	next   int                 // the oldest of them
	ends   []int64             // when the active blocks end: a heap, the earliest first
}

// full says that no block may be added at that second, why, and for how long a source that met the breaker is left
// alone. ok is true while there is room.
func (b *breaker) full(now int64) (why string, wait time.Duration, ok bool) {
	for len(b.ends) > 0 && b.ends[0] <= now {
		b.drop()
	}
	if len(b.ends) >= maxActive {
		return fmt.Sprintf("%d blocks are active", len(b.ends)), MaxWindow, false
	}
	if t := b.recent[b.next]; t != 0 && t > now-60 {
		return fmt.Sprintf("%d blocks within a minute", maxPerMinute), time.Minute, false
	}
	return "", 0, true
}

func (b *breaker) add(from, until int64) {
	b.recent[b.next] = from
	b.next = (b.next + 1) % maxPerMinute
	b.ends = append(b.ends, until)
	for i := len(b.ends) - 1; i > 0; {
		parent := (i - 1) / 2
		if b.ends[parent] <= b.ends[i] {
			break
		}
		b.ends[parent], b.ends[i] = b.ends[i], b.ends[parent]
		i = parent
	}
}

// drop removes the earliest end.
func (b *breaker) drop() {
	n := len(b.ends) - 1
	b.ends[0] = b.ends[n]
	b.ends = b.ends[:n]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < n; c++ {
			if b.ends[c] < b.ends[least] {
				least = c
			}
		}
		if least == i {
			return
		}
		b.ends[i], b.ends[least] = b.ends[least], b.ends[i]
		i = least
	}
}
