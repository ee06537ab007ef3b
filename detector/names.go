package detector

import (
	"bytes"
	"net/netip"

	"github.com/harvestwatch/harvestwatch"
)

// roleMark is the low bit of a recipient's hash: set for the name of a role, which many people guess and few harvesters
// need a list for, and for what names nobody.
const roleMark = 1

// isRole says whether a local part, in lower case, is the name of a role: those of RFC 2142, and what other languages
// and common sense make of them.
func isRole(local []byte) bool {
	switch string(local) {
	case "info", "marketing", "sales", "support", "abuse", "noc", "security", "postmaster", "hostmaster", "usenet", "news", "webmaster",
		"www", "uucp", "ftp", // RFC 2142
		"admin", "administrator", "root", "mail", "mailer-daemon", "office", "contact", "contactus", "hello", "help", "helpdesk", "service",
		"services", "team", "hr", "jobs", "job", "career", "careers", "press", "media", "billing", "accounting", "accounts", "invoice", "invoices",
		"orders", "order", "shop", "purchasing", "finance", "legal", "privacy", "reception", "enquiries", "inquiries", "feedback", "noreply",
		"no-reply", "newsletter", "it", "test", "user", "guest", "scan", "scanner", "fax", "backup",
		"kontakt", "vertrieb", "verkauf", "einkauf", "bestellung", "bestellungen", "buchhaltung", "rechnung", "rechnungen", "bewerbung",
		"personal", "presse", "datenschutz", "sekretariat", "zentrale", "post", "anfrage", "anfragen", "empfang", "buero", "werkstatt", "praxis",
		"ventes", "commercial", "comptabilite", "accueil", "bonjour", "rh", "facturation", "recrutement",
		"ventas", "contacto", "compras", "administracion", "contabilidad", "facturacion", "correo", "rrhh",
		"vendas", "contato", "atendimento", "financeiro", "comercial", "reply",
		"vendite", "amministrazione", "contabilita", "segreteria", "acquisti", "ufficio",
		"verkoop", "inkoop", "administratie", "boekhouding", "biuro", "sprzedaz", "obchod", "prodej", "myynti", "salg", "forsaljning":
		return true
	}
	return false
}

// isFreemail says whether a domain, in lower case, is one of a provider with so many users that it says nothing of who
// is behind a sender.
func isFreemail(domain []byte) bool {
	switch string(domain) {
	case "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "web.de", "aol.com", "icloud.com", "me.com", "mac.com",
		"mail.ru", "bk.ru", "inbox.ru", "list.ru", "yandex.ru", "yandex.com", "rambler.ru", "qq.com", "163.com", "126.com", "sina.com", "foxmail.com",
		"freenet.de", "t-online.de", "arcor.de", "1und1.de", "orange.fr", "free.fr", "laposte.net", "wanadoo.fr", "sfr.fr", "libero.it", "virgilio.it",
		"tiscali.it", "alice.it", "comcast.net", "verizon.net", "att.net", "sbcglobal.net", "cox.net", "btinternet.com", "proton.me", "protonmail.com",
		"mail.com", "seznam.cz", "wp.pl", "o2.pl", "interia.pl", "onet.pl", "naver.com", "daum.net", "hanmail.net", "rediffmail.com", "uol.com.br",
		"bol.com.br", "terra.com.br", "ymail.com", "rocketmail.com", "bluewin.ch", "telenet.be", "ziggo.nl", "kpnmail.nl", "zoho.com":
		return true
	}
	for _, p := range [...]string{"yahoo.", "gmx.", "hotmail.", "outlook.", "live."} {
		if bytes.HasPrefix(domain, []byte(p)) && bytes.Count(domain, []byte{'.'}) <= 2 {
			return true
		}
	}
	return false
}

// domainOf returns what follows the last @, nil for nothing.
func domainOf(addr []byte) []byte {
	if at := bytes.LastIndexByte(addr, '@'); at >= 0 && at+1 < len(addr) {
		return addr[at+1:]
	}
	return nil
}

// heloForm writes the normal form of a HELO name and returns it: lower case, runs of digits as one 0. It is nil for
// an address literal, with brackets or without, and for a name that is the client's own.
func (h *hasher) heloForm(ev *harvestwatch.Event) []byte {
	name := bytes.TrimSuffix(ev.Helo[:min(len(ev.Helo), len(h.buf))], []byte{'.'})
	if len(name) == 0 || name[0] == '[' || bytes.IndexByte(name, ':') >= 0 || bytes.EqualFold(name, bytes.TrimSuffix(ev.Name, []byte{'.'})) {
		return nil
	}
	n, letters, digit := 0, false, false
	for _, c := range name {
		if c-'0' < 10 {
			if digit {
				continue
			}
			digit, c = true, '0'
		} else {
			letters = letters || c != '.'
			digit = false
			if c-'A' < 26 {
				c += 'a' - 'A'
			}
		}
		h.buf[n] = c
		n++
	}
	if !letters {
		return nil // 192.0.2.1 without its brackets
	}
	return h.buf[:n]
}

