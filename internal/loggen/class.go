package loggen

// class is a kind of client.
type class uint8

// New classes go to the end: a class's number is part of its entities' seeds.
const (
	fast        class = iota // 234 tries on average (lognormal, sigma 1.2), .2 to 10 a second; one in fifty hits somebody
	slow                     // one try every 2 to 60 minutes, for .3 to 4 days
	evader                   // every fourth recipient exists; eight a session
	botnet                   // 3.5 tries on average (geometric), one every ten minutes; 800 members, one HELO name and sender domain
	spammer                  // 8 messages (median), refused by a block list, or by a filter; half of the filter's have dead recipients
	guesser                  // 60 passwords (median), one every 4 to 20 seconds; every second guesser knows who exists
	flooder                  // 400 connections (median), three to sixteen a second
	backscatter              // 300 servers, 1 to 200 bounces each (Pareto, 1.1); one in 33 sends good mail, too
	partner                  // 220 correspondents (Zipf), 60 % of the good mail; one address in 140 is mistyped
	provider                 // three pools of twelve, 25 % of the good mail; one message in 30 is spam, one address in 100 wrong
	newsletter               // 40 to 80 readers a day, one every six seconds; three of ten are gone
	typist                   // one wrong address in 35 of 40 messages
	office                   // twelve colleagues behind one address who mistype passwords
	monitor                  // a connection every 30 seconds
	crawl                    // twelve tries a day, for all the time
	scatter                  // as botnet, with nothing in common
	snowshoe                 // 30 to 200 addresses of a /24, two to nine tries each, within a third of a day to a day
	buyer                    // four to six good messages in a day, then a hundred to four hundred tries, one in 20 to 35 seconds
	rotator                  // one to three tries from each /64 of a /48, 300 tries (median)
	hog                      // 12 to 23 connections at once, held for 2.5 minutes
	msgflood                 // 320 messages and more, one every two to five seconds, all spam
	spray                    // 10 to 59 users with one password each, one every 10 to 45 minutes
	phone                    // one user's old password every five minutes, 288 a day for one to two days; good mail before and after
	monday                   // six users behind one address whose passwords have expired on Monday morning
	callout                  // 40 questions a day with the null sender, four of five about nobody; one in twelve is a message
	list                     // 60 readers twice a day in the order of the alphabet, 30 % dead, in single transactions
	digest                   // the same in one transaction
	blast                    // 300 recipients within 20 minutes over four addresses, 30 % dead
	newesp                   // 90 recipients within an hour over 30 addresses, 60 % dead
	forwarder                // 60 messages a day, a quarter to fifteen dead addresses
	leavers                  // one to five readers every one to three days; the first leaves one day, the others have left
	crm                      // a partner of twelve messages a day who one day writes to 120 wrong addresses and 60 right ones
	newpartner               // five wrong addresses and seven right ones, and nothing before
	migration                // eight correspondents of a domain of ours that is given up; one of them writes 40 a day
	outage                   // 20 minutes in which nobody is known
	backupmx                 // a message every 40 seconds, one in forty is good
	clock                    // a partner whose lines are dated up to two minutes late, or an hour
	restart                  // all open connections end without a line
	pentest                  // 300 tries, 20 relay attempts, 100 passwords, 450 connections
	malformed                // a line that no server writes, every ten minutes
	classes
)

// spec says what the entities of a class do. plan draws the entity's character from its own stream and says how many
// lines to expect of it; act makes its next session and says when it wakes again. Classes without act are things that
// happen to the server: plan notes when.
type spec struct {
	name     string
	scenario int     // its number in the list of scenarios, 0 for none
	kind     nature  // whose side it is on
	number   float64 // how many there are where Mix.Tricky or Config.Also has them, if they aren't counted by the mix
	plan     func(w *world, e *entity) float64
	act      func(w *world, e *entity, s *session)
}

// nature says how much of a class there is.
type nature uint8

const (
	hostile nature = iota // as much as the mix says
	regular               // always there
	tricky                // there with Mix.Tricky, or if asked for
	special               // there if asked for
)

// specs is a function and no table because what it names refers to it.
func specs() [classes]spec {
	return [classes]spec{
		fast:        {"fast", 1, hostile, 0, planFast, actHarvest},
		slow:        {"slow", 2, hostile, 0, planSlow, actHarvest},
		evader:      {"evader", 7, hostile, 0, planEvader, actHarvest},
		botnet:      {"botnet", 4, hostile, 0, planBotnet, actBotnet},
		spammer:     {"spammer", 0, hostile, 0, planSpammer, actSpammer},
		guesser:     {"guesser", 13, hostile, 0, planGuesser, actGuesser},
		flooder:     {"flooder", 11, hostile, 0, planFlooder, actFlooder},
		backscatter: {"backscatter", 17, hostile, 300, planBackscatter, actBackscatter},
		partner:     {"partner", 0, regular, partners, planPartner, actPartner},
		provider:    {"provider", 23, regular, pools, planProvider, actProvider},
		newsletter:  {"newsletter", 20, regular, newsletters, planNewsletter, actNewsletter},
		typist:      {"typist", 19, regular, typists, planTypist, actTypist},
		office:      {"office", 16, regular, offices, planOffice, actOffice},
		monitor:     {"monitor", 0, regular, 1, planMonitor, actMonitor},
		crawl:       {"crawl", 3, hostile, 0, planCrawl, actHarvest},
		scatter:     {"scatter", 5, hostile, 0, planScatter, actBotnet},
		snowshoe:    {"snowshoe", 6, hostile, 0, planSnowshoe, actSnowshoe},
		buyer:       {"buyer", 8, hostile, 0, planBuyer, actBuyer},
		rotator:     {"rotator", 9, hostile, 0, planRotator, actHarvest},
		hog:         {"hog", 10, hostile, 0, planHog, actHog},
		msgflood:    {"msgflood", 12, hostile, 0, planMsgflood, actMsgflood},
		spray:       {"spray", 14, hostile, 0, planSpray, actSpray},
		phone:       {"phone", 15, tricky, 6, planPhone, actPhone},
		monday:      {"monday", 16, tricky, 3, planMonday, actMonday},
		callout:     {"callout", 18, tricky, 6, planCallout, actCallout},
		list:        {"list", 20, tricky, 2, planList, actList},
		digest:      {"digest", 20, tricky, 2, planList, actList},
		blast:       {"blast", 21, tricky, 2, planBlast, actBlast},
		newesp:      {"newesp", 22, tricky, 2, planNewesp, actBlast},
		forwarder:   {"forwarder", 24, tricky, 3, planForwarder, actForwarder},
		leavers:     {"leavers", 25, tricky, 40, planLeavers, actLeavers},
		crm:         {"crm", 26, tricky, 2, planCRM, actCRM},
		newpartner:  {"newpartner", 27, tricky, 10, planNewpartner, actNewpartner},
		migration:   {"migration", 28, tricky, 8, planMigration, actMigration},
		outage:      {"outage", 29, tricky, 1, planOutage, nil},
		backupmx:    {"backupmx", 30, tricky, 1, planBackupMX, actBackupMX},
		clock:       {"clock", 31, special, 1, planClock, actClock},
		restart:     {"restart", 32, special, 1, planRestart, nil},
		pentest:     {"pentest", 33, tricky, 1, planPentest, actPentest},
		malformed:   {"malformed", 34, special, 1, planMalformed, actMalformed},
	}
}
