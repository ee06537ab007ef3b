// Package lines finds where lines begin and end: what every reader of text logs does first. It knows nothing of what they
// say, allocates nothing and reads nothing but the bytes it is given.
package lines

import "bytes"

// Next returns where the line that begins at off ends, without its line feed and a carriage return before that, and where
// the next one begins. A last line without a line feed ends with data. off must be less than len(data).
func Next(data []byte, off int) (end, next int) {
	end, next = len(data), len(data)
	if i := bytes.IndexByte(data[off:], '\n'); i >= 0 {
		end, next = off+i, off+i+1
	}
	if end > off && data[end-1] == '\r' {
		end--
	}
	return end, next
}

// Whole returns the whole lines at the beginning of head; all of it where no line ends in it, which may be a log of one
// line that isn't ended yet.
func Whole(head []byte) []byte {
	if i := bytes.LastIndexByte(head, '\n'); i >= 0 {
		return head[:i+1]
	}
	return head
}
