package discover

import (
	"bufio"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/gfi"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// Lines of several makes, with the source 198.51.100.N and the recipient uN@k.example; a client filled in what follows
// the recipient, with an address of somebody else.
var makes = []string{
	"2026-03-12 09:00:%02d [198.51.100.%d] blocked: <u%d@k.example> [192.0.2.66] 192.0.2.66",
	"2026-03-12T09:00:%02d,123 WARN dha module [198.51.100.%d]:25 rcpt=u%d@k.example helo=[192.0.2.66]",
	`"2026-03-12 09:00:%02d","info ","ase_x","198.51.100.%d","u%d@k.example","ip=192.0.2.66"`,
	"12.03.2026 09:00:%02d\tSMTP\t198.51.100.%d\tRCPT\tu%d@k.example\t192.0.2.66",
	"2026/03/12 09:00:%02d client: 198.51.100.%d to: u%d@k.example client: 192.0.2.66",
	"[2026-03-12 09:00:%02d] ip=198.51.100.%d rcpt=<u%d@k.example> ip=192.0.2.66",
	"12/Mar/2026:09:00:%02d +0000 198.51.100.%d - u%d@k.example 192.0.2.66",
}

func TestLines(t *testing.T) {
	for _, form := range makes {
		var log strings.Builder
		for i := range 30 {
			fmt.Fprintf(&log, form+"\n", i, i+1, i+1)
		}
		f := file(t, "# comment\n\n"+log.String())
		if f.Kind != KindText || f.Best() == nil {
			t.Errorf("%q: %s, %v", form, f.Kind, f.Tables[0].Reasons)
			continue
		}
		_, fields := decode(t, f.TOML())
		fields.Kind = harvestwatch.RcptUnknown
		p, err := gfi.New(&site.Site{Fields: fields})
		if err != nil {
			t.Errorf("%q: %v", form, err)
			continue
		}
		n := 0
		p.Fold(&harvestwatch.Lines{Data: []byte(log.String())}, func(ev *harvestwatch.Event) {
			n++
			if ev.Addr.String() != fmt.Sprintf("198.51.100.%d", n) || string(ev.Recipient) != fmt.Sprintf("u%d@k.example", n) || ev.Seconds() != 1773306000+int64(n)-1 {
				t.Errorf("%q: %+v from %s", form, ev, fields.Pattern)
			}
		}, nil)
		if n != 30 {
			t.Errorf("%q: %d events by %s", form, n, fields.Pattern)
		}
	}
}

// FuzzFile gives any bytes to the whole: what comes out must be a configuration that can be read, and every pattern
// must compile.
func FuzzFile(f *testing.F) {
	for _, m := range makes {
		f.Add(fmt.Sprintf(m, 1, 2, 3))
	}
	f.Add("Time,IP,Filter\n2026-03-12 09:00:00,198.51.100.7,\"x\n\"\n")
	f.Add("a;b\n'\\';\x1b\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(strings.TrimSpace(text)) == 0 || strings.Contains(text, "\x00") || strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
			return
		}
		found := &Finding{Path: text}
		if err := found.text(bufio.NewReader(strings.NewReader(text))); err != nil {
			return
		}
		found.rank()
		c, _ := decode(t, found.TOML())
		if _, err := regexp.Compile(c.Pattern); err != nil {
			t.Error(err)
		}
		if err := found.Text(&strings.Builder{}); err != nil {
			t.Error(err)
		}
	})
}
