package tailer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The names that Windows services give to their logs fall into one group for each log.
func TestGroupsOfWindowsLogs(t *testing.T) {
	for group, bases := range map[string][]string{
		"d/RECV.LOG":        {"RECV20230111-1.LOG", "RECV2023011116-1.LOG", "RECV2023011116-12.LOG.gz"},
		"d/POP3.LOG":        {"POP320220120-1.LOG", "POP32022012013-2.LOG"},
		"d/IMAP4.LOG":       {"IMAP420220120-1.LOG", "IMAP42022012013-2.LOG"},
		"d/MSGTRK.LOG":      {"MSGTRK20240125-1.LOG", "MSGTRK2024012507-1.LOG"},
		"d/MSGTRKMD.LOG":    {"MSGTRKMD20240125-1.LOG"},
		"d/MSGTRKMS.LOG":    {"MSGTRKMS20240125-1.LOG"},
		"d/MSGTRKMA.LOG":    {"MSGTRKMA20240125-1.LOG"},
		"d/AgentLog.LOG":    {"AgentLog20220913-1.LOG"},
		"d":                 {"20040913.log", "20040914.log"},
		"d/ex.log":          {"ex0907.log", "ex090701.log", "ex09070105.log", "ex991231.log"},
		"d/u_ex.log":        {"u_ex090701.log", "u_ex09070105.log"},
		"d/in.log":          {"in090701.log", "in09070123.log"},
		"d/nc.log":          {"nc090701.log"},
		"d/extend.log":      {"extend1.log", "extend12.log"},
		"d/inetsv.log":      {"inetsv1.log"},
		"d/ncsa.log":        {"ncsa3.log"},
		"d/index090701.log": {"index090701.log"},
		"d/ex090799.log":    {"ex090799.log"},   // no such day
		"d/ex09070124.log":  {"ex09070124.log"}, // no such hour
		"d/ex0907011.log":   {"ex0907011.log"},
		"d/myextend1.log":   {"myextend1.log"},
		"d/POP3.log":        {"POP3.log", "POP3.log.1"},
		"d/ex090701.txt":    {"ex090701.txt"},
	} {
		for _, base := range bases {
			if got := filepath.ToSlash(groupOf(filepath.Join("d", base))); got != group {
				t.Errorf("%s is in group %s, want %s", base, got, group)
			}
		}
	}
}

func TestOlderWindowsLogs(t *testing.T) {
	for _, order := range [][]string{
		{"POP320220119-2.LOG", "POP320220120-1.LOG", "POP32022012013-2.LOG"},
		{"RECV2023011105-2.LOG", "RECV2023011105-12.LOG", "RECV2023011112-1.LOG", "RECV2023011112-3.LOG"},
		{"ex991231.log", "ex0906.log", "ex090630.log", "ex0907.log", "ex090701.log", "ex09070100.log", "ex09070123.log"},
		{"extend1.log", "extend2.log", "extend10.log"},
		{"20040913.log", "20040914.log"},
	} {
		var list []sibling
		for _, name := range order {
			_, s := parseRotation(name)
			list = append(list, sibling{path: name, suffix: s})
		}
		slices.Reverse(list)
		slices.SortStableFunc(list, older)
		for i, name := range order {
			if list[i].path != name {
				t.Errorf("place %d is %s, want %s", i, list[i].path, name)
			}
		}
	}
}

// Numbers count upwards where the times of all files say so; where they don't, the larger number is the older file.
func TestNumbersCountUpwards(t *testing.T) {
	for _, tt := range []struct {
		minutes []int // when mail.log.1, mail.log.2 and so on were last changed
		want    []int // oldest first
	}{
		{[]int{1, 2, 3, 4}, []int{1, 2, 3, 4}},
		{[]int{4, 3, 2, 1}, []int{4, 3, 2, 1}},
		{[]int{1, 2, 4, 3}, []int{4, 3, 2, 1}}, // they contradict one another
		{[]int{1, 2, 2}, []int{3, 2, 1}},
		{[]int{1, 2}, []int{2, 1}}, // a logger kept writing into the second
	} {
		path := filepath.Join(t.TempDir(), "mail.log")
		for i, m := range tt.minutes {
			name := writeFile(t, fmt.Sprintf("%s.%d", path, i+1), []byte("x\n"))
			at := time.Unix(1_700_000_000, 0).Add(time.Duration(m) * time.Minute)
			if err := os.Chtimes(name, at, at); err != nil {
				t.Fatal(err)
			}
		}
		list, err := siblings(path)
		if err != nil || len(list) != len(tt.want) {
			t.Fatalf("%d files, %v", len(list), err)
		}
		for i, n := range tt.want {
			if want := fmt.Sprintf("%s.%d", path, n); list[i].path != want {
				t.Errorf("%v: place %d is %s, want %s", tt.minutes, i, list[i].path, want)
			}
		}
	}
}

// After a restart, files that count upwards are read in their order.
func TestFollowResumesCountedUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	log := openLog(t, path)
	log.add(string(sample(3)))
	f := follow(t, path, Cursor{}, Options{})
	at := f.want(string(sample(3))).next
	f.end()
	log.rename(path + ".1")
	for i := 2; i < 6; i++ {
		name := fmt.Sprintf("%s.%d", path, i)
		if i == 5 {
			name = path
		}
		writeFile(t, name, fmt.Appendf(nil, "%d %s", i, sample(2)))
		late := time.Now().Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(name, late, late); err != nil {
			t.Fatal(err)
		}
	}
	f = follow(t, path, at, Options{})
	text := string(sample(2))
	f.want("2 " + text + "3 " + text + "4 " + text + "5 " + text)
}

// A file that is there under another name is found without an archive being unpacked.
func TestFindLooksAtPlainFilesFirst(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	want := sample(30)
	r := openInput(t, writeFile(t, path, want))
	for i := 2; i < 6; i++ {
		writeFile(t, fmt.Sprintf("%s.%d.gz", path, i), packGzip(t, want))
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	list, err := candidates(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []FileID{r.ID(), {Head: r.ID().Head, HeadLen: r.ID().HeadLen}} { // itself, and what may be a copy
		m, ok, err := find(id, list, int64(len(want)), 0)
		if !ok || err != nil || m.path != path+".1" || m.archived {
			t.Errorf("found %+v, %v, %v", m, ok, err)
		}
	}
	if err := os.Remove(path + ".1"); err != nil {
		t.Fatal(err)
	}
	if list, err = candidates(path); err != nil {
		t.Fatal(err)
	}
	if m, ok, err := find(r.ID(), list, int64(len(want)), 0); !ok || err != nil || !m.archived || !m.copied {
		t.Errorf("found %+v, %v, %v", m, ok, err)
	}
}
