package recipients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// The server here speaks just enough LDAP to say what no well-behaved server says, and what only Active Directory says.

// tlv is a BER element.
func tlv(tag byte, parts ...string) string {
	s := strings.Join(parts, "")
	n := len(s)
	switch {
	case n < 0x80:
		return string([]byte{tag, byte(n)}) + s
	case n < 0x10000:
		return string([]byte{tag, 0x82, byte(n >> 8), byte(n)}) + s
	}
	return string([]byte{tag, 0x84, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) + s
}

func octets(s string) string { return tlv(0x04, s) }

// found is a search entry; attributes are the name and then the values.
func found(dn string, attributes ...[]string) string {
	var list []string
	for _, a := range attributes {
		var values []string
		for _, v := range a[1:] {
			values = append(values, octets(v))
		}
		list = append(list, tlv(0x30, octets(a[0]), tlv(0x31, values...)))
	}
	return tlv(0x64, octets(dn), tlv(0x30, list...))
}

// done ends a search; a cookie other than "-" comes in a paging control.
func done(code byte, cookie string) string {
	op := tlv(0x65, tlv(0x0a, string([]byte{code})), octets(""), octets(""))
	if cookie == "-" {
		return op
	}
	return op + tlv(0xa0, tlv(0x30, octets("1.2.840.113556.1.4.319"), octets(tlv(0x30, tlv(0x02, "\x00"), octets(cookie)))))
}

// fake serves directories whose answers to the n-th search request are what answer returns; "" closes the connection.
func fake(t *testing.T, answer func(n int, request string) []string) *Directory {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c, answer)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return &Directory{URL: "ldap://" + l.Addr().String(), BaseDN: base, Timeout: 20 * time.Second}
}

func serve(c net.Conn, answer func(n int, request string) []string) {
	in := bufio.NewReader(c)
	for n := 0; ; {
		id, op, err := message(in)
		if err != nil || op[0] != 0x63 {
			return
		}
		for _, a := range answer(n, op) {
			if a == "" {
				return
			}
			if _, err := io.WriteString(c, tlv(0x30, id, a)); err != nil {
				return
			}
		}
		n++
	}
}

// message reads a request: its number, as an element, and the rest.
func message(in *bufio.Reader) (id, op string, err error) {
	size, err := in.Peek(2)
	if err != nil {
		return "", "", err
	}
	n, head := int(size[1]), 2
	if n >= 0x80 {
		head += n & 0x7f
		long, err := in.Peek(head)
		if err != nil {
			return "", "", err
		}
		n = 0
		for _, b := range long[2:] {
			n = n<<8 | int(b)
		}
	}
	buf := make([]byte, head+n)
	if _, err := io.ReadFull(in, buf); err != nil {
		return "", "", err
	}
	idEnd := head + 2 + int(buf[head+1])
	return string(buf[head:idEnd]), string(buf[idEnd:]), nil
}

func TestRanges(t *testing.T) {
	var asked []string
	d := fake(t, func(n int, request string) []string {
		switch {
		case strings.Contains(request, "proxyAddresses;range=2-*"):
			asked = append(asked, "2")
			return []string{found("cn=big", []string{"proxyAddresses;RANGE=2-3", "smtp:c@firm.example", "sip:d@firm.example"}), done(0, "-")}
		case strings.Contains(request, "proxyAddresses;range=4-*"):
			asked = append(asked, "4")
			return []string{found("cn=big", []string{"proxyAddresses"}, []string{"proxyAddresses;range=4-*", "smtp:e@firm.example"}), done(0, "-")}
		case n == 0:
			return []string{found("cn=big", []string{"proxyAddresses"}, []string{"proxyAddresses;range=0-1", "SMTP:a@firm.example", "smtp:b@firm.example"}),
				tlv(0x73, octets("ldap://other.example/dc=other")), done(0, "next")}
		}
		return []string{found("cn=small", []string{"proxyAddresses;range=0-*", "SMTP:f@firm.example"}, []string{"mail;lang-de", "g@firm.example"}), done(0, "")}
	})
	l, err := d.Fetch(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, l); got != "# note\na@firm.example\nb@firm.example\nc@firm.example\ne@firm.example\nf@firm.example\ng@firm.example\n" {
		t.Error(got)
	}
	if strings.Join(asked, " ") != "2 4" {
		t.Error("asked for the parts from", asked)
	}
}

