package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch/internal/pools"
)

// providersZone are SPF records that say what the shipped list says, but for the networks of one provider.
func providersZone(t *testing.T, but string, networks ...string) string {
	t.Helper()
	known, err := pools.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	var zone strings.Builder
	for _, pr := range known.Providers() {
		if pr.Domain == "" {
			continue
		}
		var terms []string
		for _, n := range pr.Networks {
			terms = append(terms, n.String())
		}
		if pr.Name == but {
			terms = networks
		}
		fmt.Fprintf(&zone, "%s. TXT", pr.Domain)
		record := "v=spf1"
		for _, n := range terms {
			kind := "ip4"
			if strings.Contains(n, ":") {
				kind = "ip6"
			}
			record += " " + kind + ":" + n
		}
		for record += " -all"; record != ""; { // in strings of 255 bytes at most (RFC 7208 section 3.3)
			part := record[:min(len(record), 200)]
			record = record[len(part):]
			fmt.Fprintf(&zone, " %q", part)
		}
		zone.WriteString("\n")
	}
	return zone.String()
}

// sendgrid returns the networks of the shipped list's sendgrid.
func sendgrid(t *testing.T) (list []string) {
	t.Helper()
	known, err := pools.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for _, pr := range known.Providers() {
		for _, n := range pr.Networks {
			if pr.Name == "sendgrid" {
				list = append(list, n.String())
			}
		}
	}
	if len(list) < 5 {
		t.Fatalf("sendgrid has %d networks", len(list))
	}
	return list
}

// TestProvidersList: the table says who, how many and how old; the networks are a file that can be read again.
func TestProvidersList(t *testing.T) {
	c := newConfigured(t, "[providers]\nfile = \"DIR/own.txt\"\n")
	c.write(t, "own.txt", []byte("provider example mail.example 2023-01-02\n198.51.100.0/24\n2001:db8:7::/48\n"))
	out := c.ask(t, exitOK, "providers", "list")
	for _, text := range []string{"PROVIDER", "google ", "_spf.google.com", "example ", "2023-01-02", "older than 14 days", "harvestwatch providers refresh"} {
		if !strings.Contains(out, text) {
			t.Errorf("the list does not say %q:\n%s", text, out)
		}
	}
	text, _, code := runCommand(t, "", "providers", "list", "--networks", "--config", c.config)
	known, err := pools.Parse("stdout", []byte(text))
	if code != exitOK || err != nil || !strings.Contains(text, "2001:db8:7::/48") || len(known.Providers()) < 10 {
		t.Errorf("exit code %d, %v:\n%s", code, err, text)
	}
	c.write(t, "own.txt", []byte("provider example mail.example 2023-01-02\n198.51.100.0/33\n"))
	if out := c.ask(t, exitUsage, "providers", "list"); !strings.Contains(out, "own.txt:2: ") {
		t.Errorf("a mistake in the file: %s", out)
	}
}

// TestProvidersRefresh: what the records say now is written whole; a change that can't be right is refused, and with --force
// it isn't.
func TestProvidersRefresh(t *testing.T) {
	networks := sendgrid(t)
	dns := newNameServer(t, providersZone(t, "sendgrid", append(networks, "198.51.100.0/24")...))
	path := filepath.Join(t.TempDir(), "providers.txt")
	refresh := func(want int, more ...string) string {
		t.Helper()
		out, errs, code := runCommand(t, "", append([]string{"providers", "refresh", path, "--server", dns.addr}, more...)...)
		if code != want {
			t.Fatalf("refresh %v: exit code %d, want %d\n%s%s", more, code, want, out, errs)
		}
		return out + errs
	}
	if out := refresh(exitOK); !strings.Contains(out, "sendgrid: new 198.51.100.0/24\n") || !strings.Contains(out, "google: unchanged") ||
		!strings.Contains(out, "yahoo: has no SPF record") {
		t.Errorf("refresh: %s", out)
	}
	fileHas(t, path, "198.51.100.0/24", time.Now().UTC().Format(time.DateOnly))

	dns.set(providersZone(t, "sendgrid", networks[0]))
	if out := refresh(exitFailed); !strings.Contains(out, "sendgrid: refused, the old networks are kept: ") || !strings.Contains(out, "1 of ") {
		t.Errorf("refresh: %s", out)
	}
	fileHas(t, path, "198.51.100.0/24", networks[1])
	dns.set(providersZone(t, "sendgrid", "0.0.0.0/0"))
	refresh(exitFailed)
	refresh(exitFailed, "--force") // not even then
	fileHas(t, path, "198.51.100.0/24", networks[1])

	dns.set(providersZone(t, "sendgrid", networks[0]))
	if out := refresh(exitOK, "--force"); !strings.Contains(out, "sendgrid: gone ") {
		t.Errorf("refresh: %s", out)
	}
	if text := fileHas(t, path, networks[0]); strings.Contains(text, "198.51.100.0/24") {
		t.Errorf("the file has it still:\n%s", text)
	}
	if left, err := filepath.Glob(path + "*"); err != nil || len(left) != 1 {
		t.Errorf("beside the file there are %q, %v", left, err)
	}
}

