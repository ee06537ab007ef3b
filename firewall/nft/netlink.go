//go:build linux

package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// reader reads back over a socket of its own. The library's dumps are right but slow: the kernel fills only as much
// as the largest buffer that was ever offered, 4 KiB with the library, and starts its walk over from the beginning
// for each. A buffer of 64 KiB makes it fill 32, and decoding in place saves the rest.
type reader struct {
	conn *netlink.Conn
	now  func() time.Time
}

// newReader opens the socket. The caller closes conn.
func newReader(netns int, now func() time.Time) (*reader, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netns, MessageBufferSize: 64 << 10})
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(lookupBuffer) // with less, fewer are asked for at a time
	return &reader{conn: conn, now: now}, nil
}

// errInterrupted means that somebody changed the set while it was being read.
var errInterrupted = errors.New("the set changed while it was read")

// element is an element of a set as the kernel lists it. The key is borrowed.
type element struct {
	key            []byte
	timeout        time.Duration // 0 for ever
	expires        time.Duration // what is left
	packets, bytes uint64
}

// attr encodes one netlink attribute.
func attr(b []byte, typ uint16, data string) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(data)+1))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(append(b, data...), 0)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// elements calls f with each element of the set and the time at which it was read. It returns errInterrupted, after
// reading to the end, when the set changed meanwhile; what f has seen is then not to be trusted.
func (r *reader) elements(set string, f func(e *element, at time.Time) error) error {
	data := []byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}
	data = attr(data, unix.NFTA_SET_ELEM_LIST_TABLE, TableName)
	data = attr(data, unix.NFTA_SET_ELEM_LIST_SET, set)
	req := netlink.Message{Header: netlink.Header{
		Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETSETELEM,
		Flags: netlink.Request | netlink.Dump,
	}, Data: data}
	if _, err := r.conn.Send(req); err != nil {
		return fmt.Errorf("ask for the elements of %s: %w", set, err)
	}
	var first error
	interrupted := false
	for m, err := range r.conn.ReceiveIter() {
		if err != nil {
			return fmt.Errorf("read the elements of %s: %w", set, err)
		}
		interrupted = interrupted || m.Header.Flags&netlink.DumpInterrupted != 0
		if first == nil && len(m.Data) >= 4 {
			at := r.now()
			first = list(m.Data[4:], func(e *element) error { return f(e, at) })
		}
	}
	if first != nil {
		return fmt.Errorf("read the elements of %s: %w", set, first)
	}
	if interrupted {
		return errInterrupted
	}
	return nil
}

// held is an element that is in a set.
type held struct {
	key            key
	until          time.Time // zero for ever
	packets, bytes uint64
}

// all calls f with each element of the kind's set, sorted by key, once the whole set has been read in one piece: it
// returns errInterrupted when the set changed meanwhile, or the kernel moved it to another table, which shows in
// elements that are listed twice while others are left out.
func (r *reader) all(k kind, f func(*held)) error {
	var hs []held
	err := r.elements(k.set, func(el *element, at time.Time) error {
		if len(el.key) != k.size() {
			return errShort
		}
		h := held{key: wide(el.key), packets: el.packets, bytes: el.bytes}
		if el.timeout > 0 {
			h.until = at.Add(el.expires)
		}
		hs = append(hs, h)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(hs, func(a, b held) int { return a.key.compare(&b.key) })
	for i := range hs {
		if i > 0 && hs[i].key == hs[i-1].key {
			return errInterrupted
		}
	}
	for i := range hs {
		f(&hs[i])
	}
	return nil
}

var errShort = errors.New("netlink attribute cut short")

// each calls f with each attribute in b, flags removed from its type.
func each(b []byte, f func(typ uint16, data []byte) error) error {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return errShort
		}
		typ := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if err := f(typ, b[4:n]); err != nil {
			return err
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

// list calls f with each element in the attributes of an element list message.
func list(b []byte, f func(*element) error) error {
	var e element
	one := func(typ uint16, d []byte) error { return e.field(typ, d) }
	return each(b, func(typ uint16, d []byte) error {
		if typ != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			return nil
		}
		return each(d, func(_ uint16, d []byte) error {
			e = element{}
			if err := each(d, one); err != nil {
				return err
			}
			return f(&e)
		})
	})
}

// field notes one attribute of an element. Unknown ones are none of our business.
func (e *element) field(typ uint16, d []byte) error {
	switch typ {
	case unix.NFTA_SET_ELEM_KEY:
		return each(d, func(typ uint16, d []byte) error {
			if typ == unix.NFTA_DATA_VALUE {
				e.key = d
			}
			return nil
		})
	case unix.NFTA_SET_ELEM_TIMEOUT, unix.NFTA_SET_ELEM_EXPIRATION:
		if len(d) != 8 {
			return errShort
		}
		v := time.Duration(min(binary.BigEndian.Uint64(d), uint64(maxRemaining/time.Millisecond))) * time.Millisecond
		if typ == unix.NFTA_SET_ELEM_TIMEOUT {
			e.timeout = v
		} else {
			e.expires = v
		}
	case unix.NFTA_SET_ELEM_EXPR:
		return each(d, e.counter)
	}
	return nil
}

// counter notes what a counter expression has counted.
func (e *element) counter(typ uint16, d []byte) error {
	if typ != unix.NFTA_EXPR_DATA {
		return nil
	}
	return each(d, func(typ uint16, d []byte) error {
		switch {
		case typ == unix.NFTA_COUNTER_BYTES && len(d) == 8:
			e.bytes = binary.BigEndian.Uint64(d)
		case typ == unix.NFTA_COUNTER_PACKETS && len(d) == 8:
			e.packets = binary.BigEndian.Uint64(d)
		}
		return nil
	})
}
