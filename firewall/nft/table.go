//go:build linux

package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const ownFlags = nftables.TableFlagOwner | nftables.TableFlagPersist

// flags returns the table flags that are wanted here.
func (e *Enforcer) flags() nftables.TableFlags {
	if e.feat.Owned {
		return ownFlags
	}
	return 0
}

// table returns the table as it is, or nil when there is none.
func (e *Enforcer) table() (*nftables.Table, error) {
	t, err := e.conn.ListTableOfFamily(TableName, nftables.TableFamilyINet)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at the table inet %s: %w", TableName, err)
	}
	return t, nil
}

// take makes the table ours: it adopts the one that is there with its blocks, or makes one. What the kernel knows of
// owners is found out by trying.
func (e *Enforcer) take() error {
	e.feat.Owned = !e.opt.Unprotected
	err := e.ensure()
	if e.feat.Owned && unknownFlag(err) {
		e.feat.Owned = false
		err = e.ensure()
	}
	return err
}

// unknownFlag reports whether an error can mean that the kernel doesn't know the owner's flags.
func unknownFlag(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)
}

// ensure makes sure that the table is there, ours and as the layout says. What blocks it held it still holds after.
func (e *Enforcer) ensure() error {
	err := e.ensureOnce()
	for i := 0; i < 3 && errors.Is(err, unix.ENOENT); i++ {
		err = e.ensureOnce() // somebody took away what we were looking at
	}
	return err
}

func (e *Enforcer) ensureOnce() error {
	t, err := e.table()
	if err != nil {
		return err
	}
	if t == nil {
		return e.build(nil)
	}
	if t.Flags&nftables.TableFlagOwner != 0 && t.Owner != 0 && t.Owner != e.port {
		return ErrOwned
	}
	if t.Flags != e.flags() {
		return e.build(t)
	}
	if e.feat.Owned && t.Owner != e.port {
		e.adopt(t)
		if err := e.commit(); err != nil {
			return fmt.Errorf("take up the table inet %s: %w", TableName, err)
		}
	}
	whole, err := e.intact()
	if err != nil || whole {
		return err
	}
	return e.build(t)
}

// commit sends the transaction and keeps count of it.
func (e *Enforcer) commit() error {
	if err := e.conn.Flush(); err != nil {
		return ownedError(err)
	}
	return e.track(1)
}

// ownedError replaces the kernel's answer to a change of somebody's table by what it means. The capability was there
// when the enforcer was made.
func ownedError(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (%w)", ErrOwned, err)
	}
	return err
}

// adopt queues the taking up of a table whose owner has gone.
func (e *Enforcer) adopt(t *nftables.Table) {
	e.conn.AddTable(&nftables.Table{Name: t.Name, Family: t.Family, Flags: t.Flags})
}

// remove queues the removal of a table that is there.
func (e *Enforcer) remove(t *nftables.Table) {
	if t.Flags&nftables.TableFlagOwner != 0 && t.Owner != e.port {
		e.adopt(t)
	}
	e.conn.DelTable(t)
}

// maxReload is how many elements go into the transaction that makes the table anew; more follow in chunks.
const maxReload = 20_000

