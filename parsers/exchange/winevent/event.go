package winevent

import (
	"bytes"
	"encoding/xml"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
)

// The places of the texts in the event's data: error, connector, mechanism, client.
const (
	dataError = iota
	dataConnector
	dataMechanism
	dataClient
	dataCount
)

// document is what is read of an event. Only what stands directly below System and EventData counts.
type document struct {
	XMLName xml.Name `xml:"Event"`
	System  struct {
		Provider struct {
			Name string `xml:"Name,attr"`
		} `xml:"Provider"`
		EventID string `xml:"EventID"`
		Time    struct {
			SystemTime string `xml:"SystemTime,attr"`
		} `xml:"TimeCreated"`
		Computer string `xml:"Computer"`
	} `xml:"System"`
	EventData struct {
		Data []string `xml:"Data"`
	} `xml:"EventData"`
}

// read reads a whole event. It returns nil for one that says nothing about a client; ok is false for one that is not
// understood.
func (p *Parser) read(b []byte) (ev *harvestwatch.Event, ok bool) {
	if len(b) > MaxEvent {
		return nil, false
	}
	if !bytes.Contains(b, []byte("MSExchange")) || !bytes.Contains(b, []byte("1035")) {
		return nil, true // another program's; whether it is well formed is not asked
	}
	var d document
	if err := xml.Unmarshal(b, &d); err != nil {
		return nil, false
	}
	if !exchange(d.System.Provider.Name) || d.System.EventID != "1035" {
		return nil, true
	}
	data := d.EventData.Data
	at, ok := csvlog.Stamp([]byte(d.System.Time.SystemTime))
	if !ok || len(data) < dataCount {
		return nil, false
	}
	client := bytes.TrimSpace([]byte(data[dataClient]))
	if len(client) == 0 || string(client) == "[]" {
		return nil, true // it names none
	}
	ip, _, ok := address.Endpoint(client)
	switch {
	case !ok:
		return nil, false
	case ip.None(), ip.Is4() && uint32(ip.Lo) == 0, p.site.IsOwn(ip.Addr()):
		return nil, true
	}
	return &harvestwatch.Event{
		Time: at, Kind: kindOf(data[dataError]), Addr: ip.Addr(),
		Twin: twin.Auth(ip, []byte(d.System.Computer), []byte(data[dataConnector])),
	}, true
}

// exchange reports whether a provider is Exchange's transport: the service of all versions, and the front end of 2013 and later.
func exchange(provider string) bool {
	return provider == "MSExchangeTransport" || provider == "MSExchangeFrontEndTransport"
}

// kindOf returns the kind by the error's name, which is one of Windows' security status. Where the server itself had
// trouble, nobody guessed a password.
func kindOf(text string) harvestwatch.Kind {
	switch text {
	case "NoAuthenticatingAuthority", "InternalError", "InsufficientMemory", "OutOfMemory", "TimeSkew":
		return harvestwatch.ServerError
	}
	return harvestwatch.AuthFail
}
