package loggen

import "bufio"

// The names of the formats.
const (
	formatPostfix  = "postfix"           // the syslog lines of Postfix
	formatReceive  = "exchange-receive"  // Exchange's SMTP receive protocol log, where an unknown recipient is refused at RCPT, as 2010 does
	formatFrontEnd = "exchange-frontend" // the same log of a front end of 2013 and later: unknown recipients are refused at DATA
	formatIIS      = "iis-w3c"           // the W3C extended log of the SMTP service of IIS
)

// format says what is to be known of a log format to make traffic for it.
type format struct {
	name      string
	open      func(w *world, out *sink) renderer
	goodLines float64                 // lines a day of 1,700 good messages and what goes with them, about
	monitor   [2]float64              // lines of a monitor's session: without and with HELO
	issues    float64                 // lines of what the newsletters send however little good mail there is; 0 where it is planned for
	volume    func(v *visits) float64 // how many lines an entity's sessions make; nil where it is planned for
	begins    op                      // the step that shows a session's begin
	queues    bool                    // a message is taken in with its first recipient, not with its end
	logins    bool                    // authentications are shown
	silent    class                   // the class of entities that the log never shows; classes for none
}

// formats is a function and no table because what it names refers to it.
func formats() []format {
	return []format{
		{name: formatPostfix, open: newPostfix, goodLines: 1_700 * 9.5, monitor: [2]float64{2, 2}, begins: opConnect, queues: true, logins: true,
			silent: classes},
		{name: formatReceive, open: newReceive, goodLines: 1_700 * 45, monitor: [2]float64{6, 17}, issues: 18_500, volume: volumeReceive, begins: opConnect,
			logins: true, silent: classes},
		{name: formatFrontEnd, open: newFrontEnd, goodLines: 1_700 * 25.5, monitor: [2]float64{6, 8}, issues: 9_500, volume: volumeFrontEnd, begins: opConnect,
			logins: true, silent: classes},
		{name: formatIIS, open: newIIS, goodLines: 1_700 * 5.8, monitor: [2]float64{1, 2}, issues: 2_300, volume: volumeIIS, begins: opHelo, silent: flooder},
	}
}

// Formats returns the names of the formats that Config.Format can have.
func Formats() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.name)
	}
	return names
}

func formatOf(name string) (*format, bool) {
	for _, f := range formats() {
		if f.name == name {
			return &f, true
		}
	}
	return &format{silent: classes}, false
}

// shares returns the mix without the class that the log never shows.
func (f *format) shares(m Mix) [classes]float64 {
	s := m.shares()
	if f.silent < classes {
		s[f.silent] = 0
	}
	return s
}

// rows says how many lines to expect of an entity for which lines of Postfix were planned.
func (f *format) rows(e *entity, lines float64) float64 {
	if f.volume == nil {
		return lines
	}
	return f.volume(visitsOf(e, lines))
}

// visits is what an entity has planned.
type visits struct {
	sessions float64
	tries    float64 // recipients of a harvester
	class    class
	spam     bool // the spammer's messages get as far as the content filter
}

// visitsOf takes back what the plan functions made of sessions and tries.
func visitsOf(e *entity, lines float64) *visits {
	v := &visits{class: e.class, spam: e.style&128 != 0}
	switch e.class {
	case fast, evader:
		v.tries = float64(e.count)
		v.sessions = v.tries / float64(e.per)
	case slow:
		v.sessions = lines / 3.3
	case botnet:
		v.sessions = lines / 3.25
	case guesser:
		v.sessions = lines / 3.5
	case flooder:
		v.sessions = lines / 2.5
	case spammer:
		v.sessions = lines / 3
		if v.spam {
			v.sessions = lines / 5
		}
	default:
		v.sessions = lines / 3
	}
	if e.class == slow || e.class == botnet {
		v.tries = v.sessions
	}
	return v
}

// The rows of a session, without those of its tries, and of a try.

func volumeReceive(v *visits) float64 {
	switch v.class {
	case flooder:
		return v.sessions * 4
	case evader:
		return v.sessions*22 + v.tries*2.75
	case spammer:
		if v.spam {
			return v.sessions * 26
		}
		return v.sessions * 23
	case guesser, backscatter:
		return v.sessions * 23
	default:
		return v.sessions*20.5 + v.tries*2.98
	}
}

func volumeFrontEnd(v *visits) float64 {
	switch v.class {
	case flooder:
		return v.sessions * 4
	case evader:
		return v.sessions*7 + v.tries*9.5
	case spammer:
		if v.spam {
			return v.sessions * 18
		}
		return v.sessions * 14
	case guesser:
		return v.sessions * 14
	case backscatter:
		return v.sessions * 18
	default:
		return v.sessions*8.5 + v.tries*9.9
	}
}

func volumeIIS(v *visits) float64 {
	switch v.class {
	case evader:
		return v.sessions*3.6 + v.tries
	case spammer:
		if v.spam {
			return v.sessions * 5
		}
		return v.sessions * 4
	case guesser:
		return v.sessions * 1.5
	case backscatter:
		return v.sessions * 4
	default:
		return v.sessions*3.1 + v.tries
	}
}

// sink is where a renderer's lines go.
type sink struct {
	out   *bufio.Writer
	line  []byte // the line in work, for its memory
	lines int64
	bytes int64
}

// end ends a line.
func (k *sink) end(b []byte) { k.keep(append(b, '\n')) }

// endCRLF ends a line as Windows does.
func (k *sink) endCRLF(b []byte) { k.keep(append(b, '\r', '\n')) }

func (k *sink) keep(b []byte) {
	k.line = b
	k.lines++
	k.bytes += int64(len(b))
	_, _ = k.out.Write(b) // a bufio.Writer keeps its first error, and Generate asks for it at the end
}
