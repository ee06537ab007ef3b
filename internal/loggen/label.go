package loggen

import "net/netip"

// label says what should become of a source. What it takes to be plain is built into the classes: a fast harvester or
// an evader makes its twelve tries within half an hour, a slow one its eighteen within 20 hours, a crawler its forty
// within four days; a guesser makes its fourteen within eight minutes, a flooder its first 130 connects within 50
// seconds, a hog its hundred within 25 minutes and a flood its 300 messages within half an hour; a buyer's eighty follow
// each other within an hour, which no credit explains.
// What happens while the directory is out of order isn't plain.
func label(e *entity, t *tally) Label {
	s, unknown, plain := &t.counts, t.counts.Unknown-t.out, false
	switch e.class {
	case fast, evader:
		plain = unknown >= 12
	case slow:
		plain = unknown >= 18
	case crawl:
		plain = unknown >= 40
	case buyer:
		plain = unknown >= 80
	case guesser:
		plain = s.AuthFails >= 14
	case spray:
		plain = s.AuthFails >= 10
	case flooder:
		plain = s.Connects >= 130
	case hog:
		plain = s.Connects >= 100
	case msgflood:
		plain = s.SpamRefused >= 300
	case botnet, scatter, snowshoe, rotator, spammer, pentest:
	default:
		return MustNotBlock
	}
	if plain {
		return MustBlock
	}
	return MayBlock
}

// Own returns the addresses of hosts that belong to the site, whatever the seed: its backup MX, which hands on all that
// the others try there, and its monitor. A site lists such hosts as never to be blocked.
func Own() []netip.Prefix {
	backup, watch := hostV4(backupmx, 0), hostV4(monitor, 0)
	return []netip.Prefix{netip.PrefixFrom(backup, 32), netip.PrefixFrom(watch, 32)}
}

// Domains returns the domains that the server takes mail for.
func Domains() []string { return append(append([]string(nil), ourDomains[:]...), oldDomain) }
