package nft

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/internal/nstest"
	"golang.org/x/sys/unix"
)

// holder marks the process that TestKill starts.
const holder = "HARVESTWATCH_NFT_HOLDER"

// TestHolder is what the process of TestKill does: it blocks, says so and waits to be killed.
func TestHolder(t *testing.T) {
	if os.Getenv(holder) == "" {
		return
	}
	e, err := New(Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("192.0.2.1/32", time.Hour), entry("2001:db8:1::/64", 2*time.Hour)}})
	fmt.Println("blocked")
	_, _ = os.Stdin.Read(make([]byte, 1)) // for ever
}

func TestKill(t *testing.T) {
	w := newWorld(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestHolder$")
	cmd.Env = append(os.Environ(), holder+"=1")
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	var err3 error
	w.server.Do(func() { err3 = cmd.Start() })
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "blocked\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}
	w.shut("192.0.2.1", server4, 25)
	if e, err := New(Options{Now: time.Now, NetNS: w.server.FD()}); err == nil {
		if e.Features().Owned {
			t.Error("a second instance beside a living one")
		}
		_ = e.Close()
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	w.shut("192.0.2.1", server4, 25)
	handle := tableUse(t, w.server)
	e := open(t, w.server, Options{})
	holds(t, e, "192.0.2.1/32", "2001:db8:1::/64")
	if e.Features().Owned && tableUse(t, w.server) != handle {
		t.Error("the table was made anew, not taken up")
	}
	w.shut("192.0.2.1", server4, 25)
	w.shut("2001:db8:1::1", server6, 25)
	apply(t, e, firewall.Diff{Remove: prefixes("192.0.2.1/32", "2001:db8:1::/64")})
	w.open("192.0.2.1", server4, 25)
}

// tableUse returns the handle of the gate's rule, which no other rule in the table's life will have.
func tableUse(t *testing.T, ns *nstest.NS) uint64 {
	t.Helper()
	rules, err := stranger(t, ns).GetRules(ourTable, &nftables.Chain{Name: gateName})
	if err != nil || len(rules) != 1 {
		t.Fatalf("the gate holds %d rules, %v", len(rules), err)
	}
	return rules[0].Handle
}

func TestWithoutPrivilege(t *testing.T) {
	ns := nstest.New(t)
	var err error
	ns.Do(func() {
		// The thread ends with Do, and its lack of capabilities with it.
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		if err = unix.Capset(&hdr, &[]unix.CapUserData{{}, {}}[0]); err != nil {
			return
		}
		var e *Enforcer
		if e, err = New(Options{Now: time.Now}); err == nil {
			_ = e.Close()
		}
	})
	runtime.KeepAlive(ns)
	if !errors.Is(err, ErrPermission) {
		t.Errorf("without capabilities: %v", err)
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{{}, {Now: time.Now, Hook: 9}, {Now: time.Now, Ports: []uint16{25, 0}}} {
		if e, err := New(o); err == nil {
			_ = e.Close()
			t.Errorf("no error for %+v", o)
		}
	}
}
