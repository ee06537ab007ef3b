package recipients

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"
)

// maxLine is the length in bytes of the longest line of a file of recipients. Only Postfix's tables have more in a line
// than an address, and there it is a word.
const maxLine = 4096

// Parse reads a list of recipients from text in UTF-8: one address a line, lines that begin with # and empty ones left
// out. A line may go on after the address, as in Postfix's tables; what follows is not read, except that REJECT and the
// like is an error, since such a table lists who is refused. An address may be written with smtp: before it, as Exchange
// exports it.
//
// Before the @, outside quotes, * stands for any number of characters and ? for one; @domain and *@domain stand for
// every recipient of the domain. name is the file's name for errors, which also name the line and what to do. A list
// with one bad line is refused as a whole: half a list would call the other half unknown.
func Parse(name string, r io.Reader) (*List, error) {
	in := bufio.NewReaderSize(r, maxLine)
	var b builder
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("%s:%d: the line is longer than %d bytes: write one address a line", name, n, maxLine)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading recipients from %s: %w", name, err)
		}
		if n == 1 {
			if line = withoutMark(line); utf16Mark(line) {
				return nil, fmt.Errorf("%s:1: the file is UTF-16: save it as UTF-8 (in PowerShell with Out-File -Encoding utf8)", name)
			}
		}
		if bad := b.addLine(line); bad != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, bad)
		}
		if err != nil {
			break
		}
	}
	l, err := b.list()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

// ParseFile is Parse for a file.
func ParseFile(path string) (*List, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading recipients: %w", err)
	}
	l, err := Parse(path, f)
	return l, errors.Join(err, f.Close())
}

// addLine takes what a line says.
func (b *builder) addLine(line []byte) error {
	line = bytes.Trim(line, " \t\r\n")
	if len(line) == 0 || line[0] == '#' {
		return nil
	}
	text, rest := cutKey(withoutScheme(line))
	if refuses(rest) {
		return fmt.Errorf("%q says that a recipient is refused: list valid recipients only", shown(rest))
	}
	var room [maxCanonical]byte
	a, ok := canonical(room[:0], text, asEntry)
	if !ok {
		return fmt.Errorf("%q %w: %s", shown(text), errNotAddress, entryAdvice(text))
	}
	if err := b.add(a); err != nil {
		return fmt.Errorf("%q %w", shown(text), err)
	}
	return nil
}

// entryAdvice says what to do about an entry that is no address.
func entryAdvice(text []byte) string {
	at := bytes.LastIndexByte(text, '@')
	switch {
	case !utf8.Valid(text):
		return "save the file as UTF-8"
	case at < 0:
		return "write it with its domain, as in user@firm.example"
	case bytes.ContainsAny(text[at:], "*?"):
		return "wildcards stand before the @ only; write one line for each domain"
	case len(text) > MaxAddress:
		return fmt.Sprintf("it is longer than %d bytes", MaxAddress)
	}
	return "write one address a line, as in user@firm.example, or put # before the line"
}

// cutKey divides a line after the address. White space between quotes belongs to the address.
func cutKey(line []byte) (key, rest []byte) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case !quoted && (c == ' ' || c == '\t'):
			return line[:i], bytes.TrimLeft(line[i:], " \t")
		}
	}
	return line, nil
}

// refuses reports whether what stands behind an address in a table refuses the recipient (Postfix's access(5)).
func refuses(rest []byte) bool {
	word, _ := cutKey(rest)
	for _, w := range [...]string{"REJECT", "DISCARD", "DEFER", "DEFER_IF_REJECT", "DEFER_IF_PERMIT", "HOLD"} {
		if bytes.EqualFold(word, []byte(w)) {
			return true
		}
	}
	return len(word) == 3 && (word[0] == '4' || word[0] == '5') && word[1] >= '0' && word[1] <= '9' && word[2] >= '0' && word[2] <= '9'
}

// withoutScheme cuts smtp: off, as Exchange writes before an address, in capitals before the main one.
func withoutScheme(text []byte) []byte {
	const scheme = "smtp:"
	if len(text) > len(scheme) && bytes.EqualFold(text[:len(scheme)], []byte(scheme)) {
		return text[len(scheme):]
	}
	return text
}

// withoutMark cuts the mark off that Windows puts at the beginning of a UTF-8 file.
func withoutMark(line []byte) []byte {
	return bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
}

// utf16Mark reports whether a file begins as one in UTF-16 does.
func utf16Mark(line []byte) bool {
	return bytes.HasPrefix(line, []byte("\xff\xfe")) || bytes.HasPrefix(line, []byte("\xfe\xff"))
}

// shown bounds a text from a file for an error.
func shown(text []byte) []byte {
	return text[:min(len(text), 80)]
}
