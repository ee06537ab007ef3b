package gfi

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrState says that stored bytes are not what Changes yielded for this mapping.
var ErrState = errors.New("not the stored state of a table's reader")

// What Changes yields: the header, and the record that is not complete.
const (
	kindHeader = iota
	kindPending
	kinds
)

var stateKeys = [kinds]string{"h", "p"}

func (p *Parser) touch(kind int) { p.changed[kind] = true }

// Changes yields what is remembered across lines and changed since the last call; a nil value means forgotten. The
// slices hold until yield returns. It is at most two values of together 128 KiB.
func (p *Parser) Changes(yield func(key, value []byte)) {
	for kind, changed := range p.changed {
		if !changed {
			continue
		}
		p.changed[kind] = false
		value := p.form(kind)
		if value == nil && !p.stored[kind] {
			continue
		}
		p.stored[kind] = value != nil
		yield([]byte(stateKeys[kind]), value)
	}
}

// form returns the stored form of what is remembered, nil for nothing.
func (p *Parser) form(kind int) []byte {
	if kind == kindHeader {
		return append([]byte{p.delim}, p.header...)
	}
	if p.open == 0 {
		return nil
	}
	skip := byte(0)
	if p.skip {
		skip = 1
	}
	return append(binary.BigEndian.AppendUint16([]byte{skip}, uint16(p.open)), p.pending...)
}

// Restore takes back one thing that Changes yielded, before the first Fold. It returns ErrState for anything else, and
// for a header that doesn't name the mapping's columns: the mapping was changed since.
func (p *Parser) Restore(key, value []byte) error {
	switch {
	case p.pattern != nil:
	case string(key) == stateKeys[kindHeader]:
		if len(value) > 1 && len(value) <= maxRecord+1 && p.readHeader(value[1:]) && p.delim == value[0] {
			p.changed[kindHeader], p.stored[kindHeader] = false, true
			return nil
		}
		p.delim, p.header = 0, nil
	case string(key) == stateKeys[kindPending]:
		if p.restorePending(value) {
			p.stored[kindPending] = true
			return nil
		}
	}
	return fmt.Errorf("take back %d bytes under %q: %w", len(value), key, ErrState)
}

func (p *Parser) restorePending(value []byte) bool {
	if len(value) < 3 || len(value) > maxRecord+3 || value[0] > 1 {
		return false
	}
	open, text := int(binary.BigEndian.Uint16(value[1:])), value[3:]
	if open < 1 || open > maxLines || (value[0] == 1) != (len(text) == 0) {
		return false
	}
	p.skip, p.open, p.pending = value[0] == 1, open, append(p.pending[:0], text...)
	return true
}
