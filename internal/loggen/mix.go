package loggen

// Mix is the share of each hostile class in the hostile traffic: in its recipients, logins and connections where
// JunkPerDay says how much there is, in its lines where Lines does. The shares needn't add up to anything.
type Mix struct {
	Fast        float64 // harvesters that try dozens to thousands of recipients, ten a second to one in five seconds
	Slow        float64 // harvesters with one try every 2 to 60 minutes, for days
	Crawl       float64 // harvesters with twelve tries a day
	Evader      float64 // harvesters whose every fourth recipient exists, but who never deliver
	Buyer       float64 // harvesters that deliver a few good messages first
	Rotator     float64 // harvesters that take another /64 of their IPv6 /48 for every session
	Botnet      float64 // campaigns under one HELO name and sender domain, whose members try three or four recipients each
	Scatter     float64 // the same with nothing in common but the targets
	Snowshoe    float64 // campaigns from 30 to 200 addresses of a /24 with two to nine tries each
	Spam        float64 // senders refused by a block list or a content filter, with dirty lists
	MsgFlood    float64 // hosts that send hundreds of messages an hour, all of them spam
	Guess       float64 // password guessers
	Spray       float64 // hosts that try one password with user after user, slowly
	Flood       float64 // clients that only connect, hundreds of times a minute
	Hog         float64 // clients that hold connections open, a dozen at once
	Backscatter float64 // servers that bounce forged mail: harmless, and not to be blocked; Tricky has 300 of them without this

	// Tricky adds the harmless clients that look like attackers (scenarios 15 to 30), always as many, and a hired attacker
	// (33). Their messages come on top of GoodPerDay: some 500 a day.
	Tricky bool
}

// Classic is the mix of a server that is harvested by single hosts: about three sessions in four are theirs.
func Classic() Mix {
	return Mix{Fast: .74, Slow: .02, Evader: .025, Botnet: .05, Spam: .08, Guess: .035, Flood: .035, Backscatter: .015}
}

// Mixed is a mix in which single hosts and botnets harvest alike.
func Mixed() Mix {
	return Mix{Fast: .38, Slow: .12, Evader: .05, Botnet: .26, Spam: .09, Guess: .035, Flood: .045, Backscatter: .02}
}

// Botnets is a mix in which nearly all harvesting comes from hosts that try one to three recipients.
func Botnets() Mix {
	return Mix{Fast: .05, Slow: .05, Evader: .03, Botnet: .68, Spam: .09, Guess: .035, Flood: .045, Backscatter: .02}
}

// The rest of the junk beside harvesting, in all three of the following mixes.
func rest() Mix {
	return Mix{Spam: .15, MsgFlood: .013, Guess: .02, Spray: .002, Flood: .055, Hog: .01, Tricky: true}
}

// others are the harvesters of every further kind, a little of each.
func (m *Mix) others() {
	m.Crawl, m.Buyer, m.Rotator = .001, .003, .004
	m.Evader, m.Snowshoe = max(m.Evader, .003), max(m.Snowshoe, .002)
}

// MixA is the first mix of an evaluation: three quarters of the junk are harvest, and of that fast hosts make 95 %, slow ones
// 5 %. Nobody else harvests; the rest has a little of every other hostile class, and all harmless ones that look like
// attackers take part.
func MixA() Mix {
	m := rest()
	m.Fast, m.Slow = .75*.95, .75*.05
	return m
}

// MixB is the second: the harvest is 45 % fast, 15 % slow, 30 % from botnets (three in ten of which have nothing in common),
// 5 % snowshoe, 5 % evaders. Every other kind of harvester takes part with a little more.
func MixB() Mix {
	m := rest()
	m.Fast, m.Slow, m.Snowshoe, m.Evader = .75*.45, .75*.15, .75*.05, .75*.05
	m.Botnet, m.Scatter = .75*.3*.7, .75*.3*.3
	m.others()
	return m
}

// MixC is the third: the harvest is 5 % fast, 5 % slow, 85 % from botnets as in MixB, 5 % snowshoe.
func MixC() Mix {
	m := rest()
	m.Fast, m.Slow, m.Snowshoe = .75*.05, .75*.05, .75*.05
	m.Botnet, m.Scatter = .75*.85*.7, .75*.85*.3
	m.others()
	return m
}

func (m Mix) shares() [classes]float64 {
	return [classes]float64{fast: m.Fast, slow: m.Slow, crawl: m.Crawl, evader: m.Evader, buyer: m.Buyer, rotator: m.Rotator, botnet: m.Botnet,
		scatter: m.Scatter, snowshoe: m.Snowshoe, spammer: m.Spam, msgflood: m.MsgFlood, guesser: m.Guess, spray: m.Spray, flooder: m.Flood,
		hog: m.Hog, backscatter: m.Backscatter}
}

func total(shares [classes]float64) float64 {
	t := 0.0
	for _, s := range shares {
		if s < 0 {
			return -1
		}
		t += s
	}
	return t
}
