package recipients

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

func asLDAP(err error, e **ldap.Error) bool { return errors.As(err, e) }

// TestRealServer runs all that needs OpenLDAP over one server, which the last part ends.
func TestRealServer(t *testing.T) {
	s := startSlapd(t)
	if code := s.unpaged(t); code != ldap.LDAPResultSizeLimitExceeded {
		t.Fatalf("without pages the server answers %d: it must set a limit for this test to say anything", code)
	}
	t.Run("ldaps", func(t *testing.T) { fetchAll(t, s.directory()) })
	t.Run("small pages", func(t *testing.T) {
		d := s.directory()
		d.PageSize = 7
		fetchAll(t, d)
	})
	t.Run("StartTLS", func(t *testing.T) {
		d := s.directory()
		d.URL, d.StartTLS = "ldap://"+s.plain, true
		fetchAll(t, d)
	})
	t.Run("plain", func(t *testing.T) {
		d := s.directory()
		d.URL, d.Plain = "ldap://"+s.plain, true
		fetchAll(t, d)
	})
	t.Run("refusals", func(t *testing.T) { refusals(t, s) })
	t.Run("hostile", func(t *testing.T) { hostileValues(t, s) })
	t.Run("attributes", func(t *testing.T) { mailOnly(t, s) })
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := s.directory().Fetch(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("server gone", func(t *testing.T) { serverGone(t, s) })
}

func fetchAll(t *testing.T, d *Directory) {
	t.Helper()
	l, err := d.Fetch(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	// The users with two addresses each; hostile leaves 4; partner@firm, remote@firm, mailonly@firm.
	if want := 2*people + 4 + 3; l.Len() != want {
		t.Errorf("%d addresses, want %d", l.Len(), want)
	}
	for i := range people {
		for _, a := range []string{fmt.Sprintf("user%d@firm.example", i), fmt.Sprintf("U%d@OLD-NAME.example", i)} {
			if v := l.Has([]byte(a)); v != Valid {
				t.Fatalf("%s is %v", a, v)
			}
		}
	}
	for a, want := range map[string]Verdict{
		"user3000@firm.example": Unknown, "talk1@firm.example": Unknown, "nobody@old-name.example": Unknown,
		"partner@firm.example": Valid, "mailonly@firm.example": Valid, "remote@firm.example": Valid,
		"partner@provider.example": NoOpinion, "somebody.else@provider.example": NoOpinion, "x@cloud.example": NoOpinion, "x@freemail.example": NoOpinion,
	} {
		if v := l.Has([]byte(a)); v != want {
			t.Errorf("%s is %v, want %v", a, v, want)
		}
	}
}

func hostileValues(t *testing.T, s *slapd) {
	d := s.directory()
	d.Filter = "(|(cn=hostile)(cn=user1))"
	l, err := d.Fetch(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if l.Len() != 6 || l.LeftOut() != 5 {
		t.Errorf("%d addresses, %d left out", l.Len(), l.LeftOut())
	}
	if v := l.Has([]byte("whoever@firm.example")); v != Unknown {
		t.Error("an entry spoke for a whole domain:", v)
	}
	var hash, re bytes.Buffer
	if err := errors.Join(WritePostfix(&hash, l), WritePostfixRegexp(&re, l)); err != nil {
		t.Fatal(err)
	}
	want := "\"#c\"@firm.example\tOK\n$x/.*@firm.example\tOK\n*@firm.example\tOK\nmüller@firm.example\tOK\nu1@old-name.example\tOK\nuser1@firm.example\tOK\n"
	if _, lines, _ := strings.Cut(hash.String(), "\n"); lines != want {
		t.Errorf("the table is\n%s\nwant\n%s", lines, want)
	}
	if strings.Count(re.String(), "\n") != 1 {
		t.Errorf("there are patterns in\n%s", &re)
	}
	if again := parse(t, text(t, l)); !again.equal(l) {
		t.Errorf("the text is read as\n%s", text(t, again))
	}
}

func mailOnly(t *testing.T, s *slapd) {
	d := s.directory()
	d.Attributes = []string{"MAIL"}
	l, err := d.Fetch(context.Background())
	if err != nil || l.Len() != people+3 {
		t.Errorf("%v: %d addresses", err, l.Len())
	}
	if v := l.Has([]byte("other@freemail.example")); v != Unknown {
		t.Error("without proxyAddresses nothing tells whose mail it is; other@freemail.example is", v)
	}
	own, err := l.Only("firm.example")
	if err != nil || own.Has([]byte("other@freemail.example")) != NoOpinion || own.Len() != people+2 {
		t.Errorf("%v: %d addresses of the domain", err, own.Len())
	}
}

func refusals(t *testing.T, s *slapd) {
	code := func(c uint16) func(error) bool {
		return func(err error) bool { return ldap.IsErrorWithCode(err, c) }
	}
	unknownCA := func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) }
	config := func(err error) bool { return errors.Is(err, ErrConfig) }
	for _, c := range []struct {
		name   string
		change func(*Directory)
		is     func(error) bool
		say    string
	}{
		{"wrong password", func(d *Directory) { d.Password = "wrong" }, code(ldap.LDAPResultInvalidCredentials), "check the login and the password"},
		{"wrong login", func(d *Directory) { d.BindDN = "cn=nobody," + base }, code(ldap.LDAPResultInvalidCredentials), "check the login"},
		{"no such base", func(d *Directory) { d.BaseDN = "dc=other,dc=example" }, code(ldap.LDAPResultNoSuchObject), "check the base"},
		{"bad base", func(d *Directory) { d.BaseDN = "firm" }, code(ldap.LDAPResultInvalidDNSyntax), "distinguished names"},
		{"limited", func(d *Directory) { d.BindDN = limited }, code(ldap.LDAPResultSizeLimitExceeded), "the answer was cut off"},
		{"nobody", func(d *Directory) { d.BindDN, d.Password = "", "" }, code(ldap.LDAPResultNoSuchObject), "check the base"},
		{"wrong authority", func(d *Directory) { d.CA = s.otherCA }, unknownCA, "ca names the file"},
		{"system's authorities", func(d *Directory) { d.CA = "" }, unknownCA, "ca names the file"},
		{"wrong authority, StartTLS", func(d *Directory) { d.URL, d.StartTLS, d.CA = "ldap://"+s.plain, true, s.otherCA },
			func(err error) bool { return err != nil }, "certificate signed by unknown authority"},
		{"wrong name", func(d *Directory) { d.URL = strings.Replace(d.URL, "127.0.0.1", "localhost", 1) },
			func(err error) bool { return errors.As(err, new(x509.HostnameError)) }, "the name that is in the server's certificate"},
		{"ldaps to the plain port", func(d *Directory) { d.URL = "ldaps://" + s.plain; d.Timeout = time.Second },
			func(err error) bool { return err != nil }, "asking ldaps://"},
		{"plain password", func(d *Directory) { d.URL = "ldap://" + s.plain }, config, "plain = true"},
		{"certificates", func(d *Directory) { d.CA = filepath.Join(filepath.Dir(s.ca), "slapd.conf") }, config, "holds no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := s.directory()
			c.change(d)
			l, err := d.Fetch(context.Background())
			if l != nil || err == nil || !c.is(err) || !strings.Contains(err.Error(), c.say) {
				t.Errorf("%d addresses, %v", l.Len(), err)
			}
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "wrong:")) {
				t.Error("the password is in the error:", err)
			}
		})
	}
}