// fileHas reads a file and looks for texts in it.
func fileHas(t *testing.T, path string, want ...string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if !strings.Contains(string(text), w) {
			t.Errorf("%s lacks %q:\n%s", path, w, text)
		}
	}
	return string(text)
}

// TestProvidersRefreshThatFails leaves everything as it was.
func TestProvidersRefreshThatFails(t *testing.T) {
	dns := newNameServer(t, "")
	dns.fail(true)
	dir := t.TempDir()
	path := filepath.Join(dir, "providers.txt")
	const own = "provider sendgrid sendgrid.net 2023-01-02\n198.51.100.0/24\n"
	if err := os.WriteFile(path, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := runCommand(t, "", "providers", "refresh", path, "--server", dns.addr)
	if code != exitFailed || !strings.Contains(out, "google: failed, the old networks are kept: ") || !strings.Contains(errs, "stays as it is") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	if text := fileHas(t, path); text != own {
		t.Errorf("the file became\n%s", text)
	}
	dns.fail(false)
	dns.set(providersZone(t, ""))
	_, errs, code = runCommand(t, "", "providers", "refresh", filepath.Join(dir, "nowhere", "providers.txt"), "--server", dns.addr)
	if code != exitFailed || !strings.Contains(errs, "nowhere") {
		t.Errorf("a folder that is not there: exit code %d: %s", code, errs)
	}
	if err := os.WriteFile(path, []byte("provider\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code = runCommand(t, "", "providers", "refresh", path, "--server", dns.addr); code != exitUsage || !strings.Contains(errs, "providers.txt:1: ") {
		t.Errorf("a file that can't be read: exit code %d: %s", code, errs)
	}
	if _, errs, code = runCommand(t, "", "providers", "refresh", "--config", newConfigured(t, "").config); code != exitUsage || !strings.Contains(errs, "name the file to write") {
		t.Errorf("no file: exit code %d: %s", code, errs)
	}
}

// TestRunningDaemonTakesRefreshedProviders: who turns out to be a provider's is let go, and spared from then on.
func TestRunningDaemonTakesRefreshedProviders(t *testing.T) {
	const from = "198.51.100.40"
	dns := newNameServer(t, providersZone(t, "sendgrid", append(sendgrid(t), "198.51.100.0/24")...))
	c := newConfigured(t, asking(dns.addr, "[providers]\nfile = \"DIR/providers.txt\"\n"))
	c.write(t, "providers.txt", []byte("provider example - 2023-01-02\n2001:db8:7::/48\n"))
	appendTo(t, c.log, nil)
	_, stop := c.here(t)
	c.guesses(t, from, 0, 10)
	if _, block := c.decision(t, from); block == nil || !block.Active(time.Now()) {
		t.Fatal("not blocked")
	}
	c.ask(t, exitOK, "providers", "refresh")
	if !eventually(func() bool { _, block := c.decision(t, from); return !block.Active(time.Now()) }) {
		t.Fatal("the block holds")
	}
	if out := c.ask(t, exitOK, "why", from); !strings.Contains(out, "never blocked from now on: provider sendgrid") {
		t.Errorf("why: %s", out)
	}
	c.guesses(t, from, 10, 20)
	if out := c.ask(t, exitOK, "why", from); !strings.Contains(out, "suppress (provider-pool)") {
		t.Errorf("why: %s", out)
	}
	stop()
}
