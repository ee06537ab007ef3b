// Package tailer turns log files into runs of whole lines with their positions. It reads old logs once (Expand, Open:
// files, directories, archives, standard input) and follows live ones across rotation, or from one file of a series to
// the next (Follow). It knows nothing about what stands in a line, assumes no time zone, keeps no state on disk and never
// ends the process.
//
// The package starts no goroutine of its own. Follow runs in the caller's goroutine and returns when its context
// ends; the file system notifications it listens to have one reader inside fsnotify, which ends before Follow returns.
package tailer
