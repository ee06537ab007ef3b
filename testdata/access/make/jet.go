package main

import (
	"crypto/rc4" //nolint:gosec // the format asks for it: the first page is masked, not protected
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unicode/utf16"
)

// A writer of Jet 4 and ACE databases, after the description of the format in the project mdbtools (HACKING.md): pages
// of 4096 bytes, a table definition with its columns, data pages, and maps of which page belongs to which table. It
// writes what a reader of rows needs, and no indexes, permissions or properties: Access itself was never asked to open
// what it writes.

const pageSize = 4096

// The formats' versions, at offset 0x14.
const (
	jet4 = 1 // Access 2000 to 2003
	ace  = 2 // Access 2007
)

// Types of columns.
const (
	typeBool = 1
	typeLong = 4
	typeDate = 8
	typeText = 10
	typeOLE  = 11
	typeMemo = 12
)

type column struct {
	name string
	kind byte
}

func (c column) size() int {
	return map[byte]int{typeLong: 4, typeDate: 8, typeText: 510}[c.kind]
}

func (c column) fixed() bool { return c.kind == typeLong || c.kind == typeDate || c.kind == typeBool }

// table is a table to write. A value is an int32, bool, string, float64 (a date as stored), time.Time, or nil for NULL.
type table struct {
	name   string
	flags  uint32
	cols   []column
	rows   [][]any
	tdef   int // the page of its definition
	onPage int // rows on a page at most; 0 for as many as fit
}

// database lays pages out one behind another.
type database struct {
	version byte
	pages   [][]byte
}

func (d *database) page() (int, []byte) {
	p := make([]byte, pageSize)
	d.pages = append(d.pages, p)
	return len(d.pages) - 1, p
}

// build returns the database's bytes.
func build(version byte, tables []*table) []byte {
	d := &database{version: version}
	_, first := d.page()
	d.header(first)
	_, usage := d.page() // the map of free pages: none is free
	copy(usage, []byte{1, 1})
	catalog := &table{name: "MSysObjects", cols: []column{{"Id", typeLong}, {"ParentId", typeLong}, {"Name", typeText}, {"Type", typeLong},
		{"DateCreate", typeDate}, {"DateUpdate", typeDate}, {"Flags", typeLong}, {"LvProp", typeOLE}}}
	catalog.tdef, _ = d.page() // page 2, as every reader takes for granted
	created := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	system := int32(-0x80000000)
	catalog.rows = append(catalog.rows, []any{int32(2), int32(0), catalog.name, int32(1), created, created, system, nil})
	for _, t := range tables {
		t.tdef, _ = d.page()
		catalog.rows = append(catalog.rows, []any{int32(t.tdef), int32(0), t.name, int32(1), created, created, int32(t.flags), nil})
	}
	for _, t := range append([]*table{catalog}, tables...) {
		d.write(t)
	}
	var out []byte
	for _, p := range d.pages {
		out = append(out, p...)
	}
	return out
}

// header fills page 0: the name of the format, its version, and the masked part with the code page and no password.
func (d *database) header(p []byte) {
	copy(p, []byte{0, 1, 0, 0})
	copy(p[4:], "Standard Jet DB\x00")
	if d.version == ace {
		copy(p[4:], "Standard ACE DB\x00")
	}
	p[0x14] = d.version
	binary.LittleEndian.PutUint16(p[0x3c:], 1252)
	binary.LittleEndian.PutUint32(p[0x6e:], 0x0409)
	c, err := rc4.NewCipher([]byte{0xc7, 0xda, 0x39, 0x6b})
	if err != nil {
		panic(err)
	}
	c.XORKeyStream(p[0x18:0x18+128], p[0x18:0x18+128])
}

// write lays out a table's rows, its page maps and its definition.
func (d *database) write(t *table) {
	var pages []int
	for i := 0; i < len(t.rows); {
		no, p := d.page()
		n := fill(p, t, t.rows[i:])
		if n == 0 {
			panic(fmt.Sprintf("%s: row %d is longer than a page", t.name, i))
		}
		pages = append(pages, no)
		i += n
	}
	no, maps := d.page()
	used := pageMap(pages)
	putRows(maps, 0, [][]byte{used, pageMap(nil)})
	d.define(t, no)
}

// pageMap is a map of type 0: a bit for each of 512 pages from page 0 on.
func pageMap(pages []int) []byte {
	m := make([]byte, 1+4+64)
	for _, p := range pages {
		if p >= 512 {
			panic("more pages than a map of type 0 holds")
		}
		m[5+p/8] |= 1 << (p % 8)
	}
	return m
}

