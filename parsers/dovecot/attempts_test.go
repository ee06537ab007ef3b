package dovecot

import (
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// told counts the failed attempts that a log of messages tells, each message with its second.
func told(t *testing.T, messages ...string) int {
	t.Helper()
	var b strings.Builder
	for _, m := range messages {
		var second int
		var text string
		if _, err := fmt.Sscanf(m, "%d", &second); err != nil {
			t.Fatal(err)
		}
		_, text, _ = strings.Cut(m, " ")
		fmt.Fprintf(&b, "Mar 22 17:%02d:%02d mx dovecot: %s\n", second/60, second%60, text)
	}
	n := 0
	run(t, b.String(), func(ev *harvestwatch.Event) string {
		if ev.Kind == harvestwatch.AuthFail {
			n++
		}
		return ""
	})
	return n
}

const (
	pamA   = "pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=a rhost=203.0.113.1"
	sqlS   = "auth: sql(a,203.0.113.1,<S>): unknown user"
	fileS  = "auth: passwd-file(a,203.0.113.1,<S>): unknown user"
	sqlA   = "auth: sql(a,203.0.113.1): unknown user"
	fileA  = "auth: passwd-file(a,203.0.113.1): unknown user"
	ended  = "imap-login: Disconnected (auth failed, %d attempts): user=<a>, rip=203.0.113.1, lip=192.0.2.1"
	endedS = ended + ", session=<S>"
	loginS = "imap-login: Login: user=<a>, rip=203.0.113.1, lip=192.0.2.1, session=<S>"
)

func TestEachAttemptOnce(t *testing.T) {
	end := func(form string, second, n int) string { return fmt.Sprintf("%d "+form, second, n) }
	for name, c := range map[string]struct {
		want     int
		messages []string
	}{
		"a line of the database alone":         {1, []string{"0 " + sqlS}},
		"the connection's end alone":           {3, []string{end(endedS, 0, 3)}},
		"both":                                 {1, []string{"0 " + sqlS, end(endedS, 5, 1)}},
		"the end knows more":                   {3, []string{"0 " + sqlS, end(endedS, 5, 3)}},
		"the end knows less":                   {2, []string{"0 " + sqlS, "3 " + sqlS, end(endedS, 5, 1)}},
		"two databases for one attempt":        {1, []string{"0 " + fileS, "0 " + sqlS, end(endedS, 5, 1)}},
		"two databases, two attempts":          {2, []string{"0 " + fileS, "0 " + sqlS, "4 " + fileS, "4 " + sqlS, end(endedS, 9, 2)}},
		"pam_unix, the database and the end":   {1, []string{"0 " + pamA, "2 " + sqlS, end(endedS, 5, 1)}},
		"pam_unix and the end":                 {2, []string{"0 " + pamA, "3 " + pamA, end(endedS, 5, 2)}},
		"pam_unix long before the database":    {2, []string{"0 " + pamA, "30 " + sqlS}},
		"without a session":                    {2, []string{"0 " + sqlA, "6 " + sqlA, end(ended, 9, 2)}},
		"without a session, two databases":     {1, []string{"0 " + fileA, "1 " + sqlA, end(ended, 9, 1)}},
		"without a session, two apart":         {2, []string{"0 " + fileA, "10 " + sqlA}},
		"without a session, end after hours":   {2, []string{"0 " + sqlA, end(ended, 3000, 1)}},
		"the end takes what it claims":         {3, []string{"0 " + sqlA, end(ended, 5, 1), "6 " + sqlA, end(ended, 7, 2)}},
		"another connection's end":             {2, []string{"0 " + sqlS, end(ended+", session=<T>", 5, 1)}},
		"another client's session of the name": {2, []string{"0 auth: sql(a,203.0.113.9,<S>): unknown user", end(endedS, 5, 1)}},
		"a login in between":                   {2, []string{"0 " + sqlS, "2 " + loginS, end(endedS, 5, 1)}},
		"no more than a hundred at once":       {maxFails, []string{end(endedS, 0, 4_000_000_000)}},
		"repeated":                             {2, []string{"0 message repeated 2 times: [ " + sqlA + "]"}},
		"repeated without end":                 {maxRepeat, []string{"0 message repeated 99999 times: [ " + sqlA + "]"}},
	} {
		if got := told(t, c.messages...); got != c.want {
			t.Errorf("%s: %d attempts, want %d\n  %s", name, got, c.want, strings.Join(c.messages, "\n  "))
		}
	}
}

// The same deed in another log has the same Twin, other attempts have others.
func TestTwins(t *testing.T) {
	twins := func(data string) (list []uint64) {
		run(t, data, func(ev *harvestwatch.Event) string {
			list = append(list, ev.Twin)
			return ""
		})
		return list
	}
	end := fmt.Sprintf("Mar 22 17:01:55 mx dovecot: "+endedS+"\n", 2)
	both := twins("Mar 22 17:01:50 mx dovecot: " + sqlS + "\n" + end)
	alone := twins(end)
	if len(both) != 3 || fmt.Sprint(both) != fmt.Sprint(alone) || both[0] == both[1] || both[1] == both[2] {
		t.Errorf("with the database's line %x, without %x", both, alone)
	}
	if list := twins("Mar 22 17:01:50 mx dovecot: " + sqlA + "\n"); len(list) != 1 || list[0] != 0 {
		t.Errorf("without a session: %x", list)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	p := open()
	var b strings.Builder
	for i := range MaxSessions + 100 {
		fmt.Fprintf(&b, "Mar 22 17:01:50 mx dovecot: auth: sql(a,240.0.%d.%d,<S>): unknown user\n", i>>8, i&255)
	}
	runWith(p, b.String(), show)
	if p.told.Len() != MaxSessions || p.Pushed() != 100 {
		t.Errorf("%d remembered, %d forgotten", p.told.Len(), p.Pushed())
	}
}
