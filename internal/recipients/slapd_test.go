package recipients

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/harvestwatch/harvestwatch/internal/nstest"
)

const (
	people  = 3000 // users in the test's directory: six times the server's limit for a search without pages
	base    = "dc=firm,dc=example"
	reader  = "cn=reader,dc=firm,dc=example"
	limited = "cn=limited,dc=firm,dc=example" // a login that may not have more than 500 entries, in pages neither
	secret  = "correct horse"
)

// slapd is a running OpenLDAP server with its own directory.
type slapd struct {
	plain, secure string // addresses, as host:port
	ca, otherCA   string // paths: the authority of its certificate, and one that has nothing to do with it
	cmd           *exec.Cmd
	out           bytes.Buffer
}

func program(t *testing.T, name string) string {
	t.Helper()
	for _, p := range []string{"/usr/sbin/", "/usr/local/sbin/", "/usr/libexec/"} {
		if _, err := os.Stat(p + name); err == nil {
			return p + name
		}
	}
	nstest.Need(t, "interop", name+" is not installed (Debian: slapd)")
	return ""
}

// startSlapd starts a server for the test, and ends it with the test.
func startSlapd(t *testing.T) *slapd {
	t.Helper()
	server, add := program(t, "slapd"), program(t, "slapadd")
	dir := t.TempDir()
	s := &slapd{plain: freePort(t), secure: freePort(t)}
	s.ca = filepath.Join(dir, "ca.pem")
	s.otherCA = filepath.Join(dir, "other.pem")
	authority(t, dir, "ca.pem", true)
	authority(t, dir, "other.pem", false)
	conf := filepath.Join(dir, "slapd.conf")
	write(t, conf, strings.NewReplacer("DIR", dir).Replace(slapdConf))
	write(t, filepath.Join(dir, "all.ldif"), ldif())
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(add, "-q", "-f", conf, "-l", filepath.Join(dir, "all.ldif")).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	s.cmd = exec.Command(server, "-f", conf, "-h", "ldap://"+s.plain+" ldaps://"+s.secure, "-d", "0")
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	s.wait(t)
	return s
}

// wait returns when the server answers on both ports.
func (s *slapd) wait(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, addr := range []string{s.plain, s.secure} {
		for {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				s.kill()
				t.Fatalf("slapd doesn't answer: %v\n%s", err, &s.out)
			}
		}
	}
}

// kill ends the server at once. It may be called twice.
func (s *slapd) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// directory is how a client finds the server, encrypted.
func (s *slapd) directory() *Directory {
	return &Directory{URL: "ldaps://" + s.secure, CA: s.ca, BindDN: reader, Password: secret, BaseDN: base, Timeout: 20 * time.Second}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const slapdConf = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.3.6.1.4.1.4203.666.77.1 NAME 'proxyAddresses' EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.4203.666.77.2 NAME 'targetAddress' EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.4203.666.77.3 NAME 'mailRecipient' SUP top AUXILIARY MAY ( proxyAddresses $ targetAddress $ mail ) )
objectclass ( 1.3.6.1.4.1.4203.666.77.4 NAME 'contact' SUP person STRUCTURAL )
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile DIR/pid
TLSCACertificateFile DIR/ca.pem
TLSCertificateFile DIR/server.pem
TLSCertificateKeyFile DIR/server.key
sizelimit 500
database mdb
maxsize 67108864
suffix "dc=firm,dc=example"
rootdn "cn=root,dc=firm,dc=example"
directory DIR/db
limits dn.exact="cn=reader,dc=firm,dc=example" size.soft=500 size.hard=500 size.prtotal=unlimited
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=reader,dc=firm,dc=example" read by dn.exact="cn=limited,dc=firm,dc=example" read by * none
`

// ldif is the directory's content: many users, and the entries that are special.
func ldif() string {
	var b strings.Builder
	b.WriteString("dn: dc=firm,dc=example\nobjectClass: dcObject\nobjectClass: organization\no: Firm\ndc: firm\n\n")
	for _, login := range []string{"reader", "limited"} {
		fmt.Fprintf(&b, "dn: cn=%s,%s\nobjectClass: person\ncn: %s\nsn: x\nuserPassword: %s\n\n", login, base, login, secret)
	}
	entry := func(cn, class string, lines ...string) {
		fmt.Fprintf(&b, "dn: cn=%s,%s\nobjectClass: %s\nobjectClass: mailRecipient\ncn: %s\nsn: x\n%s\n\n", cn, base, class, cn, strings.Join(lines, "\n"))
	}
	for i := range people {
		entry(fmt.Sprintf("user%d", i), "inetOrgPerson", fmt.Sprintf("mail: User%d@firm.example", i),
			fmt.Sprintf("proxyAddresses: SMTP:User%d@firm.example", i), fmt.Sprintf("proxyAddresses: smtp:u%d@old-name.example", i),
			"proxyAddresses: x500:/o=Firm/ou=x/cn=u@firm.example", fmt.Sprintf("proxyAddresses: sip:talk%d@firm.example", i))
	}
	coded := func(v string) string {
		return "proxyAddresses:: " + base64.StdEncoding.EncodeToString([]byte(v))
	}
	entry("hostile", "inetOrgPerson", coded("smtp:a@firm.example\n@firm.example OK"), coded("smtp:*@firm.example"), coded("smtp:#c@firm.example"),
		coded("smtp:b@firm.example\tOK\r\nall@firm.example"), coded("smtp:müller@firm.example"), coded("smtp:x\u2028y@firm.example"),
		coded("smtp:"+strings.Repeat("x", 5000)+"@firm.example"), coded("smtp:@firm.example"), coded("smtp:$x/.*@firm.example"))
	entry("contact", "contact", "mail: partner@provider.example", "proxyAddresses: SMTP:partner@provider.example", "proxyAddresses: smtp:partner@firm.example")
	entry("remote", "inetOrgPerson", "mail: remote@firm.example", "proxyAddresses: SMTP:remote@firm.example", "proxyAddresses: smtp:remote@cloud.example",
		"targetAddress: SMTP:remote@cloud.example")
	entry("private", "inetOrgPerson", "mail: somebody@freemail.example")
	entry("mailonly", "inetOrgPerson", "mail: mailonly@firm.example")
	return b.String()
}

// authority makes a certificate authority, and with a server also its certificate and key.
func authority(t *testing.T, dir, name string, server bool) {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority " + name}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	if !server {
		return
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "ldap"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter}
	if der, err = x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "server.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	if der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "server.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// unpaged asks without pages, and returns the result code.
func (s *slapd) unpaged(t *testing.T) uint16 {
	t.Helper()
	c, err := ldap.DialURL("ldap://" + s.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bind(reader, secret); err != nil {
		t.Fatal(err)
	}
	_, err = c.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, 0, 0, 0, false, DefaultFilter, nil, nil))
	var e *ldap.Error
	if err == nil || !asLDAP(err, &e) {
		return 0
	}
	return e.ResultCode
}
