package receive

import (
	"strings"
	"testing"
)

const taken = ">250 XProxyFrom accepted"

// unknown is a transaction of one unknown recipient.
var unknown = []string{"<MAIL FROM:<s@a.example>", "<RCPT TO:<a@k.example>", ">250 2.1.0 Sender OK", ">550 5.1.1 User unknown"}

func with(head ...string) []string { return append(append([]string{}, head...), unknown...) }

// The client is whom the front end named, one after the other; the front end is none.
func TestProxied(t *testing.T) {
	say := []string{"+", ">220 mx", "<EHLO mbx01.kontor.example", ">250 mx Hello", "<X-ANONYMOUSTLS", ">220 2.0.0 SMTP server ready", "<EHLO mbx01.kontor.example", ">250 mx Hello",
		"<X-EXPS EXCHANGEAUTH", ">235 <authentication response>"}
	say = append(say, with("<XPROXYFROM SID=08D3E5F6A7B8C9CF IP=203.0.113.5 PORT=40112 DOMAIN=friend SEQNUM=1 PERMS=1077", taken)...)
	say = append(say, with("<XPROXYFROM PORT=1 DOMAIN=other SEQNUM=1 IP=2001:db8::bad:1 SID=08D3E5F6A7B8C9D1", taken)...)
	say = append(say, "<FOO", ">500 5.3.3 Unrecognized command", "<NOOP", ">451 4.7.0 Temporary server error. PRX2", "<QUIT", ">221 2.0.0 bye", "-Local")
	expectAs(t, show, hub.log(say...), "16 rcpt_unknown 203.0.113.5 550 5.1.1 from=s@a.example to=a@k.example helo=friend",
		"22 rcpt_unknown 2001:db8::bad:1 550 5.1.1 from=s@a.example to=a@k.example helo=other")
}

func TestProxiedUser(t *testing.T) {
	expect(t, hub.log(with("<XPROXY SID=1 IP=203.0.113.5 PORT=1 DOMAIN=pc CAPABILITIES=0 SECID=x UNAME=joe@kontor.example", ">250 XProxy accepted")...),
		"6 rcpt_unknown 203.0.113.5 to=a@k.example user=joe@kontor.example")
}

// Whom the sessions of the site's own servers tell nothing of.
func TestInnerSessions(t *testing.T) {
	for name, c := range map[string]struct {
		local, remote string
		head          []string
		told          bool
	}{
		"a hub without XPROXYFROM":                   {"10.0.0.21:2525", "10.0.0.21:31544", nil, false},
		"a hub behind a front end elsewhere":         {"192.0.2.21:2525", "203.0.113.9:31544", nil, false},
		"itself":                                     {"192.0.2.21:25", "192.0.2.21:31544", nil, false},
		"itself over IPv6":                           {"[2001:db8::25]:25", "[2001:db8::25]:31544", nil, false},
		"loopback":                                   {"127.0.0.1:25", "127.0.0.1:31544", nil, false},
		"loopback over IPv6":                         {"[::1]:25", "[::1]:31544", nil, false},
		"a gateway of the site":                      {"192.0.2.21:25", "198.51.100.7:31544", nil, false},
		"the same, mapped":                           {"192.0.2.21:25", "[::ffff:198.51.100.7]:31544", nil, false},
		"mailbox delivery":                           {"10.0.0.21:475", "10.0.0.22:31544", nil, false},
		"a client proxied to port 465":               {"10.0.0.21:465", "10.0.0.22:31544", nil, false},
		"somebody at port 465":                       {"192.0.2.21:465", "203.0.113.5:31544", nil, true},
		"an inner client":                            {"10.0.0.21:25", "10.0.0.99:31544", nil, true},
		"shadow redundancy":                          {"10.0.0.21:25", "10.0.0.22:31544", []string{"<XSHADOW x", ">250 ok"}, false},
		"shadow redundancy refused":                  {"10.0.0.21:25", "10.0.0.99:31544", []string{"<XSHADOW x", ">500 5.3.3 Unrecognized command"}, true},
		"X-ANONYMOUSTLS":                             {"10.0.0.21:25", "10.0.0.22:31544", []string{"<X-ANONYMOUSTLS", ">220 2.0.0 SMTP server ready"}, false},
		"XPROXYTO":                                   {"10.0.0.21:717", "203.0.113.5:31544", []string{"<XPROXYTO x", ">250 ok"}, true},
		"XPROXYTO from within":                       {"10.0.0.21:717", "10.0.0.22:31544", []string{"<XPROXYTO x", ">250 ok"}, false},
		"a stranger who calls himself a server":      {"192.0.2.21:25", "203.0.113.5:31544", []string{"<XSHADOW x", ">250 ok", "<X-ANONYMOUSTLS", ">220 2.0.0 ready"}, true},
		"a proxied front end's probe":                {"10.0.0.21:2525", "10.0.0.21:31544", []string{"<XPROXYFROM SID=1 IP=127.0.0.1 DOMAIN=x", taken}, false},
		"a proxied gateway":                          {"10.0.0.21:2525", "10.0.0.21:31544", []string{"<XPROXYFROM SID=1 IP=198.51.100.9 DOMAIN=x", taken}, false},
		"a proxied client":                           {"10.0.0.21:2525", "10.0.0.21:31544", []string{"<XPROXYFROM SID=1 IP=203.0.113.5 DOMAIN=x", taken}, true},
		"proxied at port 25":                         {"10.0.0.21:25", "10.0.0.22:31544", []string{"<XPROXYFROM SID=1 IP=203.0.113.5 DOMAIN=x", taken}, true},
		"not taken":                                  {"10.0.0.21:2525", "10.0.0.21:31544", []string{"<XPROXYFROM SID=1 IP=203.0.113.5 DOMAIN=x", ">250 2.0.0 OK"}, false},
		"refused":                                    {"10.0.0.21:2525", "10.0.0.21:31544", []string{"<XPROXYFROM SID=1 IP=203.0.113.5 DOMAIN=x", ">550 5.7.1 no"}, false},
		"no address":                                 {"10.0.0.21:2525", "10.0.0.21:31544", []string{"<XPROXYFROM SID=1 IP=203.0.113.5.6 DOMAIN=x", taken}, false},
		"its answer came, the command was not seen":  {"10.0.0.21:2525", "10.0.0.21:31544", []string{taken}, false},
		"the answer to another command":              {"10.0.0.21:2525", "10.0.0.21:31544", []string{"<NOOP", "<XPROXYFROM SID=1 IP=203.0.113.5 DOMAIN=x", ">250 2.0.0 OK"}, false},
		"an inner client who proxies and is refused": {"10.0.0.21:25", "10.0.0.99:31544", []string{"<XPROXYFROM SID=1 IP=203.0.113.5 DOMAIN=x", ">500 5.3.3 Unrecognized command"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			session := talk{`MBX01\Some connector`, "08D3E5F6A7B8C9D0", c.local, c.remote, 0}
			got, _ := run(session.log(with(c.head...)...), brief)
			found := false
			for _, line := range got {
				found = found || strings.Contains(line, " rcpt_unknown ")
				if strings.Contains(line, "198.51.100.") {
					t.Errorf("told of the site's own: %s", line)
				}
			}
			if found != c.told {
				t.Errorf("%q", got)
			}
		})
	}
}

