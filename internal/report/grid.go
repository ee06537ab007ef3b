package report

import (
	"strings"
	"unicode/utf8"
)

// grid is a table whose columns are as wide as they must be: the first left ones begin at the left, numbers in the others
// stand under one another. Cells are of characters of one column each.
type grid struct {
	left int
	rows [][]string
}

// add appends a row; an empty one makes a gap.
func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

// print writes the grid, two columns from the margin.
func (g *grid) print(p *printer) {
	var widths []int
	for _, row := range g.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range g.rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString("  ")
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < g.left {
				line.WriteString(cell + pad)
			} else {
				line.WriteString(pad + cell)
			}
		}
		p.printf("%s\n", strings.TrimRight(line.String(), " "))
	}
}