// serverGone ends the server: the list in force stays, and a daemon that starts meanwhile has the saved one.
func serverGone(t *testing.T, s *slapd) {
	extra := filepath.Join(t.TempDir(), "extra")
	write(t, extra, "sales-*@firm.example\n")
	cache := filepath.Join(t.TempDir(), "cache")
	fresh := func() *Source {
		return &Source{File: extra, Directory: s.directory(), Domains: []string{"firm.example"}, Delimiter: "+", Cache: cache}
	}
	check := func(src *Source) {
		t.Helper()
		for a, want := range map[string]Verdict{"user7+x@firm.example": Valid, "sales-1@firm.example": Valid, "nobody@firm.example": Unknown,
			"u7@old-name.example": NoOpinion} {
			if v := src.Current().Has([]byte(a)); v != want {
				t.Errorf("%s is %v, want %v", a, v, want)
			}
		}
	}
	first := fresh()
	if err := first.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	check(first)
	narrow := fresh()
	narrow.Directory.PageSize = 100
	narrow.Directory.BaseDN = "cn=user1," + base // other settings: the saved list is neither used nor in the way
	narrow.Cache = filepath.Join(t.TempDir(), "other")
	if err := narrow.Refresh(context.Background()); err != nil || narrow.Current().Len() != 2 {
		t.Errorf("%v: %d addresses", err, narrow.Current().Len())
	}
	first.Directory.Filter = "(cn=user1)" // what a broken directory would give
	if err := first.Refresh(context.Background()); !errors.Is(err, ErrKept) {
		t.Error(err)
	}
	check(first)
	s.kill()
	if err := first.Refresh(context.Background()); err == nil {
		t.Error("no error without a server")
	}
	check(first)
	second := fresh()
	if err := second.Refresh(context.Background()); err == nil {
		t.Error("no error without a server")
	}
	check(second)
	third := fresh()
	third.Directory.BaseDN = "dc=other"
	if err := third.Refresh(context.Background()); err == nil || third.Current() != nil {
		t.Error("a list of other settings is used, or half a list:", err, third.Current().Len())
	}
}