func TestBrokenServers(t *testing.T) {
	one := found("cn=a", []string{"mail", "a@firm.example"})
	ranged := found("cn=a", []string{"proxyAddresses;range=0-1", "smtp:a@firm.example"})
	always := func(answers ...string) func(int, string) []string {
		return func(int, string) []string { return answers }
	}
	isAny := errors.New("any")
	for _, c := range []struct {
		name   string
		answer func(int, string) []string
		want   error
	}{
		{"hangs up at once", always(""), isAny},
		{"hangs up after an entry", always(one, ""), isAny},
		{"hangs up between pages", func(n int, _ string) []string {
			return map[int][]string{0: {one, done(0, "next")}, 1: {""}}[n]
		}, isAny},
		{"fails on the second page", func(n int, _ string) []string {
			return map[int][]string{0: {one, done(0, "next")}, 1: {one, done(51, "")}}[n]
		}, isAny},
		{"forgets the pages", func(n int, _ string) []string {
			return map[int][]string{0: {one, done(0, "next")}, 1: {one, done(0, "-")}}[n]
		}, errUnpaged},
		{"pages without end", always(done(0, "again")), errNoEnd},
		{"cuts the answer", always(one, done(4, "-")), isAny},
		{"the same part again", always(ranged, done(0, "-")), errNoRange},
		{"an attribute that is none", always(tlv(0x64, octets("cn=a"), tlv(0x30, tlv(0x02, "\x01"))), done(0, "-")), isAny},
		{"garbage", always("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", ""), isAny},
		{"too much", func(int, string) []string {
			big := found("cn=a", []string{"mail", strings.Repeat("x", 1<<20)})
			list := make([]string, maxAnswer>>20)
			for i := range list {
				list[i] = big
			}
			return append(list, done(0, "-"))
		}, errTooMuch},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := fake(t, c.answer).Fetch(context.Background())
			if l != nil || err == nil || c.want != isAny && !errors.Is(err, c.want) {
				t.Errorf("%v, %d addresses; want %v", err, l.Len(), c.want)
			}
			t.Log(err)
		})
	}
}

func TestCancelClosesTheConnection(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	closed := make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		defer close(closed)
		c, err := l.Accept()
		if err != nil {
			return
		}
		in := bufio.NewReader(c)
		if _, _, err := message(in); err == nil {
			cancel()
		}
		io.Copy(io.Discard, in) // returns when the client hangs up
		c.Close()
	}()
	d := &Directory{URL: "ldap://" + l.Addr().String(), BaseDN: base}
	if _, err := d.Fetch(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the connection is still open")
	}
}

// TestNoPasswordWithoutStartTLS is somebody in between who says that the server can't encrypt.
func TestNoPasswordWithoutStartTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go func() {
		defer close(heard)
		c, err := l.Accept()
		if err != nil {
			return
		}
		in := bufio.NewReader(c)
		if id, op, err := message(in); err == nil && op[0] == 0x77 {
			io.WriteString(c, tlv(0x30, id, tlv(0x78, tlv(0x0a, "\x02"), octets(""), octets(""))))
		}
		rest, _ := io.ReadAll(in)
		heard <- string(rest)
		c.Close()
	}()
	d := &Directory{URL: "ldap://" + l.Addr().String(), StartTLS: true, BindDN: reader, Password: secret, BaseDN: base, Timeout: 20 * time.Second}
	if _, err := d.Fetch(context.Background()); !ldap.IsErrorWithCode(err, ldap.LDAPResultProtocolError) {
		t.Error(err)
	}
	if rest := <-heard; strings.Contains(rest, secret) || strings.Contains(rest, reader) {
		t.Errorf("it was told %q", rest)
	}
}

func TestTimeout(t *testing.T) {
	for _, secure := range []bool{false, true} {
		l, err := net.Listen("tcp", "127.0.0.1:0") // accepts through its backlog, and says nothing
		if err != nil {
			t.Fatal(err)
		}
		d := &Directory{URL: "ldap://" + l.Addr().String(), StartTLS: secure, BaseDN: base, Timeout: 50 * time.Millisecond}
		if _, err := d.Fetch(context.Background()); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		l.Close()
	}
}

func TestCheck(t *testing.T) {
	for want, d := range map[string]Directory{
		"":                          {URL: "ldaps://dc1.firm.example", BindDN: "x", Password: secret},
		"has an @":                  {URL: "ldap://user:" + secret + "@dc1.firm.example"},
		"the url \"http://":         {URL: "http://dc1.firm.example"},
		"the url \"\"":              {},
		"the url \"ldaps://dc1/dc":  {URL: "ldaps://dc1/dc=firm,dc=example"},
		"invalid port":              {URL: "ldaps://dc1:x"},
		"encrypted already":         {URL: "ldaps://dc1", StartTLS: true},
		"has no password":           {URL: "ldaps://dc1", BindDN: "x"},
		"no login":                  {URL: "ldaps://dc1", Password: secret},
		"plain = true":              {URL: "ldap://dc1", BindDN: "x", Password: secret},
		"the filter \"mail\"":       {URL: "ldaps://dc1", Filter: "mail"},
		"a page of -1 entries":      {URL: "ldaps://dc1", PageSize: -1},
		"a timeout of -1s: choose ": {URL: "ldaps://dc1", Timeout: -time.Second},
	} {
		err := d.Check()
		if want == "" && err == nil {
			continue
		}
		if !errors.Is(err, ErrConfig) || !strings.Contains(fmt.Sprint(err), want) || strings.Contains(fmt.Sprint(err), secret) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func TestParseRange(t *testing.T) {
	for in, want := range map[string]string{"a;range=0-1499": "0 1499 true", "a;x;Range=1500-*": "1500 -1 true", "a": "0 0 false", "a;range=": "0 0 false",
		"a;range=5-4": "0 0 false", "a;range=-1-4": "0 0 false", "a;range=0-99999999999": "0 0 false", "a;ranges": "0 0 false"} {
		first, last, ok := parseRange(in)
		if got := fmt.Sprint(first, last, ok); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
