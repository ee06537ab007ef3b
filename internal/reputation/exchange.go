package reputation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	udpSize      = 1232 // bytes of a UDP answer: what no path on the internet has to fragment
	maxStrangers = 64   // packets that are no answer to our query, before a try is given up
	maxChain     = 8    // CNAMEs followed within an answer
	maxAddrs     = 64   // addresses taken from an answer
	maxTexts     = 64   // names or texts taken from an answer
	maxText      = 8192 // bytes of one text, its strings joined
)

// The bounds of how long an answer is kept.
const (
	minTTL      = time.Minute
	maxTTL      = 24 * time.Hour
	maxNegative = 15 * time.Minute
)

// exchange asks one resolver once, within the time for a try.
func (c *Client) exchange(ctx context.Context, server string, q question, edns bool) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.kind)
	if edns {
		m.SetEdns0(udpSize, false)
	}
	reply, err := c.send(ctx, "udp", server, m)
	if err == nil && reply.Truncated {
		reply, err = c.send(ctx, "tcp", server, m)
		if err == nil && reply.Truncated {
			err = errors.New("the answer is cut even by TCP")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", server, err)
	}
	return reply, nil
}

// send writes the query from a socket of its own and waits for the packet that answers it. Whatever else comes in, from a
// guesser or from a broken resolver, is passed over.
func (c *Client) send(ctx context.Context, network, server string, m *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, network, server)
	if err != nil {
		return nil, inTime(ctx, err)
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn := &dns.Conn{Conn: raw, UDPSize: udpSize}
	if err := conn.WriteMsg(m); err != nil {
		return nil, inTime(ctx, err)
	}
	for range maxStrangers {
		reply, err := conn.ReadMsg()
		if err != nil && (network == "tcp" || isNet(err)) {
			return nil, inTime(ctx, err)
		}
		if reply != nil && answers(reply, m) && (err == nil || reply.Truncated) {
			return reply, nil
		}
		if network == "tcp" {
			return nil, errors.New("what came is no answer to the question")
		}
	}
	return nil, errors.New("too many packets that are no answer to the question")
}

// inTime returns the context's error where the context has ended, since that is why the connection failed.
func inTime(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func isNet(err error) bool {
	var n net.Error
	return errors.As(err, &n)
}

// answers tells whether reply answers the query m: the same id and the same, single, question.
func answers(reply, m *dns.Msg) bool {
	if reply.Id != m.Id || !reply.Response || reply.Opcode != dns.OpcodeQuery || len(reply.Question) != 1 {
		return false
	}
	got, want := reply.Question[0], m.Question[0]
	return got.Qtype == want.Qtype && got.Qclass == want.Qclass && strings.EqualFold(got.Name, want.Name)
}

// read takes from a reply what answers the question: the records at the end of the chain of CNAMEs that begins at its
// name. Records of other names count for nothing, whoever put them there.
func read(reply *dns.Msg, q question) answer {
	name, lowest := q.name, uint32(1<<31)
	for range maxChain {
		next := ""
		for _, rr := range reply.Answer {
			if cn, ok := rr.(*dns.CNAME); ok && strings.EqualFold(rr.Header().Name, name) && rr.Header().Class == dns.ClassINET {
				next, lowest = cn.Target, min(lowest, rr.Header().Ttl)
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	var a answer
	for _, rr := range reply.Answer {
		h := rr.Header()
		if h.Rrtype != q.kind || h.Class != dns.ClassINET || !strings.EqualFold(h.Name, name) || !a.take(rr) {
			continue
		}
		lowest = min(lowest, h.Ttl)
	}
	if len(a.addrs)+len(a.texts) == 0 {
		a.ttl = negative(reply)
		return a
	}
	a.ttl = min(max(time.Duration(lowest)*time.Second, minTTL), maxTTL)
	return a
}

// take adds a record's data, and reports whether it was of use.
func (a *answer) take(rr dns.RR) bool {
	switch rr := rr.(type) {
	case *dns.A:
		return a.addAddr(rr.A.To4())
	case *dns.AAAA:
		return a.addAddr(rr.AAAA.To16())
	case *dns.PTR:
		return a.addName(rr.Ptr)
	case *dns.MX:
		return a.addName(rr.Mx)
	case *dns.TXT:
		text := strings.Join(rr.Txt, "")
		if len(text) > maxText || len(a.texts) >= maxTexts {
			return false
		}
		a.texts = append(a.texts, text)
		return true
	}
	return false
}

func (a *answer) addAddr(ip net.IP) bool {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok || len(a.addrs) >= maxAddrs {
		return false
	}
	a.addrs = append(a.addrs, addr)
	return true
}

func (a *answer) addName(name string) bool {
	clean, ok := CleanName(name)
	if !ok || len(a.texts) >= maxTexts {
		return false
	}
	a.texts = append(a.texts, clean)
	return true
}

// negative returns for how long there is nothing: the smaller of the SOA's TTL and its minimum (RFC 2308 section 5).
func negative(reply *dns.Msg) time.Duration {
	for _, rr := range reply.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(max(time.Duration(min(soa.Hdr.Ttl, soa.Minttl))*time.Second, minTTL), maxNegative)
		}
	}
	return minTTL
}
