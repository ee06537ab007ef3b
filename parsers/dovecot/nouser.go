package dovecot

import (
	"encoding/binary"
	"time"

	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

const (
	learnTime   = 24 * int64(time.Hour) // how long a database must have been alone before its word is the last
	learnLogins = 10                    // how many connections must have logged in meanwhile
)

// answer is what a line says a password database answered.
type answer uint8

const (
	answerNone  answer = iota // nothing: the line is a module's, or the server's own
	answerWrong               // it knows the user, or doesn't say
	answerNoUser
)

// answerOf reads a refusal's message.
func answerOf(message []byte) answer {
	for _, start := range [...]string{"unknown user", "Unknown user", "pam_authenticate() failed: User not known", "pam_acct_mgmt() failed: User not known"} {
		if has(message, start) {
			return answerNoUser
		}
	}
	for _, start := range [...]string{"password mismatch", "Password mismatch", "invalid credentials", "Invalid credentials", "pam_"} {
		if has(message, start) {
			return answerWrong
		}
	}
	return answerNone
}

// sole watches whether the site has one password database only. A site may have several, which are asked one after the
// other, and each but the last says "unknown user" of the users of those behind it, also before they log in. No line
// says how many there are. So a database's word is taken for the site's when for a day and for several logins nobody
// else answered, and nobody logged in whom it didn't know; where that happens once, it never is.
type sole struct {
	since  int64  // when it first said that it doesn't know a user; 0 for never
	driver uint32 // the only one that answered, 0 for none
	logins uint8  // connections that logged in since, up to learnLogins
	many   bool   // it is not the only one
}

// heard takes a line's answer, and reports whether the site has no such user.
func (s *sole) heard(t *token, now int64) bool {
	if t.answer == answerNone {
		return false
	}
	if s.driver == 0 {
		s.driver = t.driver
	}
	s.many = s.many || s.driver != t.driver
	if t.answer != answerNoUser || s.many {
		return false
	}
	if s.since == 0 {
		s.since = now
	}
	return now-s.since >= learnTime && s.logins >= learnLogins
}

// admitted takes in that a user logged in; r, which may be nil, is what was told of his connection or address before.
func (s *sole) admitted(user []byte, r *record) {
	if r != nil && r.unknown != 0 && r.unknown == accountOf(user) {
		s.many = true
	}
	if s.since != 0 && s.logins < learnLogins {
		s.logins++
	}
}

// accountOf returns a number for a user's name without its domain or whatever else a server may add to it, never 0.
func accountOf(user []byte) uint32 {
	h := uint64(0xcbf29ce484222325)
	for _, c := range user {
		if c == '@' || c == '*' || c == '%' {
			break
		}
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return max(uint32(mix(h)), 1)
}

func (s *sole) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(s.since))
	b = append(binary.BigEndian.AppendUint32(b, s.driver), s.logins)
	if s.many {
		return append(b, 1)
	}
	return append(b, 0)
}

func readSole(value []byte) (s sole, ok bool) {
	r := memory.NewReader(value)
	s = sole{since: int64(r.U64()), driver: r.U32(), logins: r.U8()}
	many := r.U8()
	s.many = many == 1
	return s, r.Done() && many <= 1 && s.logins <= learnLogins
}