// The end of a connection is told if its beginning was.
func TestConnectionsOfInnerSessions(t *testing.T) {
	peers := talk{`MBX01\Default Frontend MBX01`, "1", "10.0.0.21:25", "10.0.0.22:31544", 0}
	expect(t, peers.log("+", "<XSHADOW x", ">250 ok", "<AUTH LOGIN", ">535 5.7.3 no", "-Remote"), "1 connect 10.0.0.22", "6 disconnect 10.0.0.22")
	expect(t, hub.log("+", "-Remote"))
	expect(t, hub.log("<NOOP", ">250 2.0.0 OK", "-Remote"))
	gateway := talk{`MBX01\Default Frontend MBX01`, "1", "192.0.2.21:25", "198.51.100.7:31544", 0}
	expect(t, gateway.log("+", "<AUTH LOGIN", ">535 5.7.3 no", "-Remote"))
}

// The server watches itself under names that anybody may use: they are passed over only from within.
func TestProbes(t *testing.T) {
	say := []string{"<MAIL FROM:<HealthMailbox1234@kontor.example>", ">250 2.1.0 Sender OK", "<RCPT TO:<a@k.example>", ">550 5.1.1 User unknown", "<RSET", ">250 2.0.0 Resetting",
		"<MAIL FROM:<inboundproxy@inboundproxy.com>", ">250 2.1.0 Sender OK", "<RCPT TO:<b@k.example>", ">550 5.1.1 User unknown"}
	inner := talk{`MBX01\x`, "1", "10.0.0.21:25", "10.0.0.99:31544", 0}
	expect(t, inner.log(say...))
	expect(t, front.log(say...), "4 rcpt_unknown 203.0.113.77 to=a@k.example", "10 rcpt_unknown 203.0.113.77 to=b@k.example")
}

