package evaluate

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteJSON writes the result as one indented JSON object.
func (r *Result) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write evaluation: %w", err)
	}
	return nil
}

// WriteText writes the result as tables of at most 160 columns. Apart from the columns of speeds, equal plans give equal
// texts.
func (r *Result) WriteText(w io.Writer) error {
	p := &page{}
	p.line("Seeds of the gates: %s. Seeds of the sweep and the ablation: %s. Nothing was chosen by looking at the gates' seeds.",
		seeds(r.Seeds), seeds(r.Tuning))
	p.line("%d days with %d junk a day each. The traffic is made up: figures rank rules, they promise nothing about a real site.", r.Days, r.Junk)
	p.gates(r.Gates)
	p.legend()
	for i := range r.Mixes {
		p.mix(&r.Mixes[i])
	}
	if r.Ablation != nil {
		p.line("")
		p.line("ABLATION, mix %s, %d worlds: what each guard is good for", r.Ablation.Mix, r.Ablation.World.Worlds)
		p.contenders(r.Ablation)
		p.wrong(r.Ablation)
	}
	p.sweep(r.Sweep)
	if _, err := io.WriteString(w, p.b.String()); err != nil {
		return fmt.Errorf("write evaluation: %w", err)
	}
	return nil
}

func seeds(list []uint64) string {
	if len(list) == 0 {
		return "none"
	}
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if j == i {
			parts = append(parts, fmt.Sprint(list[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", list[i], list[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

// page is a text in the making.
type page struct{ b strings.Builder }

func (p *page) line(format string, args ...any) {
	p.b.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " "))
	p.b.WriteByte('\n')
}

// table writes rows with their columns aligned: the first left of its text's end, all others right.
func (p *page) table(rows [][]string, left ...int) {
	var width []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], len(c))
		}
	}
	isLeft := map[int]bool{0: true}
	for _, i := range left {
		isLeft[i] = true
	}
	for _, row := range rows {
		var b strings.Builder
		for i, c := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			gap := strings.Repeat(" ", width[i]-len(c))
			if isLeft[i] {
				b.WriteString(c + gap)
			} else {
				b.WriteString(gap + c)
			}
		}
		p.line("%s", b.String())
	}
}

func (p *page) gates(list []Verdict) {
	p.line("")
	p.line("GATES")
	rows := [][]string{{"gate", "bound", "measured", ""}}
	for _, v := range list {
		word := "FAIL"
		if v.Pass {
			word = "pass"
		}
		rows = append(rows, []string{v.Name, v.Bound, v.Measured, word})
	}
	p.table(rows)
}

// legend says what the columns mean.
func (p *page) legend() {
	p.b.WriteString(`
Columns: prev% probes prevented, if attackers come back after each block, and worst the same in the worst world; leave% if they leave at the first
block and take along what they had planned after it; learned: valid addresses that harvesters learned; junk% hostile connections prevented; hit: good
deliveries that fell into a block, also of 10,000; delay: the longest, until the block's end, blocks that follow within 15 minutes counted as one;
wrong: sources blocked that must not be; cut: sessions hung up on; back: blocks taken back; /block: probes prevented by a block; peak: most blocks at
a time. By class: must: sources that must be blocked, left: those of them that never were; leak% attempts that came through; p50, p95: attempts until
the first block, and after: the time until then; - for never.
`)
}

func percent(x float64) string { return fmt.Sprintf("%.1f", 100*x) }

func (p *page) mix(f *Found) {
	s := &f.World
	p.line("")
	p.line("MIX %s, %d worlds: %d events, %d sources, %d probes, %d good deliveries", f.Mix, s.Worlds, s.Events, s.Sources, s.Probes, s.Good)
	p.line("%s %% of the probes come from sources with %d or more: what blocks by address can prevent at best.", percent(s.Reach()), concentrated)
	p.contenders(f)
	p.wrong(f)
	if len(f.Contenders) > 0 {
		m := &f.Contenders[0]
		p.line("")
		p.line("%s, hostile sources by class. Guards of the whole site spoke %d times and held back its rules for %s in %d worlds.", m.Contender,
			m.Notices, span(m.Held), s.Worlds)
		p.classes(&f.Contenders[0])
	}
}

