package tracking

import (
	"fmt"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
)

const (
	head     = "\ufeff#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: Message Tracking Log\r\n#Fields: "
	fields07 = "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address,return-path,message-info"
	fields10 = fields07 + ",directionality,tenant-id,original-client-ip,original-server-ip,custom-data"
)

var seeds = []string{
	log(usual, of(usual, received, "network-message-id", guid1)+of(usual, failed, "network-message-id", guid1)),
	log(fields10, of(fields10, received)+of(fields10, forked)+of(fields10, delivered, "internal-message-id", "102")),
	of(usual, received), "2026-03-02T09:00:01.000Z,,,,,,,SMTP,FAIL,1,<x>,,a;b,c,,,,,,,,,,,,,,,,\n",
}

const guid1 = "1e6eb197-0000-4234-0065-08de78a1b2c4"

type columnsOf map[string]string

var (
	received = columnsOf{
		"date-time": "2026-03-02T09:00:01.000Z", "client-ip": "203.0.113.77", "server-ip": "192.0.2.10", "server-hostname": "HUB1", "source": "SMTP",
		"source-context": "08DE78A1B2C40065;2026-03-02T09:00:01.000Z;0", "event-id": "RECEIVE", "internal-message-id": "101", "message-id": "<m1@x.example>",
		"recipient-address": "a@kontor.example;b@kontor.example", "sender-address": "x@x.example", "return-path": "x@x.example", "directionality": "Incoming",
	}
	delivered = columnsOf{
		"date-time": "2026-03-02T09:00:02.000Z", "client-hostname": "HUB1", "server-hostname": "MBX7", "source": "STOREDRIVER", "event-id": "DELIVER",
		"internal-message-id": "101", "message-id": "<m1@x.example>", "recipient-address": "b@kontor.example", "sender-address": "x@x.example", "return-path": "x@x.example",
	}
	failed = columnsOf{
		"date-time": "2026-03-02T09:00:03.000Z", "server-hostname": "HUB1", "source": "ROUTING", "event-id": "FAIL", "internal-message-id": "101",
		"message-id": "<m1@x.example>", "recipient-address": "a@kontor.example", "recipient-status": "'550 5.1.1 RESOLVER.ADR.RecipNotFound; not found'",
		"sender-address": "x@x.example", "return-path": "x@x.example",
	}
	forked = columnsOf{
		"date-time": "2026-03-02T09:00:01.500Z", "source": "ROUTING", "event-id": "TRANSFER", "internal-message-id": "102", "reference": "101",
		"message-id": "<m1@x.example>", "recipient-address": "b@kontor.example",
	}
)

func log(fields, rows string) string { return head + fields + "\r\n" + rows }

// of writes a row with the columns of a version; changes are pairs of a column and its value.
func of(fields string, base columnsOf, changes ...string) string {
	values := map[string]string{}
	for k, v := range base {
		values[k] = v
	}
	for i := 0; i+1 < len(changes); i += 2 {
		values[changes[i]] = changes[i+1]
	}
	var out []string
	for _, name := range strings.Split(fields, ",") {
		v := values[name]
		if strings.ContainsAny(v, `",`) {
			v = `"` + strings.ReplaceAll(v, `"`, `""`) + `"`
		}
		out = append(out, v)
	}
	return strings.Join(out, ",") + "\r\n"
}

var versions = map[string]string{"2007": fields07, "2010": fields10, "2013": strings.TrimSuffix(usual, ",transport-traffic-type,log-id,schema-version"), "2016": usual}

// with gives a row the id that servers from 2013 on give a message.
func with(fields string, base columnsOf, id int, changes ...string) string {
	return of(fields, base, append(changes, "internal-message-id", fmt.Sprint(id), "network-message-id", fmt.Sprintf("1e6eb197-0000-4234-0065-%012d", id))...)
}

func TestEveryVersionJoins(t *testing.T) {
	for name, fields := range versions {
		t.Run(name, func(t *testing.T) {
			data := log(fields, with(fields, received, 101)+with(fields, delivered, 101)+with(fields, failed, 101))
			expect(t, data, "5 accepted 203.0.113.77 from=x@x.example", "6 delivered - from=x@x.example to=b@kontor.example",
				"7 rcpt_unknown - 550 5.1.1 from=x@x.example to=a@kontor.example")
			events, _ := parse(golden.Ours(), data)
			ip, _ := address.Parse([]byte("203.0.113.77"))
			if j := events[0].Join; j == 0 || events[1].Join != j || events[2].Join != j || events[0].Session == 0 {
				t.Error("the rows are not joined")
			}
			if events[0].Twin != twin.Message(ip, []byte("<m1@x.example>")) {
				t.Error("the message has no twin")
			}
		})
	}
}

