package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch/internal/nstest"
)

// Addresses of the world of these tests.
const (
	serverAddr    = "192.0.2.25"
	attackerAddr  = "198.51.100.66"
	bystanderAddr = "198.51.100.67"
	networkAddr   = "203.0.113.9" // in a network that the server has no address of
)

// world is a mail host and its clients, joined by a wire: namespaces with real packets.
type world struct {
	server, clients *nstest.NS
}

func newWorld(t *testing.T) *world {
	t.Helper()
	nstest.Inside(t)
	w := &world{nstest.New(t), nstest.New(t)}
	pre := func(a string) netip.Prefix { return netip.MustParsePrefix(a + "/24") }
	nstest.Wire(w.server, w.clients, []netip.Prefix{pre(serverAddr), pre("198.51.100.1")},
		[]netip.Prefix{pre("192.0.2.2"), pre(attackerAddr), pre(bystanderAddr), pre(networkAddr)})
	w.server.Route(netip.MustParsePrefix("203.0.113.0/24"), netip.MustParseAddr("192.0.2.2"))
	for _, port := range []string{"25", "80"} {
		w.listen(t, port)
	}
	return w
}

// listen accepts connections on a port of the server and closes them.
func (w *world) listen(t *testing.T, port string) {
	t.Helper()
	var l net.Listener
	var err error
	w.server.Do(func() { l, err = net.Listen("tcp", net.JoinHostPort(serverAddr, port)) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
}

// reaches reports whether a client's address gets a connection to a port of the server within that time.
func (w *world) reaches(from, port string, within time.Duration) bool {
	d := net.Dialer{Timeout: within, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	var err error
	w.clients.Do(func() {
		var c net.Conn
		if c, err = d.Dial("tcp", net.JoinHostPort(serverAddr, port)); err == nil {
			c.Close()
		}
	})
	return err == nil
}

// runDaemon starts the daemon as a process on the mail host.
func (w *world) runDaemon(t *testing.T, pl *testPlace, args ...string) *exec.Cmd {
	t.Helper()
	out, err := os.Create(pl.output)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	cmd := exec.Command("harvestwatch", append(append([]string{"run", "--enforce"}, args...), pl.flags()...)...)
	cmd.Stderr = out
	w.server.Do(func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	return cmd
}

// probe is a log line of an attacker who tries a name.
func probe(from string, i int) string {
	return fmt.Sprintf("%s mx1 postfix/smtpd[101]: NOQUEUE: reject: RCPT from unknown[%s]: 550 5.1.1 <name%d@target.example>: "+
		"Recipient address rejected: User unknown in local recipient table; from=<s@bulk.example> to=<name%d@target.example> proto=ESMTP helo=<bulk.example>\n",
		time.Now().UTC().Format("2006-01-02T15:04:05.000000-07:00"), from, i, i)
}

// TestFromTheLogLineToTheDroppedPacket: ten probes are logged, and the attacker's packets to port 25 are dropped, and
// nobody else's, and only there; an unblock lets it in again; SIGKILL leaves the block.
func TestFromTheLogLineToTheDroppedPacket(t *testing.T) {
	w, pl := newWorld(t), newPlace(t)
	appendTo(t, pl.log, []byte(probe(bystanderAddr, 0)))
	cmd := w.runDaemon(t, &pl)
	pl.caughtUp(t, size(t, pl.log))
	if !w.reaches(attackerAddr, "25", time.Second) {
		t.Fatal("the attacker can't connect before it did anything")
	}
	for i := range 9 {
		appendTo(t, pl.log, []byte(probe(attackerAddr, i)))
	}
	pl.caughtUp(t, size(t, pl.log))
	if !w.reaches(attackerAddr, "25", time.Second) {
		t.Fatal("nine probes are enough for a block: want ten")
	}
	written := time.Now()
	appendTo(t, pl.log, []byte(probe(attackerAddr, 9)))
	for {
		before := time.Now()
		if !w.reaches(attackerAddr, "25", 100*time.Millisecond) {
			t.Logf("from the written line to the first dropped packet: %s", before.Sub(written).Round(10*time.Microsecond))
			break
		}
		if before.Sub(written) > 10*time.Second {
			t.Fatalf("no block\n%s", pl.said())
		}
	}
	if !w.reaches(attackerAddr, "80", time.Second) {
		t.Error("another port of the server is closed too")
	}
	if !w.reaches(bystanderAddr, "25", time.Second) {
		t.Error("another client is blocked too")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if w.reaches(attackerAddr, "25", 100*time.Millisecond) {
		t.Error("the block ended with the daemon")
	}
	w.runDaemon(t, &pl)
	pl.caughtUp(t, size(t, pl.log))
	if w.reaches(attackerAddr, "25", 100*time.Millisecond) {
		t.Error("the block ended with the daemon's restart")
	}
	out, errs, code := runCommand(t, "", "unblock", attackerAddr, "--socket", pl.socket)
	if code != exitOK || !strings.Contains(out, attackerAddr+" is no longer blocked") {
		t.Errorf("unblock: %d %s%s", code, out, errs)
	}
	if !eventually(func() bool { return w.reaches(attackerAddr, "25", 100*time.Millisecond) }) {
		t.Errorf("unblocked, and still shut out\n%s", pl.said())
	}
}

// TestBlockByHand: block, list, status, expiry; what is on the never-list is refused at both doors.
func TestBlockByHand(t *testing.T) {
	w, pl := newWorld(t), newPlace(t)
	appendTo(t, pl.log, nil)
	w.runDaemon(t, &pl, "--never", bystanderAddr)
	pl.caughtUp(t, 0)
	run := func(want int, args ...string) string {
		t.Helper()
		out, errs, code := runCommand(t, "", append(args, "--socket", pl.socket)...)
		if code != want {
			t.Fatalf("%v: exit code %d, want %d\n%s%s", args, code, want, out, errs)
		}
		return out + errs
	}
	if got := run(exitFailed, "block", bystanderAddr); !strings.Contains(got, "never blocked (configured)") {
		t.Errorf("never-list: %s", got)
	}
	if got := run(exitFailed, "block", "198.51.100.0/24"); !strings.Contains(got, "never blocked") {
		t.Errorf("a network that holds one of the never-list: %s", got)
	}
	if got := run(exitFailed, "block", serverAddr); !strings.Contains(got, "own address") {
		t.Errorf("own address: %s", got)
	}
	if got := run(exitFailed, "block", "203.0.113.0/25"); !strings.Contains(got, "takes IPv4 prefixes of") {
		t.Errorf("unsupported prefix: %s", got)
	}
	run(exitOK, "block", attackerAddr, "--for", "3s", "--reason", "test")
	if !eventually(func() bool { return !w.reaches(attackerAddr, "25", 100*time.Millisecond) }) {
		t.Fatalf("not blocked\n%s", pl.said())
	}
	out, _, _ := runCommand(t, "", "list", "--state", pl.state)
	if !strings.Contains(out, attackerAddr) || !strings.Contains(out, "manual") {
		t.Errorf("list: %s", out)
	}
	if got := run(exitOK, "status"); !strings.Contains(got, "in step") || !strings.Contains(got, "1 active") {
		t.Errorf("status: %s", got)
	}
	if !eventually(func() bool { return w.reaches(attackerAddr, "25", 100*time.Millisecond) }) {
		t.Errorf("the block has run out and still holds\n%s", pl.said())
	}
	out, _, code := runCommand(t, "", "why", attackerAddr, "--state", pl.state)
	if code != exitOK || !strings.Contains(out, "test") || !strings.Contains(out, "run out") {
		t.Errorf("why: %s", out)
	}
}

// TestEnforcingNeedsAPrivilege: the daemon says what is missing, and how to get it.
func TestEnforcingNeedsAPrivilege(t *testing.T) {
	if os.Getuid() != 0 {
		out, errs, code := runCommand(t, "", "run", "--enforce", "--state", t.TempDir()+"/s.db", t.TempDir()+"/mail.log")
		checkPrivilege(t, out+errs, code)
		return
	}
	pl := newPlace(t)
	if err := os.Chmod(pl.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	path, err := exec.LookPath("setpriv")
	if err != nil {
		nstest.Need(t, "netns", "setpriv (util-linux) is not installed")
	}
	cmd := exec.CommandContext(ctx, path, append([]string{"--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "harvestwatch", "run", "--enforce"}, pl.flags()...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, out)
	}
	checkPrivilege(t, string(out), exit.ExitCode())
}

func checkPrivilege(t *testing.T, out string, code int) {
	t.Helper()
	if code != exitFailed || !strings.Contains(out, "CAP_NET_ADMIN") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
