//go:build linux

package nft

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Times and sizes of a watch: how long until a socket that failed is opened anew, and the bytes of changes that may
// wait unread. What overruns them raises an alarm.
const (
	reopenAfter  = time.Second
	overrunAfter = 10 * time.Millisecond
	watchBuffer  = 1 << 20
)

// Watch is part of firewall.Watcher. It listens to the kernel's notices of changed rulesets and raises an alarm when
// somebody else touched our table, and when notices were lost. Our own changes are filtered out in the kernel, by
// the netlink port they came from.
func (e *Enforcer) Watch(ctx context.Context) <-chan struct{} {
	w := &watch{e: e, alarm: make(chan struct{}, 1)}
	conn, err := w.open()
	go w.run(ctx, conn, err)
	return w.alarm
}

// watch is one Watch at work. Everything but the channel belongs to its goroutine.
type watch struct {
	e       *Enforcer
	alarm   chan struct{}
	touched bool // the transaction whose notices are being read touched our table
}

// open opens the listening socket.
func (w *watch) open() (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: w.e.opt.NetNS})
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	_ = conn.SetReadBuffer(watchBuffer) // a smaller one overruns sooner, and an overrun is an alarm
	_ = ignorePort(conn, w.e.port)      // without it our own notices are read and passed over
	if err := conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("listen to changes of nftables: %w", err)
	}
	return conn, nil
}

// run reads notices, over one socket after another, until the context is done.
func (w *watch) run(ctx context.Context, conn *netlink.Conn, err error) {
	defer close(w.alarm)
	for {
		if err == nil {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			err = w.listen(conn)
			stop()
			_ = conn.Close()
		}
		if ctx.Err() != nil {
			return
		}
		wait := reopenAfter
		if errors.Is(err, unix.ENOBUFS) {
			w.raise() // what was lost may be ours
			wait = overrunAfter
		} else {
			w.e.opt.Log.Warn("the watch over nftables was interrupted", "error", err)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		conn, err = w.open()
		w.raise() // nobody knows what happened meanwhile
	}
}

// listen reads notices until the socket fails. One that was overrun has failed too: until its queue is empty the kernel
// drops further notices without another word (netlink_overrun in net/netlink/af_netlink.c), so only a new socket is sure
// to miss nothing.
func (w *watch) listen(conn *netlink.Conn) error {
	for {
		msgs, err := conn.Receive()
		if err != nil {
			return fmt.Errorf("read changes of nftables: %w", err)
		}
		for i := range msgs {
			w.notice(&msgs[i])
		}
	}
}

// raise puts an alarm into the channel, unless one is waiting there.
func (w *watch) raise() {
	select {
	case w.alarm <- struct{}{}:
	default:
	}
}

// notice looks at one notice.
func (w *watch) notice(m *netlink.Message) {
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || m.Header.PID == w.e.port || len(m.Data) < 4 {
		return
	}
	if m.Header.Type&0xff == unix.NFT_MSG_NEWGEN {
		if w.touched {
			pid, name := culprit(m.Data[4:])
			w.e.opt.Log.Warn("our nftables table was changed", "process", name, "pid", pid)
		}
		w.touched = false
		return
	}
	if m.Data[0] == unix.NFPROTO_INET && namesTable(m.Data[4:]) {
		w.touched = true
		w.raise()
	}
}

// namesTable reports whether the attributes of a notice name our table. The first attribute type names the table in
// tables, chains, rules, sets, element lists, objects and flowtables alike.
func namesTable(b []byte) bool {
	found := false
	_ = each(b, func(typ uint16, d []byte) error {
		if typ == unix.NFTA_TABLE_NAME {
			found = string(bytes.TrimRight(d, "\x00")) == TableName
			return errShort // enough
		}
		return nil
	})
	return found
}

// culprit returns who made the transaction that a generation's notice ends.
func culprit(b []byte) (pid uint32, name string) {
	_ = each(b, func(typ uint16, d []byte) error {
		switch {
		case typ == unix.NFTA_GEN_PROC_PID && len(d) == 4:
			pid = binary.BigEndian.Uint32(d)
		case typ == unix.NFTA_GEN_PROC_NAME:
			name = string(bytes.TrimRight(d[:min(len(d), 16)], "\x00"))
		}
		return nil
	})
	return pid, name
}

// ignorePort makes the kernel drop notices of what came from the port, before they take up room: the load of a
// hundred thousand blocks would overrun any buffer. All notices in one datagram are of one transaction, so looking at
// the first header, whose port lies at byte 12, is enough.
func ignorePort(conn *netlink.Conn, port uint32) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	// The filter reads in network order what stands there in the machine's.
	k := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, port))
	prog := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 12},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]})
	})
	return errors.Join(err, set)
}
