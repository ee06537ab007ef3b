package popimap

import (
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

const head = "\ufeff#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: POP3 Log\r\n#Date: 2026-03-02T09:00:00.000Z\r\n#Fields: " + usual + "\r\n"

var seeds = []string{
	head + line("203.0.113.77:50110", "jdoe", "pass", "*****", popFail),
	line("[2001:db8::1]:1", "jdoe", "login", "x", imapFail) + line("203.0.113.77:50110", "", "OpenSession", "", ""),
	"2026-03-02T09:00:01.000Z,0A,2,,1.2.3.4:1,u,1,1,1,auth,x,\"R=\"\"a\"\"b NO\"\"\"\n",
}

const (
	popFail  = `R="-ERR Logon failure: unknown user name or bad password.";Msg="AuthFailed:LogonDenied,User: jdoe";ErrMsg=AuthFailed:LogonDenied`
	imapFail = `R="2 NO AUTHENTICATE failed.";Msg="AuthFailed:LogonDenied,User: jdoe";ErrMsg=AuthFailed:LogonDenied`
)

// line makes a row of thirteen columns.
func line(client, user, command, parameters, context string) string {
	for _, s := range []*string{&user, &parameters, &context} {
		if strings.ContainsAny(*s, `",`) {
			*s = `"` + strings.ReplaceAll(*s, `"`, `""`) + `"`
		}
	}
	return "2026-03-02T09:00:01.000Z,0000000000000A01,2,192.0.2.10:110," + client + "," + user + ",15,12,30," + command + "," + parameters + "," + context + ",\r\n"
}

func TestLogons(t *testing.T) {
	for _, c := range []struct{ user, command, parameters, context, want string }{
		{"jdoe", "pass", "*****", popFail, "auth_fail jdoe"},
		{"jdoe", "PASS", "*****", popFail, "auth_fail jdoe"},
		{"jdoe", "auth", " PLAIN", popFail, "auth_fail jdoe"},
		{"jdoe", "authenticate", "PLAIN", imapFail, "auth_fail jdoe"},
		{"jdoe", "login", "jdoe *****", `R="a1 NO LOGIN failed."`, "auth_fail jdoe"},
		{"", "login", "", `R="a1 NO LOGIN failed."`, "auth_fail "},
		{"jdoe", "pass", "*****", `ErrMsg=AuthFailed:LogonDenied`, "auth_fail jdoe"},
		{"jdoe", "pass", "*****", `Msg="AuthFailed:LogonDenied,User: jdoe"`, "auth_fail jdoe"},
		{"jdoe", "pass", "*****", `R="+OK User successfully logged on."`, "auth_ok jdoe"},
		{"jdoe", "pass", "*****", `R=ok;RpcC=13`, "auth_ok jdoe"},
		{"jdoe", "login", "jdoe *****", `R=OK`, "auth_ok jdoe"},
		{"jdoe", "authenticate", "PLAIN", `R="2 OK AUTHENTICATE completed.";Msg="x"`, "auth_ok jdoe"},
		{"jdoe", "pass", "*****", `R="-ERR Server Unavailable. 21";Msg="Proxy:x"`, "server_error jdoe"},
		{"jdoe", "login", "jdoe *****", `R="9 NO Server Unavailable. 15"`, "server_error jdoe"},
		// The client chooses his name, which stands in the context, and the tag before the answer.
		{`x";R="-ERR`, "pass", "*****", `R="+OK logged on.";Msg="User: x";R="-ERR";ErrMsg=AuthFailed:x"`, `auth_ok x";R="-ERR`},
		{`R="+OK`, "pass", "*****", `R="-ERR Logon failure";Msg="AuthFailed:LogonDenied,User: R="+OK;R=ok"`, `auth_fail R="+OK`},
		{"jdoe", "login", "x", `R="OK NO LOGIN failed."`, "auth_fail jdoe"},
		{"jdoe", "login", "x", `R="-ERR OK LOGIN completed."`, "auth_ok jdoe"},
		{"jdoe", "login", "x", `R="a"b NO LOGIN failed."`, "auth_fail jdoe"},
		{"jdoe", "login", "x", `R="NO OK LOGIN completed."`, "auth_ok jdoe"},
		// What says nothing.
		{"jdoe", "login", "x", `R="2 BAD Command Argument Error."`, ""},
		{"", "auth", "", `R="+OK"`, ""},
		{"jdoe", "auth", "", `R=ok`, ""},
		{"", "authenticate", "PLAIN", `R=ok`, ""},
		{"jdoe", "user", "jdoe", `R=ok`, ""},
		{"jdoe", "list", "", `R="-ERR no";ErrMsg=AuthFailed`, ""},
		{"jdoe", "pass", "*****", "", ""},
		{"jdoe", "pass", "*****", "x;ErrMsg=AuthFailed:LogonDenied", ""},
		{"jdoe", "capability", "", imapFail, ""},
	} {
		var want []string
		if kind, user, ok := strings.Cut(c.want, " "); ok {
			want = []string{"6 " + kind + " 203.0.113.77"}
			if user != "" {
				want[0] += " user=" + user
			}
		}
		expect(t, head+line("203.0.113.77:50110", c.user, c.command, c.parameters, c.context), want...)
	}
}

func TestSessions(t *testing.T) {
	data := head + line("203.0.113.77:50110", "", "OpenSession", "", "") + line("203.0.113.77:50110", "jdoe", "pass", "*****", popFail) +
		line("203.0.113.77:50110", "jdoe", "CloseSession", "", "")
	expect(t, data, "7 auth_fail 203.0.113.77 user=jdoe")
}

func TestClients(t *testing.T) {
	for client, want := range map[string]string{
		"203.0.113.77:1": "203.0.113.77", "[2001:db8:bad::7]:50110": "2001:db8:bad::7", "2001:db8:bad::7:50110": "2001:db8:bad::7",
		"[::ffff:203.0.113.5]:1": "203.0.113.5", "[fe80::1%3]:143": "fe80::1",
		"127.0.0.1:1": "", "[::1]:1": "", "192.0.2.9:25": "", "x:1": "unparsed", "": "unparsed",
	} {
		data := head + line(client, "jdoe", "pass", "*****", popFail)
		if want == "" || want == "unparsed" {
			if counts := expect(t, data); (counts.Unparsed == 1) != (want == "unparsed") {
				t.Errorf("%q: %+v", client, counts)
			}
			continue
		}
		expect(t, data, "6 auth_fail "+want+" user=jdoe")
	}
}

// A file without a head has twelve columns or thirteen.
func TestHeadless(t *testing.T) {
	thirteen := line("203.0.113.77:50110", "jdoe", "pass", "*****", popFail)
	twelve := strings.TrimSuffix(thirteen, ",\r\n") + "\n"
	expect(t, twelve+thirteen, "1 auth_fail 203.0.113.77 user=jdoe", "2 auth_fail 203.0.113.77 user=jdoe")
	if Share([]byte(twelve)) != 1 {
		t.Error("a log without a head is not known")
	}
	for _, bad := range []string{
		"x\n", strings.Replace(twelve, ",2,", ",x,", 1), "2026-03-02" + twelve[23:], strings.TrimSuffix(twelve, "\"\n") + "\n",
		`2026-03-02T09:00:01.000Z,MBX01\Default Frontend MBX01,08DE,1,192.0.2.10:25,203.0.113.7:1,<,AUTH LOGIN,` + "\n",
	} {
		if counts := expect(t, bad); counts.Unparsed != 1 || Share([]byte(bad)) != 0 {
			t.Errorf("%q: %+v, share %v", bad, counts, Share([]byte(bad)))
		}
	}
	long := strings.Repeat("x", 300)
	if events, _ := parse(golden.Ours(), line("203.0.113.77:1", long, "pass", "", popFail)); len(events[0].User) != harvestwatch.MaxField {
		t.Error("a user's name is not cut")
	}
}

func BenchmarkPopImap(b *testing.B) {
	kit().Benchmark(b, head, line("203.0.113.77:50110", "jdoe", "pass", "*****", popFail), line("203.0.113.77:50110", "jdoe", "list", "", "R=ok;RpcC=1"))
}
