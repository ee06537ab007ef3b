//go:build linux

package nft

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// probe finds out, in a set that is gone afterwards, how elements can be changed. Kernels are asked, not their
// version: distributions carry features back.
func (e *Enforcer) probe() error {
	set := kind{set: probeName, bits: 32}.newSet(&nftables.Table{Name: TableName, Family: nftables.TableFamilyINet}, &Options{Size: 2})
	key := []byte{192, 0, 2, 1}
	if err := e.conn.AddSet(set, []nftables.SetElement{{Key: key, Timeout: time.Hour}}); err != nil {
		return fmt.Errorf("probe the kernel: %w", err)
	}
	if err := e.commit(); err != nil {
		return fmt.Errorf("probe the kernel: %w", err)
	}
	destroy, err := e.canDestroy(set)
	if err == nil {
		e.feat.Destroy = destroy
		e.feat.Update, err = e.canUpdate(set, key)
	}
	e.conn.DelSet(set)
	if err := errors.Join(err, e.commit()); err != nil {
		return fmt.Errorf("probe the kernel: %w", err)
	}
	return nil
}

// canDestroy reports whether deleting what is absent can be no error.
func (e *Enforcer) canDestroy(set *nftables.Set) (bool, error) {
	if err := e.conn.SetDestroyElements(set, []nftables.SetElement{{Key: []byte{192, 0, 2, 2}}}); err != nil {
		return false, err
	}
	err := e.commit()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

// canUpdate reports whether adding what is there moves its end, in both directions.
func (e *Enforcer) canUpdate(set *nftables.Set, key []byte) (bool, error) {
	for _, d := range []time.Duration{2 * time.Hour, time.Minute} {
		if err := e.conn.SetAddElements(set, []nftables.SetElement{{Key: key, Timeout: d}}); err != nil {
			return false, err
		}
		if err := e.commit(); err != nil {
			return false, err
		}
		moved := false
		err := e.read.elements(set.Name, func(el *element, _ time.Time) error {
			moved = (el.expires - d).Abs() < 10*time.Second
			return nil
		})
		if err != nil && !errors.Is(err, errInterrupted) || !moved {
			return false, kernelOnly(err)
		}
	}
	return true, nil
}
