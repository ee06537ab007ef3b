package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads a duration as rule files have it: what time.ParseDuration reads, and before it a number of days,
// as in "7d", "1d12h" or "90m".
func ParseDuration(text string) (time.Duration, error) {
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("read the duration %.40q: write a number and a unit, as in 90s, 10m, 24h or 7d", text)
		}
		return d, nil
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil || rest != "" && (rest[0] == '-' || rest[0] == '+') {
		return 0, fmt.Errorf("read the duration %.40q: write whole days before the d, as in 7d or 1d12h", text)
	}
	d := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return d, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil {
		return 0, fmt.Errorf("read the duration %.40q: write a number and a unit after the days, as in 1d12h", text)
	}
	return d + more, nil
}

// FormatDuration writes a duration with the fewest letters that ParseDuration reads back: "7d", "1h", "1h30m", "5s".
func FormatDuration(d time.Duration) string {
	if d <= 0 {
		return d.String()
	}
	var b strings.Builder
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d == 24*time.Hour && u.name == "d" {
			continue // a day is said in hours: "24h" is what people write for a window
		}
		if n := d / u.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.size
		}
	}
	if d > 0 {
		b.WriteString(d.String())
	}
	return b.String()
}
