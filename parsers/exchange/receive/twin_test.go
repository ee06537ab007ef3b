package receive

import (
	"slices"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// twins returns the twin of each connection's beginning and end, in their order.
func twins(data []byte) (list []uint64) {
	run(data, func(ev *harvestwatch.Event) string {
		if ev.Kind == harvestwatch.Connect || ev.Kind == harvestwatch.Disconnect {
			list = append(list, ev.Twin)
		}
		return ""
	})
	return list
}

// Copies of one log tell the same connections; no two connections are one.
func TestTwinsOfConnections(t *testing.T) {
	variants := []talk{front, front, front, front, {front.connector, "0000000000000000", front.local, front.remote, 0},
		{front.connector, "0000000000000000", front.local, front.remote, 7}, {front.connector, "", front.local, front.remote, 9}}
	variants[1].connector = `MBX02\Default Frontend MBX02`
	variants[2].session = "08D3E5F6A7B8C9D2"
	variants[3].remote = "203.0.113.77:40113"
	seen := map[uint64]bool{}
	for _, v := range variants {
		got := twins(v.log("+", "<EHLO x", ">250 mx", "-Remote"))
		if len(got) != 2 {
			t.Fatalf("%+v: %d", v, len(got))
		}
		seen[got[0]], seen[got[1]] = true, true
		if again := twins(v.log("+", "<EHLO x", ">250 mx", "-Remote")); !slices.Equal(again, got) {
			t.Errorf("%x and %x", again, got)
		}
		// A copy that lacks the beginning has the same end.
		rest := []byte(header + strings.Join(v.rows("+", "<EHLO x", ">250 mx", "-Remote")[1:], ""))
		if end := twins(rest); !slices.Equal(end, got[1:]) {
			t.Errorf("%x, want %x", end, got[1:])
		}
	}
	if len(seen) != 2*len(variants) || seen[0] {
		t.Errorf("%d twins of %d connections", len(seen), len(variants))
	}
	end := front.rows("-Remote", "-Remote")
	if got := twins([]byte(header + front.rows("+")[0] + end[1])); got[0] == got[1] {
		t.Error("beginning and end are one")
	}
}

// An accepted message is told as delivered, under the name by which another log may take it over.
func TestDeliveredJoins(t *testing.T) {
	ip, _ := address.Parse([]byte("203.0.113.77"))
	for answer, id := range map[string]string{
		"<1@a.example> Queued mail for delivery":                                                         "1@a.example",
		"<1@a.example> [InternalId=28, Hostname=mx.kontor.example] Queued mail for delivery":             "1@a.example",
		"<1@a.example> [InternalId=28, Hostname=mx.kontor.example] 9 bytes in 0,1, 3 KB/sec Queued":      "1@a.example",
		"<a>b@a.example> [InternalId=28, Hostname=mx] 9 bytes in 0,1, 3 KB/sec Queued mail":              "a>b@a.example",
		"<a> [InternalId=1] b@a.example> [InternalId=28, Hostname=mx] Queued mail for delivery":          "a> [InternalId=1] b@a.example",
		"bare@a.example [InternalId=28, Hostname=mx] Queued mail for delivery":                           "bare@a.example",
		"two words [InternalId=28, Hostname=mx] Queued mail for delivery":                                "two words",
		"bare@a.example Queued mail for delivery":                                                        "bare@a.example",
		"[InternalId=28, Hostname=mx] Queued mail for delivery":                                          "",
		"<> [InternalId=28, Hostname=mx] Queued mail for delivery":                                       "",
		"Queued mail for delivery":                                                                       "",
		"<" + strings.Repeat("x", 300) + "1@a.example> [InternalId=28, Hostname=mx] Queued for delivery": strings.Repeat("x", 300) + "1@a.example",
	} {
		var want uint64
		if id != "" {
			want = twin.Message(ip, []byte("<"+id+">"))
		}
		log := front.log("<MAIL FROM:<s@a.example>", ">250 2.1.0 Sender OK", "<RCPT TO:<a@k.example>", ">250 2.1.5 Recipient OK", "<RCPT TO:<b@k.example>",
			">250 2.1.5 Recipient OK", "<DATA", ">354 Start mail input", ">250 2.6.0 "+answer)
		accepted, delivered := 0, 0
		runWith(New(&site.Site{}), log, func(ev *harvestwatch.Event) string {
			switch ev.Kind {
			case harvestwatch.Accepted:
				if accepted++; ev.Twin != want {
					t.Errorf("%s: accepted as %x, want %x", answer, ev.Twin, want)
				}
			case harvestwatch.Delivered:
				if delivered++; ev.Join != want || ev.Addr != ip.Addr() || ev.Twin == 0 {
					t.Errorf("%s: %+v, want %x", answer, ev, want)
				}
			}
			return ""
		})
		if accepted != 1 || delivered != 2 {
			t.Errorf("%s: %d accepted, %d delivered", answer, accepted, delivered)
		}
	}
}
