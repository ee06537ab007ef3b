// Command make writes the test databases of the folder above, and the rows that must come out of them. It is run by
// hand in the project's root, `go run ./testdata/access/make testdata/access`, and gives the same bytes each time. The
// golden logs in testdata/logs/table are its work too.
package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: make FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string) error {
	early, late := blocked(360), blocked(400)
	files := map[string][]byte{
		"mail.mdb":        build(jet4, append(others(), early)),
		"mail-later.mdb":  build(jet4, append(others(), late)),
		"mail.accdb":      build(ace, append(others(), blocked(360))),
		"blocked.tsv":     golden(early),
		"later.tsv":       golden(late),
		"odd.tsv":         golden(others()[1]),
		"empty.tsv":       golden(others()[2]),
		"settings.tsv":    golden(others()[0]),
		"mail.tables.txt": []byte("Settings\n" + oddName + "\nNothing yet\n--help\nBlocked mail\n"),
	}
	for name, data := range logs(filepath.Join("..", "logs", "table")) {
		files[name] = data
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

const oddName = `Größe "x"; 'y', z`

// others are the tables beside the one that counts.
func others() []*table {
	return []*table{
		{name: "Settings", cols: []column{{"Name", typeText}, {"Value", typeText}}, rows: [][]any{
			{"version", "0"}, {"updated", "2026-03-01"}, {"server", "192.0.2.25"},
		}},
		{name: oddName, cols: []column{{"A, B", typeText}, {`"C"`, typeText}, {"D;E", typeMemo}, {"Yes", typeBool}}, rows: [][]any{
			{"one, two", `he said "no"`, "first\r\nsecond\tthird", true},
			{`back\slash`, nil, `C:\new`, false},
			{"Ärger", "'", strings.Repeat("long; ", 300), true},
		}},
		{name: "Nothing yet", cols: []column{{"ID", typeLong}, {"Date", typeDate}}},
		{name: "--help", cols: []column{{"ID", typeLong}}, rows: [][]any{{int32(1)}}},
	}
}

// blocked is what a report of blocked mail could hold: columns and texts are made up, because nobody has published
// what GFI MailEssentials writes. The rows lie in no order of their keys.
func blocked(n int) *table {
	t := &table{name: "Blocked mail", cols: []column{{"ID", typeLong}, {"Received", typeDate}, {"Client IP", typeText}, {"Recipients", typeMemo},
		{"Sender", typeText}, {"Subject", typeMemo}, {"Filter, rule", typeText}, {"Size", typeLong}, {"Test", typeBool}}}
	rng := rand.New(rand.NewPCG(7, 11))
	at := time.Date(2026, 3, 12, 9, 0, 0, 0, time.UTC)
	for i := 1; i <= n; i++ {
		at = at.Add(time.Duration(5+rng.IntN(11)) * time.Second)
		row := []any{int32(i), at, fmt.Sprintf("198.51.100.%d", 1+rng.IntN(6)), fmt.Sprintf("guess%03d@kontor.example", i), "x@spam.example",
			"offer", "Directory Harvesting: unknown recipient", int32(1000 + rng.IntN(9000)), false}
		switch i % 8 {
		case 3:
			row[2], row[3], row[4], row[5], row[6] = "203.0.113.5", "anna@kontor.example", "bob@partner.example", "order", "Delivered"
		case 6:
			row[2], row[6] = "2001:db8:0:7::9", "IP Blocklist"
		}
		odd(row, i)
		t.rows = append(t.rows, row)
	}
	rng.Shuffle(len(t.rows), func(i, j int) { t.rows[i], t.rows[j] = t.rows[j], t.rows[i] })
	return t
}

// odd makes some rows what real tables hold as well.
func odd(row []any, i int) {
	switch i {
	case 10:
		row[1] = 20_000_000.0 // a date beyond the calendar: mdb-export prints 1900-01-00 00:00:00
	case 20:
		row[1] = nil
	case 30:
		row[2] = nil
	case 40:
		row[2] = "unknown [192.0.2.66]"
	case 50:
		row[3] = `"odd;name"@kontor.example; anna@kontor.example, bob@kontor.example`
	case 60:
		row[5] = "line one\r\n2026-03-12 10:00:00,192.0.2.66,forged@kontor.example\n\"quoted\", and \\ more"
	case 70:
		row[4], row[5] = "<>", "Grüße; ‮"
	case 80:
		row[2] = "[198.51.100.3]:51234"
	}
}

// golden is the table as Export must give it, but in the order of its rows' first column.
func golden(t *table) []byte {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	w.Comma = '\t'
	var head []string
	for _, c := range t.cols {
		head = append(head, c.name)
	}
	_ = w.Write(head)
	rows := make([][]string, 0, len(t.rows))
	for _, r := range t.rows {
		var fields []string
		for i := range r {
			fields = append(fields, shown(r[i]))
		}
		rows = append(rows, fields)
	}
	if t.cols[0].kind == typeLong {
		sorted := make([][]string, len(rows))
		for i := range rows {
			sorted[t.rows[i][0].(int32)-1] = rows[i]
		}
		rows = sorted
	}
	_ = w.WriteAll(rows)
	return out.Bytes()
}

// shown is a value as text.
func shown(v any) string {
	switch v := v.(type) {
	case int32:
		return strconv.Itoa(int(v))
	case bool:
		return map[bool]string{true: "1", false: "0"}[v]
	case float64:
		return "1900-01-00 00:00:00"
	case time.Time:
		return v.Format("2006-01-02 15:04:05")
	case string:
		return strings.NewReplacer("\r", `\r`, "\n", `\n`, "\t", `\t`).Replace(v)
	}
	return ""
}
