//go:build !linux

package nft

import (
	"context"

	"github.com/harvestwatch/harvestwatch/firewall"
)

// Enforcer is of no use on this system: New never returns one.
type Enforcer struct{}

var (
	_ firewall.Enforcer = (*Enforcer)(nil)
	_ firewall.Watcher  = (*Enforcer)(nil)
	_ firewall.Clearer  = (*Enforcer)(nil)
)

// New returns ErrLinux.
func New(Options) (*Enforcer, error) { return nil, ErrLinux }

// Features returns the zero value.
func (*Enforcer) Features() Features { return Features{} }

// Name is part of firewall.Enforcer.
func (*Enforcer) Name() string { return "nftables" }

// Caps is part of firewall.Enforcer.
func (*Enforcer) Caps() firewall.Caps { return firewall.Caps{} }

// List returns ErrLinux.
func (*Enforcer) List(context.Context) ([]firewall.Entry, firewall.Token, error) {
	return nil, "", ErrLinux
}

// Apply returns ErrLinux.
func (*Enforcer) Apply(context.Context, firewall.Diff) error { return ErrLinux }

// Changed returns ErrLinux.
func (*Enforcer) Changed(context.Context, firewall.Token) (bool, error) { return false, ErrLinux }

// Watch returns a channel that is closed when the context is done.
func (*Enforcer) Watch(ctx context.Context) <-chan struct{} {
	c := make(chan struct{})
	context.AfterFunc(ctx, func() { close(c) })
	return c
}

// Clear returns ErrLinux.
func (*Enforcer) Clear(context.Context) error { return ErrLinux }

// Close does nothing.
func (*Enforcer) Close() error { return nil }
