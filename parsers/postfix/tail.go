package postfix

import "bytes"

// words is what the server said: first is the text without the address that the client gave, as far as that can be
// told; more is set where the client's text makes it uncertain.
type words struct{ first, more []byte }

// tail reads "TEXT; from=<S> to=<R> proto=P helo=<H>" into the token, where each part may be missing and postscreen puts
// commas between them, and returns the words in TEXT. S and R are the client's and can hold everything but a line feed;
// H holds neither spaces nor angle brackets. All this decides about texts only: the client was read before.
func (x *lexer) tail(b []byte, commas bool) words {
	if w, ok := x.plainTail(b, commas); ok {
		return w
	}
	x.tok.sender, x.tok.rcpt, x.tok.helo, x.tok.flags = span{}, span{}, span{}, x.tok.flags&^(flagNull|flagSender)
	return x.hostileTail(b)
}

// plainTail reads a text in which every angle bracket is one of Postfix's own. It can't be deceived: it accounts for
// each '<' in the line, and the client's text would add to them.
func (x *lexer) plainTail(b []byte, commas bool) (w words, ok bool) {
	w.first = b
	rest := b
	if len(rest) > 0 && rest[0] == '<' {
		i := bytes.IndexByte(rest, '>')
		if i < 0 || bytes.IndexByte(rest[1:i], '<') >= 0 || !has(rest[i+1:], ": ") {
			return w, false
		}
		w.first = rest[i+3:]
		rest = w.first
	}
	i := bytes.IndexByte(rest, '<')
	if i < 0 {
		return w, x.bareTail(rest)
	}
	// The first bracket must be that of from, to or helo, right behind the text.
	head := rest[:i]
	if bytes.IndexByte(head, '>') >= 0 {
		return w, false
	}
	if n := len(head) - len("; from="); n >= 0 && string(head[n:]) == "; from=" {
		if rest, ok = x.field(rest[i:], &x.tok.sender); !ok {
			return w, false
		}
		x.tok.flags |= flagSender
		if x.tok.sender.len == 0 {
			x.tok.flags |= flagNull
		}
	} else if n := len(head) - len("; to="); n >= 0 && string(head[n:]) == "; to=" {
		rest = rest[n+1:]
	} else {
		semi := bytes.LastIndexByte(head, ';')
		if semi < 0 || !has(rest[semi:], "; proto=") {
			return w, false
		}
		rest = rest[semi+1:]
	}
	return w, x.fields(rest, commas)
}

// bareTail accepts a text without any bracket: "; proto=SMTP" or nothing behind it.
func (x *lexer) bareTail(b []byte) bool { return bytes.IndexByte(b, '>') < 0 }

// field reads "<TEXT>" where TEXT holds no angle bracket.
func (x *lexer) field(b []byte, s *span) ([]byte, bool) {
	i := bytes.IndexByte(b, '>')
	if i < 0 || bytes.IndexByte(b[1:i], '<') >= 0 {
		return nil, false
	}
	*s = x.span(b[1:], i-1)
	return b[i+1:], true
}

// fields reads " to=<R> proto=P helo=<H>" up to the end of the line.
func (x *lexer) fields(b []byte, commas bool) bool {
	ok := true
	if commas && len(b) > 0 && b[0] == ',' {
		b = b[1:]
	}
	if rest, found := cut(b, " to="); found && len(rest) > 0 && rest[0] == '<' {
		if b, ok = x.field(rest, &x.tok.rcpt); !ok {
			return false
		}
	}
	if commas && len(b) > 0 && b[0] == ',' {
		b = b[1:]
	}
	if rest, found := cut(b, " proto="); found {
		n := 0
		for n < len(rest) && rest[n] != ' ' && rest[n] != ',' && rest[n] != '<' && rest[n] != '>' && rest[n] != ':' {
			n++
		}
		b = rest[n:]
	}
	if commas && len(b) > 0 && b[0] == ',' {
		b = b[1:]
	}
	if rest, found := cut(b, " helo="); found && len(rest) > 0 && rest[0] == '<' {
		if b, ok = x.field(rest, &x.tok.helo); !ok {
			return false
		}
	}
	return len(b) == 0
}

// hostileTail reads a line in which the client put angle brackets, as well as it can be read, from the right: the HELO
// name can't hold what would make it ambiguous.
func (x *lexer) hostileTail(b []byte) words {
	w := words{first: b, more: b}
	end := len(b)
	if i := bytes.LastIndex(b, []byte(" helo=<")); i >= 0 {
		h := b[i+len(" helo=<"):]
		n := 0
		for n < len(h) && h[n] != ' ' && h[n] != '>' && h[n] != '<' {
			n++
		}
		if n < len(h) && h[n] == '>' {
			x.tok.helo = x.span(h, n)
			end = i
		}
	}
	if i := bytes.LastIndex(b[:end], []byte(" proto=")); i >= 0 && bytes.IndexByte(b[i+1:end], ' ') < 0 {
		end = i
	}
	if end > 0 && b[end-1] == ',' {
		end--
	}
	if end == 0 || b[end-1] != '>' {
		return w
	}
	from := bytes.Index(b[:end], []byte("; from=<"))
	start := x.recipient(b, end)
	if from < 0 || start < 0 || from+len("; from=<") > start {
		return w
	}
	// The sender begins at one of the places that look like it; the last one cuts most of the client's text off.
	if i := bytes.LastIndex(b[:start], []byte("; from=<")); i >= 0 {
		s := b[i+len("; from=<"):]
		n := start - i - len("; from=<")
		for n > 0 && s[n-1] != '>' {
			n--
		}
		if n > 0 {
			x.tok.sender = x.span(s, n-1)
			x.tok.flags |= flagSender
			if n == 1 {
				x.tok.flags |= flagNull
			}
		}
	}
	return w
}

// maxTries bounds how many places are tried at which the recipient may begin.
const maxTries = 32

// recipient finds the recipient that ends before b[end-1] and returns where " to=<" begins, or -1. Of several places the
// one is right whose text the reply at the beginning of b repeats without quotes; else it is the last.
func (x *lexer) recipient(b []byte, end int) int {
	key := []byte(" to=<")
	at, limit := -1, end
	for range maxTries {
		i := bytes.LastIndex(b[:limit], key)
		if i < 0 {
			break
		}
		start := i + len(key)
		if at < 0 {
			at = i
			x.tok.rcpt = x.span(b[start:], end-1-start)
		}
		if repeats(b, b[start:end-1]) {
			x.tok.rcpt = x.span(b[start:], end-1-start)
			return i
		}
		limit = i
	}
	return at
}

// repeats reports whether b begins with "<ADDRESS>: ", where ADDRESS is r without its quoting. A question mark in either
// stands for any byte: Postfix replaces what can't be printed, and not in both places alike.
func repeats(b, r []byte) bool {
	if len(b) == 0 || b[0] != '<' {
		return false
	}
	b = b[1:]
	quoted := len(r) > 0 && r[0] == '"'
	if quoted {
		r = r[1:]
	}
	for i := 0; i < len(r); i++ {
		c := r[i]
		if quoted && c == '"' {
			quoted = false
			continue
		}
		if quoted && c == '\\' && i+1 < len(r) {
			i++
			c = r[i]
		}
		if len(b) == 0 || b[0] != c && c != '?' && b[0] != '?' {
			return false
		}
		b = b[1:]
	}
	return has(b, ">: ")
}
