package recipients

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// maxEmptyPages bounds how many pages without an entry a directory may send in a row (RFC 2696 section 3 allows some).
const maxEmptyPages = 1000

var (
	errNoEnd    = errors.New("the directory's pages don't come to an end: check it, or choose another page size")
	errUnpaged  = errors.New("the directory stopped dividing its answer into pages before the last one: try again")
	errNoRange  = errors.New("the directory didn't give the rest of a long attribute: try again")
	errManyLong = fmt.Errorf("more than %d attributes come in parts: narrow the filter", maxRanged)
)

// search collects all entries, page by page (RFC 2696).
func (s *session) search(ctx context.Context, d *Directory, c *collector) error {
	size := d.PageSize
	if size == 0 {
		size = DefaultPageSize
	}
	page := ldap.NewControlPaging(uint32(size))
	req := ldap.NewSearchRequest(d.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		d.filter(), c.wanted(), []ldap.Control{page})
	empty := 0
	for paged := false; ; {
		res, err := s.ask(ctx, req)
		if err != nil {
			return err
		}
		for _, e := range res.Entries {
			if err := c.entry(e); err != nil {
				return err
			}
		}
		next, ok := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		switch {
		case !ok && paged:
			return errUnpaged
		case !ok || len(next.Cookie) == 0:
			return nil
		}
		paged = true
		page.SetCookie(next.Cookie)
		if empty++; len(res.Entries) > 0 {
			empty = 0
		}
		if empty > maxEmptyPages {
			return errNoEnd
		}
	}
}

// ask makes one request. References to other servers in the answer are left out: who wants their entries names them, or
// a global catalog, in the URL.
func (s *session) ask(ctx context.Context, req *ldap.SearchRequest) (*ldap.SearchResult, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	s.meter.left.Store(maxAnswer)
	res, err := s.conn.Search(req)
	if err != nil {
		return nil, s.explain("searching", err)
	}
	return res, nil
}

// ranges fetches what is missing of attributes that came in part, as Active Directory gives those with more than 1500
// values (MS-ADTS section 3.1.1.3.1.3.3).
func (s *session) ranges(ctx context.Context, c *collector) error {
	for _, r := range c.ranged {
		for r.next >= 0 {
			req := ldap.NewSearchRequest(r.dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)",
				[]string{r.attribute + ";range=" + strconv.Itoa(r.next) + "-*"}, nil)
			res, err := s.ask(ctx, req)
			if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
				break // deleted since
			}
			if err != nil {
				return err
			}
			if err := c.rest(&r, res.Entries); err != nil {
				return err
			}
		}
	}
	return nil
}

// explain says what to do about an error of the directory.
func (s *session) explain(doing string, err error) error {
	if s.meter.left.Load() < 0 {
		return fmt.Errorf("%s: %w: choose a smaller page", doing, errTooMuch)
	}
	advice := "check that the directory is up"
	for code, text := range map[uint16]string{
		ldap.LDAPResultInvalidCredentials:          "check the login and the password",
		ldap.LDAPResultNoSuchObject:                "check the base",
		ldap.LDAPResultInvalidDNSyntax:             "write the login and the base as distinguished names",
		ldap.LDAPResultReferral:                    "another server holds the base: name that one in the url",
		ldap.LDAPResultSizeLimitExceeded:           "the answer was cut off: choose a smaller page, or allow the login more",
		ldap.LDAPResultTimeLimitExceeded:           "the answer was cut off: narrow the filter, or allow the login more",
		ldap.LDAPResultAdminLimitExceeded:          "the answer was cut off: choose a smaller page, or allow the login more",
		ldap.LDAPResultStrongAuthRequired:          "the directory wants encryption: write ldaps://",
		ldap.LDAPResultConfidentialityRequired:     "the directory wants encryption: write ldaps://",
		ldap.LDAPResultInsufficientAccessRights:    "the login may not read there: give it the right to",
		ldap.LDAPResultInappropriateAuthentication: "the directory wants a login: give one",
		ldap.LDAPResultOperationsError:             "Active Directory says so to who isn't logged in: give a login",
	} {
		if ldap.IsErrorWithCode(err, code) {
			advice = text
		}
	}
	return fmt.Errorf("%s: %w: %s", doing, err, advice)
}

// parseRange reads an attribute's description with a range option, as in proxyAddresses;range=0-1499. last is -1 for the
// last part. ok is false without the option.
func parseRange(description string) (first, last int, ok bool) {
	_, options, _ := strings.Cut(description, ";")
	for o := range strings.SplitSeq(options, ";") {
		if len(o) < len("range=") || !strings.EqualFold(o[:len("range=")], "range=") {
			continue
		}
		from, to, _ := strings.Cut(o[len("range="):], "-")
		first, err := strconv.ParseUint(from, 10, 31)
		if err != nil {
			return 0, 0, false
		}
		if to == "*" {
			return int(first), -1, true
		}
		last, err := strconv.ParseUint(to, 10, 31)
		if err != nil || last < first {
			return 0, 0, false
		}
		return int(first), int(last), true
	}
	return 0, 0, false
}
