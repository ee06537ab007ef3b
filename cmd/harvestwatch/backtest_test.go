package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch/internal/report"
)

// harsh is a rule that takes no good mail into account.
const harsh = `[[rule]]
name = "harsh"
text = "Five guesses are enough, whatever was delivered."
mode = "enforce"
events = ["rcpt_unknown"]
distinct = "recipient"
when = [{ window = "1h", at_least = 5 }]
credit_factor = 1.0
ladder = ["1h", "4h"]
`

const newsletterLog = "../../testdata/logs/postfix/newsletter.log"

// ruleFile writes a rule file.
func ruleFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBacktestTellsThePrice: the text names the sender domain whose mail would have been held up, the block that did it, why,
// and the lines that it rests on; the exit code tells, if asked, that there is a price.
func TestBacktestTellsThePrice(t *testing.T) {
	rules := ruleFile(t, "harsh.toml", harsh)
	out, errs, code := runCommand(t, "", "backtest", "--zone", "UTC", "--rules", rules, newsletterLog)
	if code != exitOK || errs != "" {
		t.Errorf("exit code %d: %s", code, errs)
	}
	for _, text := range []string{
		"A  built-in rules", "B  harsh.toml", "newsletter.log  postfix  460 lines  100.0 % understood",
		"Blocked by B and never by A: 1 source", "What A blocks, B blocks too.",
		"The price of A in legitimate mail: none.", "The price of B in legitimate mail: 54 deliveries held up",
		`"verein.example": 54 deliveries, held up for at most 59m58s`, "192.0.2.25 blocked from 2026-03-04 07:30:13 until 2026-03-04 08:30:13; 27 deliveries",
		"because: 5 unknown recipients within 1h: the rule harsh asks for 5",
		"RCPT from lists.verein.example[192.0.2.25]: 550 5.1.1 <badler@kontor.example>", "… and 2 lines more",
		"In short: B prevents 26 guesses",
	} {
		if !strings.Contains(out, text) {
			t.Errorf("the comparison does not say %q:\n%s", text, out)
		}
	}
	out, _, _ = runCommand(t, "", "backtest", "--rules", rules, newsletterLog, "--evidence", "0")
	if strings.Contains(out, "RCPT from") || !strings.Contains(out, "because: ") {
		t.Errorf("no evidence was asked for:\n%s", out)
	}
	out, _, _ = runCommand(t, "", "backtest", "--against", rules, newsletterLog)
	if !strings.Contains(out, "A  harsh.toml") || !strings.Contains(out, "B  built-in rules") || !strings.Contains(out, "and would have held up no delivery, where A holds up 54.") {
		t.Errorf("the other way round:\n%s", out)
	}
}

// TestBacktestExitCodes are a contract.
func TestBacktestExitCodes(t *testing.T) {
	rules := ruleFile(t, "harsh.toml", harsh)
	trial := ruleFile(t, "trial.toml", strings.Replace(harsh, "enforce", "observe", 1))
	for _, test := range []struct {
		want int
		text string // somewhere in the output
		args []string
	}{
		{exitOK, "The price of B", []string{"--rules", rules, newsletterLog}},
		{exitFound, "The price of B", []string{"--rules", rules, "--exit-code", newsletterLog}},
		{exitFound, `"schema": "harvestwatch.backtest/1"`, []string{"--rules", rules, "--exit-code", "--json", newsletterLog}},
		{exitOK, "The price of B", []string{"--against", rules, "--exit-code", newsletterLog}}, // the price is that of A
		{exitOK, "on trial", []string{"--rules", trial, "--exit-code", newsletterLog}},
		{exitOK, "The price of B in legitimate mail: none", []string{"--rules", rules, "--exit-code", "--never", "192.0.2.25", newsletterLog}},
		{exitUsage, "missing.toml", []string{"--rules", "missing.toml", newsletterLog}},
		{exitUsage, "missing.toml", []string{"--against", "missing.toml", newsletterLog}},
		{exitUsage, "bad.toml:2", []string{"--rules", ruleFile(t, "bad.toml", "[[rule]]\nnam = \"x\"\n"), newsletterLog}},
		{exitUsage, "name the logs to read", []string{"--rules", rules}},
		{exitUsage, "--evidence takes", []string{"--evidence", "-1", newsletterLog}},
		{exitFailed, "missing.log", []string{"--rules", rules, "missing.log", newsletterLog}},
		{exitFailed, "missing.log", []string{"--rules", rules, "--exit-code", "missing.log", newsletterLog}}, // what is not known weighs more
	} {
		out, errs, code := runCommand(t, "", append([]string{"backtest"}, test.args...)...)
		if code != test.want || !strings.Contains(out+errs, test.text) {
			t.Errorf("%v: exit code %d, want %d with %q:\n%s%s", test.args, code, test.want, test.text, out, errs)
		}
	}
}

