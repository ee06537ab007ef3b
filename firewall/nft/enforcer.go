//go:build linux

package nft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/google/nftables"
	"github.com/harvestwatch/harvestwatch/firewall"
	"golang.org/x/sys/unix"
)

// Enforcer blocks on this machine with nftables. It is safe for concurrent use.
type Enforcer struct {
	opt  Options
	feat Features

	mu      sync.Mutex
	conn    *nftables.Conn // lasting: the table's owner is this socket
	read    *reader
	port    uint32 // the netlink port of conn, by which our own changes are known
	gen     uint32 // the ruleset's generation when last looked at
	foreign uint64 // how often it had moved without us
	closed  bool
}

var (
	_ firewall.Enforcer = (*Enforcer)(nil)
	_ firewall.Watcher  = (*Enforcer)(nil)
	_ firewall.Clearer  = (*Enforcer)(nil)
)

// New takes up the table with the blocks in it, or makes it, and finds out what the kernel can do. The errors that a
// person can do something about are ErrPermission, ErrOwned and ErrKernel. The caller closes the Enforcer.
func New(o Options) (*Enforcer, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	e := &Enforcer{opt: o}
	if err := e.dial(); err != nil {
		_ = e.Close()
		return nil, err
	}
	e.mu.Lock()
	err := e.take()
	if err == nil {
		err = e.probe()
	}
	e.mu.Unlock()
	if err != nil {
		_ = e.Close()
		return nil, fmt.Errorf("set up nftables: %w", err)
	}
	o.Log.Info("nftables ready", "hook", o.Hook.String(), "ports", o.Ports, "owned", e.feat.Owned, "update", e.feat.Update, "destroy", e.feat.Destroy)
	return e, nil
}

// dial opens both sockets and makes sure that the kernel listens to us.
func (e *Enforcer) dial() error {
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(e.opt.NetNS))
	if err != nil {
		return dialError(err)
	}
	e.conn = conn
	if e.port, err = conn.GetPortID(); err != nil {
		return fmt.Errorf("ask for the netlink port: %w", err)
	}
	if e.read, err = newReader(e.opt.NetNS, e.opt.Now); err != nil {
		return dialError(err)
	}
	if _, err := conn.ListTableOfFamily(TableName, nftables.TableFamilyINet); err != nil && !errors.Is(err, unix.ENOENT) {
		if errors.Is(err, unix.EPERM) {
			return ErrPermission
		}
		return fmt.Errorf("%w (%w)", ErrKernel, err)
	}
	e.gen, err = e.generation()
	return err
}

func dialError(err error) error {
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("%w (%w)", ErrKernel, err)
	}
	return fmt.Errorf("open a netlink socket: %w", err)
}

// Features says what the kernel was found to be capable of.
func (e *Enforcer) Features() Features {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.feat
}

// Name is part of firewall.Enforcer.
func (e *Enforcer) Name() string { return "nftables inet " + TableName }

// Caps is part of firewall.Enforcer. MaxEntries is the size of one set: so many fit whatever their prefix lengths.
func (e *Enforcer) Caps() firewall.Caps {
	return firewall.Caps{NativeTTL: true, Counters: e.opt.Counters, V4Lens: []int{24, 32}, V6Lens: []int{48, 64, 128}, MaxEntries: int(e.opt.Size)}
}

// enter locks the enforcer; the caller unlocks it when there is no error.
func (e *Enforcer) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return ErrClosed
	}
	return nil
}

// generation returns the ruleset's generation: it moves by one with each transaction of anybody in this network
// namespace, and stays when elements run out.
func (e *Enforcer) generation() (uint32, error) {
	g, err := e.conn.GetGen()
	if err != nil {
		return 0, fmt.Errorf("ask for the ruleset's generation: %w", err)
	}
	return g.ID, nil
}

// track looks at the generation after so many transactions of our own.
func (e *Enforcer) track(own int) error {
	g, err := e.generation()
	if err != nil {
		return err
	}
	if g-e.gen > uint32(own) {
		e.foreign++
	}
	e.gen = g
	return nil
}

func (e *Enforcer) token() firewall.Token {
	return firewall.Token(strconv.FormatUint(e.foreign, 10))
}

// Changed is part of firewall.Enforcer. It asks for the ruleset's generation, which costs some ten microseconds. A
// change of somebody else's table counts too.
func (e *Enforcer) Changed(ctx context.Context, t firewall.Token) (bool, error) {
	if err := e.enter(ctx); err != nil {
		return false, err
	}
	defer e.mu.Unlock()
	if err := e.track(0); err != nil {
		return false, err
	}
	return t != e.token(), nil
}

// maxReads bounds how often a listing is begun again because the ruleset changed meanwhile.
const maxReads = 10

// List is part of firewall.Enforcer. It checks that the table's chains, rules and sets are as New left them, and
// mends what isn't, keeping the elements. Until is the time of reading plus what the kernel says is left.
func (e *Enforcer) List(ctx context.Context) ([]firewall.Entry, firewall.Token, error) {
	if err := e.enter(ctx); err != nil {
		return nil, "", err
	}
	defer e.mu.Unlock()
	for range maxReads {
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
		if err := e.ensure(); err != nil {
			return nil, "", err
		}
		if err := e.track(0); err != nil {
			return nil, "", err
		}
		before := e.gen
		out, err := e.entries()
		if err == nil {
			err = e.track(0)
		}
		if err == nil && e.gen == before {
			return out, e.token(), nil
		}
		if err != nil && !errors.Is(err, errInterrupted) && !errors.Is(err, unix.ENOENT) {
			return nil, "", err
		}
	}
	return nil, "", ErrBusy
}

// entries returns the entries of all sets, sorted.
func (e *Enforcer) entries() ([]firewall.Entry, error) {
	var out []firewall.Entry
	for _, k := range kinds {
		err := e.read.all(k, func(h *held) {
			out = append(out, firewall.Entry{Prefix: k.prefix(h.key[:]), Until: h.until, Packets: h.packets, Bytes: h.bytes})
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b firewall.Entry) int { return a.Prefix.Compare(b.Prefix) })
	return out, nil
}

// Clear is part of firewall.Clearer: it removes the table. The enforcer stays of use; List makes the table anew.
func (e *Enforcer) Clear(ctx context.Context) error {
	if err := e.enter(ctx); err != nil {
		return err
	}
	defer e.mu.Unlock()
	t, err := e.table()
	if err != nil || t == nil {
		return err
	}
	e.remove(t)
	if err := e.conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove the table inet %s: %w", TableName, ownedError(err))
	}
	e.foreign++ // what any token stood for is gone
	return e.track(1)
}

// Close is part of firewall.Enforcer. The table stays, with its blocks, which the kernel ends in time.
func (e *Enforcer) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	var errs []error
	if e.conn != nil {
		errs = append(errs, e.conn.CloseLasting())
	}
	if e.read != nil {
		errs = append(errs, e.read.conn.Close())
	}
	return errors.Join(errs...)
}
