package iis

import (
	"slices"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/lines"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// MaxLine is the length in bytes above which a line is not read, and counted as unparsed as a whole. An SMTP command
// line has at most 512 bytes (RFC 5321 section 4.5.3.1.4), some extensions allow more.
const MaxLine = 64 << 10

// span is a place in the lines' bytes; n is 0 for none.
type span struct{ off, n uint32 }

func (s span) of(data []byte) []byte { return data[s.off : s.off+s.n : s.off+s.n] }

// deed says what a token is.
type deed uint8

const (
	deedNone    deed = iota // not understood
	deedCommand             // a client's command
	deedTick                // says nothing but how late it is: a row without a date that is ignored
	deedDate                // a #Date line
	deedLayout              // a #Fields line
)

const (
	flagNull    = 1 << iota // the path is <>
	flagUndated             // at is the second of the day
	flagTwin                // the local time came twice, and this is the earlier one
	flagPart                // a chunk of a message, not its last
	flagDoubt               // the row can be read in several ways: only what speaks against its client is told
)

// token is one line that Fold must see.
type token struct {
	at             int64      // seconds since 1970, or of the day, or local seconds since midnight (native)
	ip             address.IP // the client
	helo, path     span
	off, end, line uint32 // where the line stands
	date           uint32 // native: the date's numbers; deedLayout: which of the layouts
	code           uint16
	deed           deed
	verb           verb
	flags          uint8
}

// lexed is what Lex leaves for Fold.
type lexed struct {
	tokens  []token
	layouts []layout // of the chunk's own #Fields lines
	values  []span   // of a row with too many
	arena   []byte   // texts of the parser's memory, for as long as the lines hold
	assumed layout   // what was taken for the rows before the first of them
	leads   bool     // there are such rows
	lines   int64
	quiet   int64 // lines without a token

	// For recognition.
	empty, comments int64
	ours            int64 // rows that can be the SMTP service's
	strong          int64 // rows that can be nobody else's
	iis             bool  // a header says that IIS wrote the log
}

// rows reports whether there is any line but comments.
func (out *lexed) rows() bool { return out.lines > out.empty+out.comments }

// lexer takes lines apart. It holds what is the same for many rows.
type lexer struct {
	format format
	site   *site.Site
	data   []byte
	out    *lexed
	tok    *token
	layout layout
	first  bool // no #Fields line yet

	dateText [12]byte // the latest date, and its days since 1970
	dateLen  int
	days     int64
	own      address.IP // the latest client asked for, and whether it is the site's own
	isOwn    bool
}

// Lex reads l.Data into l.Lexed. It touches nothing else, so several Lines may be lexed at once. The columns of a W3C
// log that lie before the lines are not known here: what Fold saw last is tried, and Fold lexes again where that was wrong.
func (p *Parser) Lex(l *harvestwatch.Lines) {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		out = &lexed{}
		l.Lexed = out
	}
	p.lex(l.Data, out, p.hint.Load())
}

func (p *Parser) lex(data []byte, out *lexed, assumed *layout) {
	*out = lexed{tokens: out.tokens[:0], layouts: out.layouts[:0], arena: out.arena[:0], values: out.values[:0]}
	x := lexer{format: p.format, site: p.site, out: out}
	x.lex(data, assumed)
}

func (x *lexer) lex(data []byte, assumed *layout) {
	x.data, x.layout, x.first = data, *assumed, true
	x.out.assumed = *assumed
	for off := 0; off < len(data); {
		end, next := lines.Next(data, off)
		x.read(off, end)
		off = next
		x.out.lines++
	}
}

