package reputation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/miekg/dns"
)

// The bounds of a Client where its options name none.
const (
	DefaultTimeout     = 2 * time.Second // for one try
	DefaultTries       = 2               // of a question, over all resolvers
	DefaultConcurrency = 16              // questions under way
	DefaultCache       = 20_000          // answers kept, of 4 KiB at most each
)

// ClientOptions says whom a Client asks, and how patiently. What is zero takes its default.
type ClientOptions struct {
	Servers     []string         // the resolvers, host:port, asked in this order; at least one, the first three count
	Timeout     time.Duration    // for one try, by UDP or TCP
	Tries       int              // of a question; they go round the resolvers
	Concurrency int              // questions under way at once; others wait for their turn
	Cache       int              // answers kept
	Now         func() time.Time // the clock, by which answers expire; must be set
}

// Client asks resolvers: by UDP with EDNS0, by TCP where an answer was cut. Each query has a random id and a source port
// of its own, and an answer must repeat both the id and the question. It keeps answers for as long as their TTL says, but
// 1 minute at least and 24 hours at most (15 minutes where there is nothing, as the zone's SOA says, RFC 2308), and
// remembers for a minute that a question could not be answered. All its methods may be called at once.
type Client struct {
	servers []string
	timeout time.Duration
	tries   int
	slots   chan struct{}
	cache   *cache
}

// ErrUnanswered is wrapped by the errors of a Client's questions: no resolver gave an answer that says something, so it
// is unknown what the DNS would say. That there is no such name or record is an answer, not an error.
var ErrUnanswered = errors.New("no usable answer from a resolver")

// ErrName is wrapped by the error for a name that no question is asked about, because it is no host name.
var ErrName = errors.New("not a host name")

const maxServers = 3 // as resolv.conf(5) has it

// NewClient makes a Client. It asks nothing yet.
func NewClient(o ClientOptions) (*Client, error) {
	if o.Now == nil {
		return nil, errors.New("a DNS client needs a clock: set Now")
	}
	if len(o.Servers) == 0 {
		return nil, errors.New("no DNS resolver is named: set resolver, such as \"127.0.0.1:53\"")
	}
	for _, s := range o.Servers {
		host, port, err := net.SplitHostPort(s)
		if n, bad := strconv.Atoi(port); err != nil || host == "" || bad != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("DNS resolver %q is not host:port: write it such as \"127.0.0.1:53\" or \"[2001:db8::53]:53\"", s)
		}
	}
	c := &Client{
		servers: o.Servers[:min(len(o.Servers), maxServers)],
		timeout: orDefault(o.Timeout, DefaultTimeout),
		tries:   orDefault(o.Tries, DefaultTries),
		slots:   make(chan struct{}, orDefault(o.Concurrency, DefaultConcurrency)),
		cache:   newCache(orDefault(o.Cache, DefaultCache), o.Now),
	}
	return c, nil
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// ReadServers returns the resolvers that a file in the form of resolv.conf(5) names, as host:port, three at most.
func ReadServers(path string) ([]string, error) {
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("read DNS resolvers from %s: %w; name one in the configuration, such as resolver = \"127.0.0.1:53\"", path, err)
	}
	var list []string
	for _, s := range conf.Servers {
		if _, err := netip.ParseAddr(s); err == nil && len(list) < maxServers {
			list = append(list, net.JoinHostPort(s, "53"))
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("read DNS resolvers from %s: it names none; name one in the configuration, such as resolver = \"127.0.0.1:53\"", path)
	}
	return list, nil
}

// Addresses returns the IPv4 and IPv6 addresses of a host, 128 at most; none where there are none.
func (c *Client) Addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	v4, err := c.ask(ctx, name, dns.TypeA)
	if err != nil {
		return nil, err
	}
	v6, err := c.ask(ctx, name, dns.TypeAAAA)
	if err != nil {
		return nil, err
	}
	return append(append([]netip.Addr(nil), v4.addrs...), v6.addrs...), nil
}

// TXT returns the texts of a name, the strings of each record joined; none where there are none. The bytes are as the
// DNS has them.
func (c *Client) TXT(ctx context.Context, name string) ([]string, error) {
	a, err := c.ask(ctx, name, dns.TypeTXT)
	return a.texts, err
}

// MX returns the names of the hosts that take a domain's mail, in no order; none where there are none. Names that are no
// host names are left out.
func (c *Client) MX(ctx context.Context, name string) ([]string, error) {
	a, err := c.ask(ctx, name, dns.TypeMX)
	return a.texts, err
}

// ask checks the name and finds the answer.
func (c *Client) ask(ctx context.Context, name string, kind uint16) (answer, error) {
	clean, ok := CleanName(name)
	if !ok {
		return answer{}, fmt.Errorf("look up %.80q: %w", name, ErrName)
	}
	return c.find(ctx, question{clean + ".", kind})
}

// find returns the answer to a question whose name was checked or made by us.
func (c *Client) find(ctx context.Context, q question) (answer, error) {
	a := c.cache.get(ctx, q, func() answer { return c.query(ctx, q) })
	if a.err != nil {
		return answer{}, fmt.Errorf("look up %s %s: %w", dns.TypeToString[q.kind], q.name, a.err)
	}
	return a, nil
}

// query waits for its turn and tries the resolvers.
func (c *Client) query(ctx context.Context, q question) answer {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return answer{err: ctx.Err()}
	}
	var last error
	edns := true
	for try := range c.tries {
		reply, err := c.exchange(ctx, c.servers[try%len(c.servers)], q, edns)
		if ctx.Err() != nil {
			return answer{err: ctx.Err()}
		}
		if err == nil && (reply.Rcode == dns.RcodeSuccess || reply.Rcode == dns.RcodeNameError) {
			return read(reply, q)
		}
		if err == nil {
			err = fmt.Errorf("%s says %s", c.servers[try%len(c.servers)], dns.RcodeToString[reply.Rcode])
			edns = reply.Rcode != dns.RcodeFormatError && reply.Rcode != dns.RcodeNotImplemented // RFC 6891 section 7
		}
		last = err
	}
	return answer{err: fmt.Errorf("%w: %w", ErrUnanswered, undated(last)), ttl: minTTL}
}

// undated hides that a try ran out of its own time: the caller's context has not ended.
func undated(err error) error {
	if ended(err) {
		return errors.New("it did not answer in time")
	}
	return err
}
