package receive

import (
	"fmt"
	"github.com/harvestwatch/harvestwatch"
	"os"
	"path/filepath"
	"testing"
)

func TestZZ(t *testing.T) {
	a, _ := filepath.Glob("/work/shared/docs/samples/exchange-receive/*")
	b, _ := filepath.Glob("/work/shared/docs/derived/receive_*")
	for _, f := range append(a, b...) {
		d, _ := os.ReadFile(f)
		p := New(own)
		l := &harvestwatch.Lines{Data: d, Pos: harvestwatch.Pos{Line: 6}}
		fmt.Println("==", f, Share(d))
		p.Lex(l)
		c := p.Fold(l, func(e *harvestwatch.Event) { fmt.Println("  ", show(e)) }, func(p harvestwatch.Pos, b []byte) { fmt.Printf("UNPARSED %q\n", b) })
		fmt.Printf("%+v\n", c)
	}
}
