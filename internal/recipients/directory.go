package recipients

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Defaults of a Directory.
const (
	// DefaultFilter finds whatever has a mail address: users, shared mailboxes, groups, public folders, contacts.
	// Disabled accounts are among them on purpose: a shared mailbox belongs to one, and it gets mail.
	DefaultFilter   = "(|(proxyAddresses=*)(mail=*))"
	DefaultPageSize = 1000            // entries a page: what Active Directory gives at most unless told otherwise
	DefaultTimeout  = 5 * time.Minute // for a whole Fetch
)

// maxAnswer bounds the bytes of the directory's answer to one request: one page.
const maxAnswer = 64 << 20

// Directory is Active Directory or another LDAP directory that knows the recipients. It holds no connection: each Fetch
// makes one and closes it.
type Directory struct {
	URL        string        // ldaps://host, or ldap://host; a port may follow
	StartTLS   bool          // over ldap://: go on encrypted (RFC 4511 section 4.14); no answer is taken without
	CA         string        // path of the PEM file with the authorities that the server's certificate must come from; "": the system's
	BindDN     string        // whom to log in as: a DN, or user@domain for Active Directory; "": nobody
	Password   string        // of BindDN; the text itself
	Plain      bool          // send the password over ldap:// without encryption
	BaseDN     string        // below which entry to search; "" only where the server takes it, such as a global catalog
	Filter     string        // which entries (RFC 4515); "": DefaultFilter
	Attributes []string      // which attributes hold addresses; none: proxyAddresses and mail
	PageSize   int           // entries a page, 1 to 10000; 0: DefaultPageSize
	Timeout    time.Duration // for a whole Fetch; 0: DefaultTimeout
}

// Errors of a directory, for errors.Is.
var (
	ErrConfig  = errors.New("the directory is configured wrongly") // Fetch can't go well until the configuration changes
	errTooMuch = fmt.Errorf("the directory answered with more than %d MiB to one request", maxAnswer>>20)
)

// Check reports what is wrong with the configuration, without asking the directory. Its errors are ErrConfig.
func (d *Directory) Check() error {
	u, err := d.parseURL()
	if err != nil {
		return err
	}
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", ErrConfig, fmt.Errorf(format, args...))
	}
	switch {
	case d.StartTLS && u.Scheme == "ldaps":
		return wrong("ldaps:// is encrypted already: take StartTLS out, or write ldap://")
	case d.BindDN != "" && d.Password == "":
		// RFC 4513 section 5.1.2: a server takes a login without a password for nobody's and says that all is well.
		return wrong("the login %q has no password: give one", d.BindDN)
	case d.BindDN == "" && d.Password != "":
		return wrong("there is a password and no login: name the login too")
	case d.Password != "" && u.Scheme == "ldap" && !d.StartTLS && !d.Plain:
		return wrong("the password would go over the network for all to read: write ldaps://, or allow it with plain = true")
	case d.PageSize < 0 || d.PageSize > 10_000:
		return wrong("a page of %d entries: choose 1 to 10000", d.PageSize)
	case d.Timeout < 0:
		return wrong("a timeout of %v: choose one above zero", d.Timeout)
	}
	if _, err := ldap.CompileFilter(d.filter()); err != nil {
		return wrong("the filter %q: %w: write it as in (mail=*)", d.filter(), err)
	}
	return nil
}

// parseURL reads the URL. No error of its shows the URL before it is clear that no password is in it.
func (d *Directory) parseURL() (*url.URL, error) {
	if strings.Contains(d.URL, "@") {
		return nil, fmt.Errorf("%w: the url has an @: login and password are given apart from it", ErrConfig)
	}
	u, err := url.Parse(d.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: write the url as in ldaps://dc1.firm.example", ErrConfig, err)
	}
	if u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("%w: the url %q: write it as in ldaps://dc1.firm.example, and what to search as the base", ErrConfig, d.URL)
	}
	return u, nil
}

func (d *Directory) filter() string {
	if d.Filter == "" {
		return DefaultFilter
	}
	return d.Filter
}

func (d *Directory) timeout() time.Duration {
	if d.Timeout == 0 {
		return DefaultTimeout
	}
	return d.Timeout
}

func (d *Directory) attributes() []string {
	if len(d.Attributes) == 0 {
		return []string{"proxyAddresses", "mail"}
	}
	return d.Attributes
}

// Fetch asks the directory for all recipients. It takes no part of an answer for the whole: whatever goes wrong, a size
// limit included, is an error. When ctx ends the connection is closed at once.
func (d *Directory) Fetch(ctx context.Context) (*List, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	timeout := d.timeout()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no whole answer within %v: %w", timeout, context.DeadlineExceeded))
	defer cancel()
	l, err := d.fetch(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return nil, fmt.Errorf("asking %s for recipients: %w", d.URL, err)
	}
	return l, nil
}

func (d *Directory) fetch(ctx context.Context) (*List, error) {
	s, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if d.BindDN != "" {
		if err := s.conn.Bind(d.BindDN, d.Password); err != nil {
			return nil, s.explain("logging in", err)
		}
	}
	c := newCollector(d.attributes())
	if err := s.search(ctx, d, c); err != nil {
		return nil, err
	}
	if err := s.ranges(ctx, c); err != nil {
		return nil, err
	}
	return c.list()
}

// session is a connection to a directory.
type session struct {
	conn  *ldap.Conn
	meter *meter
	stop  func() bool // ends the watch over the context
}

// meter counts down what may still be read for a request.
type meter struct {
	net.Conn
	left atomic.Int64
}

// Read implements net.Conn.
func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if m.left.Add(-int64(n)) < 0 {
		return 0, errTooMuch
	}
	return n, err
}

// connect opens the connection, encrypted where it is to be. When ctx ends the connection is closed.
func (d *Directory) connect(ctx context.Context) (*session, error) {
	u, err := d.parseURL()
	if err != nil {
		return nil, err
	}
	secure, err := d.tls(u.Hostname())
	if err != nil {
		return nil, err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": ldap.DefaultLdapPort, "ldaps": ldap.DefaultLdapsPort}[u.Scheme]
	}
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("%w: check the url and the firewall between", err)
	}
	m := &meter{Conn: raw}
	m.left.Store(maxAnswer)
	s := &session{meter: m, stop: context.AfterFunc(ctx, func() { raw.Close() })}
	var conn net.Conn = m
	if u.Scheme == "ldaps" {
		t := tls.Client(m, secure)
		if err := t.HandshakeContext(ctx); err != nil {
			s.stop()
			return nil, errors.Join(fmt.Errorf("making the connection secure: %w: %s", err, tlsAdvice), raw.Close())
		}
		conn = t
	}
	s.conn = ldap.NewConn(conn, u.Scheme == "ldaps")
	s.conn.Start()
	if d.StartTLS {
		if err := s.conn.StartTLS(secure); err != nil {
			s.close()
			return nil, fmt.Errorf("making the connection secure: %w: %s", err, tlsAdvice)
		}
	}
	return s, nil
}

const tlsAdvice = "check that the url has the name that is in the server's certificate, and that ca names the file of its authority"

// tls is how the server proves who it is.
func (d *Directory) tls(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if d.CA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(d.CA)
	if err != nil {
		return nil, fmt.Errorf("reading the authorities' certificates: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: %s holds no certificate in PEM form: export the authority's as Base-64", ErrConfig, d.CA)
	}
	return c, nil
}

// close ends the connection. Errors don't matter any more: what was to be read was read.
func (s *session) close() {
	s.stop()
	s.conn.Close()
	s.meter.Close()
}