func (p *page) contenders(f *Found) {
	rows := [][]string{{"contender", "prev%", "worst", "leave%", "learned", "junk%", "hit", "of 10k", "delay", "wrong", "blocks", "cut", "back", "/block",
		"peak", "events/s"}}
	for i := range f.Contenders {
		m := &f.Contenders[i]
		rows = append(rows, []string{m.Contender, percent(m.Share()), percent(m.Worst), percent(m.LeaveShare()), fmt.Sprint(m.Leaked),
			percent(m.JunkShare()), fmt.Sprint(m.GoodHit), fmt.Sprintf("%.2f", 1e4*m.HitShare()), span(m.MaxDelay), fmt.Sprint(len(m.Wrong)),
			fmt.Sprint(m.Blocks), fmt.Sprint(m.HungUp), fmt.Sprint(m.Released), fmt.Sprintf("%.1f", m.PerBlock()), fmt.Sprint(m.Peak), speed(m)})
	}
	p.table(rows)
}

func speed(m *Metrics) string {
	if m.Seconds == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", m.Speed())
}

// span writes seconds as people say them, "-" for never.
func span(sec int64) string {
	if sec < 0 {
		return "-"
	}
	return (time.Duration(sec) * time.Second).String()
}

func count(n int64) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func (p *page) classes(m *Metrics) {
	rows := [][]string{{"class", "attempts", "sources", "blocked", "must", "left", "leak%", "p50", "p95", "after p50", "after p95"}}
	for i := range m.Classes {
		c := &m.Classes[i]
		rows = append(rows, []string{c.Class, fmt.Sprintf("%d %s", c.Attempts, c.Deed), fmt.Sprint(c.Sources), fmt.Sprint(c.Blocked), fmt.Sprint(c.Must),
			fmt.Sprint(c.MustLeft), percent(c.Leak()), count(c.AttemptsP50), count(c.AttemptsP95), span(c.DetectP50), span(c.DetectP95)})
	}
	p.table(rows)
}

// mostWrong is how many wrongly blocked sources of a contender are named.
const mostWrong = 8

// wrong says, for each contender, which classes of sources it blocked that it must not.
func (p *page) wrong(f *Found) {
	for i := range f.Contenders {
		m := &f.Contenders[i]
		if len(m.Wrong) == 0 {
			continue
		}
		var order []string
		n := map[string]int{}
		for _, x := range m.Wrong {
			if n[x.Class]++; n[x.Class] == 1 {
				order = append(order, x.Class)
			}
		}
		text := ""
		for _, c := range order {
			text += fmt.Sprintf(", %d %s", n[c], c)
		}
		p.wrap(fmt.Sprintf("%s blocked %d that must not be: %s", m.Contender, len(m.Wrong), text[2:]))
		if i > 0 {
			continue
		}
		for _, x := range m.Wrong[:min(len(m.Wrong), mostWrong)] {
			p.line("    seed %d, %s %s: %s at %s, after %d recipients; %d deliveries delayed", x.Seed, x.Entity, x.Source, x.Rule,
				x.At.Format(time.RFC3339), x.Tries, x.Hit)
		}
	}
}

// wrap writes a long line as several.
func (p *page) wrap(text string) {
	const columns = 156
	for len(text) > columns {
		cut := strings.LastIndexByte(text[:columns], ' ')
		if cut <= 4 {
			break
		}
		p.line("%s", text[:cut])
		text = "    " + text[cut+1:]
	}
	p.line("%s", text)
}

func (p *page) sweep(f *Found) {
	if f == nil {
		return
	}
	p.line("")
	p.line("SWEEP, mix %s, %d worlds, %d good deliveries: one rule alone, F >= N0 + rho G within the window; prevented %% / deliveries delayed / wrong",
		f.Mix, f.World.Worlds, f.World.Good)
	head := []string{"window", "rho", "credit"}
	for _, n := range sweepN0() {
		head = append(head, fmt.Sprintf("N0=%d", n))
	}
	rows := [][]string{head}
	at := map[string]int{}
	for i := range f.Contenders {
		m := &f.Contenders[i]
		if m.Cell == nil {
			continue
		}
		c := m.Cell
		credit := "no"
		if c.Credit {
			credit = "yes"
		}
		key := fmt.Sprint(c.Window, c.Rho, c.Credit)
		if at[key] == 0 {
			at[key] = len(rows)
			rows = append(rows, append([]string{c.Window, fmt.Sprint(c.Rho), credit}, make([]string, len(sweepN0()))...))
		}
		for k, n := range sweepN0() {
			if n == c.N0 {
				rows[at[key]][3+k] = fmt.Sprintf("%s /%5d /%4d", percent(m.Share()), m.GoodHit, len(m.Wrong))
			}
		}
	}
	p.table(rows)
}
