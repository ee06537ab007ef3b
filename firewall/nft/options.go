// Package nft is the enforcer for this machine's own packet filter, nftables. It keeps a table of its own, named
// harvestwatch in the family inet, with one hash set per prefix length and a kernel timeout on each element, and
// drops packets to the mail ports from addresses in the sets before any other table can accept them. It touches no
// other table, and its drops hold whatever other tables accept.
//
// Where the kernel can, the table is owned: as long as the enforcer is open nobody else can change or flush it, and
// when the process ends, even by SIGKILL, the table stays with its blocks until the next instance takes it up.
// Elsewhere the table is an ordinary one, and Watch tells when it was touched.
//
// The package decides nothing and remembers nothing that the kernel doesn't. New starts no goroutine; Watch starts
// one, which ends with its context. It works on Linux only; elsewhere New returns ErrLinux.
package nft

import (
	"errors"
	"log/slog"
	"slices"
	"time"
)

// TableName is the name of the table, in the family inet.
const TableName = "harvestwatch"

// Hook is where packets are looked at.
type Hook uint8

// The hooks. A kernel without the family's hook refuses at New.
const (
	Prerouting Hook = iota // all packets that arrive, for this host and through it, before connection tracking and NAT
	Input                  // packets for this host
	Forward                // packets through this host: for a gateway in front of the mail server
)

// String returns the hook's name in nftables and in the configuration.
func (h Hook) String() string {
	names := [...]string{"prerouting", "input", "forward"}
	if int(h) >= len(names) {
		return "unknown"
	}
	return names[h]
}

// HookOf returns the hook with that name.
func HookOf(name string) (Hook, bool) {
	for h := Prerouting; h <= Forward; h++ {
		if h.String() == name {
			return h, true
		}
	}
	return 0, false
}

// Options are an Enforcer's settings. Now is required, the rest may be zero.
type Options struct {
	// Now is the clock by which an entry's end becomes a remaining time, time.Now in the daemon.
	Now func() time.Time
	// Hook is where packets are dropped.
	Hook Hook
	// Ports are the TCP ports that a blocked source can't reach; none means DefaultPorts.
	Ports []uint16
	// Unprotected leaves the table without an owner even where the kernel knows owners: then an administrator can
	// edit it with nft while the daemon runs, and anybody's flush takes it away until the next alarm.
	Unprotected bool
	// Counters makes each entry count what it drops. It doubles the time of a bulk load, and costs about 8 bytes of
	// kernel memory per entry and CPU.
	Counters bool
	// Size bounds the entries of one prefix length; 0 means DefaultSize. An entry costs the kernel about 100 to 150 bytes.
	Size uint32
	// NetNS is a file descriptor of the network namespace to work in; 0 means that of the calling thread.
	NetNS int
	// Log receives who changed the table, and what New found the kernel to be capable of; nil for silence.
	Log *slog.Logger
}

// DefaultSize is how many entries of one prefix length there may be unless Options.Size says otherwise.
const DefaultSize = 131_072

// DefaultPorts returns the ports of SMTP: relay (RFC 5321 section 4.5.4.2), submission over TLS (RFC 8314 section
// 7.3) and submission (RFC 6409 section 3.1).
func DefaultPorts() []uint16 { return []uint16{25, 465, 587} }

var (
	// ErrLinux means that this is not Linux.
	ErrLinux = errors.New("nftables needs Linux; use a feed or a border router as enforcer here")
	// ErrPermission means that the process may not change the packet filter.
	ErrPermission = errors.New("changing nftables needs the capability CAP_NET_ADMIN: run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN")
	// ErrOwned means that a process that is still running owns the table.
	ErrOwned = errors.New("another harvestwatch already owns the table inet harvestwatch; stop it first, or ask it with harvestwatch block and unblock")
	// ErrKernel means that the kernel lacks nftables or something of it that is needed.
	ErrKernel = errors.New("the kernel lacks nftables or the family inet: load the module nf_tables, or use a kernel of 4.18 or later")
	// ErrBusy means that other programs changed the ruleset so often that no consistent state could be read.
	ErrBusy = errors.New("the ruleset changes faster than it can be read; find out who changes it with nft monitor")
)

// fill checks the options and fills in what was left zero.
func (o *Options) fill() error {
	if o.Now == nil {
		return errors.New("set up nftables: Options.Now is missing")
	}
	if o.Hook > Forward {
		return errors.New("set up nftables: no such hook; use prerouting, input or forward")
	}
	if len(o.Ports) == 0 {
		o.Ports = DefaultPorts()
	}
	o.Ports = slices.Clone(o.Ports)
	slices.Sort(o.Ports)
	o.Ports = slices.Compact(o.Ports)
	if o.Ports[0] == 0 {
		return errors.New("set up nftables: 0 is not a TCP port")
	}
	if o.Size == 0 {
		o.Size = DefaultSize
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}
