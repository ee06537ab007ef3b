package loggen

import (
	"net/netip"
	"strconv"
)

// Words that names are put together from. Nobody changes them.
var (
	firstNames = [...]string{"anna", "bernd", "carla", "dieter", "elke", "frank", "gabi", "hans", "ines", "jan", "karin", "lars", "maria",
		"nils", "olga", "peter", "rita", "stefan", "tanja", "uwe", "vera", "walter", "yvonne", "zoe", "alexander", "charlotte",
		"friederike", "john", "mary", "robert", "patricia", "michael"}
	lastNames = [...]string{"adler", "becker", "conrad", "dorn", "ebert", "fuchs", "graf", "huber", "jung", "koch", "lang", "maier", "neumann",
		"otto", "pohl", "reuter", "schmid", "thoma", "ulrich", "vogt", "weber", "zorn", "zimmermann", "schneider", "hoffmann",
		"smith", "johnson", "williams", "brown", "miller", "davis", "anderson"}
	businesses = [...]string{"spedition", "druckerei", "steuerbuero", "maschinenbau", "gemeinde", "schule", "verlag", "lieferant", "handel",
		"technik", "consulting", "logistics", "hotel", "praxis", "architekten", "versicherung"}
	ourDomains = [...]string{"kontor.example", "kontor-gruppe.example", "service.kontor.example"}
	offers     = [...]string{"cheap-pills", "casino-bonus", "quick-credit", "web-traffic", "seo-boost", "replica-watch", "diet-secret", "crypto-win"}
	roles      = [...]string{"info", "sales", "support", "office", "admin", "postmaster", "webmaster", "contact"}
	isps       = [...]string{"dsl.isp", "dyn.telco", "cable.provider", "mobile.carrier", "vps.hosting", "cloud.hoster"}
)

// oldDomain is a domain of ours until its addresses die with the migration.
const oldDomain = "alt-kontor.example"

// alphabet has the first names in the order of the alphabet.
var alphabet = [...]uint8{24, 0, 1, 2, 25, 3, 4, 5, 26, 6, 7, 8, 9, 27, 10, 11, 12, 28, 31, 13, 14, 30, 15, 16, 29, 17, 18, 19, 20, 21, 22, 23}

// mailboxes is how many local parts exist at the server.
const mailboxes = 400

// appendValid appends the k-th address that exists. No other function here makes one that does.
func appendValid(b []byte, k uint64) []byte {
	k %= mailboxes
	b = append(b, firstNames[k%uint64(len(firstNames))]...)
	b = append(b, '.')
	b = append(b, lastNames[k/uint64(len(firstNames))%uint64(len(lastNames))]...)
	b = append(b, '@')
	return append(b, ourDomains[k%uint64(len(ourDomains))]...)
}

// appendGuess appends the k-th address of a harvester's dictionary. Different k below 2^31 give different addresses,
// and none of them exists: each has a number in its local part.
func appendGuess(b []byte, k uint64) []byte {
	f := firstNames[k%32]
	l := lastNames[k>>5%32]
	form, number := k>>10%3, k/(3<<10)
	switch form {
	case 0:
		b = append(append(append(b, f...), '.'), l...)
	case 1:
		b = append(append(append(b, f[0]), l...), f[len(f)-2:]...)
	default:
		b = append(append(append(b, l...), '_'), f...)
	}
	b = strconv.AppendUint(b, number, 10)
	b = append(b, '@')
	return append(b, ourDomains[0]...)
}

// appendDead appends the k-th address of somebody who has left.
func appendDead(b []byte, k uint64) []byte {
	b = append(b, "ex-"...)
	b = append(b, firstNames[k%32]...)
	b = append(b, '.')
	b = append(b, lastNames[k>>5%32]...)
	b = strconv.AppendUint(b, k>>10%90+10, 10)
	b = append(b, '@')
	return append(b, ourDomains[k>>17%3]...)
}

