package recipients

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// WriteText writes the list as Parse reads it: the lines of note as comments, then the wildcards and the addresses, each
// sorted, one a line. The same list gives the same bytes. Control characters in note are written as spaces.
func (l *List) WriteText(w io.Writer, note string) error {
	return l.write(w, note, func(buf []byte, entry string, wild bool) []byte {
		if wild { // it was written without quotes, and means what it says only so
			return append(append(buf, entry...), '\n')
		}
		return append(appendEntry(buf, entry, true), '\n')
	})
}

// WritePostfix writes the list as a source for postmap(1), or for texthash:, to be named in relay_recipient_maps: each
// address with OK, a whole domain as @domain. Such a table can't say other wildcards: they are comments in it, and
// WritePostfixRegexp writes them. Extensions of addresses are Postfix's own matter (recipient_delimiter).
func WritePostfix(w io.Writer, l *List) error {
	note := "Valid recipients for relay_recipient_maps. Run postmap on this file after each change."
	return l.write(w, note, func(buf []byte, entry string, wild bool) []byte {
		if wild && entry[0] != '@' {
			buf = append(buf, "# a wildcard, for the regexp table: "...)
			return append(append(buf, entry...), '\n')
		}
		buf = appendEntry(buf, entry, false)
		return append(buf, "\tOK\n"...)
	})
}

// WritePostfixRegexp writes the wildcards that WritePostfix can't say, as a table for regexp: or pcre:, to be named in
// relay_recipient_maps behind the other. Every character that means something in a pattern is escaped.
func WritePostfixRegexp(w io.Writer, l *List) error {
	note := "Valid recipients with wildcards for relay_recipient_maps, as regexp: or pcre:."
	return l.write(w, note, func(buf []byte, entry string, wild bool) []byte {
		if !wild || entry[0] == '@' {
			return buf
		}
		buf = append(buf, "/^"...)
		at := strings.LastIndexByte(entry, '@')
		for i := range len(entry) {
			buf = appendPattern(buf, entry[i], i < at)
		}
		return append(buf, "$/\tOK\n"...)
	})
}

// write writes the note and, with one, every entry: the wildcards first, then the addresses.
func (l *List) write(w io.Writer, note string, one func(buf []byte, entry string, wild bool) []byte) error {
	out := bufio.NewWriterSize(w, 1<<16)
	for line := range strings.Lines(note) {
		line = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, strings.TrimRight(line, "\r\n"))
		fmt.Fprintf(out, "# %s\n", line)
	}
	if l != nil {
		buf := make([]byte, 0, 2*maxCanonical)
		for _, e := range l.wild {
			buf = one(buf[:0], e, true)
			out.Write(buf)
		}
		for i := range l.ends {
			buf = one(buf[:0], l.entry(i), false)
			out.Write(buf)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing recipients: %w", err)
	}
	return nil
}

// appendEntry appends an entry in the form of RFC 5322: the local part between quotes if it needs them. With literal,
// * and ? are put between quotes too, where Parse takes them for themselves.
func appendEntry(buf []byte, entry string, literal bool) []byte {
	at := strings.LastIndexByte(entry, '@')
	local := entry[:at]
	if !needsQuotes(local, literal) {
		return append(buf, entry...)
	}
	buf = append(buf, '"')
	for i := range len(local) {
		if local[i] == '"' || local[i] == '\\' {
			buf = append(buf, '\\')
		}
		buf = append(buf, local[i])
	}
	return append(append(buf, '"'), entry[at:]...)
}

func needsQuotes(local string, literal bool) bool {
	if local == "" {
		return false // a whole domain
	}
	return strings.ContainsAny(local, special+" ") || literal && strings.ContainsAny(local, "*?") || local[0] == '#' ||
		local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..")
}

// appendPattern appends one byte of a wildcard as it stands in a regular expression between slashes. Letters get no
// backslash, nor do quotes: before some of them it means something (GNU's regex: \', \<).
func appendPattern(buf []byte, c byte, local bool) []byte {
	switch {
	case local && c == '*':
		return append(buf, ".*"...)
	case local && c == '?':
		return append(buf, '.')
	case strings.IndexByte(`\/^$.[]|()*+?{}`, c) >= 0:
		return append(buf, '\\', c)
	}
	return append(buf, c)
}

// Save writes the list as WriteText does, to a file that only its owner may read. The file is replaced as a whole or not
// at all.
func (l *List) Save(path, note string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("saving the recipients: %w", err)
	}
	err = l.WriteText(f, note)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("saving the recipients to %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}
