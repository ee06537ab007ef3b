package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"
)

// logs writes the golden tables and the golden text log, each with what is expected of it.
func logs(dir string) map[string][]byte {
	files := map[string][]byte{}
	for name, text := range map[string][2][]byte{"blocked.tsv": asExported(), "spreadsheet.csv": asSpreadsheet(), "filter.log": asText()} {
		files[filepath.Join(dir, name)] = text[0]
		files[filepath.Join(dir, strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, ".tsv"), ".csv"), ".log")+".expect")] = text[1]
	}
	return files
}

func hits(b *bytes.Buffer, sources ...string) {
	for _, s := range sources {
		fmt.Fprintf(b, "! %s harvest\n! %s harvest-slow\n", s, s)
	}
}

// quoted is a value of an expectation.
func quoted(text string) string {
	if strings.ContainsAny(text, " \"\\#") || text == "" {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
	}
	return text
}

const invented = "# Made up: the names of columns and filters are nobody's.\n"

// asExported is the table of the databases as Export gives it, sorted by key, without the rows that no event can be
// made of.
func asExported() [2][]byte {
	var want bytes.Buffer
	want.WriteString("# format: table\n# zone: Europe/Vienna\n" + invented +
		"# map-time: Received\n# map-source: Client IP\n# map-recipient: Recipients\n# map-sender: Sender\n# map-verdict: Filter, rule\n" +
		"# map-verdicts: directory harvesting*=rcpt_unknown; IP Blocklist=rcpt_refused; Delivered=delivered\n")
	hits(&want, "198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4", "198.51.100.5", "198.51.100.6")
	t := blocked(360)
	kept := &table{name: t.name, cols: t.cols}
	sorted := make([][]any, len(t.rows)+1)
	for _, r := range t.rows {
		sorted[r[0].(int32)] = r
	}
	for _, r := range sorted[1:] {
		at, dated := r[1].(time.Time)
		source, addressed := r[2].(string)
		if !dated || strings.HasPrefix(source, "unknown") {
			continue
		}
		kept.rows = append(kept.rows, r)
		if !addressed {
			continue
		}
		source = strings.TrimSuffix(strings.TrimPrefix(source, "["), "]:51234")
		kind := map[string]string{"Delivered": "delivered", "IP Blocklist": "rcpt_refused"}[r[6].(string)]
		if kind == "" {
			kind = "rcpt_unknown"
		}
		list := []string{r[3].(string)}
		if strings.HasPrefix(list[0], `"odd`) {
			list = []string{`"odd;name"@kontor.example`, "anna@kontor.example", "bob@kontor.example"}
		}
		for _, rcpt := range list { // Vienna is an hour ahead of UTC until the end of March
			fmt.Fprintf(&want, "%d %s %s recipient=%s sender=%s time=%s\n", 1+len(kept.rows), kind, source, quoted(rcpt), quoted(r[4].(string)),
				at.Add(-time.Hour).Format(time.RFC3339))
		}
	}
	return [2][]byte{exported(kept), want.Bytes()}
}

