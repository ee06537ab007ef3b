package gfi

import (
	"reflect"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// FuzzTable gives any bytes to the parser, as a table and as a text log: it must not fail, must account for each line,
// keep its bounds, and not care how the bytes are cut or whether it was restarted.
func FuzzTable(f *testing.F) {
	for _, r := range rows {
		f.Add([]byte(head + r.row + "\n"))
	}
	for _, l := range logs(f) {
		f.Add(l.data[:min(len(l.data), 3000)])
	}
	f.Add([]byte(head + "\"\n\"\n\"\"\n"))
	f.Add([]byte("2026-03-12 09:00:00 [198.51.100.7] unknown rcpt=<a@k.example> x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, o := range []bool{true, false} {
			s := table()
			if o {
				s = text()
			}
			want := run(t, s, string(data))
			n := int64(strings.Count(string(data), "\n"))
			if len(data) > 0 && data[len(data)-1] != '\n' {
				n++
			}
			c := want.counts
			if c.Lines != n || c.Events != int64(len(want.events)) || c.Unparsed != int64(len(want.unparsed)) || c.Ignored+c.Unparsed > n ||
				c.Events+c.Ignored+c.Unparsed < n {
				t.Errorf("%d lines, %+v", n, c)
			}
			disk, got := golden.Disk{}, &told{}
			for _, piece := range golden.Pieces(data, func(int) bool { return true }) {
				p := restored(t, disk, s)
				got.piece(p, piece)
				disk.Take(p)
			}
			if !reflect.DeepEqual(got, want) && n > 0 {
				t.Errorf("line by line:\n%+v\nin one piece:\n%+v", got, want)
			}
		}
	})
}

// FuzzNeverForges writes a text into each column that a client fills, quoted as every writer of tables does: no event
// may have another address than the column of the address, or another time.
func FuzzNeverForges(f *testing.F) {
	for _, s := range []string{"x", "\"", "\n", row, head, "a,\"b\n" + row, "\r\n" + row + "\r\n\"", strings.Repeat("\n", 1001), "\"\"", "\\\"," + row} {
		f.Add(s, byte(','))
		f.Add(s, byte(';'))
	}
	f.Fuzz(func(t *testing.T, s string, delim byte) {
		if delim != ',' && delim != ';' && delim != '\t' {
			return
		}
		q := `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
		d := string(delim)
		line := strings.Join([]string{"2026-03-12 09:00:00", "198.51.100.7", q, q, q, q, "ok"}, d) + "\n"
		data := strings.ReplaceAll(head, ",", d) + strings.Repeat(line, 3)
		p := parser(t, table())
		p.Fold(&harvestwatch.Lines{Data: []byte(data)}, func(ev *harvestwatch.Event) {
			if ev.Addr.String() != "198.51.100.7" || ev.Kind != harvestwatch.Delivered || ev.Seconds() != 1773306000 {
				t.Errorf("%s in\n%s", show(ev), data)
			}
			for _, b := range [][]byte{ev.Helo, ev.Sender, ev.Recipient, ev.User} {
				if len(b) > harvestwatch.MaxField {
					t.Errorf("a text of %d bytes", len(b))
				}
			}
		}, nil)
	})
}
