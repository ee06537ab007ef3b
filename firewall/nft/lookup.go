//go:build linux

package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Asking for elements by their keys: the receive buffer that is asked for, and what one answer takes of it at most.
const (
	lookupBuffer = 4 << 20
	answerSize   = 10 << 10
)

// lookup calls f with each of the elements that the set holds, by their place in es. It takes time in proportion, as
// a listing of the whole set doesn't, and tells the truth while the kernel moves the set to a larger table.
func (r *reader) lookup(k kind, es []item, f func(i int, e *element, at time.Time) error) error {
	most := 16
	if n, err := r.conn.ReadBuffer(); err == nil {
		most = min(max(n/answerSize, most), 250)
	}
	for from := 0; from < len(es); {
		n := min(most, len(es)-from)
		got, err := r.ask(k, es[from:from+n], func(i int, e *element, at time.Time) error { return f(from+i, e, at) })
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("look up elements of %s: %w", k.set, err)
		}
		from += got
		if err != nil {
			from++ // the one that isn't there ends the answer
		}
	}
	return nil
}

// ask makes one request and returns how many elements were answered before the error.
func (r *reader) ask(k kind, es []item, f func(i int, e *element, at time.Time) error) (int, error) {
	data := []byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}
	data = attr(data, unix.NFTA_SET_ELEM_LIST_TABLE, TableName)
	data = attr(data, unix.NFTA_SET_ELEM_LIST_SET, k.set)
	start := len(data)
	data = nest(data, 0, unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	for i := range es {
		n := k.size()
		data = nest(data, 4+4+n, unix.NFTA_LIST_ELEM)
		data = nest(data, 4+n, unix.NFTA_SET_ELEM_KEY)
		data = binary.NativeEndian.AppendUint16(data, uint16(4+n))
		data = binary.NativeEndian.AppendUint16(data, unix.NFTA_DATA_VALUE)
		data = append(data, es[i].key[:n]...)
	}
	binary.NativeEndian.PutUint16(data[start:], uint16(len(data)-start))
	req := netlink.Message{Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETSETELEM, Flags: netlink.Request}, Data: data}
	if _, err := r.conn.Send(req); err != nil {
		return 0, err
	}
	at := r.now()
	for got := 0; got < len(es); {
		for m, err := range r.conn.ReceiveIter() {
			if err != nil {
				return got, err
			}
			if len(m.Data) < 4 {
				return got, errShort
			}
			if err := list(m.Data[4:], func(e *element) error { return f(got, e, at) }); err != nil {
				return got, err
			}
			got++
		}
	}
	return len(es), nil
}

// nest begins a nested attribute with so many bytes in it.
func nest(b []byte, n int, typ uint16) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+n))
	return binary.NativeEndian.AppendUint16(b, typ|unix.NLA_F_NESTED)
}