// Whoever sends a message chooses its Message-ID: one who uses an honest sender's must neither be paid by his
// deliveries nor make him pay for refusals.
func TestBorrowedMessageID(t *testing.T) {
	for name, fields := range versions {
		t.Run(name, func(t *testing.T) {
			events, _ := parse(golden.Ours(), log(fields, with(fields, received, 101, "client-ip", "198.51.100.20")+with(fields, received, 102)+
				with(fields, delivered, 101)+with(fields, failed, 102)))
			honest, attacker := events[0].Join, events[1].Join
			if honest == attacker || events[2].Join != honest || events[3].Join != attacker {
				t.Errorf("honest %x, attacker %x, delivered %x, failed %x", honest, attacker, events[2].Join, events[3].Join)
			}
		})
	}
}

// An internal id is a server's own; the same number on two servers with two Message-IDs is two messages. And the id that
// the organization gives counts even where a later server gives another number.
func TestIDsOfTwoServers(t *testing.T) {
	events, _ := parse(golden.Ours(), log(fields10, of(fields10, received)+of(fields10, received, "message-id", "<m2@y.example>", "server-hostname", "HUB2")))
	if events[0].Join == events[1].Join {
		t.Error("two messages of two servers are one")
	}
	events, _ = parse(golden.Ours(), log(usual, of(usual, received, "network-message-id", guid1)+
		of(usual, delivered, "network-message-id", strings.ToUpper(guid1), "internal-message-id", "77")))
	if events[0].Join != events[1].Join {
		t.Error("one message of two servers is two")
	}
	events, _ = parse(golden.Ours(), log(fields10, of(fields10, received, "internal-message-id", "")+of(fields10, delivered, "internal-message-id", "0")))
	if events[0].Join != twin.Join([]byte("m1@x.example")) || events[1].Join != events[0].Join {
		t.Error("a message without an internal id doesn't go by its Message-ID")
	}
	events, _ = parse(golden.Ours(), log(usual, of(usual, received, "network-message-id", guid1)+of(usual, received, "internal-message-id", "", "message-id", guid1)))
	if events[0].Join == events[1].Join {
		t.Error("a Message-ID that looks like an organization's id is taken for it")
	}
}

func TestForks(t *testing.T) {
	data := log(fields10, of(fields10, received)+of(fields10, forked)+of(fields10, forked, "internal-message-id", "103", "reference", "102")+
		of(fields10, delivered, "internal-message-id", "103")+of(fields10, failed, "internal-message-id", "102"))
	expect(t, data, "5 accepted 203.0.113.77 from=x@x.example", "8 delivered - from=x@x.example to=b@kontor.example",
		"9 rcpt_unknown - 550 5.1.1 from=x@x.example to=a@kontor.example")
	events, _ := parse(golden.Ours(), data)
	if events[1].Join != events[0].Join || events[2].Join != events[0].Join {
		t.Error("what was split off is not joined to its original")
	}
	kit().Hold(t, []byte(data))
	events, _ = parse(golden.Ours(), log(fields10, of(fields10, received)+of(fields10, forked, "message-id", "<m2@x.example>")+
		of(fields10, delivered, "internal-message-id", "102")))
	if events[1].Join == events[0].Join {
		t.Error("another message's part is joined")
	}
	p := New(golden.Ours())
	var rows strings.Builder
	for i := range MaxForks + 10 {
		rows.WriteString(of(fields10, forked, "internal-message-id", fmt.Sprint(1000+i)))
	}
	golden.Piece(p, &harvestwatch.Lines{Data: []byte(log(fields10, rows.String()))})
	if p.forks.Len() != MaxForks {
		t.Errorf("%d forks are remembered", p.forks.Len())
	}
}

