package journal

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch/internal/nstest"
)

const remote = "/lib/systemd/systemd-journal-remote"

// needJournal makes sure that there is a journalctl and a program that writes journal files.
func needJournal(t *testing.T) {
	t.Helper()
	for _, program := range []string{"journalctl", remote} {
		if _, err := exec.LookPath(program); err != nil {
			nstest.Need(t, "interop", err.Error())
		}
	}
}

// record writes entries with the numbers from..to-1 into a real journal file, which is made where there is none.
func record(t *testing.T, file string, from, to int) {
	t.Helper()
	var b bytes.Buffer
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0123456789abcdef0123456789abcdef\n", 1763800000000000+i*1000, 1000+i)
		facility := 2
		if i%10 == 9 {
			facility = 3
		}
		fmt.Fprintf(&b, "_HOSTNAME=mx1\nSYSLOG_IDENTIFIER=postfix/smtpd\nSYSLOG_FACILITY=%d\nMESSAGE=entry %06d\n\n", facility, i)
	}
	recordText(t, file, b.Bytes())
}

func recordText(t *testing.T, file string, export []byte) {
	t.Helper()
	cmd := exec.Command(remote, "-o", file, "-")
	cmd.Stdin = bytes.NewReader(export)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("write a journal: %v: %s", err, out)
	}
}

// numbers returns the numbers of the entries in the lines.
func numbers(t *testing.T, data []byte) (list []int) {
	t.Helper()
	for line := range bytes.Lines(data) {
		_, rest, ok := strings.Cut(string(line), `"MESSAGE":"entry `)
		n := 0
		if _, err := fmt.Sscanf(rest, "%06d", &n); !ok || err != nil {
			t.Fatalf("not one of the entries: %.300q", line)
		}
		list = append(list, n)
	}
	return list
}

// span returns from..to-1.
func span(from, to int) (list []int) {
	for i := from; i < to; i++ {
		list = append(list, i)
	}
	return list
}
