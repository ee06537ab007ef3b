package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress shows on a terminal how far a run is. It owns one goroutine, which ends with stop.
type progress struct {
	quit chan struct{}
	done sync.WaitGroup
}

// startProgress begins to show progress on standard error, if that is a terminal and the run takes a while.
func (p *program) startProgress(l *logs) *progress {
	pr := &progress{quit: make(chan struct{})}
	if !isTerminal(p.stderr) {
		return pr
	}
	start := p.now()
	pr.done.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for shown := false; ; shown = true {
			select {
			case <-pr.quit:
				if shown {
					fmt.Fprint(p.stderr, "\r\x1b[K")
				}
				return
			case <-tick.C:
				fmt.Fprintf(p.stderr, "\r\x1b[K%s", l.progress(p.now().Sub(start)))
			}
		}
	})
	return pr
}

func (pr *progress) stop() {
	close(pr.quit)
	pr.done.Wait()
}

// progress says how much was read, how fast, and how long the rest will take at that rate.
func (l *logs) progress(spent time.Duration) string {
	var read, size int64
	for _, in := range l.inputs {
		read += in.read.Load()
		size += in.Size
	}
	if read == 0 || spent <= 0 {
		return "reading"
	}
	text := fmt.Sprintf("%d of %d MB, %.0f MB/s", read>>20, size>>20, float64(read)/(1<<20)/spent.Seconds())
	if size > read {
		left := time.Duration(float64(spent) * float64(size-read) / float64(read))
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return text
}

// isTerminal reports whether w is a character device, which is what a terminal is.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
