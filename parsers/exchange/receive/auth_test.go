package receive

import (
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
)

// Each attempt is told once, by its reply, with the name that was tried in it.
func TestAuthFailures(t *testing.T) {
	tarpit := "*Tarpit for '0.00:00:05' due to '535 5.7.3 Authentication unsuccessful'"
	expect(t, front.log(
		"<AUTH LOGIN", ">334 <authentication response>", ">334 <authentication response>", "*|Inbound AUTH LOGIN failed because of LogonDenied",
		"*|User Name: joe@kontor.example", tarpit, ">535 5.7.3 Authentication unsuccessful",
		"<AUTH NTLM", ">334 <authentication response>", "*|Inbound Negotiate failed because of LogonDenied", "*|Username: KONTOR\\ann", tarpit, ">535 5.7.3 Authentication unsuccessful",
		"<auth plain c2VjcmV0", "*|Inbound authentication failed because of LogonDenied", "*|User Name: NULL", ">535 5.7.3 Authentication unsuccessful",
		"<AUTH LOGIN", "*|User Name: late@kontor.example", ">454 4.7.0 Temporary authentication failure",
		"<AUTH LOGIN", ">504 5.7.4 Unrecognized authentication type",
		"<AUTH LOGIN", ">334 <authentication response>", "<<authentication response>", "*|Inbound AUTH LOGIN failed because of LogonDenied", "*|User Name: a, b\"c", ">535 5.7.3 Authentication unsuccessful",
		"<QUIT", ">221 2.0.0 bye"),
		"7 auth_fail 203.0.113.77 user=joe@kontor.example", `13 auth_fail 203.0.113.77 user=KONTOR\ann`, "17 auth_fail 203.0.113.77",
		"20 server_error 203.0.113.77 user=late@kontor.example", "22 auth_fail 203.0.113.77", `28 auth_fail 203.0.113.77 user=a, b"c`)
}

func TestAuthSuccess(t *testing.T) {
	expect(t, front.log("<AUTH LOGIN", "*|User Name: wrong@kontor.example", ">535 5.7.3 Authentication unsuccessful",
		"<AUTH LOGIN", ">334 <authentication response>", "*joe@kontor.example|authenticated", ">235 2.7.0 Authentication successful",
		"*|Proxy session was successfully set up. Session forjoe@kontor.example will now be proxied", "<RCPT TO:<a@k.example>", ">250 2.1.5 Recipient OK", "<EHLO x",
		">535 5.7.3 Authentication unsuccessful"),
		"3 auth_fail 203.0.113.77 user=wrong@kontor.example", "7 auth_ok 203.0.113.77 user=joe@kontor.example",
		"10 rcpt_ok 203.0.113.77 to=a@k.example user=joe@kontor.example", "12 auth_fail 203.0.113.77 user=joe@kontor.example")
}

// A password given in the AUTH command is not kept.
func TestNoSecretIsKept(t *testing.T) {
	p := New(own)
	runWith(p, front.log("<AUTH PLAIN c2VjcmV0", "<AUTH LOGIN c2VjcmV0"), show)
	p.Changes(func(_, value []byte) {
		if strings.Contains(string(value), "c2VjcmV0") {
			t.Errorf("%q", value)
		}
	})
}

// What the agent log, the hub's log and the front end's tell of one deed has one twin.
func TestTwins(t *testing.T) {
	client, _ := address.Parse([]byte("203.0.113.77"))
	say := []string{"<MAIL FROM:<s@a.example>", ">250 2.1.0 Sender OK", "<RCPT TO:<A@k.example>", ">550 5.1.1 User unknown", "<RCPT TO:<b@k.example>", ">250 2.1.5 Recipient OK",
		"<DATA", ">250 2.6.0 <1@a.example> [InternalId=1, Hostname=x] Queued mail for delivery",
		"<MAIL FROM:<s@a.example>", ">250 2.1.0 Sender OK", "<DATA", ">550 5.7.1 Message rejected as spam by Content Filtering."}
	behind := append([]string{"<XPROXYFROM SID=1 IP=203.0.113.77 DOMAIN=x", ">250 XProxyFrom accepted"}, say...)
	byLog := map[string][]harvestwatch.Event{}
	for name, data := range map[string][]byte{"front": front.log(say...), "hub": hub.log(behind...)} {
		spoken(data, func(ev *harvestwatch.Event) string { byLog[name] = append(byLog[name], ev.Clone()); return "" })
	}
	want := []uint64{twin.Recipient(client, []byte("a@k.example")), twin.Recipient(client, []byte("b@k.example")),
		twin.Message(client, []byte("<1@a.example>")), twin.Spam(client, []byte("s@a.example"))}
	for name, evs := range byLog {
		if len(evs) != len(want) {
			t.Fatalf("%s: %d events", name, len(evs))
		}
		for i := range evs {
			if evs[i].Twin != want[i] {
				t.Errorf("%s: %s has the twin %x, want %x", name, evs[i].Kind, evs[i].Twin, want[i])
			}
		}
		if evs[2].Join != twin.Join([]byte("1@a.example")) {
			t.Errorf("%s: join %x", name, evs[2].Join)
		}
	}
	run(front.log("<AUTH LOGIN", ">535 5.7.3 Authentication unsuccessful"), func(ev *harvestwatch.Event) string {
		if ev.Twin != twin.Auth(client, []byte("mbx01.kontor.example"), []byte("Default Frontend MBX01")) {
			t.Errorf("auth: %x", ev.Twin)
		}
		return ""
	})
}