// build makes the table anew, in one transaction, with the elements of the old one if there is one.
func (e *Enforcer) build(old *nftables.Table) error {
	l := newLayout(&e.opt, e.flags())
	var keep [len(kinds)][]item
	begun := e.opt.Now()
	if old != nil {
		keep = e.salvage(begun)
		e.remove(old)
	}
	e.conn.AddTable(l.table)
	ports := make([]nftables.SetElement, len(e.opt.Ports))
	for i, p := range e.opt.Ports {
		ports[i].Key = binary.BigEndian.AppendUint16(nil, p)
	}
	if err := e.conn.AddSet(l.ports, ports); err != nil {
		return fmt.Errorf("make the set %s: %w", portsName, err)
	}
	for i, s := range l.sets {
		n := min(len(keep[i]), maxReload)
		if err := e.conn.AddSet(s, elements(kinds[i], keep[i][:n], e.opt.Now().Sub(begun))); err != nil {
			return fmt.Errorf("make the set %s: %w", s.Name, err)
		}
		keep[i] = keep[i][n:]
	}
	for i, c := range l.chains {
		e.conn.AddChain(c)
		for _, r := range l.rules[i] {
			e.conn.AddRule(r)
		}
	}
	if err := e.commit(); err != nil {
		return fmt.Errorf("make the table inet %s: %w", TableName, err)
	}
	for i := range keep {
		for chunk := range slices.Chunk(keep[i], chunkSize) {
			if err := e.send(kinds[i], opAdd, chunk, begun); err != nil {
				return fmt.Errorf("reload the set %s: %w", kinds[i].set, err)
			}
		}
	}
	return nil
}

// salvage reads what can be read of the old table's blocks. It leaves out elements without an end, which we never
// make, and what no longer fits; what gets lost here the next reconciliation adds again. What is left of each is
// reckoned from now.
func (e *Enforcer) salvage(now time.Time) (keep [len(kinds)][]item) {
	for i, k := range kinds {
		err := errInterrupted
		for try := 0; try < 3 && errors.Is(err, errInterrupted); try++ {
			err = e.read.all(k, func(h *held) {
				if !h.until.IsZero() && len(keep[i]) < int(e.opt.Size) {
					keep[i] = append(keep[i], item{h.key, max(h.until.Sub(now), firewall.MinRemaining)})
				}
			})
		}
	}
	return keep
}

// intact reports whether the table holds exactly what the layout says, blocks aside.
func (e *Enforcer) intact() (bool, error) {
	l := newLayout(&e.opt, e.flags())
	sets, err := e.conn.GetSets(l.table)
	if err != nil {
		return false, kernelOnly(err)
	}
	want := append([]*nftables.Set{l.ports}, l.sets[:]...)
	if len(sets) != len(want) {
		return false, nil
	}
	for _, w := range want {
		i := slices.IndexFunc(sets, func(s *nftables.Set) bool { return s.Name == w.Name })
		if i < 0 || !sameSet(sets[i], w) {
			return false, nil
		}
	}
	if ok, err := e.sameChains(l); !ok || err != nil {
		return false, err
	}
	return e.samePorts()
}

// kernelOnly lets pass what the kernel refused; that the library can't read what somebody put into our table only
// means that the table isn't as it should be.
func kernelOnly(err error) error {
	var op *netlink.OpError
	if errors.As(err, &op) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("look at the table inet %s: %w", TableName, err)
	}
	return nil
}

// sameChains compares chains and rules.
func (e *Enforcer) sameChains(l *layout) (bool, error) {
	all, err := e.conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, kernelOnly(err)
	}
	found := 0
	for _, c := range all {
		if c.Table == nil || c.Table.Name != TableName {
			continue
		}
		i := slices.IndexFunc(l.chains[:], func(w *nftables.Chain) bool { return w.Name == c.Name })
		if i < 0 || !sameChain(c, l.chains[i]) {
			return false, nil
		}
		rules, err := e.conn.GetRules(l.table, l.chains[i])
		if err != nil {
			return false, kernelOnly(err)
		}
		if !sameRules(rules, l.rules[i]) {
			return false, nil
		}
		found++
	}
	return found == len(l.chains), nil
}

// samePorts compares the ports.
func (e *Enforcer) samePorts() (bool, error) {
	var have []uint16
	err := e.read.elements(portsName, func(el *element, _ time.Time) error {
		if len(el.key) == 2 {
			have = append(have, binary.BigEndian.Uint16(el.key))
		}
		return nil
	})
	if err != nil && !errors.Is(err, errInterrupted) {
		return false, kernelOnly(err)
	}
	slices.Sort(have)
	return slices.Equal(have, e.opt.Ports), nil
}
