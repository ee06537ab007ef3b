package loggen

import (
	"crypto/sha256"
	"encoding/csv"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var windows = []string{formatReceive, formatFrontEnd, formatIIS}

// dialogue is what the oracle remembers of one session of a receive log, or of one address of an IIS log.
type dialogue struct {
	sender, last, user string
	tos                []string
	seq                int
	remote, connector  string
}

// observed is what an oracle read: by source, and in all.
type observed struct {
	by    map[string]*seen
	keys  map[netip.Addr]string
	all   Counts
	raw   map[string]int64 // unknown recipients by source, those refused to the null sender included
	ended int64
	mixed int64 // rows that stand between two rows of another session
}

func newObserved() *observed {
	return &observed{by: map[string]*seen{}, keys: map[netip.Addr]string{}, raw: map[string]int64{}}
}

func (o *observed) source(t testing.TB, a netip.Addr) (string, *seen) {
	key := o.keys[a]
	if key == "" {
		key = sourceOf(t, "["+a.String()+"]")
		o.keys[a] = key
	}
	if o.by[key] == nil {
		o.by[key] = &seen{}
	}
	return key, o.by[key]
}

// rows returns the log's rows without its header, which it holds against what the server writes.
func rows(t *testing.T, log []byte, head string) []string {
	t.Helper()
	lines := strings.SplitAfter(string(log), "\n")
	if lines[len(lines)-1] != "" || !strings.HasPrefix(string(log), head) {
		t.Fatalf("the log begins with %.200q and ends with %q", log, lines[len(lines)-1])
	}
	n := strings.Count(head, "\n")
	for i, line := range lines[:len(lines)-1] {
		if !strings.HasSuffix(line, "\r\n") || strings.Count(line, "\r") != 1 || i >= n && line[0] == '#' {
			t.Fatalf("line %d is %q", i+1, line)
		}
	}
	return lines[n : len(lines)-1]
}

func receiveHead(version string) string {
	return "\xef\xbb\xbf#Software: Microsoft Exchange Server\r\n#Version: " + version + "\r\n#Log-type: SMTP Receive Protocol Log\r\n" +
		"#Date: 2026-03-02T00:00:00.000Z\r\n" +
		"#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\r\n"
}

// fields takes a row of a receive log apart, and returns its time.
func fields(t *testing.T, line string) ([]string, time.Time) {
	t.Helper()
	f, err := strings.Split(strings.TrimSuffix(line, "\r\n"), ","), error(nil)
	if strings.Contains(line, `"`) {
		f, err = csv.NewReader(strings.NewReader(line)).Read()
	}
	if err != nil || len(f) != 9 {
		t.Fatalf("a row has %d fields, %v: %s", len(f), err, line)
	}
	at, err := time.Parse("2006-01-02T15:04:05.000Z", f[0])
	if err != nil {
		t.Fatal(err)
	}
	return f, at
}

// observeReceive reads a receive log with a CSV reader and plain string search. Every reply stands directly behind its
// command here, so the last recipient that was asked for is the one a refusal means.
func observeReceive(t *testing.T, log []byte, version string) *observed {
	t.Helper()
	o := newObserved()
	open := map[string]*dialogue{}
	last, previous := time.Time{}, ""
	for i, line := range rows(t, log, receiveHead(version)) {
		f, at := fields(t, line)
		if at.Before(last) {
			t.Fatalf("row %d is dated %s after %s", i+1, f[0], last)
		}
		last = at
		d := open[f[2]]
		if (d == nil) != (f[6] == "+") {
			t.Fatalf("row %d begins no session or begins one twice: %s", i+1, line)
		}
		if d == nil {
			d = &dialogue{remote: f[5], connector: f[1]}
			open[f[2]] = d
		}
		if f[3] != strconv.Itoa(d.seq) || f[5] != d.remote || f[1] != d.connector || len(f[2]) != 16 {
			t.Fatalf("row %d doesn't continue its session: %s", i+1, line)
		}
		if d.seq++; previous != f[2] && d.seq > 1 {
			o.mixed++
		}
		previous = f[2]
		o.receiveRow(t, d, f, at)
	}
	for id, d := range open {
		if d.remote != "" {
			t.Errorf("session %s has no end", id)
		}
	}
	return o
}

func (o *observed) receiveRow(t *testing.T, d *dialogue, f []string, at time.Time) {
	end, err := netip.ParseAddrPort(f[5])
	if err != nil {
		t.Fatal(err)
	}
	key, s := o.source(t, end.Addr())
	data := f[7]
	path := func() string { return data[strings.Index(data, "<")+1 : strings.LastIndex(data, ">")] }
	switch {
	case f[6] == "+":
		o.all.Connects++
		s.connects = append(s.connects, at)
	case f[6] == "-":
		o.ended++
		d.remote = ""
	case f[6] == "*":
		if user, ok := strings.CutPrefix(f[8], "User Name: "); ok {
			d.user = user
		}
	case strings.HasPrefix(data, "MAIL FROM:<"):
		d.sender, d.tos = path(), nil
	case strings.HasPrefix(data, "RCPT TO:<"):
		d.last = path()
	case strings.HasPrefix(data, "250 2.1.5 "):
		d.tos = append(d.tos, d.last)
	case strings.HasPrefix(data, "550 5.1.1 "):
		o.all.Unknown++
		o.raw[key]++
		if d.sender != "" {
			s.unknown = append(s.unknown, deed{at, d.last})
		}
	case strings.HasPrefix(data, "550 5.7.1 Recipient "):
		o.all.Refused++
	case strings.HasPrefix(data, "550 5.7.1 Message "):
		o.all.SpamRefused++
	case strings.HasPrefix(data, "250 2.6.0 "):
		o.all.Accepted++
		o.deliver(s, d, at)
	case strings.HasPrefix(data, "535 5.7.3 "):
		o.all.AuthFails++
		s.auth = append(s.auth, deed{at, d.user + at.Format("15:04")})
	case strings.HasPrefix(data, "235 2.7.0 "):
		o.all.AuthOKs++
		s.succeeded = true
	}
}

func (o *observed) deliver(s *seen, d *dialogue, at time.Time) {
	for _, to := range d.tos {
		o.all.Delivered++
		s.delivered = append(s.delivered, deed{at, to})
	}
	d.tos = nil
}

const iisHead = "#Software: Microsoft Internet Information Services 8.5\r\n#Version: 1.0\r\n#Date: 2026-03-02 00:00:00\r\n" +
	"#Fields: date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem cs-uri-query " +
	"sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer) \r\n"

// observeIIS reads a W3C log; sessions of one address at the same time can't be told apart in it.
func observeIIS(t *testing.T, log []byte) *observed {
	t.Helper()
	o := newObserved()
	open := map[string]*dialogue{}
	last := time.Time{}
	for i, line := range rows(t, log, iisHead) {
		f := strings.Split(strings.TrimSuffix(line, "\r\n"), " ")
		if len(f) != 21 {
			t.Fatalf("row %d has %d fields: %s", i+1, len(f), line)
		}
		at, err := time.Parse(time.DateTime, f[0]+" "+f[1])
		if err != nil || at.Before(last) {
			t.Fatalf("row %d is dated %s %s after %s: %v", i+1, f[0], f[1], last, err)
		}
		last = at
		key, s := o.source(t, netip.MustParseAddr(f[2]))
		if open[f[2]] == nil {
			open[f[2]] = &dialogue{}
		}
		o.iisRow(open[f[2]], s, key, f, at)
	}
	return o
}

func (o *observed) iisRow(d *dialogue, s *seen, key string, f []string, at time.Time) {
	argument := strings.TrimSuffix(f[10][strings.Index(f[10], "<")+1:], ">")
	switch f[8] + " " + f[11] {
	case "EHLO 250":
		o.all.Connects++
		s.connects = append(s.connects, at)
	case "MAIL 250":
		d.sender, d.tos = argument, nil
	case "RCPT 250":
		d.tos = append(d.tos, argument)
	case "RCPT 550":
		o.all.Unknown++
		o.raw[key]++
		if d.sender != "" {
			s.unknown = append(s.unknown, deed{at, argument})
		}
	case "RCPT 554":
		o.all.Refused++
	case "DATA 250":
		o.all.Accepted++
		o.deliver(s, d, at)
	case "DATA 550":
		o.all.SpamRefused++
	case "QUIT 240":
		o.ended++
	}
}

func observeWindows(t *testing.T, format string, log []byte) *observed {
	t.Helper()
	switch format {
	case formatReceive:
		return observeReceive(t, log, "14.0.0.0")
	case formatFrontEnd:
		return observeReceive(t, log, "15.0.0.0")
	default:
		return observeIIS(t, log)
	}
}

func TestWindowsTruthAgreesWithTheText(t *testing.T) {
	for _, format := range windows {
		for i, mix := range []Mix{Classic(), Botnets()} {
			log, truth := generate(t, Config{Seed: 7, Lines: 120_000, Mix: mix, Format: format})
			o := observeWindows(t, format, log)
			told := truth.Total
			if format == formatIIS { // two messages of one address at once share their recipients there
				o.all.Delivered = told.Delivered
			}
			if o.all != told || told.Connects != truth.Sessions || told.Connects == 0 || told.Unknown == 0 || told.Delivered == 0 {
				t.Errorf("%s, mix %d: the text has %+v, the truth %+v and %d sessions", format, i, o.all, told, truth.Sessions)
			}
			if count(log, "\n") != truth.Lines || int64(len(log)) != truth.Bytes {
				t.Errorf("%s, mix %d: %d lines, %d bytes; the truth has %d, %d", format, i, count(log, "\n"), len(log), truth.Lines, truth.Bytes)
			}
			if d := float64(truth.Lines)/120_000 - 1; d < -.08 || d > .08 {
				t.Errorf("%s, mix %d: %d lines were made instead of 120,000", format, i, truth.Lines)
			}
			if format != formatIIS && (o.ended != truth.Sessions || o.mixed < truth.Sessions/20) {
				t.Errorf("%s, mix %d: %d of %d sessions end, %d rows between those of others", format, i, o.ended, truth.Sessions, o.mixed)
			}
		}
	}
}

func TestWindowsTruthOfEachSource(t *testing.T) {
	for _, format := range windows {
		log, truth := generate(t, Config{Seed: 3, Lines: 60_000, Format: format})
		o := observeWindows(t, format, log)
		for _, s := range truth.Sources {
			key := s.Prefix.String()
			if o.by[key] == nil {
				t.Fatalf("%s: %s (%s) doesn't stand in the log", format, key, s.Entity)
			}
			if c := int64(len(o.by[key].connects)); c != s.Connects || o.raw[key] != s.Unknown {
				t.Errorf("%s: %s (%s): %d connects, %d unknown recipients in the log; %d, %d in the truth", format, key, s.Entity, c, o.raw[key],
					s.Connects, s.Unknown)
			}
		}
		silent := 0 // a monitor that says nothing but QUIT
		for key := range o.by {
			if !slices.ContainsFunc(truth.Sources, func(s Source) bool { return s.Prefix.String() == key }) {
				silent++
			}
		}
		if silent > 1 || silent > 0 && format != formatIIS {
			t.Errorf("%s: the truth doesn't tell of %d sources", format, silent)
		}
	}
}

func TestWindowsLabelsHold(t *testing.T) {
	for _, format := range windows {
		for _, mix := range []Mix{Classic(), Mixed()} {
			log, truth := generate(t, Config{Seed: 11, Lines: 120_000, Mix: mix, Format: format})
			o := observeWindows(t, format, log)
			n := map[Label]int{}
			for _, s := range truth.Sources {
				n[s.Label]++
				hit := o.by[s.Prefix.String()].offends()
				if s.Label == MustBlock && !hit || s.Label == MustNotBlock && hit {
					t.Errorf("%s: %s (%s) is labelled %s, and hit is %v: %+v", format, s.Prefix, s.Entity, s.Label, hit, s.Counts)
				}
			}
			if n[MustBlock] < 20 || n[MustNotBlock] < 100 {
				t.Errorf("%s: too few sources to say anything: %v", format, n)
			}
		}
	}
}

// A refusal comes five seconds after the command, and other sessions go on meanwhile.
func TestTarpitDelaysTheRefusal(t *testing.T) {
	for format, version := range map[string]string{formatReceive: "14.0.0.0", formatFrontEnd: "15.0.0.0"} {
		log, _ := generate(t, Config{Seed: 4, Lines: 30_000, Format: format})
		held := map[string]time.Time{}
		n := 0
		for _, line := range rows(t, log, receiveHead(version)) {
			f, at := fields(t, line)
			since, waits := held[f[2]]
			if waits && (f[6] != ">" || at.Sub(since).Round(time.Second) != 5*time.Second) {
				t.Fatalf("%s: behind a tarpit of %s stands %s", format, since, line)
			}
			refused := f[6] == ">" && (strings.HasPrefix(f[7], "550 ") || strings.HasPrefix(f[7], "535 "))
			if refused && !waits {
				t.Fatalf("%s: no tarpit before %s", format, line)
			}
			delete(held, f[2])
			if strings.HasPrefix(f[7], "Tarpit for '0.00:00:05'") {
				held[f[2]] = at
				n++
				if due := strings.Contains(f[7], "' due to '"); due != (format == formatFrontEnd) {
					t.Fatalf("%s: %s", format, line)
				}
			}
		}
		if n < 300 {
			t.Errorf("%s: %d tarpits only", format, n)
		}
	}
}

func TestFrontEndTakesEveryRecipient(t *testing.T) {
	log, truth := generate(t, Config{Seed: 6, Lines: 40_000, Format: formatFrontEnd})
	data, asked := 0, map[string]int{}
	for _, line := range rows(t, log, receiveHead("15.0.0.0")) {
		f := strings.Split(line, ",")
		switch text := f[6] + " " + f[7]; {
		case strings.HasPrefix(text, "< MAIL"):
			asked[f[2]] = 0
		case strings.HasPrefix(text, "< RCPT"):
			asked[f[2]]++
		case strings.HasPrefix(text, "> 550 5.1.1"):
			if data++; asked[f[2]] != 1 {
				t.Fatalf("%d recipients are refused at once: %s", asked[f[2]], line)
			}
		}
	}
	if int64(data) != truth.Total.Unknown {
		t.Errorf("%d messages are refused for their recipients, the truth has %d", data, truth.Total.Unknown)
	}
}

var ipv4 = regexp.MustCompile(`\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b`)

// Only addresses that can hurt nobody stand in the logs, and the private ones of HELO names.
func TestWindowsAddresses(t *testing.T) {
	for format, head := range map[string]string{formatReceive: receiveHead("14.0.0.0"), formatFrontEnd: receiveHead("15.0.0.0"), formatIIS: iisHead} {
		log, truth := generate(t, Config{Seed: 8, Lines: 30_000, Format: format})
		for _, line := range rows(t, log, head) {
			for _, text := range ipv4.FindAllString(line, -1) {
				if a := netip.MustParseAddr(text); a.As4()[0] < 240 && !strings.HasPrefix(text, "192.168.1.") {
					t.Fatalf("%s in %s", text, line)
				}
			}
		}
		for _, s := range truth.Sources {
			if a := s.Prefix.Addr(); a.Is4() && a.As4()[0] < 240 || a.Is6() && !netip.MustParsePrefix("2001:db8::/32").Contains(a) {
				t.Errorf("%s: a source is %s", format, s.Prefix)
			}
		}
	}
}

func TestWindowsSameSeedSameBytes(t *testing.T) {
	sums := map[[32]byte]string{}
	for _, format := range Formats() {
		for range 2 {
			h := sha256.New()
			if _, err := Generate(h, Config{Seed: 42, Lines: 20_000, Format: format}); err != nil {
				t.Fatal(err)
			}
			sums[[32]byte(h.Sum(nil))] = format
		}
	}
	if len(sums) != len(Formats()) {
		t.Errorf("%d different logs of %d formats", len(sums), len(Formats()))
	}
}

// The same traffic is rendered in each format: what a class of clients does doesn't depend on who writes it down.
func TestFormatsTellTheSameTraffic(t *testing.T) {
	cfg := Config{Seed: 17, JunkPerDay: 3_000, GoodPerDay: 500, Duration: 24 * time.Hour}
	_, want := generate(t, cfg)
	bySource := map[string]Source{}
	for _, s := range want.Sources {
		bySource[s.Entity+s.Prefix.String()] = s
	}
	for _, format := range windows {
		cfg.Format = format
		_, got := generate(t, cfg)
		known := 0
		for _, s := range got.Sources {
			w, ok := bySource[s.Entity+s.Prefix.String()]
			if !ok {
				continue
			}
			known++
			if s.Unknown != w.Unknown || s.Refused != w.Refused || s.SpamRefused != w.SpamRefused || format != formatIIS && s.Connects != w.Connects {
				t.Errorf("%s: %s did %+v, in Postfix's log %+v", format, s.Entity, s.Counts, w.Counts)
			}
		}
		if known < len(want.Sources)*9/10-20 {
			t.Errorf("%s: only %d of %d sources took part", format, known, len(want.Sources))
		}
	}
}

func TestWindowsMemoryDoesNotGrowWithTheLog(t *testing.T) {
	for _, format := range windows {
		base := heapInUse()
		var peak, bytes uint64
		w := writerFunc(func(p []byte) {
			if bytes += uint64(len(p)); bytes>>23 != (bytes-uint64(len(p)))>>23 {
				peak = max(peak, heapInUse())
			}
		})
		if _, err := Generate(w, Config{Seed: 9, Lines: 200_000, Format: format}); err != nil {
			t.Fatal(err)
		}
		if used := int64(peak) - int64(base); used > 12<<20 {
			t.Errorf("%s: %d MB of memory for a log of %d MB", format, used>>20, bytes>>20)
		}
	}
	if _, err := Generate(io.Discard, Config{Lines: 1, Duration: time.Minute, Format: formatIIS}); err != nil {
		t.Errorf("the shortest log: %v", err)
	}
}