// A client of the front end says who he is not.
func TestForgedProxying(t *testing.T) {
	forged := "<XPROXYFROM SID=08D3E5F6A7B8C9CF IP=192.0.2.66 PORT=40112 DOMAIN=friend SEQNUM=1"
	for _, reply := range []string{">500 5.3.3 Unrecognized command", taken, ">250 2.0.0 OK"} {
		want := []string{"6 rcpt_unknown 203.0.113.77 to=a@k.example"}
		if reply[1] == '5' {
			want = append([]string{"2 protocol_error 203.0.113.77"}, want...)
		}
		expect(t, front.log(with(forged, reply)...), want...)
	}
	// He writes it into his HELO name, which the front end hands on.
	const told = "6 rcpt_unknown 203.0.113.5 to=a@k.example"
	for field, want := range map[string]string{
		"SID=1 IP=203.0.113.5 PORT=1 DOMAIN=x IP=192.0.2.66 SID=2":    "6 rcpt_unknown 203.0.113.5 to=a@k.example",
		"SID=1 PORT=1 DOMAIN=x IP=192.0.2.66 SEQNUM=1 IP=203.0.113.5": "",
		// The front end's own keys stand last, each of them once.
		"SID=1 DOMAIN=x IP=192.0.2.66 IP=203.0.113.5 PORT=1 SEQNUM=1":                           told,
		"DOMAIN=x IP=192.0.2.66 SID=1 IP=203.0.113.5 PORT=1 SEQNUM=1":                           told,
		"SID=1 SEQNUM=1 DOMAIN=x IP=192.0.2.66 IP=203.0.113.5 PORT=1":                           told,
		"SID=1 DOMAIN=x IP=192.0.2.66 PORT=2 SEQNUM=2 IP=203.0.113.5 PORT=1 SEQNUM=1":           told,
		"SID=1 DOMAIN=x IP=192.0.2.66 PORT=2 SEQNUM=2 UNAME=x IP=203.0.113.5 PORT=1 SEQNUM=1":   told,
		"SID=1 DOMAIN=x DOMAIN=y IP=192.0.2.66 SID=9 IP=203.0.113.5 PORT=1 SEQNUM=1":            told,
		"SID=1 DOMAIN=x IP=192.0.2.66  IP=203.0.113.5 PORT=1 SEQNUM=1 PERMS=1077 AUTHSRC=Anon ": told,
		"SID=1 DOMAIN= IP=192.0.2.66 IP=203.0.113.5 PORT=1 SEQNUM=1":                            told,
		"SID=1 DOMAIN=x IP=192.0.2.66 IP=203.0.113.5 PORT=1 SEQNUM=1 WHATEVER=1":                "",
		"SID=1 DOMAIN=x IP=192.0.2.66 IP=203.0.113.5 PORT=x SEQNUM=1":                           "",
		"SID=1 DOMAIN=x IP=192.0.2.66 IP=203.0.113.5 SEQNUM=1 PORT=1":                           "",
		"SID=1 DOMAIN=x IP=203.0.113.5 PORT=1 IP= SEQNUM=1":                                     "",
		"SID=1 DOMAIN=x IP=192.0.2.66 IP=203.0.113.5 PORT=1":                                    "",
		"DOMAIN=x IP=192.0.2.66 IP=203.0.113.5 PORT=1 SEQNUM=1":                                 "",
		"SID=1 IP=x DOMAIN=x IP=192.0.2.66 PORT=1 SEQNUM=1":                                     "",
		"IP=203.0.113.5 IP=192.0.2.66 DOMAIN=x":                                                 "",
		"SID=1 IP= DOMAIN=x IP=192.0.2.66":                                                      "",
		"SID=1 DOMAIN=xIP=192.0.2.66 IP=203.0.113.5":                                            "6 rcpt_unknown 203.0.113.5 to=a@k.example",
		"sid=1 ip=[2001:db8::5] domain=x":                                                       "6 rcpt_unknown 2001:db8::5 to=a@k.example",
	} {
		var lines []string
		if want != "" {
			lines = []string{want}
		}
		expect(t, hub.log(with("<XPROXYFROM "+field, taken)...), lines...)
	}
}

// The name of who has authenticated is his own text too, wherever it stands.
func TestForgedUser(t *testing.T) {
	for field, told := range map[string]bool{
		"SID=1 IP=203.0.113.5 PORT=1 DOMAIN=pc CAPABILITIES=0 SECID=x UNAME=joe IP=192.0.2.66 PORT=1 SEQNUM=1": true,
		"SID=1 DOMAIN=pc IP=203.0.113.5 PORT=1 UNAME=joe IP=192.0.2.66 PORT=1 SEQNUM=1":                        false,
	} {
		var lines []string
		if told {
			lines = []string{"6 rcpt_unknown 203.0.113.5 to=a@k.example user=joe"}
		}
		expect(t, hub.log(with("<XPROXY "+field, ">250 XProxy accepted")...), lines...)
	}
}

// Bytes that no front end left name nobody.
func TestReadProxy(t *testing.T) {
	var scratch []byte
	whole := parseProxy(proxyUser, []byte("SID=1 IP=203.0.113.5 DOMAIN=friend UNAME=joe"), &scratch)
	if p := readProxy(whole); p.ip.Addr().String() != "203.0.113.5" || string(p.helo) != "friend" || string(p.user) != "joe" || p.sid == 0 {
		t.Errorf("%+v", p)
	}
	for n := range 26 + len("friend") {
		if p := readProxy(whole[:n]); !p.ip.None() {
			t.Errorf("%d bytes: %+v", n, p)
		}
	}
}