// exported is a table as Export writes it.
func exported(t *table) []byte {
	var out bytes.Buffer
	for i, c := range t.cols {
		if i > 0 {
			out.WriteByte('\t')
		}
		out.WriteString(c.name)
	}
	out.WriteByte('\n')
	for _, r := range t.rows {
		for i, v := range r {
			if i > 0 {
				out.WriteByte('\t')
			}
			text := shown(v)
			if k := t.cols[i].kind; v != nil && k != typeLong && k != typeBool {
				text = `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
			}
			out.WriteString(text)
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// asSpreadsheet is a table as a spreadsheet saves it: a byte order mark, semicolons, the line ends of Windows, texts
// with line ends and with forged rows in them, and two exports one behind the other with the columns in another order.
func asSpreadsheet() [2][]byte {
	var out, want bytes.Buffer
	want.WriteString("# format: table\n# zone: Europe/Berlin\n# own: 192.0.2.0/28\n" + invented +
		"# map-time: Datum\n# map-time-layout: 02.01.2006 15:04:05\n# map-source: Absender-IP\n# map-recipient: Empfänger\n# map-kind: rcpt_unknown\n")
	hits(&want, "203.0.113.40", "2001:db8:5:1::/64")
	out.WriteString("\xef\xbb\xbf")
	rng := rand.New(rand.NewPCG(3, 4))
	at := time.Date(2026, 7, 1, 23, 40, 0, 0, time.UTC)
	forged := "Hello\r\n01.07.2026 23:59:00;203.0.113.66;\"\"x\"\";victim@kontor.example\r\n\r\nDatum;Absender-IP;Betreff;Empfänger\r\n"
	line := 0
	w := csv.NewWriter(&out)
	w.Comma, w.UseCRLF = ';', true
	write := func(fields ...string) {
		before := bytes.Count(out.Bytes(), []byte("\n"))
		_ = w.Write(fields)
		w.Flush()
		line = before + 1
	}
	for part := range 2 {
		if part == 0 {
			write("Datum", "Absender-IP", "Betreff", "Empfänger")
		} else {
			write("Empfänger", "Betreff", "Absender-IP", "Datum")
		}
		for i := range 30 {
			at = at.Add(time.Duration(20+rng.IntN(40)) * time.Second)
			source := []string{"203.0.113.40", "[2001:db8:5:1::a]:25", "192.0.2.3", "198.51.100.77:4711"}[i%4]
			rcpt := fmt.Sprintf("nobody%d.%d@kontor.example", part, i)
			if i%4 == 3 {
				rcpt = "typo@kontor.example"
			}
			fields := []string{at.Add(2 * time.Hour).Format("02.01.2006 15:04:05"), source, []string{"offer", forged, `say "hi"; now`}[i%3], rcpt}
			if part == 1 {
				fields[0], fields[1], fields[2], fields[3] = fields[3], fields[2], fields[1], fields[0]
			}
			write(fields...)
			if addr := []string{"203.0.113.40", "2001:db8:5:1::a", "", "198.51.100.77"}[i%4]; addr != "" {
				fmt.Fprintf(&want, "%d rcpt_unknown %s recipient=%s time=%s\n", line, addr, rcpt, at.Format(time.RFC3339))
			}
		}
	}
	return [2][]byte{out.Bytes(), want.Bytes()}
}

// asText is a text log that a pattern reads.
func asText() [2][]byte {
	var out, want bytes.Buffer
	want.WriteString("# format: table\n# zone: UTC\n" + invented +
		`# map-pattern: (?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) \[(?P<ip>[^\]]*)\] (?P<verdict>[a-z -]+): rcpt=<(?P<rcpt>[^<>]*)> from=<(?P<sender>[^<>]*)> helo=(?P<helo>\S*)` +
		"\n# map-verdicts: no such user=rcpt_unknown; refused*=rcpt_refused; passed=delivered\n")
	hits(&want, "198.51.100.9")
	at := time.Date(2026, 5, 4, 3, 0, 0, 0, time.UTC)
	for i := range 60 {
		at = at.Add(30 * time.Second)
		source, verdict, kind := "198.51.100.9", "no such user", "rcpt_unknown"
		switch i % 5 {
		case 1:
			source, verdict, kind = "2001:db8:77::5", "refused by list", "rcpt_refused"
		case 3:
			source, verdict, kind = "203.0.113.8", "passed", "delivered"
		case 4:
			source, verdict, kind = "203.0.113.9", "checked", ""
		}
		helo := []string{"mail.example", "[192.0.2.66]", at.Format("2006-01-02 15:04:05") + "_[192.0.2.66]_no_such_user:"}[i%3]
		helo = strings.ReplaceAll(helo, " ", "_")
		rcpt := fmt.Sprintf("u%d@kontor.example", i)
		fmt.Fprintf(&out, "%s [%s] %s: rcpt=<%s> from=<s@ok.example> helo=%s\n", at.Format("2006-01-02 15:04:05"), source, verdict, rcpt, helo)
		if kind != "" {
			fmt.Fprintf(&want, "%d %s %s recipient=%s sender=s@ok.example helo=%s time=%s\n", i+1, kind, source, rcpt, helo, at.Format(time.RFC3339))
		}
	}
	return [2][]byte{out.Bytes(), want.Bytes()}
}
