package harvestwatch

import (
	"net/netip"
	"time"
)

// Offence says that a rule's threshold was reached: what was seen, over which window, and what spoke for the source.
type Offence struct {
	Source     Source
	Rule       string        // the rule's name
	RuleIndex  int           // the rule's place in the rule set that the detector was made with
	First      time.Time     // the earliest counted event that was still in the window
	Fired      time.Time     // the detector's time when the threshold was reached
	Window     time.Duration // the window in which it was reached
	Count      int           // what the rule counted, capped at what the detector keeps: never below Threshold
	Threshold  int           // what had to be reached, deliveries, credit and probation taken into account
	Base       int           // what would have had to be reached by a source that nothing speaks for
	Deliveries int           // distinct recipients it delivered to within the rule's good window, capped
	Level      int           // which offence of this source this is: 1 for the first; it picks the step of the ladder
	Probation  bool          // the threshold was halved because a block of this source had just ended
	Guard      string        // what held the offence back, by the detector's own knowledge: no block may follow; "" for nothing
	Credited   bool          // the source has delivered good mail for a while: its blocks are short
	Served     time.Duration // how long the source has been blocked, or would have been, within the last 24 hours
	Key        string        // by what the rule adds up, as rule files name it ("prefix", "helo", …); "" for the source
	Group      string        // which prefix, HELO name, domain or user it was; but for a prefix it is text from a log
	Prefix     netip.Prefix  // what a block is to cover; the zero Prefix for the source
	Name       string        // the verified name of the client; text from a log, at most MaxField bytes
	Helo       string        // the client's HELO name; text from a log, at most MaxField bytes
	Listed     bool          // a block list's entry lowered the threshold
	Evidence   []uint32      // the references (Event.Ref) of the counted events, oldest first
	Session    uint64        // of the event that reached the threshold
	Pos        Pos           // of the event that reached the threshold
	Addr       netip.Addr    // of the event that reached the threshold
}

// Target returns the prefix that a block is to cover.
func (o *Offence) Target() netip.Prefix {
	if o.Prefix.IsValid() {
		return o.Prefix
	}
	return o.Source.Prefix()
}

// Notice tells of a guard that spoke for the whole site: what it saw, and what is taken back because of it.
type Notice struct {
	Guard   string    // its name, as decisions have it
	At      time.Time // when, by the events' time
	Until   time.Time // until when it holds back, the zero time where it only tells
	Reason  string    // one sentence for a person, free of text from a log
	Release []Source  // sources whose blocks were decided on what turned out to be no evidence: to be ended now
}

// Action is what follows from an offence.
type Action uint8

// The actions, from the strongest to the weakest.
const (
	ActBlock    Action = iota + 1 // the source is blocked until a time
	ActObserve                    // it would have been blocked; nothing is touched
	ActAlert                      // somebody is told; never a block
	ActSuppress                   // a guard spoke for the source: no block, and the guard is named
)

var actionNames = [...]string{"", "block", "observe", "alert", "suppress"}

// String returns the action's name as commands and JSON print it.
func (a Action) String() string {
	if int(a) >= len(actionNames) {
		return ""
	}
	return actionNames[a]
}

// ActionOf returns the action with that name.
func ActionOf(name string) (Action, bool) {
	for i, n := range actionNames {
		if i > 0 && n == name {
			return Action(i), true
		}
	}
	return 0, false
}

// Decision is what follows from an offence, and why.
type Decision struct {
	Offence Offence
	Action  Action
	Guard   string    // the guard that suppressed a block, "" for none
	Reason  string    // one sentence for a person; holds numbers, names of ours and addresses, never text from a log
	Until   time.Time // when the block ends or would end; for suppress, until when the rule is not tried again; zero for alert
}

// Block is a prefix that may not speak SMTP until a time.
type Block struct {
	ID     string       // unique in the store; short enough to be typed
	Prefix netip.Prefix // masked
	From   time.Time
	Until  time.Time
	Rule   string // the rule's name, or "manual"
	Level  int    // step of the ladder, from 1; 0 for a manual block
	Reason string // one sentence for a person, free of text from a log
}

// Active reports whether the block holds at that time: from its beginning until, and not at, its end.
func (b *Block) Active(at time.Time) bool { return !at.Before(b.From) && at.Before(b.Until) }

// Outcome is what the detector makes of one event.
type Outcome struct {
	Offence *Offence // set when a rule fired; it holds until the next event is observed
	Notice  *Notice  // set when a guard of the whole site spoke up; it holds until the next event is observed
	Suspect bool     // the source just came half way to a threshold: the moment to ask others about it
	Blocked bool     // the event falls, strictly later than the second in which it began, into a block or would-be block of its source
	Grace   bool     // Blocked, and so soon after the block began that it can have been under way
	Future  bool     // the event's stamp lies ahead of the clock: it was not shown to the detector
	Late    bool     // the event is too old for every window and was left out
	Ignored bool     // no rule counts such an event, or it has no source
	Void    bool     // nothing is to count it, and the detector didn't see it: another log told the same deed
}

// Standing is how near a source came to a rule's threshold, for the answer to "why was it not blocked?".
type Standing struct {
	Source     Source
	Rule       string // the rule it came nearest to; "" when it was never counted
	Count      int    // at the nearest approach
	Threshold  int    // at the nearest approach
	Deliveries int    // at the nearest approach
}
