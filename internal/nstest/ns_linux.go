package nstest

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// NS is a network namespace. It is gone when the test has ended and nothing lives in it any more.
type NS struct {
	t    testing.TB
	file *os.File
}

// New makes a network namespace with its loopback interface up. It needs Inside.
func New(t testing.TB) *NS {
	t.Helper()
	Inside(t)
	type result struct {
		f   *os.File
		err error
	}
	c := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			c <- result{nil, fmt.Errorf("make a network namespace: %w", err)}
			return
		}
		f, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		c <- result{f, err}
	}()
	r := <-c
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { _ = r.f.Close() })
	n := &NS{t: t, file: r.f}
	n.up(1)
	return n
}

// FD returns the namespace's file descriptor, which holds until the test ends.
func (n *NS) FD() int { return int(n.file.Fd()) }

// Do runs f with its thread in the namespace: sockets that f makes and programs that it starts belong there.
// Goroutines that f starts don't.
func (n *NS) Do(f func()) {
	n.t.Helper()
	c := make(chan error)
	go func() {
		defer close(c)
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		if err := unix.Setns(n.FD(), unix.CLONE_NEWNET); err != nil {
			c <- fmt.Errorf("enter the network namespace: %w", err)
			return
		}
		f()
	}()
	if err := <-c; err != nil {
		n.t.Fatal(err)
	}
}

// Wire joins two namespaces by a pair of virtual Ethernet devices and gives each end its addresses. Every address is
// on the link, whatever its prefix: /24 for IPv4 and /64 for IPv6 unless the prefix says otherwise.
func Wire(a, b *NS, addrsA, addrsB []netip.Prefix) (ifA, ifB int) {
	a.t.Helper()
	conn := a.dial()
	defer func() { _ = conn.Close() }()
	ifA, ifB = a.free(), b.free()
	a.call(conn, unix.RTM_NEWLINK, netlink.Create|netlink.Excl, veth(ifA, ifB, b.FD()))
	for i, n := range []*NS{a, b} {
		index, addrs := []int{ifA, ifB}[i], [][]netip.Prefix{addrsA, addrsB}[i]
		n.up(index)
		for _, p := range addrs {
			n.addr(index, p)
		}
	}
	return ifA, ifB
}

// Route sends what is for a prefix to a neighbour.
func (n *NS) Route(to netip.Prefix, via netip.Addr) {
	n.t.Helper()
	conn := n.dial()
	defer func() { _ = conn.Close() }()
	b := make([]byte, 12)
	b[0], b[1] = family(via), byte(to.Bits())
	b[4], b[5], b[7] = unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RTN_UNICAST
	b = attribute(b, unix.RTA_DST, to.Addr().AsSlice())
	b = attribute(b, unix.RTA_GATEWAY, via.AsSlice())
	n.call(conn, unix.RTM_NEWROUTE, netlink.Create, b)
}

// Forwarding makes the namespace pass on packets that are for others.
func (n *NS) Forwarding() {
	n.t.Helper()
	n.Do(func() {
		for _, p := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
			if err := os.WriteFile(p, []byte("1"), 0); err != nil {
				n.t.Error(err)
			}
		}
	})
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