// read lexes the line between two places.
func (x *lexer) read(off, end int) {
	start := off
	if end-off >= 3 && x.data[off] == 0xef && x.data[off+1] == 0xbb && x.data[off+2] == 0xbf {
		off += 3 // a byte order mark, also where files were put together
	}
	if blank(x.data[off:end]) {
		x.out.quiet++
		x.out.empty++
		return
	}
	n := len(x.out.tokens)
	if n == cap(x.out.tokens) {
		x.out.tokens = slices.Grow(x.out.tokens, n+64)
	}
	x.out.tokens = x.out.tokens[:n+1]
	x.tok = &x.out.tokens[n]
	*x.tok = token{off: uint32(start), end: uint32(end), line: uint32(x.out.lines)}
	if end-off > MaxLine {
		return
	}
	keep := false
	switch {
	case x.data[off] == '#':
		x.out.comments++
		keep = x.directive(off, end)
	case x.format == formatW3C:
		x.out.leads = x.out.leads || x.first
		keep = x.w3c(off, end)
	case x.format == formatNCSA:
		keep = x.ncsa(off, end)
	default:
		keep = x.native(off, end)
	}
	if keep {
		return
	}
	if x.tok.flags&flagUndated != 0 {
		x.tok.deed = deedTick
		return
	}
	x.out.tokens = x.out.tokens[:n]
	x.out.quiet++
}

func blank(b []byte) bool {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}

// row is where the columns of a row lie.
type row struct {
	client, user, verb, arg, status, service, version, port span
}

// command makes the token a row's command. It reports false where the row says nothing that matters, and leaves the
// token as not understood where the row can't be what it should be.
func (x *lexer) command(r *row) (keep bool) {
	t := x.tok
	v := verbOf(r.verb.of(x.data))
	smtp, foreign := x.service(r, v)
	if foreign || v == verbForeign && !smtp {
		return false
	}
	code, isCode := number(value(x.data, r.status).of(x.data))
	ip, isAddress := address.Parse(r.client.of(x.data))
	if !isAddress || !isCode && value(x.data, r.status).n > 0 || code > 999 {
		return true
	}
	t.ip = ip
	x.out.ours++
	if smtp || v.strong() {
		x.out.strong++
	}
	t.code, t.verb = uint16(code), v
	if code == 0 || v.quiet(t.code) || x.outbound(r, v) || x.ours() {
		return false
	}
	if v == verbOther && !smtp && (code < 500 || code > 504) {
		return false
	}
	t.deed = deedCommand
	t.helo = value(x.data, r.user)
	switch v {
	case verbHelo:
		if t.helo.n == 0 {
			t.helo = trim(x.data, value(x.data, r.arg))
		}
	case verbMail, verbRcpt, verbVrfy:
		var null bool
		if t.path, null = path(x.data, value(x.data, r.arg)); null {
			t.flags |= flagNull
		}
	case verbBdat:
		if arg := value(x.data, r.arg); arg.n > 0 && unfinished(arg.of(x.data)) {
			t.flags |= flagPart
		}
	}
	return true
}

// service says whether a row names the SMTP service or another one.
func (x *lexer) service(r *row, v verb) (smtp, foreign bool) {
	if s := r.service.of(x.data); len(s) > 0 && s[0] != '-' {
		smtp = hasFold(s, "SMTPSVC")
		foreign = !smtp
	}
	if s := r.version.of(x.data); len(s) > 0 && s[0] != '-' {
		if hasFold(s, "SMTP") {
			smtp = true
		} else if x.format != formatNCSA || !v.strong() { // Microsoft's own example of the NCSA format says HTTP/1.0
			foreign = true
		}
	}
	return smtp && !foreign, foreign
}

// outbound reports whether a row is of one of the service's own connections to others. Their status is 0, which a
// client can't have written for itself; a client that gives their name in HELO is still a client.
func (x *lexer) outbound(r *row, v verb) bool {
	if !hasFold(r.user.of(x.data), "OutboundConnection") {
		return false
	}
	port := r.port.of(x.data)
	return v == verbQuit || len(port) > 0 && port[0] != '-' && string(port) != "0"
}

// ours reports whether the row's client is one of the site's own.
func (x *lexer) ours() bool {
	if x.tok.ip != x.own {
		x.own = x.tok.ip
		x.isOwn = x.site.IsOwn(x.own.Addr())
	}
	return x.isOwn
}

// value is a column's value: nothing for "-".
func value(data []byte, s span) span {
	if s.n == 1 && data[s.off] == '-' {
		return span{}
	}
	return s
}

// number reads a decimal number of at most nine digits.
func number(b []byte) (n uint32, ok bool) {
	if len(b) == 0 || len(b) > 9 {
		return 0, false
	}
	for _, c := range b {
		if c-'0' >= 10 {
			return 0, false
		}
		n = n*10 + uint32(c-'0')
	}
	return n, true
}
