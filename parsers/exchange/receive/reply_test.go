package receive

import (
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
)

// replies are replies in answer to a command, each with the kind of the one event that it gives, or none.
var replies = []struct{ command, reply, kind string }{
	{"RCPT TO:<a@k.example>", "550 5.1.1 User unknown", "rcpt_unknown"},
	{"RCPT TO:<a@k.example>", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", "rcpt_unknown"},
	{"RCPT TO:<a@k.example>", "550 User unknown", "rcpt_unknown"},
	{"RCPT TO:<a@k.example>", "550 5.1.0 RESOLVER.ADR.RecipNotFound; not found", "rcpt_unknown"},
	{"RCPT TO:<a@k.example>", "550 5.1.11 whatever", ""},
	{"RCPT TO:<a@k.example>", "450 4.1.1 User unknown", ""},
	{"RCPT TO:<a@k.example>", "550 5.7.1 Unable to relay", "rcpt_relay_denied"},
	{"RCPT TO:<a@k.example>", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", "rcpt_relay_denied"},
	{"RCPT TO:<a@k.example>", "550 5.7.0 Relay Access Denied ATTR1", "rcpt_relay_denied"},
	{"RCPT TO:<a@k.example>", "550 5.7.64 TenantAttribution; Relay Access Denied", "rcpt_relay_denied"},
	{"MAIL FROM:<s@a.example>", "530 5.7.1 Client was not authenticated", "rcpt_refused"},
	{"MAIL FROM:<s@a.example>", "530 5.7.1 Not authenticated", "rcpt_refused"},
	{"MAIL FROM:<s@a.example>", "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM", "rcpt_refused"},
	{"MAIL FROM:<s@a.example>", "530 5.7.0 Must issue a STARTTLS command first", "rcpt_refused"},
	{"MAIL FROM:<s@a.example>", "550 5.7.1 Client does not have permissions to send as this sender", "rcpt_refused"},
	{"MAIL FROM:<s@a.example>", "550 5.7.1 Anonymous client does not have permissions to send as this sender", "rcpt_refused"},
	{"MAIL FROM:<s@a.example>", "550 5.7.1 Client does not have permissions to submit to this server", "rcpt_refused"},
	{"MAIL FROM:<s@a.example>", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "rcpt_refused"},
	{"MAIL FROM:<s@a.example>", "554 5.1.0 Sender denied", "rcpt_refused"},
	{"RCPT TO:<a@k.example>", "554 5.1.0 Something else", ""},
	{"RCPT TO:<a@k.example>", "550 5.7.1 Recipient not authorized, your IP has been found on a block list", "rcpt_refused"},
	{"RCPT TO:<a@k.example>", "550 5.7.1 Recipient not authorized", "rcpt_refused"},
	{"DATA", "550 5.7.1 Message rejected as spam by Content Filtering.", "spam_refused"},
	{"BDAT 9 LAST", "550 5.7.1 Rejected as spam", "spam_refused"},
	{"DATA", "550 5.7.1 Delivery not authorized, message refused", ""},
	{"AUTH LOGIN", "535 5.7.3 Authentication unsuccessful", "auth_fail"},
	{"AUTH NTLM", "535 5.7.3 Authentication unsuccessful - Tenant locked out", "auth_fail"},
	{"X-EXPS GSSAPI", "535 5.7.3 Authentication unsuccessful - User not found", "auth_fail"},
	{"AUTH LOGIN", "535 5.7.3 Authentication unsuccessful due to permanent server error", "server_error"},
	{"AUTH LOGIN", "504 5.7.4 Unrecognized authentication type", "auth_fail"},
	{"AUTH LOGIN", "454 4.7.0 Temporary authentication failure", "server_error"},
	{"AUTH LOGIN", "235 2.7.0 Authentication successful", "auth_ok"},
	{"EHLO x", "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel", "throttled"},
	{"EHLO x", "421 4.3.2 The maximum number of concurrent server connections has exceeded a limit, closing transmission channel", "server_error"},
	{"EHLO x", "421 4.4.2 Message submission rate for this client has exceeded the configured limit", "throttled"},
	{"RCPT TO:<a@k.example>", "452 4.5.3 Too many recipients", "throttled"},
	{"RCPT TO:<a@k.example>", "421 4.7.0 Too many errors on this connection, closing transmission channel", "throttled"},
	{"MAIL FROM:<s@a.example>", "452 4.3.1 Insufficient system resources", "server_error"},
	{"DATA", "451 4.7.0 Temporary server error. Please try again later. PRX5", "server_error"},
	{"NOOP", "451 4.7.0 Timeout waiting for client input", "server_error"},
	{"NOOP", "421 4.4.1 Connection timed out", "server_error"},
	{"RCPT TO:<a@k.example>", "451 4.3.2 Please try again later", "server_error"},
	{"RCPT TO:<a@k.example>", "451 4.7.1 Greylisted", ""},
	{"FOO", "500 5.3.3 Unrecognized command", "protocol_error"},
	{"EHLO (", "501 5.5.4 Invalid domain name", "protocol_error"},
	{"RCPT TO:<a", "501 5.1.3 Invalid address", "protocol_error"},
	{"MAIL FROM:<a", "501 5.1.7 Invalid address", "protocol_error"},
	{"RCPT TO:<a@k.example>", "503 5.5.2 Need mail command", "protocol_error"},
	{"MAIL FROM:<s@a.example>", "250 2.1.0 Sender OK", ""},
	{"RCPT TO:<a@k.example>", "250 2.1.5 Recipient OK", "rcpt_ok"},
	{"DATA", "354 Start mail input; end with <CRLF>.<CRLF>", ""},
	{"DATA", "250 2.6.0 <1@a.example> [InternalId=2, Hostname=x] 11511 bytes in 0.102, 109,173 KB/sec Queued mail for delivery", "accepted"},
	{"DATA", "250 2.6.0 <1@a.example> Queued mail for delivery", "accepted"},
	{"BDAT 9 LAST", "250 2.6.0 <1@a.example> Queued mail for delivery", "accepted"},
	{"bdat 9  last", "250 2.6.0 anything", "accepted"},
	{"BDAT 9", "250 2.6.0 CHUNK received OK, 9 octets", ""},
	{"DATA", "554 5.6.0 Invalid message content", ""},
	{"DATA", "552 5.3.4 Message size exceeds fixed maximum message size", ""},
	{"RSET", "250 2.0.0 Resetting", ""},
	{"STARTTLS", "220 2.0.0 SMTP server ready", ""},
	{"QUIT", "221 2.0.0 Service closing transmission channel", ""},
}

func TestReplies(t *testing.T) {
	for _, c := range replies {
		var want []string
		if c.kind != "" {
			want = []string{"2 " + c.kind + " 203.0.113.77"}
			if strings.HasPrefix(c.command, "RCPT") && !strings.HasPrefix(c.reply, "421") {
				want[0] += " to=a@k.example"
			}
			if c.command == "RCPT TO:<a" {
				want[0] = strings.TrimSuffix(want[0], "@k.example")
			}
		}
		got, counts := run(front.log("<"+c.command, ">"+c.reply), brief)
		if strings.Join(got, "\n") != strings.Join(want, "\n") || counts.Unparsed != 0 {
			t.Errorf("%s -> %s: %q, want %q", c.command, c.reply, got, want)
		}
	}
}

// Without the command, because the log begins behind it, some replies speak for themselves.
func TestRepliesAlone(t *testing.T) {
	expect(t, front.log(
		">550 5.1.1 User unknown", ">550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found", ">535 5.7.3 Authentication unsuccessful",
		">504 5.7.4 Unrecognized authentication type", ">250 2.1.0 Sender OK", ">250 2.0.0 OK", ">550 5.7.1 Unable to relay", ">550 5.7.1 No",
		">250 2.6.0 <1@a.example> [InternalId=3, Hostname=x] Queued mail for delivery", ">250 2.6.0 chunk", ">220 mx ESMTP"),
		"1 rcpt_unknown 203.0.113.77", "2 rcpt_unknown 203.0.113.77", "3 auth_fail 203.0.113.77", "4 auth_fail 203.0.113.77",
		"7 rcpt_relay_denied 203.0.113.77", "9 accepted 203.0.113.77")
}

func TestEnhancedCodes(t *testing.T) {
	for text, want := range map[string]string{
		"2.1.5 x": "2.1.5", "5.1.10": "5.1.10", "5.7.54; x": "5.7.54", "5.1.1000 x": "", "5.1": "", "5..1 x": "", "5.1.1x": "", "9.1.1 x": "",
		"": "", "5.": "", "44.1.1 x": "", "5.1.99999999999999999999": "",
	} {
		var r row
		r.enhanced([]byte(text))
		if got := r.status.String(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestReplyRows(t *testing.T) {
	for text, want := range map[string]csvlog.Verdict{
		"250-SIZE": csvlog.Ignored, "250 CHUNKING": csvlog.Kept, "250": csvlog.Kept, "334 <authentication response>": csvlog.Ignored,
		`250-mx Hello\r\n250-SIZE\r\n250 CHUNKING`: csvlog.Kept, `250-mx\r\n550 5.1.1 User unknown`: csvlog.Ignored, `250-a\n250-b`: csvlog.Ignored,
		"": csvlog.Unparsed, "25": csvlog.Unparsed, "2500 x": csvlog.Unparsed, "650 x": csvlog.Unparsed, "25x y": csvlog.Unparsed,
	} {
		var r row
		if got := r.reply([]byte(text), new([]byte)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// Every rule is reached by a reply that has what it says.
func TestEachRuleIsReached(t *testing.T) {
	for digit, rules := range rulesOf {
		for i := range rules {
			x := &rules[i]
			code := x.code
			if code < 10 {
				code = uint16(digit)*100 + 99
			}
			reached := false
			for _, status := range []uint32{x.status.value, uint32(digit) << 20} {
				for j := range rules {
					if rules[j].fits(code, status, []byte("Say: "+strings.ToUpper(x.text))) {
						reached = reached || i == j
						break
					}
				}
			}
			if !reached {
				t.Errorf("rule %d of %dxx (%q) is hidden by another", i, digit, x.text)
			}
		}
	}
}