// senderForm writes the normal form of the sender's domain and returns it, nil where it says nothing.
func (h *hasher) senderForm(ev *harvestwatch.Event) []byte {
	domain := domainOf(ev.Sender)
	if ev.Null || len(domain) == 0 {
		return nil
	}
	domain = h.buf[:lower(h.buf[:], domain[:min(len(domain), len(h.buf))])]
	if isFreemail(domain) {
		return nil
	}
	return domain
}

// userForm writes the normal form of a user's name and returns it.
func (h *hasher) userForm(ev *harvestwatch.Event) []byte {
	return h.buf[:lower(h.buf[:], ev.User[:min(len(ev.User), len(h.buf))])]
}

// roleUser says whether the name given for authentication is that of a role.
func (h *hasher) roleUser(user []byte) bool {
	if at := bytes.IndexByte(user, '@'); at >= 0 {
		user = user[:at]
	}
	if len(user) > 32 {
		return false
	}
	return isRole(h.buf[:lower(h.buf[:], user)])
}

// fits says whether a client's verified name looks like that of a mail server and fits what it says in HELO: equal, or
// under the same two last labels.
func fits(ev *harvestwatch.Event) bool {
	name, helo := bytes.TrimSuffix(ev.Name, []byte{'.'}), bytes.TrimSuffix(ev.Helo, []byte{'.'})
	if len(name) == 0 || len(helo) == 0 || accessLine(name, ev.Addr) {
		return false
	}
	return bytes.EqualFold(name, helo) || sameEnd(name, helo)
}

// sameEnd says whether two names have the same two last labels.
func sameEnd(a, b []byte) bool {
	x, y := lastTwo(a), lastTwo(b)
	return len(x) > 0 && bytes.EqualFold(x, y)
}

func lastTwo(name []byte) []byte {
	dot := bytes.LastIndexByte(name, '.')
	if dot <= 0 {
		return nil
	}
	return name[bytes.LastIndexByte(name[:dot], '.')+1:]
}

// accessLine says whether a name looks like one that a provider gives to the lines of its customers: it spells out the
// address, or has a word for such lines.
func accessLine(name []byte, addr netip.Addr) bool {
	for i := 0; i < len(name); {
		j := i
		for j < len(name) && (name[j]|0x20)-'a' < 26 {
			j++
		}
		if j > i && isAccessWord(name[i:j]) {
			return true
		}
		i = max(j, i+1)
	}
	return spells(name, addr)
}

func isAccessWord(word []byte) bool {
	var buf [16]byte
	if len(word) > len(buf) {
		return false
	}
	switch string(buf[:lower(buf[:], word)]) {
	case "dsl", "adsl", "vdsl", "xdsl", "sdsl", "dyn", "dynamic", "dynamicip", "dynip", "pool", "pools", "dhcp", "ppp", "pppoe", "cable", "client", "clients",
		"cust", "customer", "customers", "dial", "dialup", "dialin", "broadband", "ftth", "fiber", "fibra", "mobile", "wireless", "residential", "user",
		"users", "host", "hsd", "hfc", "catv", "lte", "gprs", "umts", "cpe", "modem", "home":
		return true
	}
	return false
}

// spells says whether a name has the four numbers of an IPv4 address as numbers of its own, in whatever order.
// IPv6 names are left to their words.
func spells(name []byte, addr netip.Addr) bool {
	addr = addr.Unmap()
	if !addr.Is4() {
		return false
	}
	found := 0
	b := addr.As4()
	for _, octet := range b {
		if hasNumber(name, int(octet)) {
			found++
		}
	}
	return found == 4
}

// hasNumber says whether a name has a number, with leading zeros or without.
func hasNumber(name []byte, want int) bool {
	for i := 0; i < len(name); i++ {
		n, digits := 0, 0
		for i < len(name) && name[i]-'0' < 10 && digits < 9 {
			n, digits, i = n*10+int(name[i]-'0'), digits+1, i+1
		}
		if digits > 0 && n == want {
			return true
		}
	}
	return false
}
