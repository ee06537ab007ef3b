package pipeline

import (
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// slowParser is a parser whose Fold takes until it is let go on.
type slowParser struct {
	lineParser
	folding chan struct{} // told when Fold has begun
	goOn    chan struct{}
	folded  int // runs of lines; belongs to who folds
}

// Fold implements Parser.
func (p *slowParser) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(harvestwatch.Pos, []byte)) harvestwatch.Counts {
	p.folding <- struct{}{}
	<-p.goOn
	p.folded++
	return p.lineParser.Fold(l, emit, unparsed)
}

// The parser can be asked for what it knows while its goroutine folds: the one waits for the other.
func TestWithWaitsForTheFold(t *testing.T) {
	for range 20 {
		askWhileItFolds(t)
	}
}

func askWhileItFolds(t *testing.T) {
	t.Helper()
	p := &slowParser{folding: make(chan struct{}), goOn: make(chan struct{})}
	r := &textReader{text: []byte("1\n"), rnd: rand.New(rand.NewPCG(1, 1))}
	ps := Parse(t.Context(), r, p, ParseOptions{Workers: 1})
	<-p.folding
	got := make(chan int)
	go ps.With(func() { got <- p.folded })
	for range 1000 { // time enough for who doesn't wait
		select {
		case n := <-got:
			t.Fatalf("asked in the middle of the first fold, it said %d", n)
		default:
			runtime.Gosched()
		}
	}
	p.goOn <- struct{}{}
	select {
	case n := <-got:
		if n != 1 {
			t.Errorf("%d folds, want 1", n)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it hangs")
	}
	if !ps.Close() {
		t.Error("it did not end")
	}
}

// hungReader gives its lines, and then hangs until it is let go.
type hungReader struct {
	textReader
	goOn chan struct{}
}

// Next implements Reader.
func (r *hungReader) Next() (*harvestwatch.Lines, error) {
	if len(r.text) == 0 {
		<-r.goOn
		return nil, io.EOF
	}
	return r.textReader.Next()
}

// A reader that hangs keeps nobody from asking.
func TestWithDoesNotWaitForTheReader(t *testing.T) {
	r := &hungReader{textReader{text: []byte("1\n"), rnd: rand.New(rand.NewPCG(1, 1))}, make(chan struct{})}
	ps := Parse(t.Context(), r, lineParser{}, ParseOptions{Workers: 1})
	if _, err := ps.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	ran := false
	ps.With(func() { ran = true })
	close(r.goOn)
	if !ps.Close() || !ran {
		t.Errorf("asked: %t", ran)
	}
}