// TestBacktestJSON holds the schema's fields.
func TestBacktestJSON(t *testing.T) {
	out, _, _ := runCommand(t, "", "backtest", "--json", "--rules", ruleFile(t, "harsh.toml", harsh), newsletterLog)
	var b report.Backtest
	if err := json.Unmarshal([]byte(out), &b); err != nil {
		t.Fatal(err)
	}
	if b.Schema != report.BacktestSchema || b.Verdict == "" || len(b.Inputs) != 1 || b.Inputs[0].Lines != 460 || b.Totals.Deliveries != 96 {
		t.Errorf("%q, %q, %+v, %+v", b.Schema, b.Verdict, b.Inputs, b.Totals)
	}
	if b.Against.Name != "built-in rules" || b.Candidate.Name != "harsh.toml" || b.Against.InForce.Blocks != 0 || b.Candidate.InForce.Deliveries != 54 {
		t.Errorf("against %+v, candidate %+v", b.Against.InForce, b.Candidate.InForce)
	}
	price := b.Candidate.Price
	if price.Deliveries != 54 || len(price.Domains) != 1 || price.Domains[0].Domain != "verein.example" || len(price.Hits) != 54 {
		t.Fatalf("price %+v", price)
	}
	if k := price.Domains[0].Blocks; len(k) != 2 || k[0].Blocked != "192.0.2.25" || k[0].Rule != "harsh" || k[0].Deliveries != 27 || len(k[0].Evidence) != 5 {
		t.Errorf("blocks %+v", k)
	}
	var raw map[string]any
	if err := json.Unmarshal([]byte(out), &raw); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"schema", "verdict", "inputs", "period", "totals", "against", "candidate", "only_candidate", "only_against"} {
		if raw[field] == nil {
			t.Errorf("there is no field %s", field)
		}
	}
}

// TestBacktestQuotesTheLog: what a sender wrote reaches no terminal as it is.
func TestBacktestQuotesTheLog(t *testing.T) {
	text, err := os.ReadFile(newsletterLog)
	if err != nil {
		t.Fatal(err)
	}
	evil := strings.ReplaceAll(string(text), "verein.example>", "ver\x1b[31mein\u202e.example>")
	log := filepath.Join(t.TempDir(), "evil\x1b[31m.log")
	if err := os.WriteFile(log, []byte(evil), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"--json"}} {
		out, errs, code := runCommand(t, "", append([]string{"backtest", "--rules", ruleFile(t, "harsh.toml", harsh), log}, args...)...)
		if code != exitOK || !strings.Contains(out, "54") || !strings.Contains(out, "ein") {
			t.Fatalf("exit code %d: %s%s", code, out, errs)
		}
		if strings.ContainsAny(out, "\x1b\u202e") || strings.ContainsAny(errs, "\x1b\u202e") {
			t.Errorf("%v: what the log says reaches the terminal:\n%q", args, out)
		}
	}
}
