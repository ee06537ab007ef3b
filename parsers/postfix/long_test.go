package postfix

import (
	"fmt"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// Texts that differ only behind the bound are told apart, wherever they are remembered before.
func TestLongTexts(t *testing.T) {
	fill := strings.Repeat("x", 300)
	const client = "client.example[203.0.113.7]"
	texts := map[string]int{}
	for i := range 20 {
		long := fmt.Sprintf("@%s.example:real%d@kontor.example", fill, i)
		data := log("smtpd[1]: NOQUEUE: reject: RCPT from "+client+": 550 5.1.1 <"+long+">: Recipient address rejected: User unknown; from=<"+long+"> to=<"+long+"> proto=ESMTP helo=<"+long+">",
			"smtpd[1]: warning: "+client+": SASL LOGIN authentication failed: x, sasl_username="+long,
			"smtpd[1]: 4F9D195432: client="+client,
			"qmgr[2]: 4F9D195432: from=<"+long+">, size=1, nrcpt=1 (queue active)",
			"local[3]: 4F9D195432: to=<"+long+">, relay=local, delay=1, delays=1, dsn=2.0.0, status=sent (delivered)")
		l := &harvestwatch.Lines{Data: data, Pos: harvestwatch.Pos{Line: 1}}
		p := New(reference, 0, nil)
		p.Lex(l)
		p.Fold(l, func(ev *harvestwatch.Event) {
			for field, b := range map[string][]byte{"to": ev.Recipient, "from": ev.Sender, "helo": ev.Helo, "user": ev.User} {
				if len(b) > harvestwatch.MaxField {
					t.Errorf("%d bytes", len(b))
				}
				if len(b) > 0 {
					texts[fmt.Sprint(ev.Kind, field, " ", string(b))]++
				}
			}
		}, nil)
	}
	// Of a refusal three, of the authentication one, of the delivery two.
	if len(texts) != 20*6 {
		t.Errorf("%d texts", len(texts))
		for text := range texts {
			t.Logf("%.300s", text)
		}
	}
}