func TestClient(t *testing.T) {
	const proxied = "S:ProxyHop1=MBX01.corp.kontor.example(192.0.2.10);S:ProxiedClientIPAddress=203.0.113.5;S:ProxiedClientHostname=friend"
	for _, c := range []struct{ client, original, custom, want string }{
		{"203.0.113.77", "", "", "203.0.113.77"},
		{"2001:db8:cf40::1:2", "", "", "2001:db8:cf40::1:2"},
		{"::ffff:203.0.113.77", "", "", "203.0.113.77"},
		{"192.0.2.9", "203.0.113.6", "", "203.0.113.6"},
		{"192.0.2.9", "203.0.113.6", proxied, "203.0.113.6"},
		{"192.0.2.9", "", proxied, "203.0.113.5"},
		{"192.0.2.9", "0.0.0.0", proxied, "203.0.113.5"},
		{"192.0.2.9", "", "", ""},
		{"", "", "", ""},
		{"192.0.2.9", "192.0.2.10", "", ""},
		{"203.0.113.77", "127.0.0.1", "", ""},
		{"203.0.113.77", "garbage", "", "unparsed"},
		{"garbage", "", "", "unparsed"},
		// Another organization that is trusted names its own clients; who is connected is ours.
		{"198.51.100.9", "203.0.113.6", "S:FirstForestHop=HUB1;S:Oorg=other.example", "198.51.100.9"},
		{"192.0.2.9", "203.0.113.6", proxied + ";S:Oorg=other.example", "203.0.113.6"}, // behind the client's own words
		{"192.0.2.9", "203.0.113.6", "S:Oorg=other.example;" + proxied, "203.0.113.5"},
		// The client's name is his own to choose.
		{"192.0.2.9", "", "S:ProxyHop1=x;S:ProxiedClientIPAddress=203.0.113.5;'S:ProxiedClientHostname=x;S:ProxiedClientIPAddress=198.51.100.66'", "203.0.113.5"},
		{"192.0.2.9", "", "S:ProxiedClientHostname=x;S:ProxiedClientIPAddress=198.51.100.66", ""},
		{"192.0.2.9", "", "S:ProxyHop1=S:ProxiedClientIPAddress=198.51.100.66", ""},
	} {
		data := log(usual, of(usual, received, "client-ip", c.client, "original-client-ip", c.original, "custom-data", c.custom))
		switch c.want {
		case "":
			expect(t, data)
		case "unparsed":
			if counts := expect(t, data); counts.Unparsed != 1 {
				t.Errorf("%+v: %+v", c, counts)
			}
		default:
			expect(t, data, "5 accepted "+c.want+" from=x@x.example")
		}
	}
}

func TestOwnTraffic(t *testing.T) {
	const health = "HealthMailbox0123456789abcdef@kontor.example"
	for _, changes := range [][]string{
		{"source", "STOREDRIVER"}, {"source", "PICKUP"}, {"directionality", "Originating"}, {"directionality", "originating"},
		{"client-ip", "127.0.0.1"}, {"client-ip", "::1"}, {"client-ip", "192.0.2.10"},
		{"client-ip", "203.0.113.1", "server-ip", "203.0.113.1"}, // the server itself, also where nobody named it
		{"client-ip", "10.0.0.5", "return-path", health, "sender-address", health},
		{"client-ip", "10.0.0.5", "sender-address", "inboundproxy@kontor.example"},
		{"client-ip", "10.0.0.5", "recipient-address", health},
	} {
		expect(t, log(usual, of(usual, received, changes...)))
	}
	// But a stranger who takes such a name is a stranger.
	expect(t, log(usual, of(usual, received, "return-path", health, "sender-address", health)+
		of(usual, failed, "return-path", health, "sender-address", health)),
		"5 accepted 203.0.113.77 from="+health, "6 rcpt_unknown - 550 5.1.1 from="+health+" to=a@kontor.example")
	expect(t, log(usual, of(usual, delivered, "sender-address", health)+of(usual, delivered, "recipient-address", health)+
		of(usual, delivered, "directionality", "Originating")))
}

func TestNullSender(t *testing.T) {
	expect(t, log(usual, of(usual, received, "return-path", "<>", "sender-address", "mailer-daemon@x.example")), "5 accepted 203.0.113.77 null")
	expect(t, log(usual, of(usual, received, "return-path", "", "sender-address", "<>")), "5 accepted 203.0.113.77 null")
	expect(t, log(usual, of(usual, received, "return-path", "<y@y.example>")), "5 accepted 203.0.113.77 from=y@y.example")
	without := strings.Replace(fields07, ",return-path", "", 1)
	expect(t, log(without, of(without, received)), "5 accepted 203.0.113.77 from=x@x.example")
	expect(t, log(without, of(without, received, "sender-address", "<>")), "5 accepted 203.0.113.77 null")
}

func TestHeadlessAndBad(t *testing.T) {
	expect(t, of(usual, received), "1 accepted 203.0.113.77 from=x@x.example")
	for _, bad := range []string{of(fields10, received), "x\n", of(usual, received, "source", "smtp x"), of(usual, received, "date-time", "2026-03-02"),
		of(usual, received, "internal-message-id", "x"), of(usual, received, "network-message-id", "a@kontor.example")} {
		if counts := expect(t, bad); counts.Unparsed != 1 || Share([]byte(bad)) != 0 {
			t.Errorf("%q: %+v, share %v", bad, counts, Share([]byte(bad)))
		}
	}
	if Share([]byte(log(usual, ""))) != 1 || Share([]byte("#Log-type: Agent Log\r\n")) != 0 {
		t.Error("the header is not known")
	}
}

func BenchmarkTracking(b *testing.B) {
	var rows []string
	for i := range 500 {
		rows = append(rows, with(usual, received, 1000+i), with(usual, failed, 1000+i), with(usual, delivered, 1000+i),
			of(usual, failed, "source", "DSN", "event-id", "DSN"))
	}
	kit().Benchmark(b, log(usual, ""), rows...)
}