// appendGone appends the k-th address that a list or a customer file still has, of somebody who was here before the
// log began.
func appendGone(b []byte, k uint64) []byte {
	b = append(b, firstNames[k%32]...)
	b = append(b, '.')
	b = append(b, lastNames[k>>5%32]...)
	return append(append(b, "-alt@"...), ourDomains[0]...)
}

// appendLeaver appends the k-th address of somebody who leaves while the log goes on.
func appendLeaver(b []byte, k uint64) []byte {
	b = append(b, lastNames[k>>5%32]...)
	b = append(b, '.')
	b = append(b, firstNames[k%32]...)
	return append(append(b, '@'), ourDomains[2]...)
}

// appendOld appends the k-th address of the domain that is given up.
func appendOld(b []byte, k uint64) []byte {
	b = append(b, firstNames[k%32]...)
	b = append(b, '.')
	b = append(b, lastNames[k>>5%4]...)
	return append(append(b, '@'), oldDomain...)
}

// appendReader appends reader j of n of a mailing list, in the order of the alphabet; three of ten are gone.
func appendReader(b []byte, which uint64, j, n int) (_ []byte, gone bool) {
	at := j * len(alphabet) / n
	first := 0
	for first = j; first > 0 && (first-1)*len(alphabet)/n == at; first-- {
	}
	k := uint64(alphabet[at]) + 32*(which%8+uint64(j-first)%4)
	if gone = (uint64(j)*7+which)%10 < 3; gone {
		return appendGone(b, k), true
	}
	return appendValid(b, k), false
}

// appendTypo appends the k-th address that exists, mistyped: one letter of it stands twice.
func appendTypo(b []byte, k uint64) []byte {
	lo := len(b)
	b = appendValid(b, k)
	at := lo + 1 + int(k/mailboxes%3)
	b = append(b, 0)
	copy(b[at+1:], b[at:])
	b[at] = 'q'
	return b
}

// person appends somebody at a domain.
func appendPerson(b []byte, k uint64, domain []byte) []byte {
	b = append(append(append(b, firstNames[k%32]...), '.'), lastNames[k>>5%32]...)
	b = append(b, '@')
	return append(b, domain...)
}

// mix64 is a bijection of 64-bit numbers that scatters them (the finaliser of splitmix64).
func mix64(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// hostV4 gives the address of a single host: another for each class and each index below mostEntities. It lies in the
// upper half of 240.0.0.0/4, where no pool has its addresses.
func hostV4(c class, index uint32) netip.Addr {
	n := uint32(c)<<21 | index&(mostEntities-1) // below 2^27: there are fewer than 64 classes
	n = (n*0x5851f42d + 0x1234567) & (1<<27 - 1)
	if n == 1<<27-1 { // 255.255.255.255 is for broadcasts
		return v4(0xf7ffffff)
	}
	return v4(0xf8000000 | n)
}

// mostPools is how many /24 and /48 a class can have to itself.
const mostPools = 1 << 13

// poolV4 gives address k of a pool that has a /24 to itself.
func poolV4(c class, index uint32, k int) netip.Addr {
	n := uint32(c)<<13 | index&(mostPools-1)
	n = (n*0x2c1b3c6d + 0x297a2d) & (1<<19 - 1)
	return v4(0xf0000000 | n<<8 | uint32(k&255))
}

func v4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// hostV6 gives an address in the /64 of a class and index, in the lower half of 2001:db8::/32.
func hostV6(c class, index uint32, low uint64) netip.Addr {
	n := uint32(c)<<21 | index&(mostEntities-1)
	return v6((n*0x9e3779b1+0x7f4a7c15)&(1<<31-1), low)
}

// mostRotators is how many /48 there are for poolV6.
const mostRotators = 1 << 15

// poolV6 gives an address in the k-th /64 of a rotator's own /48, in the upper half.
func poolV6(index uint32, k uint16, low uint64) netip.Addr {
	return v6(1<<31|(index*0x35a5+0x1337)&(mostRotators-1)<<16|uint32(k), low)
}

func v6(n uint32, low uint64) netip.Addr {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	for i := range 8 {
		a[8+i] = byte(low >> (56 - 8*i))
	}
	return netip.AddrFrom16(a)
}