// define fills a table's definition page.
func (d *database) define(t *table, maps int) {
	p := d.pages[t.tdef]
	le := binary.LittleEndian
	copy(p, []byte{2, 1})
	vars := 0
	for _, c := range t.cols {
		if !c.fixed() {
			vars++
		}
	}
	le.PutUint32(p[12:], 0x659)
	le.PutUint32(p[16:], uint32(len(t.rows)))
	p[40] = 'N'
	le.PutUint16(p[41:], uint16(len(t.cols)))
	le.PutUint16(p[43:], uint16(vars))
	le.PutUint16(p[45:], uint16(len(t.cols)))
	le.PutUint32(p[55:], uint32(maps)<<8)
	le.PutUint32(p[59:], uint32(maps)<<8|1)
	at, fixedAt, varAt := 63, 0, 0
	for i, c := range t.cols {
		e := p[at : at+25]
		e[0] = c.kind
		le.PutUint32(e[1:], 0x659)
		le.PutUint16(e[5:], uint16(i))
		le.PutUint16(e[7:], uint16(varAt))
		le.PutUint16(e[9:], uint16(i))
		if c.kind == typeText || c.kind == typeMemo {
			le.PutUint16(e[11:], 0x0409)
			e[16] = 1 // texts can be compressed
		}
		e[15] = 2
		if c.fixed() {
			e[15] |= 1
			le.PutUint16(e[21:], uint16(fixedAt))
			fixedAt += c.size()
		} else {
			varAt++
		}
		le.PutUint16(e[23:], uint16(c.size()))
		at += 25
	}
	for _, c := range t.cols {
		name := wide(c.name)
		le.PutUint16(p[at:], uint16(len(name)))
		at += 2 + copy(p[at+2:], name)
	}
	le.PutUint16(p[at:], 0xffff)
	at += 2
	le.PutUint32(p[8:], uint32(at-8))
	le.PutUint16(p[2:], uint16(pageSize-at-8))
}

// fill puts as many rows as fit into a data page and returns how many those are.
func fill(p []byte, t *table, rows [][]any) int {
	var list [][]byte
	size := 14
	for _, r := range rows {
		b := rowBytes(t, r)
		size += 2 + len(b)
		if size > pageSize || t.onPage > 0 && len(list) == t.onPage {
			break
		}
		list = append(list, b)
	}
	putRows(p, t.tdef, list)
	return len(list)
}

// putRows fills a data page: the rows from its end, their offsets from its start.
func putRows(p []byte, tdef int, rows [][]byte) {
	le := binary.LittleEndian
	copy(p, []byte{1, 1})
	le.PutUint32(p[4:], uint32(tdef))
	le.PutUint16(p[12:], uint16(len(rows)))
	end := pageSize
	for i, r := range rows {
		end -= copy(p[end-len(r):end], r)
		le.PutUint16(p[14+2*i:], uint16(end))
	}
	le.PutUint16(p[2:], uint16(end-14-2*len(rows)))
}

// rowBytes is a row: the number of columns, the fixed ones, the others, their offsets backwards, and a bit for each
// column that is not NULL, which is also what holds a yes or no.
func rowBytes(t *table, row []any) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, uint16(len(t.cols)))
	mask := make([]byte, (len(t.cols)+7)/8)
	for i, c := range t.cols {
		if !c.fixed() {
			continue
		}
		switch v := row[i].(type) {
		case nil:
			b = append(b, make([]byte, c.size())...)
			continue
		case int32:
			b = le.AppendUint32(b, uint32(v))
		case float64:
			b = le.AppendUint64(b, math.Float64bits(v))
		case time.Time:
			b = le.AppendUint64(b, math.Float64bits(v.Sub(time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)).Seconds()/86400))
		case bool:
			if !v {
				continue
			}
		}
		mask[i/8] |= 1 << (i % 8)
	}
	var offsets []uint16
	for i, c := range t.cols {
		if c.fixed() {
			continue
		}
		offsets = append(offsets, uint16(len(b)))
		if text, ok := row[i].(string); ok {
			b = append(b, c.bytes(text)...)
			mask[i/8] |= 1 << (i % 8)
		}
	}
	if len(offsets) > 0 {
		b = le.AppendUint16(b, uint16(len(b)))
		for i := len(offsets) - 1; i >= 0; i-- {
			b = le.AppendUint16(b, offsets[i])
		}
		b = le.AppendUint16(b, uint16(len(offsets)))
	}
	return append(b, mask...)
}

// bytes is a text as stored: compressed where it is ASCII without control characters, two bytes a character otherwise;
// a memo with its length before it.
func (c column) bytes(text string) []byte {
	b := append([]byte{0xff, 0xfe}, text...)
	for _, r := range text {
		if r < 1 || r > 126 {
			b = wide(text)
			break
		}
	}
	if c.kind != typeMemo {
		return b
	}
	head := binary.LittleEndian.AppendUint32(nil, 0x80000000|uint32(len(b)))
	return append(append(head, make([]byte, 8)...), b...)
}

func wide(text string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}
