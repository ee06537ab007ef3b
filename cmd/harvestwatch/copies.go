package main

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/harvestwatch/harvestwatch/internal/report"
)

// dropCopies leaves out every input that is the same as an earlier one, byte for byte: a log that somebody copied beside
// itself would make of fifty connections a hundred.
func (l *logs) dropCopies() {
	bySize := map[int64][]*logInput{}
	for _, in := range l.inputs {
		if in.format == "" || in.spool != nil || in.Size == 0 {
			continue
		}
		for _, other := range bySize[in.Size] {
			if equalFiles(in.Path, other.Path) {
				in.format, in.why = "", "the same as "+report.Quote(other.Path)+", left out"
				break
			}
		}
		if in.format != "" {
			bySize[in.Size] = append(bySize[in.Size], in)
		}
	}
}

// equalFiles reports whether two files have the same bytes. One that can't be read is told when its turn comes.
func equalFiles(a, b string) bool {
	fa, err := os.Open(a)
	if err != nil {
		return false
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return false
	}
	defer fb.Close()
	bufA, bufB := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(fa, bufA)
		m, errB := io.ReadFull(fb, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false
		}
		if errA != nil || errB != nil {
			return ended(errA) && ended(errB)
		}
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
