package agent

import (
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

const (
	head    = "\ufeff#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: Agent Log\r\n#Date: 2026-03-02T09:00:00.000Z\r\n"
	head17  = head + "#Fields: Timestamp,SessionId,LocalEndpoint,RemoteEndpoint,EnteredOrgFromIP,MessageId,P1FromAddress,P2FromAddresses,Recipient,NumRecipients,Agent,Event,Action,SmtpResponse,Reason,ReasonData,Diagnostics\r\n"
	head20  = head + "#Fields: " + usual + "\r\n"
	unknown = "2026-03-02T09:00:01.000Z,08D1,192.0.2.10:25,192.0.2.9:31544,203.0.113.77,,x@cheap.example,,a@kontor.example,1,Recipient Filter Agent,OnRcptCommand,RejectCommand,550 5.1.1 User unknown,RecipientDoesNotExist,,"
)

var seeds = []string{
	head17 + unknown + "\r\n",
	unknown + ",,,Incoming\n#Log-type: SMTP Receive Protocol Log\n" + unknown + "\n#Log-type: Agent Log\n" + unknown,
	"2026-03-02T09:00:01.000Z,,,,::1,,,,'a;b';;';''',,,OnX,Disconnect,4\"\",,,\n",
}

// row makes a row of 20 columns.
func row20(entered, sender, rcpt, agent, event, action, answer, reason string) string {
	return "2026-03-02T09:00:01.000Z,08D1,192.0.2.10:25,203.0.113.99:31544," + entered + ",<1@x.example>," + sender + "," + sender + ";," + rcpt +
		",1," + agent + "," + event + "," + action + "," + answer + "," + reason + ",data,diagnostics,1e6eb197-0000-4234-0065-08de78a1b2c4,,Incoming\r\n"
}

func TestKinds(t *testing.T) {
	for _, c := range []struct{ agent, event, action, answer, reason, want string }{
		{"Recipient Filter Agent", "OnRcptCommand", "RejectCommand", "550 5.1.1 User unknown", "RecipientDoesNotExist", "rcpt_unknown 203.0.113.77 550 5.1.1 from=x@cheap.example to=a@kontor.example"},
		{"Recipient Filter Agent", "OnRcptCommand", "RejectCommand", "550 5.1.1 User unknown", "RecipientOnBlockList", "rcpt_refused 203.0.113.77 550 5.1.1 from=x@cheap.example to=a@kontor.example"},
		{"Recipient Filter Agent", "OnRcptCommand", "RejectCommand", "550 5.7.1 Restricted", "RecipientIsRestricted", "rcpt_refused 203.0.113.77 550 5.7.1 from=x@cheap.example to=a@kontor.example"},
		{"Recipient Filter Agent", "OnRcptCommand", "RejectCommand", "451 4.3.2 Temporary", "TransientFailure", "server_error 203.0.113.77 451 4.3.2 from=x@cheap.example to=a@kontor.example"},
		{"Recipient Filter Agent", "OnRcptCommand", "RejectCommand", "550 5.1.1 User unknown", "PermanentFailure", "server_error 203.0.113.77 550 5.1.1 from=x@cheap.example to=a@kontor.example"},
		{"Recipient Filter Agent", "OnRcptCommand", "RejectCommand", "", "UnexpectedFailure", "server_error 203.0.113.77 from=x@cheap.example to=a@kontor.example"},
		{"Connection Filtering Agent", "OnRcptCommand", "RejectCommand", `"550 5.7.1 Recipient not authorized, your IP has been found on a block list"`, "BlockListProvider", "rcpt_refused 203.0.113.77 550 5.7.1 from=x@cheap.example to=a@kontor.example"},
		{"Sender Filter Agent", "OnMailCommand", "RejectCommand", "554 5.1.0 Sender denied", "BlankSender", "rcpt_refused 203.0.113.77 554 5.1.0 from=x@cheap.example to=a@kontor.example"},
		{"Sender Id Agent", "OnEndOfHeaders", "RejectMessage", "550 5.7.1 Sender ID (PRA) Not Permitted", "Fail", "rcpt_refused 203.0.113.77 550 5.7.1 from=x@cheap.example to=a@kontor.example"},
		{"Sender Id Agent", "OnEndOfHeaders", "DeleteMessage", "", "Fail", "rcpt_refused 203.0.113.77 from=x@cheap.example to=a@kontor.example"},
		{"Content Filter Agent", "OnEndOfData", "RejectMessage", "550 5.7.1 Message rejected as spam", "SclAtOrAboveRejectThreshold", "spam_refused 203.0.113.77 550 5.7.1 from=x@cheap.example to=a@kontor.example"},
		{"Content Filter Agent", "OnEndOfData", "DeleteMessage", "", "SclAtOrAboveDeleteThreshold", "spam_refused 203.0.113.77 from=x@cheap.example to=a@kontor.example"},
		{"Content Filter Agent", "OnEndOfData", "QuarantineMessage", "", "SclAtOrAboveQuarantineThreshold", "spam_refused 203.0.113.77 from=x@cheap.example to=a@kontor.example"},
		{"Content Filter Agent", "OnEndOfData", "QuarantineRecipients", "", "", "spam_refused 203.0.113.77 from=x@cheap.example to=a@kontor.example"},
		{"Content Filter Agent", "OnEndOfData", "AcceptMessage", "", "SCL", ""},
		{"Content Filter Agent", "OnEndOfData", "StampScl", "", "SCL", ""},
		{"Inbound Trust Agent", "OnEndOfHeaders", "ModifyHeaders", "", "", ""},
		{"Protocol Analysis Agent", "OnEndOfHeaders", "AttributionResult", "", "", ""},
		{"Protocol Analysis Agent", "OnMailCommand", "RejectCommand", "550 5.7.1 External client", "LocalBlockList", "rcpt_refused 203.0.113.77 550 5.7.1 from=x@cheap.example to=a@kontor.example"},
		{"Protocol Analysis Agent", "OnReject", "Disconnect", "", "", "rcpt_refused 203.0.113.77 from=x@cheap.example to=a@kontor.example"},
		{"Some Agent", "OnEndOfAuthentication", "RejectAuthentication", "535 5.7.3 no", "", "auth_fail 203.0.113.77 535 5.7.3 from=x@cheap.example"},
		{"Some Agent", "OnEndOfAuthentication", "RejectAuthentication", "454 4.7.0 later", "", "server_error 203.0.113.77 454 4.7.0 from=x@cheap.example to=a@kontor.example"},
		{"User unknown", "OnRcptCommand", "RejectCommand", "550 5.1.1 User unknown", "RecipientDoesNotExist", "rcpt_refused 203.0.113.77 550 5.1.1 from=x@cheap.example to=a@kontor.example"},
	} {
		row := row20("203.0.113.77", "x@cheap.example", "a@kontor.example", c.agent, c.event, c.action, c.answer, c.reason)
		if c.want == "" {
			if counts := expect(t, head20+row); counts.Ignored != 6 {
				t.Errorf("%s: %+v", row, counts)
			}
			continue
		}
		expect(t, head20+row, "6 "+c.want)
	}
}

// The address is that from which the mail entered the organization; the connection is often a server of our own.
func TestSource(t *testing.T) {
	verdict := []string{"Recipient Filter Agent", "OnRcptCommand", "RejectCommand", "550 5.1.1 User unknown", "RecipientDoesNotExist"}
	for _, c := range []struct{ entered, remote, want string }{
		{"203.0.113.77", "192.0.2.9:25", "203.0.113.77"},
		{"2001:db8::7", "192.0.2.9:25", "2001:db8::7"},
		{"::ffff:203.0.113.77", "", "203.0.113.77"},
		{"fe80::1%12", "", "fe80::1"},
		{"", "203.0.113.78:4312", "203.0.113.78"},
		{"", "[2001:db8::9]:4312", "2001:db8::9"},
		{"", "2001:db8::9:4312", "2001:db8::9"},
		{"0.0.0.0", "203.0.113.78:4312", "203.0.113.78"},
		{"192.0.2.9", "203.0.113.78:4312", ""},
		{"", "192.0.2.9:4312", ""},
		{"127.0.0.1", "203.0.113.78:4312", ""},
		{"", "[::1]:4312", ""},
		{"", "", ""},
		{"garbage", "203.0.113.78:4312", "unparsed"},
		{"", "garbage", "unparsed"},
		{"203.0.113.77 x", "", "unparsed"},
	} {
		data := head17 + "2026-03-02T09:00:01.000Z,08D1,192.0.2.10," + c.remote + "," + c.entered + ",,x@y.example,,a@kontor.example,1," + strings.Join(verdict, ",") + ",,\r\n"
		switch c.want {
		case "", "unparsed":
			counts := expect(t, data)
			if counts.Unparsed != int64(len(c.want)/len("unparsed")) {
				t.Errorf("%+v: %+v", c, counts)
			}
		default:
			expect(t, data, "6 rcpt_unknown "+c.want+" 550 5.1.1 from=x@y.example to=a@kontor.example")
		}
	}
}

func TestNullSender(t *testing.T) {
	filter := func(sender, rcpt, event string) string {
		return head20 + row20("203.0.113.77", sender, rcpt, "Connection Filtering Agent", event, "RejectCommand", "550 5.7.1 no", "LocalBlockList")
	}
	expect(t, filter("<>", "a@kontor.example", "OnRcptCommand"), "6 rcpt_refused 203.0.113.77 550 5.7.1 null to=a@kontor.example")
	expect(t, filter("", "a@kontor.example", "OnRcptCommand"), "6 rcpt_refused 203.0.113.77 550 5.7.1 null to=a@kontor.example")
	expect(t, filter("<>", "", "OnMailCommand"), "6 rcpt_refused 203.0.113.77 550 5.7.1 null")
	expect(t, filter("", "", "OnConnect"), "6 rcpt_refused 203.0.113.77 550 5.7.1")
	expect(t, filter("", "", "OnMailCommand"), "6 rcpt_refused 203.0.113.77 550 5.7.1")
	expect(t, filter("<a@b.example>", "<a@kontor.example>", "OnRcptCommand"), "6 rcpt_refused 203.0.113.77 550 5.7.1 from=a@b.example to=a@kontor.example")
}

func TestLists(t *testing.T) {
	list := func(rcpt string) string {
		return head20 + row20("203.0.113.77", "x@y.example", rcpt, "Content Filter Agent", "OnEndOfData", "RejectMessage", "550 5.7.1 spam", "SCL")
	}
	expect(t, list("a@kontor.example;'o''brien@kontor.example';'x;y@kontor.example';;"),
		"6 spam_refused 203.0.113.77 550 5.7.1 from=x@y.example to=a@kontor.example",
		"6 spam_refused 203.0.113.77 550 5.7.1 from=x@y.example to=o'brien@kontor.example",
		"6 spam_refused 203.0.113.77 550 5.7.1 from=x@y.example to=x;y@kontor.example")
	expect(t, list(`"""a,b""@kontor.example;c@kontor.example"`),
		`6 spam_refused 203.0.113.77 550 5.7.1 from=x@y.example to="a,b"@kontor.example`,
		"6 spam_refused 203.0.113.77 550 5.7.1 from=x@y.example to=c@kontor.example")
	expect(t, list(""), "6 spam_refused 203.0.113.77 550 5.7.1 from=x@y.example")
	if events, _ := parse(golden.Ours(), list(strings.Repeat("a@kontor.example;", 1500))); len(events) != maxRecipients {
		t.Errorf("%d events of a long list", len(events))
	}
}

// What a client wrote stands in the sender, the recipient, the message's id and the answer's text: none of it decides.
func TestClientsText(t *testing.T) {
	const hostile = `"x,""Recipient Filter Agent"",OnRcptCommand,RejectCommand,550 5.1.1,RecipientDoesNotExist,[192.0.2.66]\r\n2026@kontor.example"`
	expect(t, head20+row20("203.0.113.77", hostile, hostile, "Content Filter Agent", "OnEndOfData", "AcceptMessage", hostile, hostile))
	expect(t, head20+row20("203.0.113.77", "RecipientDoesNotExist", "203.0.113.66", "Sender Filter Agent", "OnMailCommand", "RejectCommand", `"554 5.1.0 x 550 5.1.1 User unknown"`, "RecipientDoesNotExist"),
		"6 rcpt_refused 203.0.113.77 554 5.1.0 from=RecipientDoesNotExist to=203.0.113.66")
	long := strings.Repeat("x", 300)
	events, _ := parse(golden.Ours(), head20+row20("203.0.113.77", long, long, "Sender Filter Agent", "OnMailCommand", "RejectCommand", "554", ""))
	if len(events) != 1 || len(events[0].Sender) != harvestwatch.MaxField || len(events[0].Recipient) != harvestwatch.MaxField {
		t.Errorf("texts are not cut: %v", events)
	}
}

func TestTwins(t *testing.T) {
	ip, _ := address.Parse([]byte("203.0.113.77"))
	events, _ := parse(golden.Ours(), head20+
		row20("203.0.113.77", "x@y.example", "A@kontor.example", "Recipient Filter Agent", "OnRcptCommand", "RejectCommand", "550 5.1.1", "RecipientDoesNotExist")+
		row20("203.0.113.77", "x@y.example", "a@kontor.example", "Content Filter Agent", "OnEndOfData", "RejectMessage", "550 5.7.1", "SCL")+
		row20("203.0.113.77", "", "", "Connection Filtering Agent", "OnConnect", "RejectConnection", "550 5.7.1", "LocalBlockList"))
	for i, want := range []uint64{twin.Recipient(ip, []byte("a@kontor.example")), twin.Spam(ip, []byte("x@y.example")), twin.Recipient(ip, nil)} {
		if events[i].Twin != want || events[i].Session != events[0].Session || events[i].Session == 0 || (events[i].Join != 0) != (i == 1) {
			t.Errorf("event %d: %s", i, golden.Full(&events[i]))
		}
	}
}

func TestHeadless(t *testing.T) {
	want := " rcpt_unknown 203.0.113.77 550 5.1.1 from=x@cheap.example to=a@kontor.example"
	expect(t, unknown+"\r\n"+unknown+",guid,,Incoming\r\n", "1"+want, "2"+want)
	for _, bad := range []string{"x\n", strings.Replace(unknown, "OnRcpt", "AtRcpt", 1) + "\n", "2026-03-02" + unknown[19:] + "\n", unknown + "\"\n", "2026-03-02T09:00:01.000Z,a,b\n"} {
		if counts := expect(t, bad); counts.Unparsed != 1 || Share([]byte(bad)) != 0 {
			t.Errorf("%q: %+v, share %v", bad, counts, Share([]byte(bad)))
		}
	}
}

func BenchmarkAgent(b *testing.B) {
	kit().Benchmark(b, head20, row20("203.0.113.77", "x@y.example", "a.name@kontor.example", "Recipient Filter Agent", "OnRcptCommand", "RejectCommand", "550 5.1.1 User unknown", "RecipientDoesNotExist"))
}
