package winevent

import (
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

const (
	space = "http://schemas.microsoft.com/win/2004/08/events/event"
	end   = "</EventData></Event>"
)

var seeds = []string{
	event("MSExchangeTransport", "1035", failure("LogonDenied", "[203.0.113.77]")) + "\n",
	"<Events>" + pretty(event("MSExchangeTransport", "1035", failure("LogonDenied", "203.0.113.77"))) + "</Events>\n",
	"<Event>\n<Event \n</Event>x</Event>\n<Events></Events><EventData>", "<Event xmlns='" + space + "'>",
}

func system(provider, id string) string {
	return "<Event xmlns='" + space + "'><System><Provider Name='" + provider + "'/><EventID Qualifiers='32772'>" + id + "</EventID><Level>3</Level>" +
		"<TimeCreated SystemTime='2026-03-02T09:00:01.1234567Z'/><Computer>MBX01.corp.kontor.example</Computer><Security/></System><EventData>"
}

func event(provider, id, data string) string { return system(provider, id) + data + end }

func failure(text, client string) string {
	return "<Data>" + text + "</Data><Data>Default Frontend MBX01</Data><Data>Login</Data><Data>" + client + "</Data>"
}

// pretty breaks an event into lines after each tag.
func pretty(event string) string { return strings.ReplaceAll(event, "><", ">\r\n  <") + "\r\n" }

func TestEvents(t *testing.T) {
	one := event("MSExchangeFrontEndTransport", "1035", failure("LogonDenied", "[203.0.113.77]"))
	six := event("MSExchangeTransport", "1035", failure("LogonDenied", "2001:db8::7"))
	other := event("MSExchangeTransport", "1036", failure("LogonDenied", "203.0.113.99"))
	expect(t, one+"\r\n"+other+"\n"+six+"\n", "1 auth_fail 203.0.113.77", "3 auth_fail 2001:db8::7")
	expect(t, "<?xml version='1.0' encoding='utf-16'?>\n<Events>"+one+other+six+one+"</Events>", "2 auth_fail 203.0.113.77", "2 auth_fail 2001:db8::7", "2 auth_fail 203.0.113.77")
	counts := expect(t, "\ufeff<Events>\n"+pretty(one)+pretty(six)+"</Events>\n", "17 auth_fail 203.0.113.77", "33 auth_fail 2001:db8::7")
	if counts.Unparsed != 0 || counts.Lines != 34 {
		t.Errorf("%+v", counts)
	}
	events, _ := parse(golden.Ours(), one)
	ip, _ := address.Parse([]byte("203.0.113.77"))
	if events[0].Twin != twin.Auth(ip, []byte("MBX01"), []byte("Default Frontend MBX01")) || events[0].Time%1e9 != 123456700 {
		t.Errorf("%s", golden.Full(&events[0]))
	}
	for _, data := range []string{one + "\n" + other + "\n" + six + "\n", pretty(one) + pretty(other) + pretty(six), one + six + pretty(one)} {
		kit().Hold(t, []byte(data))
	}
}

func TestOtherEvents(t *testing.T) {
	for name, data := range map[string]string{
		"another provider":            event("Application", "1035", failure("MSExchangeTransport", "203.0.113.77")),
		"another number":              event("MSExchangeTransport", "1035</EventID><EventID>1036", failure("x", "203.0.113.77")),
		"our own server":              event("MSExchangeTransport", "1035", failure("LogonDenied", "[192.0.2.9]")),
		"loopback":                    event("MSExchangeTransport", "1035", failure("LogonDenied", "::1")),
		"no client":                   event("MSExchangeTransport", "1035", failure("LogonDenied", "[]")),
		"quoted in another's message": event("Application", "1", "<Data>&lt;Event&gt;MSExchangeTransport 1035 203.0.113.77&lt;/Event&gt;</Data>"),
	} {
		if counts := expect(t, data+"\n"); counts.Unparsed != 0 {
			t.Errorf("%s: %+v", name, counts)
		}
	}
}

func TestBadEvents(t *testing.T) {
	good := event("MSExchangeTransport", "1035", failure("LogonDenied", "203.0.113.77"))
	for name, data := range map[string]string{
		"no address":        event("MSExchangeTransport", "1035", failure("LogonDenied", "attacker 203.0.113.77")),
		"three texts":       event("MSExchangeTransport", "1035", "<Data>a</Data><Data>203.0.113.77</Data><Data>b</Data>"),
		"no time":           strings.Replace(good, "T09:00", " 09:00", 1),
		"not well formed":   strings.Replace(good, "</System>", "", 1),
		"text":              "Inbound authentication failed with error LogonDenied [203.0.113.77] MSExchangeTransport 1035",
		"text before":       "x" + strings.Replace(good, "1035", "1036", 1),
		"text behind":       strings.Replace(good, "1035", "1036", 1) + "x",
		"an end alone":      "</Event>",
		"too large at once": strings.Replace(good, "<Data>", "<Data>"+strings.Repeat("x", MaxEvent), 1),
	} {
		if counts := expect(t, data+"\n"); counts.Unparsed != 1 {
			t.Errorf("%s: %+v", name, counts)
		}
	}
	// Entities are taken for what they stand for.
	expect(t, event("MSExchangeTransport", "1035", failure("LogonDenied", "&#x5b;203.0.113.77&#93;"))+"\n", "1 auth_fail 203.0.113.77")
	expect(t, event("MSExchangeTransport", "1035", failure("NoAuthenticatingAuthority", "203.0.113.77"))+"\n", "1 server_error 203.0.113.77")
}

// An event whose end was lost doesn't take the next one with it.
func TestTornEvent(t *testing.T) {
	good := event("MSExchangeTransport", "1035", failure("LogonDenied", "203.0.113.77"))
	data := good[:200] + "\n" + good + "\n" + pretty(good)[:300] + "\n" + good + "\n"
	counts := expect(t, data, "2 auth_fail 203.0.113.77", "10 auth_fail 203.0.113.77")
	if counts.Lines != 10 {
		t.Errorf("%+v", counts)
	}
	kit().Hold(t, []byte(data))
}

func TestLargeEvent(t *testing.T) {
	good := event("MSExchangeTransport", "1035", failure("LogonDenied", "203.0.113.77"))
	data := strings.TrimSuffix(good, end) + "\n" + strings.Repeat(strings.Repeat("x", 999)+"\n", 200) + end + "\n" + good + "\n"
	p := New(golden.Ours())
	counts := expect(t, data, "203 auth_fail 203.0.113.77")
	if counts.Unparsed != 1 {
		t.Errorf("%+v", counts)
	}
	p.keep(make([]byte, MaxEvent))
	p.keep(make([]byte, 1))
	if len(p.part) != 0 || !p.large {
		t.Error("the part of a large event is kept")
	}
	kit().Hold(t, []byte(data))
}

func BenchmarkWinevent(b *testing.B) {
	kit().Benchmark(b, "", event("MSExchangeFrontEndTransport", "1035", failure("LogonDenied", "[203.0.113.77]"))+"\n", event("Application", "1", "<Data>x</Data>")+"\n")
}
