package tailer

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// encoding is how the text of a file is written.
type encoding uint8

const (
	narrow encoding = iota // UTF-8, or anything else whose line feed is one byte
	little                 // UTF-16, the low byte first, as Windows writes it
	big                    // UTF-16, the high byte first
)

// errWide says that a followed log is in UTF-16.
var errWide = errors.New("the log is in UTF-16, which can only be read at once: " +
	"let it be written in UTF-8 or ANSI, or read it with scan")

// encodingOf tells UTF-16 by its byte order mark or, where there is none, by every second of the first bytes being zero
// and no other. At most magicLen bytes are looked at.
func encodingOf(head []byte) encoding {
	head = head[:min(len(head), magicLen)]
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		return little
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return big
	case len(head) < magicLen:
		return narrow
	}
	var zeros [2]int
	for i, c := range head[:len(head)&^1] {
		if c == 0 {
			zeros[i&1]++
		}
	}
	switch half := len(head) / 2; {
	case zeros[0] == 0 && zeros[1] == half:
		return little
	case zeros[1] == 0 && zeros[0] == half:
		return big
	}
	return narrow
}

// wideReader gives UTF-16 as UTF-8, without its byte order mark. Half a pair of surrogates becomes U+FFFD; an odd byte
// at the end, half of a character whose other half was never written, is left out.
type wideReader struct {
	src   io.Reader
	order encoding
	raw   []byte // buffer of what was read, have bytes of which
	have  int    // are left over: 0 or 1
	text  []byte // buffer of what was decoded
	rest  []byte // the part of text that wasn't given yet
	high  rune   // a high surrogate whose low one is still to come, 0 for none
	begun bool   // the first character was seen
	err   error
}

func newWideReader(src io.Reader, order encoding) *wideReader {
	return &wideReader{src: src, order: order, raw: make([]byte, 32<<10)}
}

// Read implements io.Reader.
func (w *wideReader) Read(p []byte) (int, error) {
	if len(w.rest) == 0 && w.err == nil {
		w.fill()
	}
	if len(w.rest) == 0 {
		return 0, w.err
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// fill reads once and decodes what came.
func (w *wideReader) fill() {
	n, err := w.src.Read(w.raw[w.have:])
	n += w.have
	w.text = w.text[:0]
	for i := 0; i+1 < n; i += 2 {
		lo, hi := w.raw[i], w.raw[i+1]
		if w.order == big {
			lo, hi = hi, lo
		}
		if hi == 0 && lo < utf8.RuneSelf && w.high == 0 {
			w.text = append(w.text, lo)
			w.begun = true
			continue
		}
		w.unit(rune(hi)<<8 | rune(lo))
	}
	if w.have = n & 1; w.have == 1 {
		w.raw[0] = w.raw[n-1]
	}
	if w.err = err; err != nil && w.high != 0 {
		w.text, w.high = utf8.AppendRune(w.text, utf8.RuneError), 0
	}
	w.rest = w.text
}

// unit decodes one 16 bit unit.
func (w *wideReader) unit(u rune) {
	first := !w.begun
	w.begun = true
	if w.high != 0 {
		r := utf16.DecodeRune(w.high, u)
		w.text, w.high = utf8.AppendRune(w.text, r), 0
		if r != utf8.RuneError {
			return
		}
	}
	switch {
	case first && u == 0xfeff:
	case u >= 0xd800 && u < 0xdc00:
		w.high = u
	default: // a low surrogate alone is no character: it is replaced
		w.text = utf8.AppendRune(w.text, u)
	}
}

// failing is a source that has ended with an error.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// plainText returns the text of src, decompressed and in UTF-8 if it was in UTF-16, and what ends the decompressor. That
// is nil when the bytes are given as they are.
func plainText(src io.Reader) (io.Reader, func(), error) {
	plain, stop, err := decompress(src)
	if err != nil {
		return plain, stop, err
	}
	head := make([]byte, magicLen)
	n := 0
	for idle := 0; n < len(head) && idle < 100; idle++ { // not io.ReadFull: the source's own error is what comes next
		k, err := plain.Read(head[n:])
		if n += k; err != nil {
			plain = failing{err}
			break
		}
	}
	head = head[:n]
	order := encodingOf(head)
	plain = &prefixed{head: head, src: plain}
	if order == narrow {
		return plain, stop, nil
	}
	if stop == nil {
		stop = func() {}
	}
	return newWideReader(plain, order), stop, nil
}
