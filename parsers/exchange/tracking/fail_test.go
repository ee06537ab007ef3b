package tracking

import (
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

const notFound = "'550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup'"

func TestFail(t *testing.T) {
	const from = " from=x@x.example to="
	for _, c := range []struct {
		name    string
		changes []string
		want    []string
	}{
		{"parallel lists", []string{"recipient-address", "a@kontor.example;'o''brien@kontor.example';'x;y@kontor.example';full@kontor.example",
			"recipient-status", notFound + ";" + notFound + ";'550 5.1.1 x; y';'554 5.2.2 mailbox full; it''s'"},
			[]string{"550 5.1.10" + from + "a@kontor.example", "550 5.1.10" + from + "o'brien@kontor.example", "550 5.1.1" + from + "x;y@kontor.example"}},
		{"one answer for all", []string{"recipient-address", "a@kontor.example;b@kontor.example", "recipient-status", notFound},
			[]string{"550 5.1.10" + from + "a@kontor.example", "550 5.1.10" + from + "b@kontor.example"}},
		{"fewer answers", []string{"recipient-address", "a@kontor.example;b@kontor.example;c@kontor.example", "recipient-status", notFound + ";" + notFound},
			[]string{"550 5.1.10" + from + "a@kontor.example", "550 5.1.10" + from + "b@kontor.example"}},
		{"answers without quotes", []string{"recipient-address", "a@kontor.example;b@kontor.example", "recipient-status", "554 5.2.2 full; really;550 5.1.1 RESOLVER.ADR.RecipNotFound; not found"},
			[]string{"550 5.1.1" + from + "b@kontor.example"}},
		{"the form with the last error", []string{"recipient-status", "'[{LRT=3/2/2026 9:00:02 AM};{LED=550 5.1.10 RESOLVER.ADR.RecipientNotFound; x};{FQDN=};{IP=}]'"},
			[]string{"550 5.1.10" + from + "a@kontor.example"}},
		{"the same without quotes", []string{"recipient-status", "[{LED=550 5.1.1 RESOLVER.ADR.RecipNotFound; x};{FQDN=};{IP=}]"},
			[]string{"550 5.1.1" + from + "a@kontor.example"}},
		{"no last error", []string{"recipient-status", "'[{FQDN=550 5.1.1};{IP=}]'"}, nil},
		{"a status alone", []string{"recipient-status", "5.1.1"}, []string{"550 5.1.1" + from + "a@kontor.example"}},
		{"source DSN", []string{"source", "DSN"}, []string{"550 5.1.1" + from + "a@kontor.example"}},
		{"source AGENT", []string{"source", "AGENT"}, []string{"550 5.1.1" + from + "a@kontor.example"}},
		{"another reason", []string{"recipient-status", "'550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized'"}, nil},
		{"later in the text", []string{"recipient-status", "'554 5.2.2 said: 550 5.1.1 User unknown'"}, nil},
		{"temporary", []string{"recipient-status", "'450 4.1.1 later'"}, nil},
		{"no answer", []string{"recipient-status", ""}, nil},
		// What a group or a redirection leads to is not of the sender's choosing.
		{"a member of a group", []string{"related-recipient-address", "all@kontor.example"}, nil},
		// Another organization's answer about its own users; it may be about mail that a user has sent on.
		{"another server's user", []string{"source", "SMTP", "recipient-address", "gone@else.example"}, nil},
		{"our user, by another server", []string{"source", "SMTP"}, []string{"550 5.1.1" + from + "a@kontor.example"}},
		{"no ids", []string{"internal-message-id", "", "message-id", ""}, nil},
		{"source STOREDRIVER", []string{"source", "STOREDRIVER"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.want {
				c.want[i] = "5 rcpt_unknown - " + c.want[i]
			}
			expect(t, log(usual, of(usual, failed, c.changes...)), c.want...)
		})
	}
}

func TestSpam(t *testing.T) {
	const status = "550 5.7.1 Message rejected as spam by Content Filtering."
	expect(t, log(usual, of(usual, failed, "source", "AGENT", "recipient-status", status)), "5 spam_refused - 550 5.7.1 from=x@x.example to=a@kontor.example")
	expect(t, log(usual, of(usual, failed, "source", "AGENT", "recipient-status", "550 5.2.1 Content Filter agent quarantined this message")),
		"5 spam_refused - 550 5.2.1 from=x@x.example to=a@kontor.example")
	expect(t, log(usual, of(usual, failed, "source", "AGENT", "recipient-status", "550 5.7.1 TRANSPORT.RULES.RejectMessage; not allowed")))
	expect(t, log(usual, of(usual, failed, "source", "ROUTING", "recipient-status", status)))
}

// Where the row names the client, the agent log's event of the same refusal can be told from it; the address is still
// the joined row's.
func TestFailTwins(t *testing.T) {
	ip, _ := address.Parse([]byte("203.0.113.77"))
	events, _ := parse(golden.Ours(), log(usual, of(usual, failed, "original-client-ip", "203.0.113.77")+of(usual, failed)+
		of(usual, failed, "original-client-ip", "192.0.2.9")+
		of(usual, failed, "original-client-ip", "203.0.113.77", "source", "AGENT", "recipient-status", "550 5.7.1 spam")))
	for i, want := range []uint64{twin.Recipient(ip, []byte("a@kontor.example")), 0, 0, twin.Spam(ip, []byte("x@x.example"))} {
		if events[i].Twin != want || events[i].Addr.IsValid() || events[i].Join == 0 {
			t.Errorf("event %d: %s", i, golden.Full(&events[i]))
		}
	}
}

func TestDeliver(t *testing.T) {
	expect(t, log(usual, of(usual, delivered, "recipient-address", "a@kontor.example;'o''brien@kontor.example';;HealthMailbox1@kontor.example")),
		"5 delivered - from=x@x.example to=a@kontor.example", "5 delivered - from=x@x.example to=o'brien@kontor.example")
	for _, changes := range [][]string{{"event-id", "DUPLICATEDELIVER"}, {"source", "SMTP", "event-id", "SEND"}, {"source", "ROUTING", "event-id", "RESOLVE"},
		{"source", "DSN", "event-id", "DSN"}, {"source", "SMTP", "event-id", "HARECEIVE"}, {"source", "PICKUP", "event-id", "BADMAIL"}, {"source", "GATEWAY"}} {
		if counts := expect(t, log(usual, of(usual, delivered, changes...))); counts.Ignored != 5 {
			t.Errorf("%v: %+v", changes, counts)
		}
	}
	long := strings.Repeat("a@kontor.example;", 1500)
	if events, _ := parse(golden.Ours(), log(usual, of(usual, delivered, "recipient-address", long))); len(events) != maxRecipients {
		t.Errorf("%d events of a long list", len(events))
	}
	if events, _ := parse(golden.Ours(), log(usual, of(usual, failed, "recipient-address", long, "recipient-status", notFound))); len(events) != maxRecipients {
		t.Errorf("%d events of a long list", len(events))
	}
}

// A client's text in subject, addresses and ids is in its own column, whatever it says.
func TestClientsText(t *testing.T) {
	const hostile = `x",ROUTING,FAIL,1,<m1@x.example>,a@kontor.example,550 5.1.1 [198.51.100.66]\r\n2026-03-02T09:00:01.000Z`
	expect(t, log(usual, of(usual, received, "message-subject", hostile, "return-path", hostile, "client-hostname", hostile, "message-id", hostile, "recipient-address", hostile)),
		"5 accepted 203.0.113.77 from="+hostile)
	expect(t, log(usual, of(usual, delivered, "recipient-address", "DELIVER,FAIL 203.0.113.1", "message-subject", hostile)),
		"5 delivered - from=x@x.example to=DELIVER,FAIL 203.0.113.1")
}
