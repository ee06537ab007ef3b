package nstest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// dial opens a socket to the namespace's routing.
func (n *NS) dial() *netlink.Conn {
	n.t.Helper()
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: n.FD()})
	if err != nil {
		n.t.Fatalf("open a route socket: %v", err)
	}
	return conn
}

// call makes one request and waits for the kernel's agreement.
func (n *NS) call(conn *netlink.Conn, typ netlink.HeaderType, flags netlink.HeaderFlags, data []byte) {
	n.t.Helper()
	m := netlink.Message{Header: netlink.Header{Type: typ, Flags: netlink.Request | netlink.Acknowledge | flags}, Data: data}
	if _, err := conn.Execute(m); err != nil {
		n.t.Fatalf("route request %d: %v", typ, err)
	}
}

// attribute appends a netlink attribute.
func attribute(b []byte, typ uint16, data []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(data)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// link is a struct ifinfomsg.
func link(index int, flags uint32) []byte {
	b := make([]byte, 16)
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	binary.NativeEndian.PutUint32(b[8:], flags)
	binary.NativeEndian.PutUint32(b[12:], flags)
	return b
}

// veth is the request for a pair of devices, one here and one in the namespace of that descriptor.
func veth(index, peer, ns int) []byte {
	p := attribute(link(peer, 0), unix.IFLA_IFNAME, fmt.Appendf(nil, "wire%d\x00", peer))
	p = attribute(p, unix.IFLA_NET_NS_FD, binary.NativeEndian.AppendUint32(nil, uint32(ns)))
	info := attribute(nil, unix.IFLA_INFO_KIND, []byte("veth"))
	info = attribute(info, unix.IFLA_INFO_DATA, attribute(nil, 1, p)) // 1 is VETH_INFO_PEER
	b := attribute(link(index, 0), unix.IFLA_IFNAME, fmt.Appendf(nil, "wire%d\x00", index))
	return attribute(b, unix.IFLA_LINKINFO, info)
}

// free returns an interface index that isn't taken.
func (n *NS) free() int {
	n.t.Helper()
	conn := n.dial()
	defer func() { _ = conn.Close() }()
	for i := 2; ; i++ {
		m := netlink.Message{Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request}, Data: link(i, 0)}
		_, err := conn.Execute(m)
		if errors.Is(err, unix.ENODEV) {
			return i
		}
		if err != nil {
			n.t.Fatalf("look for a free interface index: %v", err)
		}
	}
}

// up sets an interface up.
func (n *NS) up(index int) {
	n.t.Helper()
	conn := n.dial()
	defer func() { _ = conn.Close() }()
	n.call(conn, unix.RTM_NEWLINK, 0, link(index, unix.IFF_UP))
}

// addr gives an interface an address, without the second's wait for duplicates that IPv6 asks for.
func (n *NS) addr(index int, p netip.Prefix) {
	n.t.Helper()
	conn := n.dial()
	defer func() { _ = conn.Close() }()
	b := make([]byte, 8)
	b[0], b[1] = family(p.Addr()), byte(p.Bits())
	if p.Addr().Is6() {
		b[2] = unix.IFA_F_NODAD
	}
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	b = attribute(b, unix.IFA_LOCAL, p.Addr().AsSlice())
	b = attribute(b, unix.IFA_ADDRESS, p.Addr().AsSlice())
	n.call(conn, unix.RTM_NEWADDR, netlink.Create|netlink.Excl, b)
}
